"""Rounds in which contenders take turns, so that a machine that slows down slows all of them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from benchmarks.shared.processes import Contender, Process, processes, stored
from benchmarks.shared.worker import Reply


@dataclass(frozen=True)
class Limits:
    """How long a contender may take.

    Attributes:
        rounds: timed runs of each.
        call: seconds of one call by the clock; the process is ended then.
        all: processor seconds of all its rounds; no further round begins after.
        first: seconds of building it and of its first run, in which it may compile; None: `call`.
    """

    rounds: int = 7
    call: float = 60.0
    all: float = 20.0
    first: float | None = None


@dataclass
class Timed:
    """What is known of one contender.

    Attributes:
        contender: who.
        words: why it was not timed; empty if it was.
        value: that its first run returned.
        first: processor seconds of its first run, as is.
        peak: most memory that it held, MiB.
        cpu: processor seconds, one a round, of the whole work.
        wall: the same by the clock.
    """

    contender: Contender
    words: str = ""
    value: Any = None
    first: float = np.nan
    peak: float = 0.0
    cpu: list[float] = field(default_factory=list)
    wall: list[float] = field(default_factory=list)

    @property
    def name(self) -> str:
        """The contender's."""
        return self.contender.name

    @property
    def compiling(self) -> float:
        """Processor seconds of the first run beyond a later one."""
        return max(0.0, self.first - float(np.median(self.cpu)) / self.contender.times)

    def take(self, reply: Reply) -> None:
        """Add a run."""
        self.words = self.words or reply.words
        if not reply.words:
            self.cpu.append(reply.cpu * self.contender.times)
            self.wall.append(reply.wall * self.contender.times)
            self.peak = max(self.peak, reply.peak)

    def ratio(self, ours: Timed, clock: str = "cpu") -> tuple[float, float, float]:
        """Median, least and most of its time over ours of the same round."""
        own, base = getattr(self, clock), getattr(ours, clock)
        rounds = min(len(own), len(base))
        ratios = np.array(own[:rounds]) / np.array(base[:rounds])
        return float(np.median(ratios)), float(ratios.min()), float(ratios.max())


def in_rounds(
    contenders: Sequence[Contender],
    data: Any,
    limits: Limits,
    core: int | None = None,
    check: Callable[[Timed, Timed], str] = lambda ours, one: "",
) -> list[Timed]:
    """Build each in a process of its own, run it once unmeasured, then all in turn.

    Args:
        contenders: the first is ours.
        data: that each is built with; None for nothing.
        limits: of their time.
        core: that all keep to, with one thread each; None for all cores.
        check: called with ours and each after its first run; says what is wrong, or "".
    """
    first = limits.first or limits.call
    with stored(data) as path, processes(contenders, path, core) as started:
        found = [Timed(one.contender) for one in started]
        for timed, process in zip(found, started, strict=True):
            print(f"  {timed.name}", file=sys.stderr, flush=True)
            timed.words = process.make(first).words
            if not timed.words:
                reply = process.call("run", limit=first)
                timed.words, timed.value, timed.first = reply.words, reply.value, reply.cpu
                timed.peak = reply.peak
            if not timed.words:
                timed.words = check(found[0], timed)
        take_turns(found, started, limits)
    return found


def take_turns(
    found: Sequence[Timed],
    started: Sequence[Process],
    limits: Limits,
    arguments: Sequence[Sequence[Any]] = (),
) -> None:
    """Call `run` of each that is not out of it in turn, for some rounds."""
    given = arguments or [()] * len(found)
    for number in range(limits.rounds):
        for timed, process, words in zip(found, started, given, strict=True):
            enough = sum(timed.cpu) / timed.contender.times > limits.all
            if not (timed.words or enough or (timed.contender.once and number)):
                timed.take(process.call("run", *words, limit=limits.call))
