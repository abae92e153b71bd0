"""The models of targets that are problems of their own: each its winner's, together one.

A target's features are scaled by its own rows. The model that a folder keeps has one scaling, that
of the first target: the others' weights and biases are moved to it, which changes no prediction.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from trainer.config.schema.spec import Spec
from trainer.data.encode.targets import Target
from trainer.data.prepared import Prepared
from trainer.predict.fitted_model import FittedModel
from trainer.sweep.columns import refit_rows, stacks_of
from trainer.sweep.fit_memory import arrange
from trainer.sweep.jobs import Job, has_model, make_jobs, run
from trainer.sweep.planned import Column
from trainer.sweep.scheduler import Observer
from trainer.sweep.stopping import Rules, never_stopping

if TYPE_CHECKING:
    from trainer.sweep.sweep import SweepRun
    from trainer.train.saved import Saved

Candidate = tuple[int, int]
"""A trial and a target."""


class TargetFit(NamedTuple):
    """A trial's model for one target.

    Attributes:
        weights: (D, C) on features as the rows of this target are scaled; C is 1.
        bias: (C,).
        spec: of the column.
        prepared: the rows, with all targets that share them.
        place: which of these it is.
        refit: train or train+val, where it was trained again.
    """

    weights: NDArray[np.floating[Any]]
    bias: NDArray[np.floating[Any]]
    spec: Spec
    prepared: Prepared
    place: int
    refit: str | None = None

    @property
    def fitted(self) -> FittedModel:
        """The model of this target alone."""
        encoder = self.prepared.encoder
        own = replace(encoder, target=encoder.target.alone(self.place))
        loss = self.spec.loss_name, self.spec.loss_parameters
        return FittedModel(self.spec.model, self.weights, self.bias, own, *loss)


def first_fits(sweep: SweepRun, wanted: Iterable[Candidate]) -> dict[Candidate, TargetFit]:
    """The models of some candidates, those of their first repeats."""
    return _fits(sweep, sweep.jobs, frozenset(wanted), None)


def refit_fits(
    sweep: SweepRun,
    specs: Mapping[Candidate, Spec],
    rows: str,
    observer: Observer,
    saved: Saved | None = None,
) -> dict[Candidate, TargetFit]:
    """Train candidates again on more rows, all of them in as few stacks as there can be.

    Args:
        sweep: what they were chosen from.
        specs: of the refits.
        rows: "train" or "train+val".
        observer: hears what happens; its `should_stop` ends the training.
        saved: the record of a refit's scheduler, to go on from.

    Returns:
        The models; without those that an interruption or a divergence left without one.

    Raises:
        ValueError: `saved` is of other columns.
    """
    columns = [
        (part, Column(trial, 0, specs[trial, target], target))
        for trial in sorted({trial for trial, _ in specs})
        for part in refit_rows(sweep.trials[trial].spec, sweep.sources, rows)
        for target in part.targets
        if (trial, target) in specs
    ]
    planned, targets = stacks_of(columns), sweep.rules.targets
    device_rows = sweep.cache.of(planned[0].rows, planned[0].spec, planned[0].target)
    stopping = never_stopping(len(sweep.trials) * targets)
    rules = Rules("train_loss", 1.0, stopping, targets=targets)
    arranged = None if saved is None else saved["arrangement"]
    arrangement = arrange(planned, device_rows, restores=False, arranged=arranged)
    jobs = make_jobs(arrangement, sweep.cache, rules, log_every=1 << 40)
    run(jobs, rules, observer, arrangement, saved)
    return _fits(sweep, jobs, frozenset(specs), rows)


def _fits(
    sweep: SweepRun, jobs: Sequence[Job], wanted: frozenset[Candidate], refit: str | None
) -> dict[Candidate, TargetFit]:
    found = {}
    for job in jobs:
        first = np.flatnonzero(job.repeat == 0).tolist()
        trial, target = job.trial.tolist(), job.target.tolist()
        for k in first:
            name = trial[k], target[k]
            if name not in wanted or not has_model(job, k, whole=refit is not None):
                continue
            planned, result = job.planned, job.training.result
            assert result.weights is not None
            assert result.bias is not None
            rows = sweep.cache.of(planned.rows, planned.spec, planned.target)
            found[name] = TargetFit(
                np.ascontiguousarray(result.weights[:, :, k]),
                np.ascontiguousarray(result.bias[:, k]),
                planned.columns[k].spec,
                rows.shared,
                list(planned.rows.targets).index(target[k]),
                refit,
            )
    return found


def together(fits: Sequence[TargetFit], names: Sequence[str]) -> FittedModel | None:
    """One model of all targets; None where they have other features or losses.

    Args:
        fits: a target each, in order.
        names: of the targets.
    """
    first = fits[0]
    base, loss = first.prepared.encoder, (first.spec.loss_name, first.spec.loss_parameters)
    for fit in fits:
        encoder = fit.prepared.encoder
        same = encoder.features == base.features and encoder.impute == base.impute
        if not same or (fit.spec.loss_name, fit.spec.loss_parameters) != loss:
            return None
    mean, scale = (
        np.stack([getattr(f.prepared.encoder, of) for f in fits], axis=1)
        for of in ("mean", "scale")
    )  # (D, T) each
    weights = np.concatenate([fit.weights for fit in fits], axis=1)  # (D, T)
    bias = np.concatenate([fit.bias for fit in fits])  # (T,)
    moved = ((mean != base.mean[:, None]) | (scale != base.scale[:, None])).any(axis=0)  # (T,)
    if moved.any():
        per_raw = weights[:, moved] / scale[:, moved]
        shift = ((base.mean[:, None] - mean[:, moved]) * per_raw).sum(axis=0)
        weights[:, moved] = per_raw * base.scale[:, None]
        bias[moved] = bias[moved] + shift
    encoder = replace(base, target=_target([fit.fitted.encoder.target for fit in fits], names))
    return FittedModel(first.spec.model, weights, bias, encoder, *loss)


def _target(targets: Sequence[Target], names: Sequence[str]) -> Target:
    """Several targets as the outputs of one model."""
    first = targets[0]
    mean = np.concatenate([target.mean for target in targets])
    scale = np.concatenate([target.scale for target in targets])
    labels = first.kind == "labels"
    pairs = None
    if labels:
        pairs = tuple((t.classes[0], t.classes[1]) for t in targets if t.classes is not None)
    kind = "multilabel" if labels else first.kind
    known = tuple(names)
    return Target(kind, first.model, known, known, None, mean, scale, pairs, separate=True)
