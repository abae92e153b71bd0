"""The scheduler: trains stacks from evaluation to evaluation and decides which trials go on.

A candidate is a trial, or one of it for each target that is a problem of its own. Its columns may
sit in several stacks, and halving compares candidates of all stacks. Stacks that a decision
compares wait for each other at every evaluation; others go each its own way.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from trainer.machine.interrupted import Interrupted
from trainer.sweep import shortage
from trainer.sweep.defined import means
from trainer.sweep.stopping import Rules, Rung
from trainer.sweep.threads import Threads
from trainer.text.numbers import counted
from trainer.text.saved import Saved, copied
from trainer.train.stretch import Evaluation, Stretch

if TYPE_CHECKING:
    from trainer.train.training import Training

_LATE = 5.0  # seconds of evaluations after a stop
Numbers = np.ndarray[Any, np.dtype[np.float64]]
Indices = np.ndarray[Any, np.dtype[np.int64]]
Flags = np.ndarray[Any, np.dtype[np.bool_]]


class Member(Protocol):
    """One stack of a sweep: its training, and of each column its trial, repeat and target, (K,)."""

    training: Training
    trial: Indices
    repeat: Indices
    target: Indices

    def defines(self, name: str) -> Flags:
        """(K,) columns whose validation rows define a metric, once they are there."""

    def saved(self) -> Saved:
        """A record of it, for `restore`."""

    def restore(self, saved: Saved) -> None:
        """Be where a record was made."""


@dataclass
class SyncGroup:
    """Stacks that keep in step: those not at their end, and the evaluation they go to next."""

    members: list[int]
    evaluation: int = 1

    @property
    def ended(self) -> bool:
        """Whether no stack is left."""
        return not self.members


class Observer(Protocol):
    """Listener of a sweep; all calls but `should_stop` come from the scheduler's own thread."""

    def on_stretch(self, stack: int, stretch: Stretch) -> None:
        """Take the steps of one stack, by its number, between two pauses."""

    def on_evaluation(self, stack: int, columns: Indices, evaluation: Evaluation) -> None:
        """Take one evaluation of these columns (K,) of a stack."""

    def on_shortage(self, told: str) -> None:
        """Say that memory ran out, and what gave way."""

    def on_round(self, scheduler: Scheduler) -> None:
        """Show how far the sweep is, or keep `scheduler.saved()`, which is whole here.

        It comes at the end of a round, and once more where `should_stop` says so: before anything
        ends as interrupted, and before what a stop has cut short is told.
        """

    def should_stop(self) -> bool:
        """Whether to end after the step that is running; asked from any thread."""


