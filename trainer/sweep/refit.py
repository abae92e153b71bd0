"""The models of chosen trials: those of their repeats, or of a refit on more rows."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from trainer.catalog import metrics_of
from trainer.config.schema.spec import Spec
from trainer.data.prepared import Prepared
from trainer.predict.fitted_model import FittedModel
from trainer.sweep.columns import early_stopping, refit_rows, stacks_of
from trainer.sweep.fit_memory import arrange
from trainer.sweep.jobs import Job, has_model, make_jobs, run
from trainer.sweep.planned import Column, Fold, RowsOf
from trainer.sweep.scheduler import Observer
from trainer.sweep.stopping import Rules

if TYPE_CHECKING:
    from trainer.sweep.sweep import SweepRun
    from trainer.text.saved import Saved


class TrialModel(NamedTuple):
    """The model of a trial, and its rows: those it was trained on and those held out."""

    fitted: FittedModel
    prepared: Prepared
    refit: str | None = None
    """train or train+val, where it was trained again."""


class RepeatModel(NamedTuple):
    """The model of one column."""

    trial: int
    repeat: int
    fitted: FittedModel


class RowsModels(NamedTuple):
    """The models that were trained on the rows of one repeat, and these."""

    prepared: Prepared
    fold: Fold | None
    models: list[RepeatModel]


def refit_of(spec: Spec) -> str | None:
    """Return the rows that a spec wants its chosen trial trained on again, or None."""
    rows = spec.select.refit
    if rows == "auto":
        return "train" if spec.repeat is not None and spec.repeat.holds_out else None
    return None if rows == "none" else rows


def first_models(sweep: SweepRun, trials: Iterable[int]) -> dict[int, TrialModel]:
    """Return the models of some trials, those of their first repeats."""
    return _models(sweep, sweep.jobs, {trial: trial for trial in trials}, None)


def models_by_rows(sweep: SweepRun, wanted: Collection[tuple[int, int]]) -> Iterator[RowsModels]:
    """Models of columns, all on the same rows together: these are prepared once for them.

    Args:
        sweep: of the columns.
        wanted: (trial, repeat) of each; those that came to no weights are left out.
    """
    found: dict[Hashable, tuple[RowsOf, list[tuple[Job, int]]]] = {}
    for job in sweep.jobs if wanted else ():
        for k, column in enumerate(zip(job.trial.tolist(), job.repeat.tolist(), strict=True)):
            if column in wanted and has_model(job, k, whole=False):
                rows = job.planned.rows_of(k)
                found.setdefault(rows.key, (rows, []))[1].append((job, k))
    for rows, columns in found.values():
        yield _on_rows(sweep.cache.prepared(rows), rows.fold, columns)  # and keeps none of them


def _on_rows(
    prepared: Prepared, fold: Fold | None, columns: Sequence[tuple[Job, int]]
) -> RowsModels:
    models = [
        RepeatModel(int(job.trial[k]), int(job.repeat[k]), _fitted(job, k, prepared))
        for job, k in columns
    ]
    return RowsModels(prepared, fold, models)


def refit_models(
    sweep: SweepRun,
    specs: Mapping[int, Spec],
    rows: str,
    observer: Observer,
    saved: Saved | None = None,
) -> dict[int, TrialModel]:
    """Train trials again on more rows, all of them in one stack or a few.

    Args:
        sweep: what they were chosen from.
        specs: of the refits, by trial.
        rows: "train" or "train+val".
        observer: hears what happens; its `should_stop` ends the training.
        saved: the record of a refit's scheduler, to go on from.

    Returns:
        The models by trial; without those that an interruption or a divergence left without one.

    Raises:
        ValueError: `saved` is of other columns.
    """
    columns = [
        (refit_rows(sweep.trials[trial].spec, sweep.sources, rows)[0], Column(i, 0, spec))
        for i, (trial, spec) in enumerate(specs.items())
    ]
    planned = stacks_of(columns)
    device_rows = sweep.cache.of(planned[0].rows, planned[0].spec, planned[0].target)
    rules = Rules("train_loss", 1.0, early_stopping(list(specs.values())))
    arranged = None if saved is None else saved["arrangement"]
    arrangement = arrange(planned, device_rows, restores=False, arranged=arranged)
    jobs = make_jobs(arrangement, sweep.cache, rules, log_every=1 << 40)
    run(jobs, rules, observer, arrangement, saved)
    return _models(sweep, jobs, dict(zip(specs, range(len(specs)), strict=True)), rows)


def _models(
    sweep: SweepRun, jobs: Sequence[Job], numbers: Mapping[int, int], refit: str | None
) -> dict[int, TrialModel]:
    """By trial the models of its first repeat; `numbers` are the trials' in the jobs."""
    found = {}
    for job in jobs:
        known: dict[Hashable, Prepared] = {}  # of its row sets
        for trial, number in numbers.items():
            for k in np.flatnonzero((job.trial == number) & (job.repeat == 0)).tolist():
                if has_model(job, k, whole=refit is not None):
                    key = job.planned.rows_of(k).key
                    if key not in known:
                        known[key] = sweep.cache.prepared_of(job.planned, k)
                    prepared = known[key]
                    found[trial] = TrialModel(_fitted(job, k, prepared), prepared, refit)
    return found


def _fitted(job: Job, k: int, prepared: Prepared) -> FittedModel:
    result, spec = job.training.result, job.planned.columns[k].spec
    assert result.weights is not None
    assert result.bias is not None
    weights = np.ascontiguousarray(result.weights[:, :, k])  # (D, C)
    bias = np.ascontiguousarray(result.bias[:, k])  # (C,)
    loss = spec.loss_name, spec.loss_parameters
    own = metrics_of(spec.model, len(bias), ())
    named = tuple(name for name in spec.named_metrics if name not in own)
    return FittedModel(spec.model, weights, bias, prepared.encoder, *loss, named)
