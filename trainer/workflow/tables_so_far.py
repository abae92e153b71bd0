"""The tables of a sweep that goes on: what was learned by then is there, however it ends."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from trainer.sweep.results import ended_jobs, trial_results
from trainer.workflow.column_tables import write_columns

if TYPE_CHECKING:
    from trainer.runs.writer import RunWriter
    from trainer.sweep.sweep import SweepRun

_LOOK = 0.2  # seconds between looks at which stacks have ended
_EVERY, _SHARE = 5.0, 50  # seconds between writes at the least; a fiftieth of the time at the most


class TablesSoFar:
    """Writer of the tables while a sweep goes on: what came of the stacks that have ended.

    Trials have no rank before the sweep has ended, and no row before all their columns have.
    """

    def __init__(self, folder: RunWriter, sweep: SweepRun) -> None:
        self.folder, self.sweep = folder, sweep
        self._due, self._ended = 0.0, 0

    def write_if_due(self) -> None:
        """Write them where a stack has ended and others go on, every few seconds."""
        started = time.monotonic()
        if len(self.sweep.jobs) < 2 or started < self._due:
            return
        self._due = started + _LOOK
        ended = ended_jobs(self.sweep.jobs)
        if not self._ended < len(ended) < len(self.sweep.jobs):
            return
        trials = trial_results(self.sweep, ended)
        self._ended = len(ended)
        write_columns(self.folder, self.sweep, trials, ended, over=False)
        now = time.monotonic()
        self._due = now + max(_EVERY, _SHARE * (now - started))
