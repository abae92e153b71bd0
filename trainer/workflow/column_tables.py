"""What came of a sweep's columns, as files: their tables, and all weights where they are kept."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from trainer.runs.contents import csv_bytes
from trainer.runs.names import INNER, INNER_KEYS, REPEATS, TARGET, TRIALS, WEIGHTS
from trainer.sweep.inner import FINAL, Inner
from trainer.wording.repeats import value_column
from trainer.workflow.result_tables import Row, numbers_of, repeat_rows, settings_of, trial_rows
from trainer.workflow.target_tables import column_rows, mean_rows

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
    metrics, metric, targets = sweep.metrics, sweep.rules.metric, sweep.targets
    rows = write_trials(folder, sweep, trials, over=over)
    if sweep.repeats > 1 or targets is not None:
        called, values = value_column(sweep.repeat_block), sweep.layout.values
        if targets is not None:
            columns = column_rows(trials, metrics, metric, targets.names)
        else:
            columns = repeat_rows(trials, metrics, metric, called, values)
        with folder.spared(REPEATS):
            folder.write_repeats(columns if over else _without_rank(columns))
    if sweep.layout.inner:
        names = None if targets is None else targets.names
        with folder.spared(INNER):
            rows_of_inner = _inner_rows(trials, metrics, sweep.layout.inner, names)
            folder.files.put_bytes(INNER, csv_bytes(rows_of_inner, INNER_KEYS))
    if sweep.spec.log.weights == "all":
        with folder.spared(WEIGHTS):
            _write_weights(folder, jobs, sweep.repeats, separate=targets is not None)
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
    whole = [trial for trial in trials if len(trial.columns) == sweep.repeats_of(trial.target)]
    if sweep.targets is not None:
        rows = mean_rows(whole, sweep.metrics, len(sweep.targets.names))
    else:
        rows = trial_rows(whole, sweep.metrics, sweep.rules.metric, tests or {})
    with folder.spared(TRIALS):
        folder.write_trials(rows if over else _without_rank(rows))
    return rows


def _inner_rows(
    trials: Sequence[TrialResult],
    names: Sequence[str],
    inner: Mapping[int, Inner],
    targets: Sequence[str] | None = None,
) -> list[Row]:
    """The rows of inner.csv: a row a column of an inner fold, by repeat, fold and trial.

    Args:
        trials: with them.
        names: of the metrics.
        inner: the inner fold of each column, by its number.
        targets: names of those that are problems of their own.
    """
    columns = [(column, trial) for trial in trials for of in trial.inner.values() for column in of]
    columns.sort(key=lambda pair: (pair[0].repeat, pair[0].target, pair[0].trial))
    return [
        {
            "repeat": None if of.repeat == FINAL else of.repeat,
            "inner": of.fold,
            "trial": trial.number,
            **({} if targets is None else {TARGET: targets[column.target]}),
            "status": column.status,
            "reason": column.reason,
            **settings_of(trial),
            **numbers_of(column),
            **{name: column.metrics.get(name) for name in names},
        }
        for column, trial in columns
        for of in [inner[column.repeat]]
    ]


def _without_rank(rows: Sequence[Row]) -> list[Row]:
    return [row | {"rank": None} for row in rows]


def _write_weights(folder: RunWriter, jobs: Sequence[Job], repeats: int, *, separate: bool) -> None:
    """The weights of every column that has trained, but for inner folds."""
    outer = [(job, np.flatnonzero(job.repeat < repeats)) for job in jobs]
    there = [(j, k) for j, k in outer if len(k) and j.training.result.weights is not None]
    weights = [np.asarray(job.training.result.weights)[:, :, k] for job, k in there]
    bias = [np.asarray(job.training.result.bias)[:, k] for job, k in there]
    if len({array.shape[:2] for array in weights}) != 1:  # other features in other trials
        return
    arrays = {
        "weights": np.concatenate(weights, axis=2),  # (D, C, K)
        "bias": np.concatenate(bias, axis=1),  # (C, K)
        "trial": np.concatenate([job.trial[k] for job, k in there]).astype(np.int32),
        "repeat": np.concatenate([job.repeat[k] for job, k in there]).astype(np.int32),
    }
    target = np.concatenate([job.target[k] for job, k in there]).astype(np.int32)
    folder.write_weights(arrays | ({TARGET: target} if separate else {}))


def write_solvers(folder: RunWriter, sweep: SweepRun) -> None:
    """Say in the manifest which solvers there were and why, and for how many columns."""
    counts: Counter[tuple[str, str]] = Counter()
    for job in sweep.jobs:
        if job.facts is not None and job.facts.solver is not None:
            counts[job.facts.solver] += len(job.planned.columns)
    if counts:
        solvers = [{"name": n, "reason": r, "columns": c} for (n, r), c in counts.items()]
        folder.update_manifest(solver=solvers)
