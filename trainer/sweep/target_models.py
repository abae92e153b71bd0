"""The models of targets that are problems of their own: each its winner's, together one.

A target's features are scaled by its own rows. The model that a folder keeps has one scaling, that
of the first target: the others' weights and biases are moved to it, which changes no prediction.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from trainer.catalog import metrics_of
from trainer.config.schema.spec import Spec
from trainer.data.encode.targets import Target
from trainer.data.prepared import Prepared
from trainer.data.rows import Array, Rows
from trainer.predict.fitted_model import FittedModel
from trainer.predict.tables import score
from trainer.sweep.columns import refit_rows, stacks_of
from trainer.sweep.fit_memory import arrange
from trainer.sweep.jobs import Job, has_model, make_jobs, run
from trainer.sweep.left_out import LeftOutRows, left_out_rows, tells_rows
from trainer.sweep.planned import Column, RowsOf
from trainer.sweep.scheduler import Observer
from trainer.sweep.stopping import Rules, never_stopping
from trainer.sweep.winner_tests import Metrics

if TYPE_CHECKING:
    from trainer.sweep.sweep import SweepRun
    from trainer.text.saved import Saved

Candidate = tuple[int, int]
"""A trial and a target."""


class HeldScores(NamedTuple):
    """What a model says of the held-out rows that have the label of its target.

    Attributes:
        split: their name.
        rows: (n,) of the source.
        y: (n,) targets as they are encoded.
        z: (n,) scores.
    """

    split: str
    rows: NDArray[np.int64]
    y: Array
    z: NDArray[np.float64]


class TargetFit(NamedTuple):
    """A trial's model for one target. It holds no rows: targets may have rows of their own each.

    Attributes:
        fitted: the model of this target alone, on features as its rows are scaled.
        held: its scores on val and test.
        tests: its metrics on the test rows.
        refit: train or train+val, where it was trained again.
        left_out: its training rows, each by the model of all others, where these are val.
    """

    fitted: FittedModel
    held: Sequence[HeldScores]
    tests: Mapping[str, float]
    refit: str | None = None
    left_out: LeftOutRows | None = None


def first_fits(sweep: SweepRun, wanted: Iterable[Candidate]) -> dict[Candidate, TargetFit]:
    """The models of some candidates, those of their first repeats."""
    return _fits(sweep, sweep.jobs, frozenset(wanted), None)


def tests_of_repeats(
    sweep: SweepRun, wanted: Collection[Candidate], first: Mapping[Candidate, TargetFit]
) -> dict[Candidate, dict[int, Metrics]]:
    """The metrics of candidates on test rows, by repeat, each of that repeat's own model.

    Args:
        sweep: of the candidates.
        wanted: the candidates.
        first: the models of their first repeats, whose metrics are known.
    """
    firsts = sweep.layout.first_repeats
    found = {name: {firsts.get(name[1], 0): fit.tests} for name, fit in first.items() if fit.tests}
    on_rows: dict[Hashable, tuple[RowsOf, list[tuple[Job, int]]]] = {}
    tested = any(trial.spec.data.test != "none" for trial in sweep.trials)
    for job in sweep.jobs if tested and sweep.repeats > 1 else ():
        for k, name in enumerate(zip(job.trial.tolist(), job.target.tolist(), strict=True)):
            known = name not in wanted or job.repeat[k] in found.get(name, ())
            inner = job.repeat[k] >= sweep.repeats
            if not (known or inner) and has_model(job, k, whole=False):
                rows = job.planned.rows_of(k)
                on_rows.setdefault(rows.key, (rows, []))[1].append((job, k))
    for rows, columns in on_rows.values():  # which are prepared once for all
        prepared = replace(sweep.cache.prepared(rows), val=None)
        by_job: dict[Job, list[int]] = {}
        for job, k in columns:
            by_job.setdefault(job, []).append(k)
        for job, alike in by_job.items():
            for k, fit in zip(alike, _of_job(job, alike, prepared, None), strict=True):
                name = int(job.trial[k]), int(job.target[k])
                found.setdefault(name, {})[int(job.repeat[k])] = fit.tests
    return {name: dict(sorted(of.items())) for name, of in found.items()}


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
    found: dict[Candidate, TargetFit] = {}
    first = sweep.layout.first_repeats if refit is None else {}
    for job in jobs:
        trial, target, repeat = job.trial.tolist(), job.target.tolist(), job.repeat.tolist()
        columns = [
            k
            for k in range(len(trial))
            if repeat[k] == first.get(target[k], 0)
            and (trial[k], target[k]) in wanted
            and has_model(job, k, whole=refit is not None)
        ]
        by_rows: dict[Hashable, list[int]] = {}
        for k in columns:
            by_rows.setdefault(job.planned.rows_of(k).key, []).append(k)
        for alike in by_rows.values():
            prepared = sweep.cache.whole_of(job.planned, alike[0])
            fits: Iterable[TargetFit] = _of_job(job, alike, prepared, refit)
            if tells_rows(sweep, len(prepared.train) * sweep.rules.targets):
                fits = _with_left_out(sweep, job, alike, prepared.train, list(fits))
            found |= {(trial[k], target[k]): fit for k, fit in zip(alike, fits, strict=True)}
    return found


def _with_left_out(
    sweep: SweepRun, job: Job, columns: Sequence[int], rows: Rows, fits: Sequence[TargetFit]
) -> Iterator[TargetFit]:
    """The models of columns, whose val are their training rows, each by the model of all others."""
    assert job.facts is not None
    specs = [job.planned.columns[k].spec for k in columns]
    targets = [fit.fitted.encoder.target for fit in fits]
    scale, mean = (np.concatenate([getattr(of, n) for of in targets]) for n in ("scale", "mean"))
    places = [job.planned.places[k] for k in columns]
    found = left_out_rows(sweep, rows, specs, job.facts.l2[list(columns)], places, scale, mean)
    for i, (fit, place) in enumerate(zip(fits, places, strict=True)):
        own = found.of_output(i)
        z = (own.z[:, 0] - mean[i]) / scale[i]
        held = HeldScores("val", rows.index, _by_target(rows)[:, place], z)
        yield fit._replace(held=[held, *fit.held], left_out=own)


def _of_job(
    job: Job, columns: Sequence[int], prepared: Prepared, refit: str | None
) -> Iterator[TargetFit]:
    """The models of some columns of a stack, whose held-out rows are scored together."""
    planned, result = job.planned, job.training.result
    assert result.weights is not None
    assert result.bias is not None
    weights, bias = result.weights[:, 0, columns], result.bias[0, columns]  # (D, K), (K,)
    places = np.array(planned.places)[columns].tolist()
    held = [rows for rows in (prepared.val, *prepared.tests) if rows is not None]
    with np.errstate(over="ignore", invalid="ignore"):  # rows far outside those of training
        scores = [(rows.X @ weights + bias).astype(np.float64) for rows in held]  # (n, K) each
    for i, (k, place) in enumerate(zip(columns, places, strict=True)):
        spec, encoder = planned.columns[k].spec, prepared.encoder
        own = replace(encoder, target=encoder.target.alone(place))
        loss = spec.loss_name, spec.loss_parameters
        always = metrics_of(spec.model, 1, ())
        named = tuple(name for name in spec.named_metrics if name not in always)
        ends = np.ascontiguousarray(weights[:, [i]]), np.ascontiguousarray(bias[[i]])
        fitted = FittedModel(spec.model, *ends, own, *loss, named)
        told = [
            HeldScores(rows.name, rows.index, _by_target(rows)[:, place], z[:, i])
            for rows, z in zip(held, scores, strict=True)
        ]
        tests = _test_metrics(fitted, prepared.tests, told[len(held) - len(prepared.tests) :])
        yield TargetFit(fitted, told, tests, refit)


def _by_target(rows: Rows) -> Array:
    """The targets (n, T) of rows, of which there may be none."""
    return rows.y.reshape(len(rows), math.prod(rows.y.shape[1:]))


def _test_metrics(
    fitted: FittedModel, tests: Sequence[Rows], scores: Sequence[HeldScores]
) -> dict[str, float]:
    """The metrics of one target on the test rows that have its label."""
    found: dict[str, float] = {}
    target = fitted.encoder.target
    for rows, held in zip(tests, scores, strict=True):
        if not len(rows):
            continue
        prefix = "test" if rows.name == "test" else f"test_{rows.name}"
        z = held.z[:, None] * target.scale + target.mean
        read = score(fitted, z, held.y[:, None], rows.weight)
        found |= {f"{prefix}_{name}": value for name, value in read.items()}
    return found


def together(fits: Sequence[TargetFit], names: Sequence[str]) -> FittedModel | None:
    """One model of all targets; None where they have other features or losses.

    Args:
        fits: a target each, in order.
        names: of the targets.
    """
    models = [fit.fitted for fit in fits]
    first = models[0]
    base, loss = first.encoder, (first.loss, first.loss_parameters)
    for model in models:
        encoder = model.encoder
        same = encoder.features == base.features and encoder.impute == base.impute
        if not same or (model.loss, model.loss_parameters) != loss:
            return None
    mean = np.stack([model.encoder.mean for model in models], axis=1)  # (D, T)
    scale = np.stack([model.encoder.scale for model in models], axis=1)
    weights = np.concatenate([model.weights for model in models], axis=1)  # (D, T)
    bias = np.concatenate([model.bias for model in models])  # (T,)
    moved = ((mean != base.mean[:, None]) | (scale != base.scale[:, None])).any(axis=0)  # (T,)
    if moved.any():
        per_raw = weights[:, moved] / scale[:, moved]
        shift = ((base.mean[:, None] - mean[:, moved]) * per_raw).sum(axis=0)
        weights[:, moved] = per_raw * base.scale[:, None]
        bias[moved] = bias[moved] + shift
    encoder = replace(base, target=_target([model.encoder.target for model in models], names))
    return FittedModel(first.model, weights, bias, encoder, *loss, first.metrics)


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
