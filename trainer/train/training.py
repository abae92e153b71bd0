"""One stack in training: from pause to pause, until each of its columns has an outcome.

A `Training` knows nothing of trials: whoever holds several decides, between evaluations, which
evaluation of a column counts and which columns end (`trainer.sweep.scheduler`).
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import numpy as np

from trainer.machine.interrupted import Interrupted, ShouldStop, never
from trainer.text.saved import Saved
from trainer.train.measure import Evaluate, Measured, measure
from trainer.train.outcomes import Outcome, StackResult
from trainer.train.protocol import AnyStack
from trainer.train.state import PARAMETERS, AnyState, check_fits, restored_state
from trainer.train.step_record import Records, Snapshot, joined
from trainer.train.stretch import Evaluation, Stretch

Array = Any
Numbers = np.ndarray[Any, np.dtype[np.float64]]
Indices = np.ndarray[Any, np.dtype[np.int64]]
Flags = np.ndarray[Any, np.dtype[np.bool_]]
_CROWDED = 0.75  # of a stack's width: with fewer columns alive the others leave it


class Training:
    """K columns of one stack, trained to the end of their budgets with evaluations on the way.

    A column is evaluated at every multiple of `every` steps and at the end of its own budget.
    Between two pauses a stack may be parked: its arrays wait on the host, its buffers are gone.

    Attributes:
        columns: (K,) which of the columns it began with are in the stack still.
        state: of those.
        every: steps between evaluations, once begun.
        result: of all.
        unseen: (K,) columns with an evaluation that `count` has not been asked about.
        unread: a stretch without its evaluation, where that raised or a stop has cut it: `advance`
            then does no more.
    """

    stack: AnyStack
    state: AnyState

    def __init__(
        self,
        count: int,
        make: Callable[[Indices], AnyStack],
        start: Callable[[AnyStack], AnyState],
        evaluator: Callable[[AnyStack], Evaluate],
        every: Callable[[AnyStack], int],
        restore_best: Flags | None = None,
        gradients_every: int = 0,
    ) -> None:
        """Say what is to be trained; nothing is on the device before `resume`.

        Args:
            count: K.
            make: builds the stack of some of the columns.
            start: their state before the first step.
            evaluator: makes what reads the metrics of a state; `train_loss` is added here.
            every: says how many steps are between evaluations.
            restore_best: (K,) columns that end with the weights of the evaluation that counts.
            gradients_every: steps between snapshots; 0 for none.
        """
        self.columns, self.every = np.arange(count), 0
        self.begun = self.open = self._restored = False
        self._make, self._start, self._evaluator, self._every = make, start, evaluator, every
        self._gradients_every = gradients_every
        self._restore_best = np.zeros(count, bool) if restore_best is None else restore_best
        self._best: dict[str, Array] = {}
        self._recent: list[Numbers] = []  # losses (S, K) of the last epoch's steps, and some more
        self._latest: dict[str, Numbers] = {}  # (K,) of each column's last evaluation
        self._evaluated = np.full(count, -1)  # the step of it; -1 without one
        self._parts: list[Records] = []  # of a stretch that a stop has cut short
        self.unread: Stretch | None = None
        self.unseen = np.zeros(count, bool)
        self.result = StackResult(
            [None] * count,
            step=np.zeros(count),
            read=np.zeros(count, bool),
            grad_norm=np.full(count, np.nan),
            first_loss=np.full(count, np.nan),
            finite_loss=np.full(count, np.nan),
        )

    def resume(self) -> None:
        """Have the stack on the device: at its start, or where it was parked."""
        if self.open:
            return
        self.stack = self._make(self.columns)
        self._evaluate = self._evaluator(self.stack)
        if not self.begun:  # what raises leaves it as it was
            state, self.every = self._start(self.stack), self._every(self.stack)
            self._steps_per_epoch = self.stack.steps_per_epoch
            restores = bool(self._restore_best.any())
            self._best = {n: getattr(state, n).copy() for n in PARAMETERS if restores}
            self.state, self.begun = state, True
        else:
            if self._restored:
                D, C, K = self.stack.shape
                check_fits(self.state, self.stack.start(np.zeros((D, C, K)), np.zeros((C, K))))
            self._restored = False
            self._move(self.stack.device.to_device)
        self.open = True

    def park(self) -> None:
        """Let the stack wait on the host."""
        if self.open:
            self._move(self.stack.device.to_host)
            self.let_go()

    def let_go(self) -> None:
        """Let a stack go that is on the host, or that could not be built whole."""
        self.__dict__.pop("stack", None)
        self.__dict__.pop("_evaluate", None)
        self.open = False

    def _move(self, move: Callable[[Array], Array]) -> None:
        best = {name: move(array) for name, array in self._best.items()}
        self.state, self._best = self.state.moved(move), best

    # --- the scheduler's questions ---

    @property
    def live(self) -> Flags:
        """(K,) columns that still train, or are to."""
        return np.array([outcome is None for outcome in self.result.outcomes])

    def reached(self, number: int) -> bool:
        """Whether every column has had its evaluation of this number, or has ended."""
        return self.ended or (self.begun and self.state.step >= number * self.every)

    @property
    def ended(self) -> bool:
        """Whether every column has an outcome."""
        return None not in self.result.outcomes

    @property
    def evaluations(self) -> Indices:
        """(K,) how many evaluations each column has had."""
        counted = -(-np.maximum(self._evaluated, 0) // max(self.every, 1))
        evaluations: Indices = np.maximum(counted, self._evaluated >= 0)
        return evaluations

    def latest(self, name: str) -> Numbers:
        """(K,) a metric of each column's last evaluation; NaN without one."""
        return self._latest.get(name, np.full(len(self.result.outcomes), np.nan))

    # --- the scheduler's orders ---

    def advance(self, should_stop: ShouldStop = never) -> Stretch | None:
        """Run to the next pause: an evaluation, a snapshot to hand over, or the stack's own.

        None where a stop has cut it short: the steps are kept, and the next call goes on from them
        as if nothing had been; nothing is decided between the two. An evaluation that a stop has
        cut is none: the next call reads it from the beginning.
        """
        if self.unread is None:
            snapshots: list[Snapshot] = []

            def snapshot(step: int) -> Snapshot | None:
                if not self._gradients_every or step % self._gradients_every:
                    return None
                snapshots.append(Snapshot(step))
                return snapshots[-1]

            records = self.stack.advance(self.state, self._next_pause(), snapshot, should_stop)
            self._parts.append(records)
            if not records.whole:
                return None
            self.unread = self._taken_in(snapshots)  # of which one, if any, ends the stretch
        due = self._due()
        try:
            read = measure(self.stack, self.state, due, self._evaluate, should_stop, whole=True)
        except Interrupted:
            return None
        evaluation = None if read is None else self._take(due, read)
        stretch, self.unread = self.unread._replace(evaluation=evaluation), None
        return stretch

    def cut_short(self) -> Stretch | None:
        """Hand over what there is of a stretch that a stop has cut short; None without one."""
        stretch = self._taken_in([]) if self._parts else self.unread
        self.unread = None
        return stretch

    def _taken_in(self, snapshots: list[Snapshot]) -> Stretch:
        """The parts of a stretch together; columns that broke in it have ended."""
        state, columns = self.state, self.columns
        records, self._parts = joined(self._parts), []
        live = state.live.copy()
        takes = np.ones_like(live) if records.takes is None else records.takes
        finite = np.isfinite(records.values["loss"])
        # (S + 1, K) at the beginning, and after each step
        unbroken = np.logical_and.accumulate(np.vstack([np.ones_like(live), finite]), axis=0)
        # the step a column breaks at is still its own; what it computes afterwards is not
        counts = live & takes & unbroken[:-1]
        if len(records.step):
            self._recent.append(records.values["loss"])
            self.result.note(self.columns, records, counts & finite)
        for at in np.flatnonzero(live & ~unbroken[-1]).tolist():
            self._diverge(at, int(records.step[unbroken[1:, at].sum()]))
        return Stretch(columns, records, counts, snapshots, None)

    def count(self, better: Flags) -> None:
        """Let the last evaluation of these columns (K,) be the one that counts."""
        self.unseen[:] = False
        for name, value in self._latest.items():
            kept = self.result.metrics.setdefault(name, np.full(value.shape, np.nan))
            kept[better] = value[better]
        self.result.step[better] = self._evaluated[better]
        self.result.read |= better
        if self._best and better[self.columns].any():
            where = self._placed(better[self.columns])
            for name, best in self._best.items():
                self._xp.copyto(best, getattr(self.state, name), where=where)

    def end(self, columns: Flags, status: str, reason: Callable[[int, int], str]) -> None:
        """End these columns (K,) where they still train; `reason(column, step)` says why."""
        steps = np.zeros(len(self.result.outcomes), int)
        if self.open:
            steps[self.columns] = self.stack.taken(self.state)
        elif self.begun:
            steps[self.columns] = self.state.step
        for k in np.flatnonzero(columns & self.live).tolist():
            step = int(steps[k])
            self.result.outcomes[k] = Outcome(status, reason(k, step), step)
        if self.begun:
            self.state.live &= self.live[self.columns]

    def evaluate_late(self, should_stop: ShouldStop = never) -> Evaluation | None:
        """Evaluate what has trained since its last evaluation: metrics of the weights there are.

        None where nothing has, where it is cut, and where memory runs out. Nobody waits for bounds
        that take long.
        """
        if not self.open:
            return None
        late = self.state.live & (self._evaluated[self.columns] < self.stack.taken(self.state))
        late &= self.state.step > 0
        try:
            read = measure(self.stack, self.state, late, self._evaluate, should_stop, whole=False)
        except Interrupted:
            return None
        except (MemoryError, RuntimeError) as error:
            if not self.stack.device.is_full(error):
                raise
            return None
        return None if read is None else self._take(late, read)

    def compact(self) -> None:
        """Let ended columns leave, at the end of an epoch and where enough of them have ended."""
        stay = self._staying()
        if self.state.step % self._steps_per_epoch or not self._may_leave(stay):
            return
        try:
            self._leave(stay)
        except (MemoryError, RuntimeError) as error:
            if not self.open or not self.stack.device.is_full(error):
                raise
            wide = len(self.columns) == len(stay)
            self.park()  # the next stack is built without the last one beside it
            # later they would leave a stack that has gone on as wide, whose last bits are others
            if wide:
                with contextlib.suppress(MemoryError):
                    self._leave(stay)

    def _leave(self, stay: Flags) -> None:
        self._store(~stay)
        keep = np.flatnonzero(stay)
        where = self._placed(keep)

        def pick(array: Array) -> Array:
            return self._xp.take(array, where, axis=-1)

        best = {name: pick(array) for name, array in self._best.items()}
        recent = [losses[:, keep] for losses in self._recent]
        self.state, self._best, self._recent = self.state.take(keep, pick), best, recent
        self.columns = self.columns[keep]
        if self.open:
            self.stack = self.stack.take(keep)
            self._evaluate = self._evaluator(self.stack)

    def close(self) -> None:
        """Bring the weights of all columns to the host; let the stack go, for good."""
        if self.begun and self.state.arrays:
            self._store(np.ones(len(self.columns), bool))
            self.park()
            self.state.arrays, self._best, self._recent = {}, {}, []

    # --- records, to go on from elsewhere ---

    def saved(self) -> Saved:
        """A record of all that it has learned, for `restore`."""
        if not self.begun:
            return {"begun": False}
        found = {
            "begun": True,
            "columns": self.columns,
            "every": self.every,
            "steps_per_epoch": self._steps_per_epoch,
            "state": self.state.saved(self._to_host),
            "best": {name: self._to_host(array) for name, array in self._best.items()},
            "latest": self._latest,
            "evaluated": self._evaluated,
            "unseen": self.unseen,
            "result": self.result.saved(self._gone),
        }
        if self._recent:
            found["recent"] = np.concatenate(self._recent)[-self._steps_per_epoch :]
        if self._parts:
            found["parts"] = joined(self._parts).saved()
        if self.unread is not None:
            found["unread"] = self.unread.saved()
        return found

    def restore(self, saved: Saved) -> None:
        """Be where a record was made, parked: for a training that has not begun.

        The record's arrays are its own from here on.
        """
        if not saved["begun"]:
            return
        if saved["every"] < 1:  # whose evaluations would never end
            raise ValueError("the evaluations are not those of a stack")
        self.begun, self._restored, self.every = True, True, saved["every"]
        self._steps_per_epoch = saved["steps_per_epoch"]
        self.columns, self.unseen = saved["columns"], saved["unseen"]
        self.state = restored_state(saved["state"])
        self._best, self._latest = saved.get("best", {}), saved.get("latest", {})
        self._evaluated = saved["evaluated"]
        self._recent = [saved["recent"]] if "recent" in saved else []
        self._parts = [Records(**saved["parts"])] if "parts" in saved else []
        self.unread = Stretch.restored(saved["unread"]) if "unread" in saved else None
        self.result = StackResult.restored(saved["result"], self._gone)

    @property
    def _gone(self) -> Flags:
        """(K,) columns that the stack no longer has."""
        gone = np.ones(len(self.unseen), bool)
        gone[self.columns] = not self.state.arrays
        return gone

    # --- how ---

    def _staying(self) -> Flags:
        """(K,) which of the stack's columns still train, or have weights that may be kept."""
        live = self.state.live
        # an evaluation nobody has judged may be the one whose weights are kept
        return live | self.unseen[self.columns] if self._best else live

    def _may_leave(self, stay: Flags) -> bool:
        """Whether the columns that do not stay are enough to leave the others alone."""
        return bool(self.state.live.any() and stay.sum() < _CROWDED * len(stay))

    def _due(self) -> Flags:
        """(K,) columns at an evaluation, or at an end of their own."""
        step = self.state.step
        at_pause = step > 0 and step % self.every == 0
        due: Flags = self.state.live & (at_pause | self.stack.due(self.state))
        return due

    def _next_pause(self) -> int:
        """The next step with an evaluation, the end of a budget, or a snapshot to hand over.

        Where columns wait to leave, the end of the epoch, too.
        """
        step, budget = self.state.step, self.stack.budget[self.state.live]
        pauses = [budget[budget > step].min(), (step // self.every + 1) * self.every]
        if self._gradients_every:
            pauses.append((step // self._gradients_every + 1) * self._gradients_every)
        if self._may_leave(self._staying()):
            pauses.append((step // self._steps_per_epoch + 1) * self._steps_per_epoch)
        return int(min(pauses))

    def _take(self, due: Flags, read: Measured) -> Evaluation:
        """Take an evaluation; columns that are not finite diverge, those past a budget finish."""
        state, step = self.state, self.state.step
        taken = self.stack.taken(state).astype(np.int64)  # (K,)
        # an epoch's steps, whenever other columns were evaluated
        recent = np.concatenate(self._recent)[-self._steps_per_epoch :]
        # the mean of an array in another order differs in the last bit
        recent = np.ascontiguousarray(recent)
        self._recent = [recent]
        metrics, finite = {"train_loss": recent.mean(axis=0)} | read.metrics, read.finite
        for at in np.flatnonzero(due & ~finite).tolist():
            self._diverge(at, step)
        due = due & finite
        where = self.columns[due]
        for name, value in metrics.items():
            everyone = np.full(len(self.result.outcomes), np.nan)
            self._latest.setdefault(name, everyone)[where] = value[due]
        for name, value in read.facts.items():
            everyone = np.full(len(self.result.outcomes), np.nan)
            self.result.facts.setdefault(name, everyone)[where] = value[due]
        self._evaluated[where] = taken[due]
        self.unseen[where] = True
        for at in np.flatnonzero(due & self.stack.settled(state)).tolist():
            self._end_as(at, self.stack.ending(state, at))
        return Evaluation(-(-step // self.every), taken, metrics, due)

    def _diverge(self, at: int, step: int) -> None:
        last = self.result.finite_loss[self.columns[at]]
        told = f"; its last finite loss was {last:.6g}" if np.isfinite(last) else ""
        reason = f"loss or weights not finite at step {step}{told}"
        self._end_as(at, Outcome("diverged", reason, step))

    def _end_as(self, at: int, outcome: Outcome) -> None:
        self.result.outcomes[int(self.columns[at])] = outcome
        self.state.live[at] = False

    def _store(self, leaving: Flags) -> None:
        """Bring the weights of these columns of the stack to the host."""
        where = self.columns[leaving]
        restored = (self._restore_best & self.result.read)[where]
        for name in PARAMETERS:
            now = self._to_host(getattr(self.state, name))[..., leaving]
            if self._best:
                now = np.where(restored, self._to_host(self._best[name])[..., leaving], now)
            whole = getattr(self.result, name)
            if whole is None:
                whole = np.zeros((*now.shape[:-1], len(self.result.outcomes)), now.dtype)
                setattr(self.result, name, whole)
            whole[..., where] = now

    # A parked stack's arrays are on the host.

    @property
    def _xp(self) -> Any:
        return self.stack.device.xp if self.open else np

    def _to_host(self, array: Array) -> Array:
        return self.stack.device.to_host(array) if self.open else array

    def _placed(self, array: Array) -> Array:
        return self.stack.device.to_device(array) if self.open else array
