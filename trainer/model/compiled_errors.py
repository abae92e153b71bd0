"""The compiled first half of a step for rows that go by whole, and which rules are compiled."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from trainer.model import compiled, models
from trainer.model.compiled import ERRORS, PRECISIONS, Library, Plan, room_of_errors
from trainer.model.metrics import regression_sums
from trainer.model.models import Model

Array = Any
# by activation, loss and dL/dz; the numbers are those of rules.h
RULES: dict[tuple[Callable[..., Any], ...], int] = {
    (models.identity, models.squared_error, models.error_is_dz): 0,
    (models.sigmoid, models.binary_cross_entropy, models.error_is_dz): 1,
    (models.softmax, models.categorical_cross_entropy, models.error_is_dz): 2,
    (models.exponential, models.poisson_loss, models.error_is_dz): 3,
    (models.sigmoid, models.squared_error, models.squared_error_on_sigmoid_dz): 4,
}


_LINEAR = 0  # of them: ŷ = z, whose loss and metrics are sums of squares


def rule_of(model: Model) -> tuple[Callable[..., Any], ...]:
    """What a model's rule is known by."""
    return model.activation, model.loss, model.dz


class CompiledErrors:
    """The compiled first half for rows that go by whole: solvers, and losses of evaluations."""

    def __init__(self, library: Library, plan: Plan, held: Sequence[Array]) -> None:
        """`held`: the arrays that the plan points to, all of one precision."""
        self._plan, self._at, self._held = plan, ctypes.byref(plan), held
        self._step = library.step[str(held[-1].dtype)]

    def begin(self, offset: Array, found: Array) -> None:
        """Begin a pass over the rows.

        Args:
            offset: (C, K), the bias.
            found: (6, K): losses times q are added to the first row, in float64 alone; what is
                logged to the others.
        """
        self._begun = offset, found  # which the plan points to
        self._plan.parameters = offset.ctypes.data
        self._plan.mean, self._plan.ring = found.ctypes.data, found[1:].ctypes.data

    def run(self, part: slice, z: Array, into: Array) -> Array:
        """Errors of a part of the rows.

        Args:
            part: of the rows.
            z: (b, C, K) or (b, C·K), X·W of them; becomes dL/dz ⊙ q, which is returned.
            into: (C, K) ← dJ/db.
        """
        self._plan.z = z.ctypes.data
        self._step(self._at, ERRORS, part.start, part.stop - part.start, 0, into.ctypes.data)
        return z


def errors_of(
    xp: Any, model: Model, y: Array, placed: Mapping[str, Array | None], columns: int
) -> CompiledErrors | None:
    """The compiled first half for some rows, or None where there is none.

    Args:
        xp: the array module.
        model: a row of the model table.
        y: (N, C, 1) targets, or the (C, C, 1) that codes pick from.
        placed: the rows' `codes`, `q`, `r`, and `order` None.
        columns: K.
    """
    library, _ = compiled.load()
    rule, outputs = RULES.get(rule_of(model)), int(y.shape[1])
    if library is None or xp is not np or rule is None or str(y.dtype) not in PRECISIONS:
        return None
    if 0 in (len(y), outputs, columns):
        return None
    room = np.empty(room_of_errors(outputs, columns), y.dtype)
    held = {**placed, "y": y, "room": room}
    plan = Plan(outputs=outputs, columns=columns, loss=rule, y_row=outputs, y_output=1, q_row=1)
    for name, array in held.items():
        if array is not None:
            assert array.flags.c_contiguous, name
            setattr(plan, name, array.ctypes.data)
    return CompiledErrors(library, plan, list(held.values()))


def squares_of(xp: Any, model: Model, weights: Array) -> Callable[..., Any] | None:
    """The compiled sums of a linear model's loss and metrics, or None where there are none.

    They take scores X·W (b, C, K), which are kept, the bias (C, K), both of the weights' precision,
    and in float64 targets (b, C, 1) and weights (b,); and return Σ_rows w·(ŷ − y)² (C, K).
    """
    library, _ = compiled.load()
    own = model.metrics.sums is regression_sums and RULES.get(rule_of(model)) == _LINEAR
    if library is None or xp is not np or not own or str(weights.dtype) not in PRECISIONS:
        return None
    squares = library.squares[str(weights.dtype)]

    def sums(z: Array, bias: Array, y: Array, w: Array) -> Array:
        found = np.zeros(z.shape[1:])
        arrays = [np.ascontiguousarray(one) for one in (z, bias, y, w)]
        squares(*z.shape, *(one.ctypes.data for one in (*arrays, found)))
        return found

    return sums
