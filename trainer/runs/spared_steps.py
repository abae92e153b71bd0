"""The log of steps in a folder that may refuse it for a while, or for good."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from trainer.errors import DiskError
from trainer.runs.refusals import Refusals
from trainer.runs.step_log import StepLog

WAITING_STEPS, LOST_STEPS = "steps", "lost steps"  # parts that wait for the disk, that do no more


class SparedSteps:
    """Writer of the log of steps that tells the folder's refusals of them.

    Attributes:
        log: the file.
    """

    def __init__(self, log: StepLog, refusals: Refusals) -> None:
        self.log, self._refusals = log, refusals
        self._refused_from = 0  # the first step that waits for the disk, or is lost

    def append(self, path: Path, step: Any, *more: Any) -> None:
        """Append steps to the file at `path`, wherever that is by now; see `StepLog.append`."""
        self.log.path = path
        if len(step):
            self._refused_from = self._refused_from or int(step[0])
        self.log.append(step, *more)
        self._settle()

    def commit(self, path: Path) -> None:
        """Wait until the disk has all steps in the file at `path`.

        Raises:
            DiskError: the disk refused.
        """
        self.log.path = path
        self.log.commit()
        self._settle()

    def end(self) -> None:
        """End the file, if the disk takes what waits; a refusal is a warning."""
        with self.spared(at_last=True):
            self.log.close()
        self._settle()

    @contextlib.contextmanager
    def spared(self, at_last: bool = False) -> Iterator[None]:
        """Turn a DiskError of the block into a warning.

        Args:
            at_last: steps that wait are not tried again.
        """
        try:
            yield
        except DiskError as error:
            lost = f"steps from {self._refused_from:,} on are lost"
            if at_last or self.log.lacks:
                # it may have come at a checkpoint, of which none is wanted in the end
                self._refusals.note(LOST_STEPS, error)
                self._refusals.tell_once(LOST_STEPS, error, lost)
            else:
                self._refusals.tell_once(WAITING_STEPS, error, "its steps wait for the disk")

    def _settle(self) -> None:
        """Forget that the disk refused steps, if it has them by now."""
        if self.log.refusal is None:
            self._refusals.settle(WAITING_STEPS)
            self._refused_from = 0