class Scheduler:
    """Trains the members to the end.

    Attributes:
        scores: (T, R) the ranking metric of each column at the evaluation that counts, of T
            candidates.
        rungs: what halving did so far.
        waiting: the stacks that have not had their turn, those together that keep in step.
        groups: those whose turn it is.
        stretches: of the round that a stop has cut short, what each stack did; None for one that
            is not at its pause.
    """

    def __init__(
        self,
        members: Sequence[Member],
        rules: Rules,
        observer: Observer,
        threads: Threads,
        room: int | None = None,
        giving_way: shortage.Shortage | None = None,
    ) -> None:
        """Begin.

        Args:
            members: the stacks; together they hold every column of every candidate.
            rules: how trials are judged.
            observer: is told what happens.
            threads: train stacks side by side.
            room: how many stacks the device has memory for; None for all.
            giving_way: how stacks do where memory runs out all the same; None: that raises.
        """
        self._giving_way = giving_way
        self.members, self.rules, self.observer, self.threads = members, rules, observer, threads
        self.room = len(members) if room is None else max(room, 1)
        candidates = len(rules.stopping.metric)
        repeats = 1 + max(int(member.repeat.max()) for member in members)
        self.scores = np.full((candidates, repeats), np.nan)
        self.rungs: list[Rung] = []
        self.waiting = self._sync_groups()
        self.groups: list[SyncGroup] = []
        self.stretches: dict[int, Stretch | None] = {}

    @property
    def _at_once(self) -> int:
        """Stacks that need not keep in step hold memory for no longer than they must."""
        return min(self.room, self.threads.count)

    def run(self) -> None:
        """Train until each column has an outcome, or the observer says stop."""
        while self.groups or self.waiting:
            while self.waiting and sum(len(p.members) for p in self.groups) < self._at_once:
                self.groups.append(SyncGroup(self.waiting.pop(0)))
            whole, stops = self._round(), self.observer.should_stop()
            if whole or stops:
                self.observer.on_round(self)
            if stops:
                self._interrupt()
                break
        for member in self.members:
            member.training.close()

    def saved(self) -> Saved:
        """A record of all that has been learned and decided, for `restore`.

        Its arrays are those in training: to be written or copied before the next round.
        """
        whole = {str(i): one.saved() for i, one in self.stretches.items() if one is not None}
        return {
            "arrangement": {"stacks": self._columns, "threads": self.threads.count},
            "stacks": {str(i): member.saved() for i, member in enumerate(self.members)},
            "room": self.room,
            "waiting": list(self.waiting),
            "groups": [[group.members, group.evaluation] for group in self.groups],
            "round": list(self.stretches),
            "stretches": whole,
            "scores": self.scores,
            "rungs": [
                [one.evaluation, one.alive, one.kept, list(one.dropped)] for one in self.rungs
            ],
            "stopping": self.rules.stopping.saved(),
        }

    def restore(self, saved: Saved) -> None:
        """Be where a record was made: for a scheduler of the same stacks that has not run.

        Raises:
            ValueError: these are not its stacks.
        """
        if saved["arrangement"]["stacks"] != self._columns:
            raise ValueError("the record is of other stacks")
        for i, member in enumerate(self.members):
            member.restore(saved["stacks"][str(i)])
        if type(saved["room"]) is not int or saved["room"] < 1:
            raise ValueError("no stack has room")
        now, self.room = self.room, min(self.room, saved["room"])  # the same turns, and order
        self.waiting = [list(members) for members in saved["waiting"]]
        self.groups = [SyncGroup(list(members), at) for members, at in saved["groups"]]
        together = [*map(len, self.waiting), *(len(group.members) for group in self.groups)]
        before = min(max(together, default=0), saved["room"])
        if now < before:
            self.observer.on_shortage(shortage.fewer_at_once(now, before))
        for group in self.groups:  # one ahead would be judged again and again, and never train
            for training in (self.members[i].training for i in group.members):
                if training.begun and training.state.step > group.evaluation * training.every:
                    raise ValueError("a stack is past the evaluation that it goes to")
        whole = copied(saved.get("stretches", {}))
        self.stretches = {
            i: Stretch.restored(whole[str(i)]) if str(i) in whole else None for i in saved["round"]
        }
        self.scores = copied(saved["scores"])
        self.rungs = [Rung(at, n, kept, tuple(gone)) for at, n, kept, gone in saved["rungs"]]
        self.rules.stopping.restore(saved["stopping"])

    @property
    def _columns(self) -> list[list[list[int]]]:
        """The trial, the repeat and the target of each column of each stack."""
        named = [[one.trial, one.repeat, one.target] for one in self.members]
        return [np.column_stack(of).tolist() for of in named]

    def _candidates(self, i: int) -> Indices:
        """(K,) the candidate that each column of a stack is of."""
        member = self.members[i]
        found: Indices = self.rules.candidate(member.trial, member.target)
        return found

    def _sync_groups(self) -> list[list[int]]:
        """Which stacks keep in step: all where trials are compared, those of one's columns."""
        everyone = list(range(len(self.members)))
        if self.rules.halving is not None:
            return [everyone]
        group = np.arange(len(self.members))
        first: dict[int, int] = {}  # the group of a candidate that may stop early
        for i in everyone:
            of = self._candidates(i)
            for t in sorted(set(of[self.rules.stopping.watched[of]].tolist())):
                group[group == group[i]] = group[first.setdefault(t, i)]
        return [np.flatnonzero(group == p).tolist() for p in dict.fromkeys(group.tolist())]

    def _round(self) -> bool:
        """One stretch of each stack that is behind, then the decisions that are due.

        False where a stop comes before, or memory runs out: the next call goes on, and nothing is
        told until then, so that all is told in one order whether there was a stop or not.
        """
        if not self.stretches:
            behind = [i for group in self.groups for i in self._behind(group)][: self.room]
            self.stretches = dict.fromkeys(behind)
        try:
            self._advance()
        except Interrupted:  # while stacks were built
            return False
        if None in self.stretches.values():
            return False
        for i in self._tell():
            self.members[i].training.compact()  # columns end of their own, solvers' most of all
        for group in self.groups:
            crowded = len(group.members) > self.room
            for i in group.members if crowded else ():
                if self.members[i].training.reached(group.evaluation):
                    self.members[i].training.park()
            if not self._behind(group):
                self._decide(group)
        self.groups = [group for group in self.groups if not group.ended]
        return True

    def _advance(self) -> None:
        """Bring stacks of the round to their pause, as many of them as there is room for.

        A stack whose stretch is still to be told is built for it.
        """
        is_full = self._giving_way.is_full if self._giving_way else lambda error: False
        left = [i for i, stretch in self.stretches.items() if stretch is None][: self.room]
        crowded = len(self.stretches) > self.room
        for i, stretch in self.stretches.items():
            if stretch is not None and (stretch.snapshots or not crowded):
                self.members[i].training.resume()
            if crowded and i not in left:
                self.members[i].training.park()
        trainings = [self.members[i].training for i in left]
        tries = shortage.stretches(trainings, self.threads, self.observer.should_stop, is_full)
        full = {i: one.full for i, one in zip(left, tries, strict=True) if one.full is not None}
        self.stretches |= zip(left, (one.stretch for one in tries), strict=True)
        if full:
            self._give_way(full)

    def _give_way(self, full: Mapping[int, Exception]) -> None:
        """Make room where memory ran out: one stack at a time, or where it is alone its halves.

        Raises:
            MemoryError: a column alone has not enough; or what else says so.
        """
        giving_way, error = self._giving_way, next(iter(full.values()))
        assert giving_way is not None
        others = [m.training for i, m in enumerate(self.members) if i not in full]
        crowd = len(full) > 1 or any(one.open for one in others)
        for member in self.members:
            member.training.park()
            member.training.let_go()
        self.room = 1
        if crowd:
            self.observer.on_shortage(shortage.one_at_a_time(error))
            return
        (i,) = full
        group = next(group for group in self.groups if i in group.members)
        if shortage.halves(self.members[i].training) is None:
            raise error
        columns = len(self.members[i].training.columns)
        giving_way.halve(i)
        other = len(self.members) - 1
        group.members.insert(group.members.index(i) + 1, other)
        self.stretches[other] = None
        self.observer.on_shortage(shortage.in_halves(error, columns))

    def _tell(self) -> list[int]:
        """Tell the observer of the round's stretches; return whose they are."""
        stretches, self.stretches = self.stretches, {}
        for i, stretch in stretches.items():
            if stretch is not None:
                if len(stretch.counts):
                    self.observer.on_stretch(i, stretch)
                if stretch.evaluation is not None:
                    self.observer.on_evaluation(i, stretch.columns, stretch.evaluation)
        return list(stretches)

    def _behind(self, group: SyncGroup) -> list[int]:
        at = group.evaluation
        return [i for i in group.members if not self.members[i].training.reached(at)]

    def _decide(self, group: SyncGroup) -> None:
        """Judge the trials at the evaluation that all stacks of the group have reached."""
        due = self._due(group.members)
        stop = self._judge(group.members, due)
        stopped = {t: self.rules.stopping.reason(t) for t in np.flatnonzero(stop).tolist()}
        self._end(group.members, "early_stopped", stopped)
        self._halve(group)
        for i in group.members:
            training = self.members[i].training
            training.compact()
            if training.ended:
                training.close()
        group.members = [i for i in group.members if not self.members[i].training.ended]
        group.evaluation += 1

    def _due(self, members: Sequence[int]) -> Flags:
        """(T,) candidates with an evaluation that nobody has looked at."""
        due = np.zeros(len(self.scores), bool)
        for i in members:
            due[self._candidates(i)[self.members[i].training.unseen]] = True
        return due

    def _judge(self, members: Sequence[int], due: Flags) -> Flags:
        """Let evaluations count or not; return the trials (T,) that should stop."""
        rules = self.rules
        value = np.full(len(due), np.nan)
        for name in {name for name in rules.stopping.metric if name}:
            watched = np.array([one == name for one in rules.stopping.metric])
            value = np.where(watched, self._means(members, name), value)
        counts, stop = rules.stopping.update(value, due)
        for i in members:
            member, of = self.members[i], self._candidates(i)
            better = counts[of] & member.training.unseen
            member.training.count(better)
            at = of[better], member.repeat[better]
            self.scores[at] = member.training.latest(rules.metric)[better]
        return stop

    def _means(self, members: Sequence[int], name: str) -> Numbers:
        """(T,) the mean of a metric's last readings over the repeats whose rows define it."""
        table = np.full(self.scores.shape, np.nan)
        there = np.zeros(self.scores.shape, bool)
        for i in members:
            member, of = self.members[i], self._candidates(i)
            table[of, member.repeat] = member.training.latest(name)
            there[of, member.repeat] = member.defines(name)
        return means(name, table, there)

    def _ranked_by(self) -> Numbers:
        """(T,) what trials are halved by, smaller is better; NaN where it is no number."""
        defined = np.zeros(self.scores.shape, bool)
        for i, member in enumerate(self.members):
            defined[self._candidates(i), member.repeat] = member.defines(self.rules.metric)
        return self.rules.sign * means(self.rules.metric, self.scores, defined)

    def _halve(self, group: SyncGroup) -> None:
        halving, at = self.rules.halving, group.evaluation
        if halving is None or not halving.is_due(at):
            return
        alive = np.zeros(len(self.scores), bool)
        for i in group.members:
            alive[self._candidates(i)[self.members[i].training.live]] = True
        if not alive.any():
            return
        dropped: dict[int, str] = {}
        score, metric = self._ranked_by(), self.rules.metric
        for order in halving.order(score, alive):
            kept = halving.kept(score[order])
            for place, t in enumerate(order[kept:].tolist(), start=kept + 1):
                dropped[t] = (
                    f"{metric} was no number after {counted(at, 'evaluation')}"
                    if np.isnan(score[t])
                    else f"{place} of {len(order)} by {metric} after {counted(at, 'evaluation')},"
                    f" of which the best {kept} went on"
                )
        self._end(group.members, "halved", dropped)
        total = int(alive.sum())
        self.rungs.append(Rung(at, total, total - len(dropped), tuple(dropped)))

    def _end(self, members: Sequence[int], status: str, reasons: Mapping[int, str]) -> None:
        """End candidates, for each its reason."""
        for i in members if reasons else ():
            of = self._candidates(i)
            columns = np.isin(of, list(reasons))
            told = {k: reasons[int(of[k])] for k in np.flatnonzero(columns).tolist()}
            self.members[i].training.end(columns, status, _told(told))

    def _interrupt(self) -> None:
        """End what still trains, with metrics of the weights that are kept.

        Whoever waits for it to end waits for so many of them as take some seconds.
        """
        everyone, end = range(len(self.members)), time.monotonic() + _LATE

        def late() -> bool:
            return time.monotonic() > end

        for i, stretch in self.stretches.items():
            self.stretches[i] = stretch or self.members[i].training.cut_short()
        self._tell()
        for i in everyone:
            columns = self.members[i].training.columns
            evaluation = self.members[i].training.evaluate_late(late)
            if evaluation is not None:
                self.observer.on_evaluation(i, columns, evaluation)
        self._judge(everyone, self._due(everyone))
        for member in self.members:
            every = np.ones(len(member.trial), bool)
            member.training.end(every, "interrupted", _interrupted)


def _told(reasons: Mapping[int, str]) -> Callable[[int, int], str]:
    return lambda column, step: reasons[column]


def _interrupted(column: int, step: int) -> str:
    return f"interrupted after step {step}" if step else "interrupted before its first step"
