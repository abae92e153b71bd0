"""Rounds of all contenders in turn, and the check that they compute the same thing."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.measure import timed
from benchmarks.problems import Array
from benchmarks.sweep.cases import UNIT, Case, grid
from benchmarks.sweep.contenders import CONTENDERS, Contender
from benchmarks.sweep.work import Work

CELL_SECONDS = 6.0  # after which no further round begins
TOLERANCE = 1e-3  # of the val loss


@dataclass(frozen=True)
class Timing:
    """One contender's sweep: seconds of the whole, one a round, scaled up from what was run."""

    name: str
    seconds: Array
    words: str

    def ratio(self, ours: Timing) -> tuple[float, float, float]:
        """Median, least and most of this contender's time over ours, round by round."""
        ratios = self.seconds / ours.seconds
        return float(np.median(ratios)), float(ratios.min()), float(ratios.max())


def present() -> list[Contender]:
    """The contenders whose libraries are here; a word about the others."""
    found = []
    for contender in CONTENDERS:
        try:
            __import__(f"benchmarks.sweep.{contender.module}")
        except ImportError as error:
            print(f'{error.name} is missing: pip install "stacked-trainer[bench]"', file=sys.stderr)
        else:
            found.append(contender)
    return found


def check(case: Case, contenders: Sequence[Contender], K: int = 16) -> dict[str, float]:
    """Largest difference from our trials' val losses, as a share of them, for each contender.

    Raises:
        ValueError: one that takes the same steps has other losses.
    """
    work = Work(case.first(min(len(case.X), 4 * UNIT)), *grid(K))
    losses = {contender.name: contender.make(work).run() for contender in contenders}
    ours = losses[contenders[0].name]
    found = {name: float(abs(loss / ours - 1).max()) for name, loss in losses.items()}
    for contender in contenders:
        if contender.same and not found[contender.name] <= TOLERANCE:
            off = found[contender.name]
            raise ValueError(f"{contender.name}, {case.name}: its val losses are {off:.1%} off")
    return found


def in_turn(
    case: Case, K: int, contenders: Sequence[Contender], rounds: int, seconds: float
) -> list[Timing]:
    """Time a sweep: one run of each unmeasured (compilation, caches), then rounds in turn.

    Args:
        case: the rows.
        K: trials.
        contenders: the first is ours.
        rounds: measured runs of each.
        seconds: that a run may take, about; what takes longer is run in part and scaled up.
    """
    works = [contender.work(case, K, seconds) for contender in contenders]
    made = [c.make(work) for c, work in zip(contenders, works, strict=True)]
    again = [i for i, contender in enumerate(contenders) if not contender.once]
    for i in again:
        made[i].run()
    first = [timed(one.run) for one in made]
    taken = [first]
    start = time.perf_counter()
    while len(taken) < rounds and time.perf_counter() - start < CELL_SECONDS:
        taken.append([timed(one.run) if i in again else first[i] for i, one in enumerate(made)])
    rows = zip(contenders, np.array(taken).T, works, strict=True)
    return [Timing(contender.name, row * work.times, work.words) for contender, row, work in rows]
