"""Planned stacks as members of a sweep, each built when its turn comes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from trainer.config.schema.optimizer import Solver
from trainer.predict.init_weights import initial_weights
from trainer.sweep.build import Columns, build, steps_per_unit
from trainer.sweep.columns import DeviceCache, Planned
from trainer.sweep.fit_memory import Arrangement
from trainer.sweep.scheduler import Job, Observer, Rules, Scheduler
from trainer.sweep.threads import Threads
from trainer.train.evaluate import Evaluator
from trainer.train.protocol import AnyStack
from trainer.train.state import AnyState
from trainer.train.training import Evaluate, Flags, Indices, Training

Numbers = np.ndarray[Any, np.dtype[np.float64]]


_AT_THE_END = 1 << 40  # steps between evaluations: a solver has one, of the optimum


@dataclass(frozen=True)
class StackFacts:
    """What the specs of a stack's K columns became, known once its rows are.

    Attributes:
        l2, l1: (K,) penalties of the objective.
        weight_sum: S of the rows, which scikit-learn's C is made of.
        steps_per_epoch: steps in an epoch.
        solver: which it is and why, or None.
        index: (N,) each row's number in its source.
    """

    l2: Numbers
    l1: Numbers
    weight_sum: float
    steps_per_epoch: int
    solver: tuple[str, str] | None
    index: Indices


@dataclass
class Jobs:
    """All the stacks of a sweep.

    Attributes:
        planned: what each was to be.
        members: for the scheduler, in the same order.
        facts: of each, once it has been on the device.
    """

    planned: Sequence[Planned]
    members: list[Job]
    facts: list[StackFacts | None]


def make_jobs(arrangement: Arrangement, cache: DeviceCache, rules: Rules, log_every: int) -> Jobs:
    """Make the members; nothing is built yet."""
    jobs = Jobs(arrangement.stacks, [], [None] * len(arrangement.stacks))
    for i, planned in enumerate(arrangement.stacks):
        trial = np.array([column.trial for column in planned.columns])
        repeat = np.array([column.repeat for column in planned.columns])
        restore = rules.stopping.restore_best[trial]
        training = _training(jobs, i, cache, restore, log_every)
        jobs.members.append(Job(training, trial, repeat))
    return jobs


def _training(jobs: Jobs, i: int, cache: DeviceCache, restore: Flags, log_every: int) -> Training:
    planned = jobs.planned[i]
    spec = planned.spec

    def columns() -> Columns:
        specs = [column.spec for column in planned.columns]
        return build(specs, cache.of(planned.rows, spec), log_every)

    def make(which: Indices) -> AnyStack:
        built = columns()
        index = built.prepared.train.index
        S = float(built.s.sum())
        jobs.facts[i] = StackFacts(
            built.l2, built.l1, S, built.steps_per_epoch, built.solver, index
        )
        return built.stack(which)

    def start(stack: AnyStack) -> AnyState:
        built = columns()
        weights = initial_weights(built.specs, built.prepared.encoder, stack.shape)
        return stack.start(*weights)

    def every(stack: AnyStack) -> int:
        if isinstance(spec.optimizer, Solver):
            return _AT_THE_END
        return spec.log.eval_every * steps_per_unit(spec, len(stack.rows))

    def evaluator(stack: AnyStack) -> Evaluate:
        held = cache.of(planned.rows, spec).held
        return _evaluate(Evaluator(stack, held) if held else None)

    gradients = 0 if spec.log.gradients == "none" else spec.log.gradients
    return Training(len(planned.columns), make, start, evaluator, every, restore, gradients)


def _evaluate(evaluator: Evaluator | None) -> Evaluate:
    def evaluate(state: AnyState) -> dict[str, np.ndarray]:
        read = evaluator.metrics(state) if evaluator else {}
        return {f"val_{name}": value for name, value in read.items()}

    return evaluate


def run(jobs: Jobs, rules: Rules, observer: Observer, arrangement: Arrangement) -> Scheduler:
    """Train all members to their ends."""
    with Threads(arrangement.threads) as threads:
        scheduler = Scheduler(jobs.members, rules, observer, threads, arrangement.room)
        scheduler.run()
    return scheduler
