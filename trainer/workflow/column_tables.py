"""What came of a sweep's columns, as files: their tables, and all weights where they are kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from trainer.runs.names import REPEATS, TRIALS, WEIGHTS
from trainer.workflow.result_tables import Row, repeat_rows, trial_rows

if TYPE_CHECKING:
    from trainer.runs.writer import RunWriter
    from trainer.sweep.jobs import Job
    from trainer.sweep.sweep import SweepRun
    from trainer.sweep.trial_result import TrialResult
    from trainer.sweep.winner_tests import WinnerTests


def write_columns(
    folder: RunWriter,
    sweep: SweepRun,
    trials: Sequence[TrialResult],
    jobs: Sequence[Job],
    *,
    over: bool = True,
) -> list[Row]:
    """Write what came of columns; return the rows of trials.csv.

    Args:
        folder: the run folder.
        sweep: of the columns.
        trials: those that have columns which ended, in the order of rank.
        jobs: the stacks of these columns.
        over: whether the sweep has ended, so that there are ranks.
    """
    rows = write_trials(folder, sweep, trials, over=over)
    if sweep.repeats > 1:
        columns = repeat_rows(trials, sweep.metrics, sweep.rules.metric)
        with folder.spared(REPEATS):
            folder.write_repeats(columns if over else _without_rank(columns))
    if sweep.spec.log.weights == "all":
        with folder.spared(WEIGHTS):
            _write_weights(folder, jobs)
    return rows


def write_trials(
    folder: RunWriter,
    sweep: SweepRun,
    trials: Sequence[TrialResult],
    tests: Mapping[int, WinnerTests] | None = None,
    *,
    over: bool = True,
) -> list[Row]:
    """Write trials.csv and return its rows; with `tests` of the winners once these are known."""
    whole = [trial for trial in trials if len(trial.columns) == sweep.repeats]
    rows = trial_rows(whole, sweep.metrics, sweep.rules.metric, tests or {})
    with folder.spared(TRIALS):
        folder.write_trials(rows if over else _without_rank(rows))
    return rows


def _without_rank(rows: Sequence[Row]) -> list[Row]:
    return [row | {"rank": None} for row in rows]


def _write_weights(folder: RunWriter, jobs: Sequence[Job]) -> None:
    """The weights of every column that has trained."""
    there = [job for job in jobs if job.training.result.weights is not None]
    weights = [np.asarray(job.training.result.weights) for job in there]
    bias = [np.asarray(job.training.result.bias) for job in there]
    if len({array.shape[:2] for array in weights}) != 1:  # other features in other trials
        return
    folder.write_weights(
        np.concatenate(weights, axis=2),  # (D, C, K)
        np.concatenate(bias, axis=1),  # (C, K)
        np.concatenate([job.trial for job in there]).astype(np.int32),
        np.concatenate([job.repeat for job in there]).astype(np.int32),
    )
