"""The models of chosen trials: those of their first repeats, or of a refit on more rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from trainer.config import Spec
from trainer.data import Prepared
from trainer.predict.fitted_model import FittedModel
from trainer.sweep.columns import Column, early_stopping, refit_rows, stacks_of
from trainer.sweep.fit_memory import arrange
from trainer.sweep.jobs import Jobs, make_jobs, run
from trainer.sweep.scheduler import Observer, Rules
from trainer.sweep.sweep import SweepRun


@dataclass(frozen=True)
class TrialModel:
    """A model that stands for a trial, and the rows it was trained on, with those held out."""

    fitted: FittedModel
    prepared: Prepared
    refit: str | None = None
    """train or train+val, where it was trained again."""


def refit_of(spec: Spec) -> str | None:
    """The rows of the refit that a spec asks for, or None."""
    rows = spec.select.refit
    if rows == "auto":
        return "train" if spec.repeat is not None and spec.repeat.folds is not None else None
    return None if rows == "none" else rows


def first_models(sweep: SweepRun, trials: Iterable[int]) -> dict[int, TrialModel]:
    """The models of the first repeats of some trials."""
    return _models(sweep, sweep.jobs, {trial: trial for trial in trials}, None)


def refit_models(
    sweep: SweepRun, specs: Mapping[int, Spec], rows: str, observer: Observer
) -> dict[int, TrialModel]:
    """Train trials again on more rows, all at once.

    Args:
        sweep: what they were chosen from.
        specs: of the refits, by trial.
        rows: "train" or "train+val".
        observer: is told; its `should_stop` ends it.

    Returns:
        The models by trial; without those that an interruption or a divergence left without one.
    """
    columns = [
        (refit_rows(sweep.trials[trial].spec, sweep.sources, rows), Column(i, 0, spec))
        for i, (trial, spec) in enumerate(specs.items())
    ]
    planned = stacks_of(columns)
    device_rows = sweep.cache.of(planned[0].rows, planned[0].spec)
    rules = Rules("train_loss", 1.0, early_stopping(list(specs.values())))
    arrangement = arrange(planned, device_rows, restores=False)
    jobs = make_jobs(arrangement, sweep.cache, rules, log_every=1 << 40)
    run(jobs, rules, observer, arrangement)
    return _models(sweep, jobs, dict(zip(specs, range(len(specs)), strict=True)), rows)


def _models(
    sweep: SweepRun, jobs: Jobs, numbers: Mapping[int, int], refit: str | None
) -> dict[int, TrialModel]:
    """By trial the models of its first repeat; `numbers` are the trials' in the jobs."""
    found = {}
    for planned, member in zip(jobs.planned, jobs.members, strict=True):
        fit = member.training.result
        for trial, number in numbers.items():
            at = np.flatnonzero((member.trial == number) & (member.repeat == 0))
            for k in at.tolist():
                outcome = fit.outcomes[k]
                ended = outcome is not None and outcome.status == "interrupted"
                diverged = outcome is None or outcome.status == "diverged"
                if fit.weights is None or fit.bias is None or diverged or (refit and ended):
                    continue
                prepared = sweep.cache.of(planned.rows, planned.spec).prepared
                spec = planned.columns[k].spec
                weights = np.ascontiguousarray(fit.weights[:, :, k])  # (D, C)
                bias = np.ascontiguousarray(fit.bias[:, k])  # (C,)
                loss = spec.loss_name, spec.loss_parameters
                fitted = FittedModel(spec.model, weights, bias, prepared.encoder, *loss)
                found[trial] = TrialModel(fitted, prepared, refit)
    return found
