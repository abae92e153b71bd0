"""The compiled first half of a step for rows that go by whole, and which rules are compiled."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from trainer.machine.interrupted import ShouldStop, ask, never
from trainer.model import compiled, models
from trainer.model.compiled import (
    ERRORS,
    NARROW,
    PRECISIONS,
    Library,
    Plan,
    room_of_errors,
    strides,
)
from trainer.model.metrics import regression_sums
from trainer.model.models import Model

Array = Any
_NAMES = {np.dtype(name): name for name in PRECISIONS}  # str(dtype) takes microseconds
_CACHED = 1 << 18  # bytes of a chunk's rows, which both products find in the cache
_FEWEST = 32  # of them
_LARGE = 1 << 21  # bytes of rows that no cache of a core has
_LONG = 128  # numbers of a row
_WORK = 1 << 29  # multiplications between two questions whether to stop, a fifth of a second
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
        self._step, self._pass = library.step[_NAMES[held[-1].dtype]], library.rows_pass
        self._room: Array | None = None

    @property
    def address(self) -> int:
        """Where its plan is, for C code that takes the errors of all rows by itself."""
        return ctypes.addressof(self._plan)

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

    def of_all(
        self,
        X: Array,
        weights: Array | None,
        kept: Array | None,
        gradient: Array,
        into: Array,
        should_stop: ShouldStop = never,
    ) -> None:
        """Scores, errors and gradient of all rows, of few scores each, in float64.

        Args:
            X: (N, D).
            weights: (D, C, K), or None for zeros.
            kept: (N, C, K) ← X·W, or None.
            gradient: (D, C, K) ← dJ/dW.
            into: (C, K) ← dJ/db.
            should_stop: asked between chunks of rows, now and then.

        Raises:
            Interrupted: `should_stop()`.
        """
        (N, D), n = X.shape, self._plan.outputs * self._plan.columns
        chunk = min(N, max(_FEWEST, _CACHED // (8 * D) // _FEWEST * _FEWEST))
        if self._room is None:
            self._room = np.empty((2 * chunk + D + 16) * (16 + n) + n)
        given = X, weights, kept, self._room, gradient, into
        at = [None if one is None else one.ctypes.data for one in given]
        block = max(1, _WORK // (2 * chunk * D * n)) * chunk
        for start in range(0, N, block):
            if start:
                ask(should_stop)
            self._pass(self._at, at[0], start, min(N, start + block), D, chunk, *at[1:])


def is_narrow(outputs: int, columns: int, X: Array) -> bool:
    """Whether scores of rows X are so few that `CompiledErrors.of_all` is quicker for them.

    That is so where a matrix library reads long rows from memory for each of its products, and
    where little of what it computes is padding: of one score none is, of others up to `NARROW`.
    """
    n = outputs * columns
    narrow = n == 1 or NARROW // 2 <= n <= NARROW
    large = X.nbytes >= _LARGE and X.shape[1] >= _LONG
    return narrow and large and X.dtype == np.float64 and bool(X.flags.c_contiguous)


def errors_of(
    xp: Any, model: Model, y: Array, placed: Mapping[str, Array | None], columns: int
) -> CompiledErrors | None:
    """The compiled first half for some rows, or None where there is none.

    Args:
        xp: the array module.
        model: a row of the model table.
        y: (N, C, T) targets, or the (C, C, 1) that codes pick from.
        placed: the rows' `codes`, `q`, `r`, `targets`, `shares`, and `order` None.
        columns: K.
    """
    library, _ = compiled.load()
    rule, outputs = RULES.get(rule_of(model)), int(y.shape[1])
    if library is None or xp is not np or rule is None or y.dtype not in _NAMES:
        return None
    if 0 in (len(y), outputs, columns):
        return None
    room = np.empty(room_of_errors(outputs, columns), y.dtype)
    held = {**placed, "y": y, "room": room}
    apart = strides(y, placed["q"], placed)
    plan = Plan(outputs=outputs, columns=columns, loss=rule, **apart)
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
