"""Newton's method in C for columns of few parameters: trainer/model/newton_body.h.

The twin of the rounds of `trainer.solvers.solver` where every direction is −H⁻¹·g. Each column goes
its way alone: a call is some rounds of all columns, or where a round takes long, one of some of
them. What is rare is left to the NumPy text, as the call says: steps against the slope, and
Hessians that rounding has left without a factor.
"""

from __future__ import annotations

import contextlib
import ctypes
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from trainer.machine.interrupted import Interrupted, ShouldStop, ask
from trainer.model import compiled
from trainer.model.compiled import Library
from trainer.model.compiled_errors import errors_of
from trainer.solvers.hessian_sizes import padded_width, suits_twin, work_of
from trainer.solvers.hessians import RIDGE, Hessians
from trainer.solvers.progress import SolverState

if TYPE_CHECKING:
    from trainer.solvers.objective import Objective
    from trainer.solvers.own_hessians import AnyHessians

Array = Any
Numbers = np.ndarray[Any, np.dtype[np.float64]]
Flags = np.ndarray[Any, np.dtype[np.bool_]]
_ROUNDS = 32  # of a call, at most
_WORK = 1 << 28  # multiplications of a call, about: between two questions whether to stop
_STEEPEST, _DIRECTION = 1, 2  # newton_body.h's
_ROWS = 64  # step.h's GRAM_ROOM
_PROGRESS = (
    *("value", "data", "loss", "gradient_max", "iterations", "evaluations", "length", "used"),
    *("tries", "stalled", "smallest", "first", "plain", "lost", "aimed"),
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
    """What S rounds have logged: (S, 5, K) as slots of `StepRecorder`, and (S, K) each."""

    sums: Numbers
    loss: Numbers
    lr: Numbers
    takes: Flags

    @classmethod
    def of(cls, found: Sequence[Rounds], columns: int) -> Rounds:
        """All of several, which may be none."""
        if len(found) == 1:
            return found[0]
        parts = zip(_nothing(0, columns), *found, strict=True)
        return cls(*(np.concatenate(part) for part in parts))


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
        pauses: Callable[[], bool],
        go_down: Callable[[Flags], None],
        aim: Callable[[], None],
        kept: Callable[[], AbstractContextManager[None]],
        should_stop: ShouldStop,
    ) -> Rounds:
        """Go on as `SolverStack.advance`; columns whose directions are asked for are not aimed.

        Args:
            state: of the columns, changed in place.
            until: the last round.
            pauses: says whether columns are to leave, or none moves.
            go_down: gives columns (K,) steps against the slope, by the text.
            aim: gives directions to those that are not aimed, by the text.
            kept: holds what may run out of memory and changes no column then.
            should_stop: asked between calls, before which one is due.
        """
        asks, found = np.zeros(self._plan.columns, np.uint8), list[Rounds]()
        point_to(self._plan, self._changed(state) | {"live": state.live, "asks": asks})
        with contextlib.suppress(Interrupted):
            aim()
            while state.step < until:
                ask(should_stop)
                with kept():
                    one = self._call(state, min(self._most, until - state.step), should_stop)
                state.step += len(one.loss)
                found.append(one)
                if (plain := asks == _STEEPEST).any():
                    go_down(plain)
                if asks.any():
                    aim()
                    asks[:] = 0
                if pauses():
                    break
        return Rounds.of(found, self._plan.columns)

    def _changed(self, state: SolverState) -> dict[str, Array]:
        """The arrays of a state that rounds write to."""
        own = {name: getattr(state.progress, name) for name in _PROGRESS}
        return own | {name: state.arrays[name] for name in ("w", "g", "d")}

    def _call(self, state: SolverState, most: int, should_stop: ShouldStop) -> Rounds:
        """Some rounds of all columns, or one round of some columns after others.

        Raises:
            Interrupted: `should_stop()`; no column then has had its round.
        """
        columns, one = self._plan.columns, _nothing(most, self._plan.columns)
        logged = {"logged": one.sums, "losses": one.loss, "lr": one.lr, "takes": one.takes}
        point_to(self._plan, logged)
        several, done = self._together < columns, 0
        before = {n: a.copy() for n, a in self._changed(state).items()} if several else {}
        for start in range(0, columns, self._together):
            if start and should_stop():
                for name, array in self._changed(state).items():
                    array[...] = before[name]
                raise Interrupted
            part = start, min(columns, start + self._together)
            done = self._run(ctypes.byref(self._plan), state.step + 1, most, *part)
        return Rounds(one.sums[:done], one.loss[:done], one.lr[:done], one.takes[:done])


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
    objective: Objective, hessians: AnyHessians, tol: Numbers, most: Numbers, log_every: int
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
    if not isinstance(hessians, Hessians) or objective.is_own:
        return None
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
        least=float(objective.least[1, 0]), ridge=RIDGE, errors=errors.address,
    )  # fmt: skip
    point_to(plan, held)
    return CompiledNewton(library, plan, [errors, held], work_of(N, P, len(hessians.pairs())))
