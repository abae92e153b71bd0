"""Newton's method in C for columns of few parameters: trainer/model/newton_body.h.

The twin of the rounds of `trainer.solvers.solver` where every direction is −H⁻¹·g. Each column goes
its way alone: a call is some rounds of all columns, or where a round takes long, one of some of
them. What is rare is left to the NumPy text, as the call says: steps against the slope, and
Hessians that rounding has left without a factor.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from trainer.model import compiled
from trainer.model.compiled import Library
from trainer.model.compiled_errors import errors_of
from trainer.solvers.hessian_sizes import padded_width, suits_twin, work_of
from trainer.solvers.hessians import RIDGE, Hessians
from trainer.solvers.objective import Objective
from trainer.solvers.progress import SolverState

Array = Any
Numbers = np.ndarray[Any, np.dtype[np.float64]]
Flags = np.ndarray[Any, np.dtype[np.bool_]]
_ROUNDS = 32  # of a call, at most
_WORK = 1 << 28  # multiplications of a call, about: between two questions whether to stop
_STEEPEST, _DIRECTION = 1, 2  # newton_body.h's
_ROWS = 64  # step.h's GRAM_ROOM
_PROGRESS = (
    *("value", "data", "loss", "gradient_max", "iterations", "evaluations", "length", "used"),
    *("tries", "stalled", "smallest", "plain", "lost"),
)


class _Newton(ctypes.Structure):
    """`newton` of newton_body.h."""

    _fields_ = [
        *((name, ctypes.c_int64) for name in ("rows", "features", "outputs", "columns")),
        *((name, ctypes.c_int64) for name in ("parameters", "inner", "stride", "coupled")),
        ("log_every", ctypes.c_int64),
        *((name, ctypes.c_double) for name in ("least", "ridge")),
        *((name, ctypes.c_void_p) for name in ("X", "errors", "q", "mean", "directions", "floor")),
        *((name, ctypes.c_void_p) for name in ("l2", "tol", "most", "w", "g", "d", *_PROGRESS)),
        *((name, ctypes.c_void_p) for name in ("live", "asks", "logged", "losses", "lr", "takes")),
        *((name, ctypes.c_void_p) for name in ("scores", "slopes", "room")),
    ]


class Rounds(NamedTuple):
    """What rounds have logged: (S, 5, K) as slots of `StepRecorder`, and (S, K) each."""

    sums: Numbers
    loss: Numbers
    lr: Numbers
    takes: Flags


class CompiledNewton:
    """The rounds of K columns on the same rows."""

    def __init__(self, library: Library, plan: _Newton, held: Sequence[object], work: int) -> None:
        """Rounds that a plan says, whose arrays are `held`; one of a column is so much work."""
        self._run, self._plan, self._held = library.newton_rounds, plan, held
        self._together = int(max(1, min(plan.columns, _WORK // work)))  # columns of a call
        self._most = int(max(1, min(_ROUNDS, _WORK // (work * plan.columns))))  # rounds of a call

    def run(
        self,
        state: SolverState,
        until: int,
        moving: Callable[[], int],
        aim: Callable[[Flags, Flags], None],
        should_stop: Callable[[], object],
    ) -> Rounds:
        """Go on as `SolverStack.advance`.

        Args:
            state: of the columns, changed in place.
            until: the last round.
            moving: says how many are.
            aim: gives columns (K,) directions by the text: steps against the slope, and Newton's.
            should_stop: asked between calls, before which one is due.
        """
        K, found = self._plan.columns, []
        asks = np.zeros(K, np.uint8)
        own = {name: getattr(state.progress, name) for name in _PROGRESS}
        point_to(self._plan, own | {name: state.arrays[name] for name in ("w", "g", "d")})
        point_to(self._plan, {"live": state.live, "asks": asks})
        while True:
            most = 1 if should_stop() else min(self._most, until - state.step)
            one = _nothing(most, K)
            logged = {"logged": one.sums, "losses": one.loss, "lr": one.lr, "takes": one.takes}
            point_to(self._plan, logged)
            done = self._call(state.step + 1, most, should_stop)
            state.step += done
            found.append([array[:done] for array in one])
            if asks.any():
                aim(asks == _STEEPEST, asks == _DIRECTION)
                asks[:] = 0
            if moving() == 0 or state.step >= until or should_stop():
                return Rounds(*(np.concatenate(parts) for parts in zip(*found, strict=True)))

    def _call(self, first: int, most: int, should_stop: Callable[[], object]) -> int:
        """Rounds from number `first`: how many. Columns that a stop comes before wait, or begin."""
        done, stopped, columns = 0, False, self._plan.columns
        for start in range(0, columns, self._together):
            stopped = stopped or (start > 0 and bool(should_stop()))
            part = start, min(columns, start + self._together)
            done = self._run(ctypes.byref(self._plan), first, most, *part, stopped)
        return done


def _nothing(rounds: int, columns: int) -> Rounds:
    """Room for what some rounds log."""
    loss, lr = np.zeros((2, rounds, columns))
    return Rounds(np.zeros((rounds, 5, columns)), loss, lr, np.zeros((rounds, columns), bool))


def point_to(plan: ctypes.Structure, arrays: dict[str, Array]) -> None:
    """Let fields of a structure be the addresses of arrays in C order."""
    for name, array in arrays.items():
        assert array.flags.c_contiguous, name
        setattr(plan, name, array.ctypes.data)


def compiled_newton(
    objective: Objective, hessians: Hessians, tol: Numbers, most: Numbers, log_every: int
) -> CompiledNewton | None:
    """The twin of a stack's rounds, or None where there is none.

    Args:
        objective: J of the columns without l1.
        hessians: of the same rows.
        tol: (K,) bounds of max |dJ/dW|.
        most: (K,) most iterations.
        log_every: rounds between full records.
    """
    problem, rows = objective.problem, objective.rows
    (P, C, K), library, xp = problem.shape, compiled.load()[0], problem.device.xp
    N, S, coupled = len(rows), padded_width(P), problem.model.coupled
    if library is None or problem.sparse or not suits_twin(problem.device, N, P, C, coupled):
        return None
    errors = errors_of(xp, problem.model, rows.y, hessians.placed(), 1)
    if errors is None or problem.model.variance is None:
        return None
    # what rounds share: points and slopes of a column, its Hessian, and what products need
    system = (P * C) * (P * C + 8) if coupled else 0
    room = 6 * P * C + 2 * C + 6 + N + S * S + system + 16 * (N + S) + _ROWS * S
    arrays = {
        "X": hessians.padded, "q": rows.q, "floor": hessians.floor, "l2": problem.host_l2,
        "tol": tol, "most": most, "scores": np.empty((N, C)), "slopes": np.empty((N, C)),
        "room": np.empty(room),
    }  # fmt: skip
    basis = problem.basis
    arrays |= {"mean": basis.mean} if problem.bias else {}
    arrays |= {} if basis.directions is None else {"directions": basis.directions}
    held = {name: np.ascontiguousarray(array, np.float64) for name, array in arrays.items()}
    plan = _Newton(
        rows=N, features=problem.features, outputs=C, columns=K, parameters=P, stride=S,
        inner=problem.inner, coupled=coupled, log_every=log_every,
        least=objective.least[1], ridge=RIDGE, errors=errors.address,
    )  # fmt: skip
    point_to(plan, held)
    return CompiledNewton(library, plan, [errors, held], work_of(N, P, len(hessians.pairs())))
