"""The loosest tolerance that solves a task, of each contender; then rounds of all who do."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.shared.problems import Array
from benchmarks.shared.processes import Process, processes, stored
from benchmarks.shared.rounds import Limits, Timed, take_turns
from benchmarks.shared.worker import ABSENT
from benchmarks.solvers.contenders import Way, ways
from benchmarks.solvers.reference import TIGHT, Reference
from benchmarks.solvers.tasks import Task


@dataclass
class Result:
    """What is known of one contender at one task.

    Attributes:
        way: who.
        timed: its rounds, or why it was not timed.
        tol: the loosest tolerance that solves the task, or the last one tried.
        value: (F, K) J with it; None where there is none.
        gap: the largest (J − J*)/J₀.
        support: on how many penalties its weights that are 0 are J*'s; None without l1.
    """

    way: Way
    timed: Timed
    tol: float = np.nan
    value: Array | None = None
    gap: float = np.nan
    support: int | None = None


@dataclass(frozen=True)
class Measured:
    """All results of a task, ours first, and who lowered J* below our own reference."""

    task: Task
    results: list[Result]
    lowered: dict[str, float]


def measure(
    task: Task, limits: Limits, core: int | None = None, who: Sequence[Way] | None = None
) -> Measured:
    """Solve a task by everyone, and time those who do.

    Args:
        task: what is solved.
        limits: of the time of each.
        core: that all keep to.
        who: the contenders, ours first; those of the task.
    """
    some = who or ways(task)
    contenders = [way.contender for way in some]
    with stored(task) as path, processes(contenders, path, core) as started:
        results = [Result(way, Timed(way.contender)) for way in some]
        reference = None
        for result, process in zip(results, started, strict=True):
            print(f"  {result.way.name}", file=sys.stderr, flush=True)
            result.timed.words = process.make(limits.call).words
            if reference is None:
                tight = process.call("solve", TIGHT, limit=limits.first or limits.call)
                if tight.words:
                    result.timed.words = tight.words
                    return Measured(task, results[:1], {})
                reference = Reference(task, tight.value)
            if not result.timed.words:
                _tolerance(task, result, process, reference, limits.call)
        for result in results:  # J* may have fallen since
            if result.value is not None and reference:
                result.gap = reference.gap(result.value)
        given = [(result.tol,) for result in results]
        take_turns([result.timed for result in results], started, limits, given)
    return Measured(task, results, reference.lowered if reference else {})


def _tolerance(
    task: Task, result: Result, process: Process, reference: Reference, limit: float
) -> None:
    """Find the loosest tolerance that solves the task."""
    way = result.way
    for tol in way.tolerances:
        reply = process.call("solve", tol, limit=limit)
        if reply.words:
            absent = reply.words.endswith(ABSENT)
            result.timed.words = reply.words if absent else f"{reply.words} at {tol:.0e}"
            return
        result.tol = tol
        if not way.checked:
            return
        value = task.objective(reply.value)
        reference.take(way.name, value)
        result.value = value
        result.support = reference.same_support(reply.value) if task.form == "l1" else None
        if reference.gap(value) <= task.target:
            return
    result.timed.words = "not solved at any tolerance"
