"""The jobs of a sweep: one a stack, which is built when its turn comes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from trainer.config.schema.optimizer import Solver
from trainer.config.schema.penalty import InverseC
from trainer.machine.interrupted import ShouldStop, never
from trainer.predict.init_weights import initial_weights
from trainer.sweep.build import Columns, build, steps_per_unit
from trainer.sweep.scheduler import Observer, Scheduler
from trainer.sweep.shortage import Shortage, halves
from trainer.sweep.stopping import Rules
from trainer.sweep.threads import Threads
from trainer.text.saved import Saved, copied
from trainer.train.device_rows import DeviceRows
from trainer.train.evaluate import Evaluator
from trainer.train.measure import Evaluate
from trainer.train.part import part_of
from trainer.train.protocol import AnyStack
from trainer.train.state import AnyState
from trainer.train.training import Flags, Indices, Training

if TYPE_CHECKING:
    from trainer.solvers.leave_one_out import LeaveOneOut
    from trainer.sweep.device_cache import DeviceCache
    from trainer.sweep.fit_memory import Arrangement
    from trainer.sweep.planned import Planned

Numbers = np.ndarray[Any, np.dtype[np.float64]]
_NEVER = 1 << 62  # steps between evaluations, of which int64 holds the sum
_AT_THE_END = 1 << 40  # steps between evaluations: a solver has one, of the optimum


@dataclass(frozen=True)
class StackFacts:
    """What the specs of a stack's K columns became, known once its rows are.

    Attributes:
        l2, l1: (K,) penalties of the objective.
        weight_sum: (K,) S of the columns' rows, which scikit-learn's C is made of.
        steps_per_epoch: steps in an epoch.
        solver: which it is and why, or None.
        index: (N,) each row's number in its source; none of a stack restored and not built since.
    """

    l2: Numbers
    l1: Numbers
    weight_sum: Numbers
    steps_per_epoch: int
    solver: tuple[str, str] | None
    index: Indices

    @classmethod
    def of(cls, columns: Columns) -> StackFacts:
        """The facts of columns on their rows; they hold none of the rows."""
        return cls(
            columns.l2,
            columns.l1,
            columns.weight_sum,
            columns.steps_per_epoch,
            columns.solver,
            columns.prepared.train.index,
        )

    def saved(self) -> Saved:
        """A record of them, for `restored`, without the rows."""
        found = {one.name: getattr(self, one.name) for one in fields(self) if one.name != "index"}
        return found | {"solver": self.solver and list(self.solver)}

    @classmethod
    def restored(cls, saved: Saved) -> StackFacts:
        """The facts that a record is of."""
        solver = saved["solver"] and tuple(saved["solver"])
        return cls(**{**copied(saved), "solver": solver}, index=np.zeros(0, np.int64))

    def epochs(self, steps: Any) -> Any:
        """The epochs that so many steps reach into, a number or an array."""
        return -(-steps // self.steps_per_epoch)


class Job:
    """One stack of a sweep: what it is to be, its training, and what its specs became.

    Attributes:
        planned: its rows and columns.
        trial, repeat, target: (K,) which each column is.
        training: from its first step to its end.
        facts: of its columns, once they have been built; None before.
        undefined: {metric: (K,) columns whose validation rows leave it undefined}, once these have
            been built; without those that all have.
        parts: {metric: (K, 2) classes or outputs that it is the mean over, and all; 0 where it is
            over all}, without those that all are.
        should_stop: asked while its stack is made, which raises Interrupted.
    """

    should_stop: ShouldStop = staticmethod(never)

    def __init__(
        self,
        planned: Planned,
        cache: DeviceCache,
        restore_best: Flags,
        log_every: int,
        built: Columns | None = None,
    ) -> None:
        """Say what is to be trained; nothing is built before its turn.

        Args:
            planned: its rows and columns.
            cache: has its rows.
            restore_best: (K,) columns that end with the weights of the evaluation that counts.
            log_every: steps between full records of the step log.
            built: its columns, where they had to be built before.
        """
        self.planned = planned
        self.trial: Indices = np.array([column.trial for column in planned.columns])
        self.repeat: Indices = np.array([column.repeat for column in planned.columns])
        self.target: Indices = np.array([column.target for column in planned.columns])
        self.facts: StackFacts | None = None
        self._score_left_out: Callable[..., LeaveOneOut] | None = None
        self.undefined: dict[str, Flags] = {}
        self.parts: dict[str, Indices] = {}
        self._cache, self._log_every, self._built = cache, log_every, built
        self._restore_best = restore_best
        every = planned.spec.log.gradients
        self.training = Training(
            len(planned.columns),
            make=self._stack,
            start=self._start,
            evaluator=self._evaluator,
            every=self._every,
            restore_best=restore_best,
            gradients_every=0 if every == "none" else every,
        )

    def is_full(self, error: BaseException) -> bool:
        """Whether an error says that its device has no memory left."""
        return self._cache.device.is_full(error)

    def part(self, which: Flags) -> Job:
        """These columns (K,) as a stack of their own, which goes on where this one is parked."""
        columns = [one for one, wanted in zip(self.planned.columns, which, strict=True) if wanted]
        planned = replace(self.planned, columns=columns)
        part = Job(planned, self._cache, self._restore_best[which], self._log_every)
        if self.facts is not None:
            own = {name: getattr(self.facts, name)[which] for name in ("l2", "l1", "weight_sum")}
            part.facts = replace(self.facts, **own)
        part.undefined = {name: of[which] for name, of in self.undefined.items()}
        part.parts = {name: of[which] for name, of in self.parts.items()}
        part.should_stop = self.should_stop
        part.training.restore(part_of(self.training.saved(), which))
        return part

    def build(self) -> Columns:
        """Put the columns onto their rows, or hand over what has been built and not used.

        The job keeps nothing of it but the facts: rows must be free to leave the device.
        """
        columns, self._built = self._built, None
        if columns is None:
            planned = self.planned
            specs, every = ([c.spec for c in of] for of in (planned.columns, planned.every))
            columns = build(specs, self._cache.laid(planned), self._log_every, every)
        self.facts, self._score_left_out = StackFacts.of(columns), columns.left_out
        return columns

    def saved(self) -> Saved:
        """A record of its training and of what was found out for it, for `restore`."""
        found: Saved = {"training": self.training.saved()}
        if self.training.begun:
            assert self.facts is not None  # it has been built
            found["facts"] = self.facts.saved()
            found["undefined"], found["parts"] = self.undefined, self.parts
        return found

    def restore(self, saved: Saved) -> None:
        """Be where a record was made; a stack that had ended is not built again."""
        self.training.restore(copied(saved["training"]))
        if self.training.begun:
            self.facts = StackFacts.restored(saved["facts"])
            self.undefined = copied(saved.get("undefined", {}))
            self.parts = copied(saved.get("parts", {}))
        if self.training.ended:
            self._built = None

    def _stack(self, which: Indices) -> AnyStack:
        columns = self.build()
        if not self.training.begun:
            self._built = columns  # for `_start`, which is next
        return columns.stack(which, self.should_stop)

    def _start(self, stack: AnyStack) -> AnyState:
        built = self.build()
        given = built.specs, built.prepared.encoder, stack.shape
        return stack.start(*initial_weights(*given, self.planned.places))

    def _evaluator(self, stack: AnyStack) -> Evaluate:
        planned = self.planned
        rows = self._cache.of(planned.rows, planned.spec, planned.target)
        evaluator = self._left_out(stack, rows) or (
            Evaluator(stack, rows.held) if rows.held else None
        )
        if evaluator and not self.training.begun:
            self._look_at(evaluator)

        def evaluate(state: AnyState, should_stop: ShouldStop) -> dict[str, Numbers]:
            read = evaluator.metrics(state, should_stop) if evaluator else {}
            return {f"val_{name}": one for name, one in read.items()}

        return evaluate

    def _left_out(self, stack: AnyStack, rows: DeviceRows) -> LeaveOneOut | None:
        """What scores a stack by each row left out, where the config says so."""
        make = self._score_left_out
        if make is None:
            return None
        penalties = [self.planned.columns[k].spec.penalty for k in self.training.columns]
        fixed = np.array([isinstance(penalty, InverseC) for penalty in penalties])
        return make(stack, rows.held_train(), fixed)

    def _look_at(self, evaluator: Evaluator | LeaveOneOut) -> None:
        """Find out which metrics the validation rows of columns define, wholly or in part."""
        metrics, K = evaluator.stack.model.metrics, len(self.trial)
        for group in evaluator.groups:
            for name, (some, whole) in metrics.parts_of_columns(group.targets).items():
                lacks, partly = some == 0, (some > 0) & (some < whole)  # (1|K,)
                if lacks.any():
                    undefined = self.undefined.setdefault(f"val_{name}", np.zeros(K, bool))
                    undefined[group.columns] = lacks
                if partly.any():
                    parts = self.parts.setdefault(f"val_{name}", np.zeros((K, 2), np.int64))
                    parts[group.columns] = np.where(partly, [some, whole], 0).T

    def defines(self, name: str) -> Flags:
        """(K,) columns whose validation rows define a metric, as far as that is known."""
        return ~self.undefined.get(name, np.zeros(len(self.trial), bool))

    def _every(self, stack: AnyStack) -> int:
        spec = self.planned.spec
        if isinstance(spec.optimizer, Solver):
            return _AT_THE_END
        return min(spec.log.eval_every * steps_per_unit(spec, len(stack.rows)), _NEVER)


def make_jobs(
    arrangement: Arrangement,
    cache: DeviceCache,
    rules: Rules,
    log_every: int,
    first: Columns | None = None,
) -> list[Job]:
    """Make a job a stack, in order; nothing is built yet but the `first`'s columns, if given."""
    jobs: list[Job] = []
    for planned in arrangement.stacks:
        candidates = [rules.candidate(c.trial, c.target) for c in planned.columns]
        best = rules.stopping.restore_best[candidates]
        jobs.append(Job(planned, cache, best, log_every, None if jobs else first))
    return jobs


