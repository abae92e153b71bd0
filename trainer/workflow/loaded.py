"""Runs as Python users hold them: `trainer.run` returns one, `trainer.load_run` finds one again."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from trainer.runs.reader import RunReader

if TYPE_CHECKING:
    from trainer.predict.fitted_model import FittedModel


class Run:
    """A run: what it was and what came of it, read from its folder at each question.

    Attributes:
        folder: its run folder, an absolute path.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self._reader = RunReader(folder)
        self.folder = self._reader.path

    def __repr__(self) -> str:
        return f"<Run {self.status}: {self.folder}>"

    @property
    def status(self) -> str:
        """running, finished, interrupted, failed, diverged or unranked; killed, unknown.

        `killed` is a run whose process ended without a word, `unknown` one of which that cannot be
        told: it is another machine's, or its disk has no locks.
        """
        return self._reader.status

    @property
    def results(self) -> dict[str, Any]:
        """results.json: `metric`, `counts`, `best`, `runner_up`, `groups`."""
        return self._reader.results()

    @property
    def best(self) -> dict[str, Any] | None:
        """The best trial: `trial`, `settings`, `metrics`, `epochs`, `refit`; None without one."""
        return self.results.get("best")

    @property
    def trials(self) -> list[dict[str, Any]]:
        """trials.csv, a dict per trial."""
        return self._reader.trials()

    def history(self) -> pa.Table:
        """A row per column and evaluation: `trial, repeat, epoch, step, train_loss, val_…`."""
        return self._reader.history()

    def steps(self) -> pa.Table:
        """A row per logged step and column."""
        return self._reader.steps()

    def predictions(self) -> pa.Table:
        """The chosen model on val and test: `split, row, target, prediction, p_<class>`."""
        return self._reader.predictions()

    def model(self) -> FittedModel:
        """The chosen model, ready to predict."""
        from trainer.predict.fitted_model import FittedModel

        return FittedModel.load(self.folder)

    def report(self) -> Path:
        """Draw report.html anew, from the folder alone; its path.

        Raises:
            DiskError: the disk refused.
        """
        from trainer.workflow.report import write_report

        return write_report(self.folder)


def load_run(folder: str | os.PathLike[str]) -> Run:
    """The run in `folder`, as `trainer.run` returned it.

    Raises:
        RunFolderError: there is no such folder, or it is not a run folder.
    """
    return Run(folder)
