"""When the checkpoints of a run are written, and what is in them.

A checkpoint is written at the end of a round of the scheduler, so that what it holds is whole:
every so many minutes, when a signal comes, and before and during a refit.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from trainer.config.schema.spec import Checkpoint, Spec
from trainer.runs.names import CHECKPOINTS

if TYPE_CHECKING:
    from trainer.runs.writer import RunWriter
    from trainer.sweep.scheduler import Scheduler
    from trainer.text.saved import Saved

SWEEP, REFIT, NULL, FACTS = "sweep", "refit", "permutations", "facts"  # the parts of what is saved
_SHARE = 50  # a checkpoint is due no sooner than so many times the seconds of the last one
_FIRST = 0.02  # seconds that the first one is taken to last: two files that reach the disk


class Resumable(Protocol):
    """What has a record of its own: a scheduler, permutations that are done."""

    def saved(self) -> Saved:
        """What it goes on from."""


class Checkpoints:
    """The checkpoints of one run; with `checkpoint: none` there are none.

    Attributes:
        count: of those written.
        seconds: that they took.
    """

    def __init__(
        self,
        folder: RunWriter,
        spec: Spec,
        facts: Saved,
        saved: Saved | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Begin.

        Args:
            folder: of the run.
            spec: says how often.
            facts: what a process that goes on must have alike.
            saved: the checkpoint that this process goes on from.
            clock: in seconds.
        """
        every = spec.checkpoint
        self._every = 60 * every.minutes if isinstance(every, Checkpoint) else None
        self._folder, self._facts, self._before = folder, facts, saved or {}
        self._clock = clock
        self._begun = self._last = clock()
        self._cost = _FIRST
        self._parts: dict[str, Resumable] = {}
        self.count, self.seconds = 0, 0.0

    def saved(self, part: str) -> Saved | None:
        """What a part goes on from; None where it begins."""
        return self._before.get(part)

    def at_round(self, part: str, scheduler: Resumable, stops: bool) -> None:
        """Write one where it is due.

        Args:
            part: of the run, SWEEP or REFIT.
            scheduler: of that part, at the end of a round.
            stops: whether a signal came: then it is due at once.
        """
        self._parts[part] = scheduler
        since, wait = self._clock() - self._last, _SHARE * self._cost if self.count else 0.0
        if self._every is not None and (stops or since >= max(self._every, wait)):
            self._write()

    def at_permutations(self, scheduler: Scheduler, done: Resumable, stops: bool) -> None:
        """Write one of permutations where it is due, with the sweep whose labels are permuted."""
        self._parts[SWEEP] = scheduler
        self.at_round(NULL, done, stops)

    def before_refit(self, scheduler: Scheduler, stops: bool) -> None:
        """Write one where what was trained so far took long enough to be worth it.

        Args:
            scheduler: of the sweep, whose stacks have ended.
            stops: whether a signal came: then there is no refit, and one is due.
        """
        self._parts[SWEEP] = scheduler
        worth = stops or self._clock() - self._begun >= _SHARE * self._cost
        if self._every is not None and worth and self.saved(REFIT) is None:
            self._write()

    def told(self) -> dict[str, Any]:
        """What they cost, for the manifest: how many, and their seconds."""
        if not self.count:
            return {}
        return {"checkpoints": {"count": self.count, "seconds": round(self.seconds, 3)}}

    def _write(self) -> None:
        begun = self._clock()
        parts = {name: scheduler.saved() for name, scheduler in self._parts.items()}
        with self._folder.spared(CHECKPOINTS):
            self._folder.checkpoint({FACTS: self._facts, **parts})
            self.count += 1
        self._last = self._clock()
        self._cost = self._last - begun
        self.seconds += self._cost