def has_model(job: Job, k: int, *, whole: bool) -> bool:
    """Whether a column came to weights; if they must be `whole`, also to its own end."""
    result, outcome = job.training.result, job.training.result.outcomes[k]
    if result.weights is None or outcome is None or outcome.status == "diverged":
        return False
    return not (whole and outcome.status == "interrupted")


def halve(jobs: list[Job], arrangement: Arrangement, number: int) -> None:
    """Cut a parked job of two columns or more in two: one in its place, the other comes last."""
    parts = halves(jobs[number].training)
    assert parts is not None
    jobs[number], other = map(jobs[number].part, parts)
    jobs.append(other)
    arrangement.stacks[number] = jobs[number].planned
    arrangement.stacks.append(other.planned)


def run(
    jobs: list[Job],
    rules: Rules,
    observer: Observer,
    arrangement: Arrangement,
    saved: Saved | None = None,
) -> Scheduler:
    """Train all jobs to their ends, from where a scheduler's record was made if there is one.

    Where memory runs out, `jobs` become more.
    """
    for job in jobs:
        job.should_stop = observer.should_stop
    with Threads(arrangement.threads) as threads:
        giving_way = Shortage(jobs[0].is_full, partial(halve, jobs, arrangement))
        scheduler = Scheduler(jobs, rules, observer, threads, arrangement.room, giving_way)
        if saved is not None:
            try:
                scheduler.restore(saved)
            except (KeyError, IndexError, TypeError, AttributeError) as error:
                raise ValueError("the record is not a scheduler's") from error
        scheduler.run()
    return scheduler
