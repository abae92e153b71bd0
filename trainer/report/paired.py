"""Differences of two runs on rows that both predicted, with intervals by the same draws of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from trainer.catalog import facts_of
from trainer.errors import RunFolderError
from trainer.model.weightings import metrics_by_weights
from trainer.predict.model_row import row_of
from trainer.report.prediction_data import PredictionData, read_predictions
from trainer.statistics.draws import units_of
from trainer.statistics.intervals import (
    FEWEST_UNITS,
    Interval,
    fewest_resamples,
    percentile_interval,
)
from trainer.statistics.operations import Drawn, affordable
from trainer.statistics.resampling import Part, resample

if TYPE_CHECKING:
    from trainer.predict.fitted_model import FittedModel
    from trainer.report.run_data import RunData

Numbers = np.ndarray[Any, np.dtype[np.float64]]

RESAMPLES = 1000
_OPERATIONS = 4e10  # of a run that a page would be a twentieth of: two seconds a run and split
_LEAST, _MOST = 1e-300, 1 - 2.0**-53  # probabilities whose scores are finite


class Difference(NamedTuple):
    """How much more a run has of a metric than another.

    Attributes:
        value: on the rows as they are.
        interval: of the draws; None where they are too few or undefined.
    """

    value: float
    interval: Interval | None


Differences = dict[str, dict[str, Difference]]
"""{split: {metric: difference}}."""


def differences(run: RunData, first: RunData, level: float) -> Differences:
    """A run minus the first, of each split that both predicted, row by row.

    Args:
        run: the one.
        first: the other.
        level: the share of the draws that lies within an interval.
    """
    own, others = _by_split(run), _by_split(first)
    found = {}
    for split, data in own.items():
        other = others.get(split)
        if other is not None and _same_rows(data, other) and run.model and first.model:
            models = (run.model, first.model)
            if of_split := _of_split((data, other), models, level):
                found[split] = of_split
    return found


def level_of(run: RunData) -> float:
    """The level that a run's config has, or the default."""
    written = run.config.get("intervals")
    level = written.get("level") if isinstance(written, Mapping) else None
    return level if isinstance(level, float) and 0 < level < 1 else 0.95


def _by_split(run: RunData) -> dict[str, PredictionData]:
    try:
        return {data.split: data for data in read_predictions(run)}
    except RunFolderError:  # the run's own page says so
        return {}


def _same_rows(a: PredictionData, b: PredictionData) -> bool:
    """Whether two runs predicted the same targets of the same rows, with the same weights."""
    pairs = [(a.row, b.row), (a.target, b.target), (a.weight, b.weight), (a.group, b.group)]
    return a.names == b.names and all(
        np.array_equal(x, y) if x is not None and y is not None else x is y for x, y in pairs
    )


def _of_split(
    pair: tuple[PredictionData, PredictionData],
    models: tuple[FittedModel, FittedModel],
    level: float,
) -> dict[str, Difference]:
    data = pair[0]
    w = np.ones(len(data)) if data.weight is None else data.weight
    parts = [_part(of, model, w) for of, model in zip(pair, models, strict=True)]
    values = [{name: of[0] for name, of in part.measure(w[None]).items()} for part in parts]
    drawn = [Drawn(len(data), len(data.names), ranked=True) for _ in parts]
    count, names = affordable(_OPERATIONS, drawn, RESAMPLES), values[0].keys() & values[1].keys()
    draws: Sequence[Mapping[str, Numbers]] = []
    if count >= fewest_resamples(level) and units_of(parts[0].labels)[1] >= FEWEST_UNITS:
        draws = [resample([part], count, seed=0) for part in parts]
    found = {}
    for name in (name for name in values[0] if name in names):
        interval = None
        if draws and not facts_of(name).no_interval:
            interval = percentile_interval(draws[0][name] - draws[1][name], level)
        value = float(values[0][name] - values[1][name])
        if np.isfinite(value):
            found[name] = Difference(value, interval)
    return found


def _part(data: PredictionData, model: FittedModel, w: Numbers) -> Part:
    """What is drawn of a split; the scores are those whose predictions are in the file."""
    labels = data.row if data.group is None else data.group
    encoder = model.encoder
    p, y = data.p, data.target
    if data.kind == "numbers":
        p, y = data.prediction, (data.target - encoder.target_mean) / encoder.target_scale
    elif data.shares is not None:
        y = data.shares
    elif data.kind == "labels" and len(encoder.outputs) == 1:
        p, y = data.p[:, 1:], data.target[:, None]
    z, row = np.empty((len(data), p.shape[1], 1)), row_of(model)
    with np.errstate(divide="ignore", invalid="ignore"):
        inside = p if data.kind == "numbers" else np.clip(p, _LEAST, _MOST)
        row.link(np, inside[:, :, None], z)
    own = z[:, :, 0]
    if data.kind == "numbers":
        own = (own - encoder.target_mean) / encoder.target_scale
    scale = np.asarray(encoder.target_scale)
    numbers = encoder.target.numbers
    return Part(labels, w, metrics_by_weights(row, {}, own, y, scale, numbers))
