"""The loosest tolerance that solves a task, of each contender; then rounds of ours and it."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from benchmarks.measure import timed
from benchmarks.problems import Array
from benchmarks.solvers.contenders import JOBS, Contender, contenders
from benchmarks.solvers.limits import OutOfTimeError, limited, threads
from benchmarks.solvers.reference import Reference
from benchmarks.solvers.tasks import Task

_PATIENCE = 3  # times as long as its quickest may another number of threads take …
_PATIENT = (
    1.0  # … and no less than so many seconds: a few ms are one interruption of a busy machine
)


@dataclass
class Result:
    """What is known of one contender at one task.

    Attributes:
        contender: who.
        words: why it was not timed; empty if it was.
        tol: the loosest tolerance that solves the task, or the last one tried.
        value: (F, K) J with it; None where there is none.
        threads: of the matrix library; None for its own choice.
        gap: the largest (J − J*)/J₀.
        support: on how many penalties its weights that are 0 are J*'s; None without l1.
        seconds: (R,) of its runs.
        ours: (R,) of ours, each just before.
    """

    contender: Contender
    words: str = ""
    tol: float = np.nan
    value: Array | None = None
    threads: int | None = None
    gap: float = np.nan
    support: int | None = None
    seconds: list[float] = field(default_factory=list)
    ours: list[float] = field(default_factory=list)

    @property
    def ratio(self) -> tuple[float, float, float]:
        """Median, least and most of its time over ours, round by round."""
        ratios = np.array(self.seconds) / np.array(self.ours)
        return float(np.median(ratios)), float(ratios.min()), float(ratios.max())


@dataclass(frozen=True)
class Measured:
    """All results of a task, ours first, and who lowered J* below our own reference."""

    task: Task
    results: list[Result]
    lowered: dict[str, float]


def measure(
    task: Task, rounds: int, seconds: float, who: Sequence[Contender] | None = None
) -> Measured:
    """Solve a task by everyone, and time those who do.

    Args:
        task: what is solved.
        rounds: timed runs of each.
        seconds: that a run of a contender may take, and about all its timed runs together.
        who: the contenders, ours first; those of the task.
    """
    reference = Reference(task)
    results = [_solve(task, one, reference, seconds) for one in who or contenders(task)]
    ours = results[0]
    for result in results:  # J* may have fallen since
        if result.value is not None:
            result.gap = reference.gap(result.value)
    for peer in results[1:]:
        _rounds(task, ours, peer, rounds, seconds)
    for _ in range(rounds - len(ours.seconds)):
        ours.seconds.append(_run(task, ours))
    ours.ours = ours.seconds
    return Measured(task, results, reference.lowered)


def _solve(task: Task, one: Contender, reference: Reference, seconds: float) -> Result:
    """Find the tolerance and the number of threads."""
    print(f"  {one.name}", file=sys.stderr)
    if not one.present:
        return Result(one, "not installed")
    try:
        if one.begin:
            one.solver(one.begin)(task)  # type: ignore[call-arg]
        result = _tolerance(task, one, reference, seconds)
        if not result.words:
            result.threads = _threads(task, result, seconds)
    except ImportError as error:
        return Result(one, f"{error.name} is not installed")
    return result


def _tolerance(task: Task, one: Contender, reference: Reference, seconds: float) -> Result:
    first = one.threads[0] if one.threads else 1 if one.check else None
    result = Result(one, threads=first if one.threads else None)
    solve, most = one.solver(one.check), seconds * (JOBS if one.check else 1)
    for tol in one.tolerances:
        try:
            with threads(first), limited(most):
                found = solve(task, tol)
        except OutOfTimeError:
            result.words = f"not solved within {most:g} s at {tol:.0e}"
            return result
        except (ArithmeticError, RuntimeError, ValueError) as error:  # of whatever library
            result.words = f"{type(error).__name__} at {tol:.0e}: {str(error).splitlines()[0]}"
            return result
        result.tol = tol
        if not one.checked:
            return result
        assert found is not None
        value = task.objective(found)
        reference.take(one.name, value)
        result.value = value
        result.support = reference.same_support(found) if task.form == "l1" else None
        if reference.gap(value) <= task.target:
            return result
    result.words = "not solved at any tolerance"
    return result


def _threads(task: Task, result: Result, seconds: float) -> int | None:
    """The number of threads with which it is quickest."""
    taken: dict[int, float] = {}
    for count in result.contender.threads:
        try:
            taken[count] = _run(
                task,
                result,
                count,
                min([seconds, *(max(_PATIENCE * s, _PATIENT) for s in taken.values())]),
            )
        except OutOfTimeError:
            taken[count] = np.inf
    return min(taken, key=taken.__getitem__) if taken else None


def _run(task: Task, result: Result, count: int | None = None, most: float = 1e6) -> float:
    """Seconds of a run."""
    run = result.contender.solver()
    with threads(count or result.threads), limited(most):
        return timed(partial(run, task, result.tol))


def _rounds(task: Task, ours: Result, peer: Result, rounds: int, seconds: float) -> None:
    """Both in turn, until the peer has taken all its time."""
    if ours.words or peer.words:
        return
    while len(peer.seconds) < rounds and sum(peer.seconds) < seconds:
        us = _run(task, ours)
        ours.seconds.append(us)
        peer.ours.append(us)
        peer.seconds.append(_run(task, peer))
