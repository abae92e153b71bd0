"""When the checkpoints of a run are written, and what is in them.

A checkpoint is written at the end of a round of the scheduler, so that what it holds is whole:
every so many minutes, when a signal comes, and before and during a refit.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from trainer.config.schema.spec import Checkpoint, Spec

if TYPE_CHECKING:
    from trainer.runs.writer import RunWriter
    from trainer.train.saved import Saved

_SHARE = 50  # a checkpoint is due no sooner than so many times the seconds of the last one
_FIRST = 0.02  # seconds that the first one is taken to last: two files that reach the disk


class Checkpoints:
    """The checkpoints of one run; without a folder or minutes there are none.

    Attributes:
        count: of those written.
        seconds: that they took.
    """

    def __init__(
        self, folder: RunWriter, spec: Spec, clock: Callable[[], float] = time.monotonic
    ) -> None:
        every = spec.checkpoint
        self._every = 60 * every.minutes if isinstance(every, Checkpoint) else None
        self._folder, self._clock = folder, clock
        self._begun = self._last = clock()
        self._cost = _FIRST
        self.count, self.seconds = 0, 0.0

    def write_if_due(self, saved: Callable[[], Saved]) -> None:
        """Write one where the last is old enough."""
        since = self._clock() - self._last
        wait = self._cost * _SHARE if self.count else 0.0
        if self._every is not None and since >= max(self._every, wait):
            self._write(saved())

    def write_before_refit(self, saved: Callable[[], Saved]) -> None:
        """Write one where what was trained so far took long enough to be worth it."""
        if self._every is not None and self._clock() - self._begun >= self._cost * _SHARE:
            self._write(saved())

    def write_at_stop(self, saved: Callable[[], Saved]) -> None:
        """Write one as a signal came."""
        if self._every is not None:
            self._write(saved())

    def _write(self, saved: Saved) -> None:
        begun = self._clock()
        with self._folder.spared("checkpoint"):
            self._folder.checkpoint(saved)
            self.count += 1
        self._last = self._clock()
        self._cost = self._last - begun
        self.seconds += self._cost
