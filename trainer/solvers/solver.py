"""A stack that goes to the optimum: by L-BFGS, Newton or in closed form, each column at its pace.

A round evaluates J and its gradient once for all columns, each at its own trial point. A column
whose point is good enough takes it and gets a new direction; any other shortens its step and tries
again in the next round. So a column waits for no other and knows of no other; one that has
converged is frozen. What is decided, a number or two a column, is decided on the host: one fetch
follows each pass over the rows.

A round is whole or has not been: a signal, or memory that runs out, ends one in its pass, where
nothing has changed yet, or keeps directions from being made, which then are the first that is done
when columns go on. All that a round needs is in the state, so that columns go on elsewhere as they
would have here, to the bit.

The methods differ in nothing but their directions: `trainer.solvers.directions`, and with l1
`trainer.solvers.prox_newton`.

Shapes: D features, C outputs, K columns; parameters (P, C, K) as in `trainer.solvers.problem`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np

from trainer.machine.interrupted import Interrupted, ShouldStop, ask, never
from trainer.solvers.certificates import Points, certify_in_turn
from trainer.solvers.choose import Size
from trainer.solvers.compiled_newton import CompiledNewton, Rounds, compiled_newton
from trainer.solvers.costs import hessian_bytes, hessian_operations, rounds_of_a_stretch
from trainer.solvers.directions import Directions
from trainer.solvers.line_search import TrialPoint, accept, is_good, shorten
from trainer.solvers.moments import held_sums
from trainer.solvers.objective import Objective
from trainer.solvers.outcomes import ending
from trainer.solvers.own_hessians import AnyHessians, hessians_of
from trainer.solvers.passes import NAMES
from trainer.solvers.problem import Problem
from trainer.solvers.progress import FACTS, SolverState, at_start, share_done
from trainer.solvers.prox_newton import prox_newton_steps
from trainer.solvers.slopes import Tried
from trainer.solvers.solver_settings import SolverSettings
from trainer.solvers.tf32_passes import Tf32Objective
from trainer.solvers.tf32_rounds import Tf32Rounds
from trainer.solvers.trial_points import Evaluated, evaluate
from trainer.train.batches import RowSet
from trainer.train.buffers import Buffers
from trainer.train.outcomes import Outcome
from trainer.train.protocol import HeldSums, HessianWork
from trainer.train.step_record import Records, Snapshot, StepRecorder

Array = Any
Numbers = np.ndarray[Any, np.dtype[np.float64]]
Flags = np.ndarray[Any, np.dtype[np.bool_]]
_CROWDED = 0.75  # of a stack's width: with fewer columns alive the others may leave


class SolverStack:
    """K columns over one set of training rows, each on its way to its optimum."""

    steps_per_epoch = 1

    def __init__(
        self,
        problem: Problem,
        rows: RowSet,
        inner_rows: RowSet,
        settings: SolverSettings,
        hessians: AnyHessians | None = None,
        single: RowSet | None = None,
    ) -> None:
        """Make all arrays that do not change with the state.

        Args:
            problem: the columns.
            rows: the training rows as they are.
            inner_rows: the same in the problem's coordinates.
            settings: of the columns.
            hessians: those of the same rows, if there are any.
            single: the rows for rounds in TF32, if there are to be any.
        """
        self.problem, self.rows, self.settings = problem, rows, settings
        self.device, self.model = problem.device, problem.model
        _, outputs, columns = problem.shape
        self.shape = (problem.features, outputs, columns)  # D, C, K
        self.dtype = rows.X.dtype
        self.objective = Objective(problem, inner_rows)
        self.hessians = hessians or hessians_of(problem, inner_rows)
        self._tf32 = None
        if single is not None:
            last = np.minimum(settings.max_iter, settings.method.hessian_from or np.inf)
            self._tf32 = Tf32Rounds(Tf32Objective(self.objective, single), settings.tol, last)
        self._now: Objective | Tf32Objective = self.objective  # of this round
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
        self._elements = inner_rows.counts[None] * outputs  # of ŷ − y
        self._should_stop: ShouldStop = never
        self._begun = 0  # the step before the stretch
        width, start = int(inner_rows.X.shape[1]), settings.method.hessian_from
        self._stretch = rounds_of_a_stretch(  # between two pauses
            self.device,
            Size(len(rows), width, outputs),
            columns,
            settings.method.pairs,
            0.0 if start is None else hessian_operations(self.hessians, len(rows), problem.sparse),
        )
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

    def held_sums(self, X: Array, y: Array, w: Array) -> HeldSums | None:
        """See `trainer.train.protocol.AnyStack`."""
        return held_sums(self.problem, self.objective.moments, X, y, w)

    def take(self, columns: Any) -> SolverStack:
        """A stack of some of the columns, on the same rows."""
        problem, settings = self.problem.take(columns), self.settings.take(columns)
        single = self._tf32.objective.rows.take(columns) if self._tf32 else None
        rows, inner = self.rows.take(columns), self.objective.rows.take(columns)
        hessians = self.hessians.take(columns)
        return SolverStack(problem, rows, inner, settings, hessians, single)

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
        self._write(state, moved=bool(weights.any()))
        return state

    def _write(self, state: SolverState, moved: bool) -> None:
        """Weights and bias (D, C, K), (C, K) of the features as they are; not `moved` from 0."""
        a = state.arrays
        a["weights"], a["bias"] = self.problem.weights_and_bias(a["w"], moved)

    # --- rounds ---

    def advance(
        self,
        state: SolverState,
        until: int,
        snapshots: Callable[[int], Snapshot | None] = lambda step: None,
        should_stop: ShouldStop = never,
    ) -> Records:
        """Go on for a stretch of rounds, until columns are due or none moves, or `should_stop()`.

        Where that comes before the first round is done, or columns are due already, it has none.
        """
        self._begun, self._should_stop = state.step, should_stop
        until = min(until, (state.step // self._stretch + 1) * self._stretch)
        with np.errstate(all="ignore"):
            if is_over := self._is_over(state):
                found = Rounds.of([], self.shape[2])
                with contextlib.suppress(Interrupted):
                    self._aim(state, self._moving(state))
            elif self._newton is None:
                found = self._rounds(state, until)
            else:
                found = self._newton_rounds(self._newton, state, until)
            values = StepRecorder.values(found.sums, self._elements)
            # before the second round all columns are where they began
            self._write(state, state.step > 1 or not bool(state.progress.at_zeros.all()))
        step = np.arange(self._begun + 1, state.step + 1, dtype=np.int64)
        values |= {"lr": found.lr, "loss": found.loss}
        moving = self._moving(state)
        is_over = is_over or state.step >= until or self._pauses(state, moving)
        # a direction that is made once others have left, in a narrower stack, has other last bits
        whole = is_over and bool(state.progress.aimed[moving].all())
        return Records(step, step.astype(np.int32), values, found.takes, whole)

    def _is_over(self, state: SolverState) -> bool:
        """Whether a stretch has no rounds: columns are due, or none moves.

        Or a stop has cut the one before within the directions after its last round.
        """
        moving = self._moving(state)
        lacks = not state.progress.aimed[moving].all()
        pauses = state.step % self._stretch == 0 or self._pauses(state, moving)
        return bool(self.due(state).any() or not moving.any() or (lacks and pauses))

    def _rounds(self, state: SolverState, until: int) -> Rounds:
        """Rounds until `until`, or until columns are to leave: what they log."""
        found = []
        with contextlib.suppress(Interrupted):
            moving = self._moving(state)
            self._aim(state, moving)
            while state.step < until:
                ask(self._should_stop)
                found.append(self._round(state, moving))
                moving = self._moving(state)
                self._aim(state, moving)
                if self._pauses(state, moving):
                    break
        return Rounds.of(found, self.shape[2])

    def _newton_rounds(self, newton: CompiledNewton, state: SolverState, until: int) -> Rounds:
        """`_rounds` by the compiled twin."""

        def pauses() -> bool:
            return self._pauses(state, self._moving(state))

        def aim() -> None:
            if not state.progress.aimed.all():
                self._aim(state, self._moving(state))

        go_down = partial(self._go_down, state)
        kept = partial(self._kept, state)
        return newton.run(state, until, pauses, go_down, aim, kept, self._should_stop)

    @contextlib.contextmanager
    def _kept(self, state: SolverState) -> Iterator[None]:
        """Keep the stretch's rounds where memory runs out in what changes nothing of the state.

        Raises:
            Interrupted: it did, and the next stretch begins with what is within.
        """
        try:
            yield
        except (MemoryError, RuntimeError) as error:
            if state.step == self._begun or not self.device.is_full(error):
                raise
            raise Interrupted from None

    def _moving(self, state: SolverState) -> Flags:
        """(K,) columns that live and have not settled."""
        flags: Flags = state.live & ~self.settled(state)
        return flags

    def _pauses(self, state: SolverState, moving: Flags) -> bool:
        """Whether so few columns move that the others are to leave, or none does.

        It is a matter of the state alone: where else a stretch has ended changes nothing. One that
        has settled is no burden to the compiled twin: there those alone leave whose loss was never
        finite, whom whoever trains ends at any pause.
        """
        n, stays = state.progress, moving
        if self._newton is not None:
            stays = state.live & ~((n.evaluations > 0) & ~np.isfinite(n.loss))
        return not moving.any() or bool(stays.sum() < _CROWDED * len(stays))

    def due(self, state: SolverState) -> Flags:
        """(K,) columns that have settled, where enough have for their evaluation."""
        settled = self.settled(state)
        flags: Flags = state.live & settled & self._pauses(state, state.live & ~settled)
        return flags

    def done(self, state: SolverState) -> Numbers:
        """(K,) how far each column is on its way, from 0 to 1."""
        features, outputs, _ = self.shape
        end = self.settings.tol * np.sqrt((features + 1) * outputs)
        share = share_done(state.progress, end, self.settings.max_iter)
        found: Numbers = np.where(self.settled(state), 1.0, share)
        return found

    def settled(self, state: SolverState) -> Flags:
        """(K,) columns that have come to an end of their own."""
        n = state.progress
        converged = n.gradient_max <= self.settings.tol
        over = n.iterations >= self.settings.max_iter
        flags: Flags = (n.evaluations > n.before) & (converged | over | n.lost)
        return flags

    def _round(self, state: SolverState, moving: Flags) -> Rounds:
        """One evaluation of every column that moves: what it logs, and which took their points.

        Raises:
            Interrupted: `should_stop()` in its pass, before anything has changed; or memory ran
                out there.
        """
        n, self._now = state.progress, self.objective
        if self._tf32 and (moving & n.tf32).any():
            moving, self._now = moving & n.tf32, self._tf32.objective
        with self._kept(state):
            self._try_points(state, moving)
            trial, slopes, logged = self._evaluate(state)
        state.step += 1
        n.evaluations += moving
        takes = moving & is_good(n, trial, self._now.rounding(n.value))
        refused = moving & ~takes
        plain = shorten(n, refused, trial) if refused.any() else refused
        if plain.any():
            self._go_down(state, plain)
        self._take(state, takes, trial, slopes)
        n.loss[takes], n.data[takes] = logged[1][takes], logged[0][takes]
        lr = np.where(takes, np.where(n.iterations > 0, n.used, 0.0), 0.0)
        done = Rounds(logged[None, 1 : len(NAMES)], n.loss[None].copy(), lr[None], takes[None])
        if self._tf32:
            self._tf32.turn(state, moving, takes, np.sqrt(trial.squares), logged)
        return done

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

    def _evaluate(self, state: SolverState) -> Evaluated:
        """What there is to know of the points to try: all that a round decides on."""
        logs = self.directions.logs_slopes and self._now.logs_all
        full = (state.step + 1) % self.settings.log_every == 0 and not logs
        whole, now = self.objective, self._now
        with whole.asking(self._should_stop):
            return evaluate(whole, now, self.directions, state, self._tried, full)

    def _take(
        self, state: SolverState, takes: Flags, trial: TrialPoint, slopes: dict[str, Numbers]
    ) -> None:
        """Move the columns to their trial points; remember the pairs."""
        n, norm = state.progress, np.sqrt(trial.squares)
        moved = takes & (n.evaluations > n.before + 1)
        self.directions.take(state, takes, moved, self._tried, slopes)
        accept(n, takes, moved, trial, self._now.rounding(trial.value))
        if state.step == 1:
            n.first[takes] = norm[takes]
        self._check(state, takes, norm)

    def _check(self, state: SolverState, takes: Flags, norm: Numbers) -> None:
        """Read max |dJ/dw| of the features as they are, where it may be below tol."""
        features, outputs, _ = self.shape
        n, close = state.progress, norm <= self.settings.tol * np.sqrt((features + 1) * outputs)
        n.gradient_max[takes] = norm[takes]  # `certify` has the last word
        close &= takes
        if close.any():
            close &= norm * self.problem.longest > self.settings.tol
        if close.any():
            largest = self.problem.largest(state.arrays["w"], state.arrays["g"])
            n.gradient_max[close] = self.device.to_host(largest)[close]

    def _aim(self, state: SolverState, moving: Flags) -> None:
        """Give new directions to columns that have taken points and move on.

        Raises:
            Interrupted: `should_stop()`, or memory ran out; then no column has a new one.
        """
        which = moving & ~state.progress.aimed
        if which.any():
            with self._kept(state):
                self._direct(state, which)

    def _direct(self, state: SolverState, which: Flags) -> None:
        """Give new directions to some columns."""
        problem, a, n, new = self.problem, state.arrays, state.progress, self._new
        start, own = self.settings.method.hessian_from, np.zeros_like(which)
        if start is not None:
            own = which & (n.iterations >= start)
        new[...] = 0
        if own.any() and problem.sparse:  # they may be interrupted: before anything is written
            prox_newton_steps(self.objective, self.hessians, state, own, new, self._should_stop)
        elif own.any():
            self.directions.newton(state, own, a["g"], new, self._should_stop)
        if (which & ~own).any():
            self.directions.quasi_newton(state, which & ~own, self._tried.step, new)
        self.directions.fix_gauge(state, own, new)
        self.device.xp.copyto(a["d"], new, where=self.device.to_device(which))
        n.aimed |= which

    # --- ends ---

    def taken(self, state: SolverState) -> Numbers:
        """(K,) iterations of each column."""
        return state.progress.iterations

    def facts(
        self, state: SolverState, due: Flags, should_stop: ShouldStop = never
    ) -> dict[str, Numbers]:
        """What is known of the columns that are due, each (K,): see `FACTS`.

        Raises:
            Interrupted: `should_stop()`.
        """
        n, a = state.progress, state.arrays
        every = np.flatnonzero(due & (n.evaluations > 0))
        points = Points(a["w"], a["g"], n.value, n.data, a["weights"])
        with self.objective.asking(should_stop):
            rough = n.tf32 | (n.evaluations == n.before)
            found = certify_in_turn(self.objective, points, every, rough)
        for where, known in found:
            n.gradient_max[where], n.gap[where] = known
        return {name: getattr(n, name) for name in FACTS}

    def ending(self, state: SolverState, at: int) -> Outcome:
        """How column `at`, which has settled, has ended."""
        return ending(self.problem, state.progress, float(self.settings.tol[at]), at)

    # --- planning ---

    def rehearse(self, state: SolverState) -> None:
        """Evaluate J and its gradient."""
        full = self.settings.log_every == 1
        sums = self.objective.value(state.arrays["w"], self._tried.gradient, full)
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
