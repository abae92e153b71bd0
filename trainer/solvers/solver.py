"""A stack that goes to the optimum: by L-BFGS, Newton or in closed form, each column at its pace.

A round evaluates J and its gradient once for all columns, each at its own trial point. A column
whose point is good enough takes it and gets a new direction; any other shortens its step and tries
again in the next round. So a column waits for no other and knows of no other; one that has
converged is frozen. What is decided, a number or two a column, is decided on the host: one fetch
follows each pass over the rows.

The methods differ in nothing but their directions: `trainer.solvers.directions`, and with l1
`trainer.solvers.prox_newton`.

Shapes: D features, C outputs, K columns; parameters (P, C, K) as in `trainer.solvers.problem`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from trainer.solvers.certificates import Points, certify
from trainer.solvers.choose import Method
from trainer.solvers.compiled_newton import compiled_newton
from trainer.solvers.costs import hessian_bytes, hessian_operations
from trainer.solvers.directions import Directions
from trainer.solvers.hessian_sizes import certified_at_once
from trainer.solvers.hessians import Hessians, Interrupted
from trainer.solvers.line_search import TrialPoint, is_good, shorten
from trainer.solvers.objective import NAMES, Objective
from trainer.solvers.outcomes import ending
from trainer.solvers.problem import Problem
from trainer.solvers.progress import FACTS, SolverState, at_start
from trainer.solvers.prox_newton import prox_newton_steps
from trainer.solvers.slopes import SLOPES, Tried
from trainer.train.batches import RowSet
from trainer.train.buffers import Buffers
from trainer.train.outcomes import Outcome
from trainer.train.protocol import HessianWork
from trainer.train.step_record import Records, Snapshot, StepRecorder

Array = Any
Numbers = np.ndarray[Any, np.dtype[np.float64]]
Flags = np.ndarray[Any, np.dtype[np.bool_]]
_STALLED = 12  # iterations in a row without a decrease of J or of the gradient
_SMALLER = 0.9  # of the least gradient so far: what counts as a decrease
_CROWDED = 0.75  # of the columns that lived: with fewer alive the others may leave


@dataclass(frozen=True)
class SolverSettings:
    """What K columns share, and (K,) arrays of what they do not.

    Attributes:
        method: how directions are made.
        max_iter: (K,) most iterations.
        tol: (K,) bound of max |dJ/dW|, the bias included.
        log_every: iterations between full records of the step log.
    """

    method: Method
    max_iter: Numbers
    tol: Numbers
    log_every: int = 1

    def take(self, columns: Any) -> SolverSettings:
        """The settings of some of the columns."""
        return replace(self, max_iter=self.max_iter[columns], tol=self.tol[columns])


class SolverStack:
    """K columns over one set of training rows, each on its way to its optimum."""

    steps_per_epoch = 1

    def __init__(
        self,
        problem: Problem,
        rows: RowSet,
        inner_rows: RowSet,
        settings: SolverSettings,
        hessians: Hessians | None = None,
    ) -> None:
        """Make all arrays that do not change with the state.

        Args:
            problem: the columns.
            rows: the training rows as they are.
            inner_rows: the same in the problem's coordinates.
            settings: of the columns.
            hessians: those of the same rows, if there are any.
        """
        self.problem, self.rows, self.settings = problem, rows, settings
        self.device, self.model = problem.device, problem.model
        _, outputs, columns = problem.shape
        self.shape = (problem.features, outputs, columns)  # D, C, K
        self.dtype = rows.X.dtype
        self.objective = Objective(problem, inner_rows)
        self.hessians = hessians or Hessians(problem, inner_rows)
        self.budget = np.full(columns, float(1 << 60))  # of rounds: iterations are counted
        # of the point that is tried; the step to it, which once remembered is free for a direction
        # of L-BFGS; new directions; and what is free at any time
        shape, empty = problem.shape, self.device.xp.empty
        self._tried, self._new = Tried(empty(shape), empty(shape), empty(shape)), empty(shape)
        self._free = empty(shape)
        self.directions = Directions(problem, self.hessians, settings.method.pairs, self._free)
        self._newton = None
        if settings.method.hessian_from == 0:
            limits = settings.tol, settings.max_iter, settings.log_every
            self._newton = compiled_newton(self.objective, self.hessians, *limits)
        self._elements = np.array([[len(rows) * outputs]])  # of ŷ − y
        self._should_stop: Callable[[], object] = lambda: False
        self._full: Exception | None = None  # memory that ran out, where a plain step would do
        self._buffers: Buffers | None = None

    @property
    def batch_rows(self) -> int:
        """Rows of a round: all."""
        return len(self.rows)

    @property
    def chunk_rows(self) -> int:
        """Rows of a chunk at evaluations."""
        return self.objective.chunk_rows

    def buffers(self, rows: int) -> Buffers:
        """Buffers for a chunk of held rows."""
        if self._buffers is None:
            _, outputs, columns = self.shape
            self._buffers = Buffers(self.device.xp, self.chunk_rows, outputs, columns, self.dtype)
        return self._buffers.first(rows)

    def take(self, columns: Any) -> SolverStack:
        """A stack of some of the columns, on the same rows."""
        problem, settings = self.problem.take(columns), self.settings.take(columns)
        return SolverStack(problem, self.rows, self.objective.rows, settings, self.hessians)

    def start(self, weights: Array, bias: Array) -> SolverState:
        """State before the first evaluation, at weights (D, C, K) and bias (C, K) of the host."""
        xp, shape, K = self.device.xp, self.problem.shape, self.shape[2]
        at_zeros = ~(np.any(weights, axis=(0, 1)) | np.any(bias, axis=0))
        w = self.problem.parameters(weights, bias)
        if self.model.curvature is None and self.problem.bias and at_zeros.any():
            # from ŷ = 1 the way to large means is long, and the first steps would be past e^z
            r, where = self.problem.inner, self.device.to_device(at_zeros)
            w[r] = xp.where(where, self.objective.mean_score(), w[r])
            at_zeros[:] = False
        progress = at_start(K, self.objective.curvature(w), at_zeros)
        state = SolverState(0, progress, live=np.ones(K, bool))
        m = self.settings.method.pairs
        state.arrays = {
            "w": w,
            "g": xp.zeros(shape),  # dJ/dw there, without l1
            "d": xp.zeros(shape),  # the direction
            "s": xp.zeros((m, *shape)),
            "y": xp.zeros((m, *shape)),
            "rho": xp.zeros((m, K)),
        }
        self._write(state)
        return state

    def _write(self, state: SolverState) -> None:
        """Weights and bias (D, C, K), (C, K) of the features as they are."""
        a = state.arrays
        a["weights"], a["bias"] = self.problem.weights_and_bias(a["w"])

    # --- rounds ---

    def advance(
        self,
        state: SolverState,
        until: int,
        snapshots: Callable[[int], Snapshot | None] = lambda step: None,
        should_stop: Callable[[], object] = lambda: False,
    ) -> Records:
        """Go on until every column is settled, or enough of them to leave; or `should_stop()`."""
        first, self._should_stop = state.step + 1, should_stop
        full, self._full = self._full, None
        if full is not None:
            raise full
        with np.errstate(all="ignore"):
            rounds = self._rounds if self._newton is None else self._newton_rounds
            values, taken, whole = rounds(state, until)
            self._write(state)
        step = np.arange(first, state.step + 1, dtype=np.int64)
        return Records(step, step.astype(np.int32), values, taken, whole)

    def _rounds(self, state: SolverState, until: int) -> tuple[dict[str, Numbers], Flags, bool]:
        """Rounds until `until`, or until enough columns may leave: what they log (S, K).

        And whether they came so far: a stop may come before.
        """
        records: list[dict[str, Numbers]] = []
        first, taken, enough = state.step + 1, [], _CROWDED * state.live.sum()
        moving = state.live & ~self.settled(state)
        while True:
            state.step += 1
            try:
                record, counts = self._round(state, moving)
            except (MemoryError, RuntimeError) as error:
                if records and state.step < first + len(records) and self.device.is_full(error):
                    break  # nothing of the round was kept; the next stretch begins with it
                raise
            records.append(record)
            taken.append(counts)
            moving = state.live & ~self.settled(state)
            alive = moving.sum()
            whole = bool(alive == 0 or alive < enough or state.step >= until)
            if whole or self._should_stop():
                break
            if self._full is not None:
                break
        values = {name: np.array([one[name] for one in records]) for name in records[0]}
        return values, np.array(taken), whole

    def _newton_rounds(
        self, state: SolverState, until: int
    ) -> tuple[dict[str, Numbers], Flags, bool]:
        """`_rounds` by the compiled twin, until none moves: one that has settled is no burden."""
        assert self._newton is not None

        def moving() -> int:
            return int((state.live & ~self.settled(state)).sum())

        def aim(plain: Flags, newton: Flags) -> None:
            if plain.any():
                self._go_down(state, plain)
            if newton.any():
                with contextlib.suppress(Interrupted):
                    self._aim(state, newton)

        found = self._newton.run(state, until, moving, aim, self._should_stop)
        values = StepRecorder.values(found.sums, self._elements)
        whole = moving() == 0 or state.step >= until
        return values | {"lr": found.lr, "loss": found.loss}, found.takes, whole

    def settled(self, state: SolverState) -> Flags:
        """(K,) columns that have come to an end of their own."""
        n = state.progress
        converged = n.gradient_max <= self.settings.tol
        over = n.iterations >= self.settings.max_iter
        flags: Flags = (n.evaluations > 0) & (converged | over | n.lost)
        return flags

    def _round(self, state: SolverState, moving: Flags) -> tuple[dict[str, Numbers], Flags]:
        """One evaluation of every column: what it logs (K,), and which columns took their point.

        `moving` are those that live and have not settled.
        """
        n = state.progress
        try:
            self._try_points(state, moving)
            trial, slopes, logged = self._evaluate(state)
        except (MemoryError, RuntimeError):
            state.step -= 1  # so far nothing of the round is kept
            raise
        n.evaluations += moving
        takes = moving & is_good(n, trial, self.objective.rounding(n.value))
        refused = moving & ~takes
        plain = shorten(n, refused, trial) if refused.any() else refused
        if plain.any():
            self._go_down(state, plain)
        self._take(state, takes, trial.value, slopes)
        n.loss[takes], n.data[takes] = logged[1][takes], logged[0][takes]
        values = StepRecorder.values(logged[None, 1:], self._elements)
        record = {name: value[0] for name, value in values.items()}
        record["lr"] = np.where(takes, np.where(n.iterations > 0, n.used, 0.0), 0.0)
        record["loss"] = n.loss.copy()
        return record, takes

    def _go_down(self, state: SolverState, which: Flags) -> None:
        """Give some columns steps against the slope."""
        w, g = state.arrays["w"], state.arrays["g"]
        curvature = self.objective.curvature(w)
        self.directions.plain(state, which, self.problem.steepest(w, g), curvature)

    def _try_points(self, state: SolverState, moving: Flags) -> None:
        """Go along the directions: the points to try, with l1 each within its orthant."""
        n = state.progress
        length, within = np.where(moving, n.length, 0.0), (n.evaluations > 0) & n.within
        self.directions.try_points(state, length, within, self._tried)

    def _evaluate(self, state: SolverState) -> tuple[TrialPoint, dict[str, Numbers], Numbers]:
        """J and its slopes at the points to try, what more is known of them, the sums that it logs.

        All that a round decides on is fetched here, at once.
        """
        problem = self.problem
        logs = self.directions.logs_slopes and self.objective.logs_all
        full = state.step % self.settings.log_every == 0 and not logs
        sums = self._pass(state, full)
        told = {"sums": sums, "slopes": self.directions.slopes(state, self._tried)}
        found = self.device.fetch(told)  # device -> host
        sums, slopes = found["sums"], dict(zip(SLOPES, found["slopes"], strict=False))
        norm, was = (problem.host_l1 * slopes[name] for name in ("norm", "norm_before"))
        value = sums[0] + (0.5 * problem.host_l2 * slopes["weight_squares"] + norm)
        promised = slopes["promised"] + (norm - was)
        if "grad_squares" in slopes:
            sums[NAMES.index("grad_squares")] = slopes["grad_squares"]
        ends = slopes["begin"], slopes["end"], slopes["squares"]
        return TrialPoint(value, promised, *ends), slopes, sums

    def _pass(self, state: SolverState, full: bool) -> Array:
        """Sums (6, K) of `Objective.value` at the points to try; the gradient of J beside them."""
        zero = state.progress.at_zeros
        if state.step > 1 or zero.sum() < 2 or self.problem.loss:
            at_zeros = state.step == 1 and bool(zero.all())
            return self.objective.value(self._tried.point, self._tried.gradient, full, at_zeros)
        # columns at zeros are one point, where no penalty is felt: a pass of one tells of them all,
        # but for losses with parameters
        xp = self.device.xp
        sums, gradient = self.objective.at_zeros(full)
        sums = sums + xp.zeros(self.shape[2])  # (6, K)
        if zero.all():
            self._tried.gradient[...] = gradient
            return sums
        mask = self.device.to_device(zero)
        sums = xp.where(
            mask, sums, self.objective.value(self._tried.point, self._tried.gradient, full)
        )
        xp.copyto(self._tried.gradient, gradient, where=mask)
        return sums

    def _take(
        self, state: SolverState, takes: Flags, value: Numbers, slopes: dict[str, Numbers]
    ) -> None:
        """Move the columns to their trial points; remember the pairs; find new directions."""
        n, norm = state.progress, np.sqrt(slopes["squares"])
        moved = takes & (n.evaluations > 1)
        self.directions.take(state, takes, moved, self._tried, slopes)
        n.iterations += moved
        n.used = n.length.copy()
        falls = n.value - value > self.objective.rounding(value)
        better = falls | (norm < _SMALLER * n.smallest)
        n.stalled = np.where(takes, np.where(better, 0, n.stalled + 1), n.stalled)
        n.lost |= takes & (n.stalled >= _STALLED)
        n.smallest[takes] = np.minimum(n.smallest, norm)[takes]
        n.value[takes] = value[takes]
        n.tries[takes] = 0
        n.plain &= ~(takes & falls)  # at the floor of J once is enough
        n.length[takes] = 1
        self._check(state, takes, norm)
        going = takes & ~self.settled(state)
        if going.any():
            with contextlib.suppress(Interrupted):  # then no direction is followed any more
                self._aim_or_go_down(state, going)

    def _check(self, state: SolverState, takes: Flags, norm: Numbers) -> None:
        """Read max |dJ/dw| of the features as they are, where it may be below tol."""
        features, outputs, _ = self.shape
        n, close = state.progress, norm <= self.settings.tol * np.sqrt((features + 1) * outputs)
        n.gradient_max[takes] = norm[takes]  # `certify` has the last word
        close &= takes
        if close.any():
            largest = self.problem.largest(state.arrays["w"], state.arrays["g"])
            n.gradient_max[close] = self.device.to_host(largest)[close]

    def _aim_or_go_down(self, state: SolverState, takes: Flags) -> None:
        """Give new directions; where memory runs out steps against the slope, and say so later."""
        try:
            self._aim(state, takes)
        except (MemoryError, RuntimeError) as error:
            if not self.device.is_full(error):
                raise
            self._full = error.with_traceback(None)  # which would hold what was made
        if self._full is not None:
            self._go_down(state, takes)

    def _aim(self, state: SolverState, takes: Flags) -> None:
        """Give new directions to columns that took their points."""
        problem, a, n, new = self.problem, state.arrays, state.progress, self._new
        start, own = self.settings.method.hessian_from, np.zeros_like(takes)
        if start is not None:
            own = takes & (n.iterations >= start)
        new[...] = 0
        if (takes & ~own).any():
            self.directions.quasi_newton(state, takes & ~own, self._tried.step, new)
        if own.any() and problem.sparse:
            prox_newton_steps(self.objective, self.hessians, state, own, new, self._should_stop)
        elif own.any():
            self.directions.newton(state, own, a["g"], new, self._should_stop)
        self.directions.fix_gauge(state, own, new)
        self.device.xp.copyto(a["d"], new, where=self.device.to_device(takes))

    # --- ends ---

    def taken(self, state: SolverState) -> Numbers:
        """(K,) iterations of each column."""
        return state.progress.iterations

    def facts(self, state: SolverState, due: Flags) -> dict[str, Numbers]:
        """What is known of the columns that are due, each (K,): see `FACTS`."""
        n, a = state.progress, state.arrays
        every = np.flatnonzero(due & (n.evaluations > 0))
        together = certified_at_once(self.problem.outputs, self.problem.model.coupled)
        for first in range(0, len(every), together):
            where = every[first : first + together]
            points = Points(a["w"], a["g"], n.value, n.data).take(self.problem, where)
            known = certify(self.objective.take(where), points)
            n.gradient_max[where], n.gap[where] = known
        return {name: getattr(n, name) for name in FACTS}

    def ending(self, state: SolverState, at: int) -> Outcome:
        """How column `at`, which has settled, has ended."""
        return ending(self.problem, state.progress, float(self.settings.tol[at]), at)

    # --- planning ---

    def rehearse(self, state: SolverState) -> None:
        """Evaluate J and its gradient."""
        sums = self.objective.value(state.arrays["w"], self._tried.gradient, full=True)
        self.device.to_host(sums)  # waits for the device

    def hessian_work(self) -> HessianWork | None:
        """What second derivatives take; None where no column gets so far."""
        start, h, K = self.settings.method.hessian_from, self.hessians, self.shape[2]
        if start is None or start >= self.settings.max_iter.max():
            return None
        sparse = self.problem.sparse
        held = hessian_bytes(h.order, h.blocks, min(K, h.at_once()), sparse)
        operations = K * hessian_operations(h, len(self.rows), sparse)
        return HessianWork(start, operations, h.parameters, held)
