"""The largest coefficients by name: bars for one output, a grid of shades for several."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from trainer.catalog import MODELS
from trainer.report.charts.chart import Chart, Series, Trace, View, escaped, layout, listed
from trainer.text.names import cut_apart
from trainer.text.numbers import counted, number, text
from trainer.wording.bootstrap import coefficients_text

if TYPE_CHECKING:
    from trainer.predict.fitted_model import FittedModel
    from trainer.report.run_data import RunData

_MOST_BARS = 20
_MOST_ROWS = 24  # of the grid
_MOST_COLUMNS = 24


class Coefficients(NamedTuple):
    """Weights as the page shows them.

    Attributes:
        weights: (D, C): how far a score moves when a scaled feature grows by 1.
        features, outputs: their names.
        order: (D,) features by their largest |weight|, largest first.
        note: what a number means, and how many are exactly 0.
        ends: {(feature, output): its interval over resamples}.
    """

    weights: NDArray[np.float64]
    features: tuple[str, ...]
    outputs: tuple[str, ...]
    order: NDArray[np.int64]
    note: str
    ends: Mapping[tuple[str, str], tuple[float, float]] = MappingProxyType({})

    def ends_of(self, feature: int, output: int) -> tuple[float, float] | None:
        """The interval of a coefficient; None without one."""
        return self.ends.get((self.features[feature], self.outputs[output]))


class Bar(NamedTuple):
    """A coefficient and what its bar is drawn by.

    Attributes:
        name: of the feature.
        value: of the coefficient.
        ends: its interval; None without one.
        share: of the largest number drawn that the value is.
        share_of_ends: the same of the ends.
    """

    name: str
    value: float
    ends: tuple[float, float] | None
    share: float
    share_of_ends: tuple[float, float] | None


def coefficients(run_data: RunData) -> Coefficients | None:
    """Those of the chosen model; None without one."""
    model = run_data.model
    if model is None or not model.weights.size:
        return None
    weights = model.weights.astype(np.float64) * model.encoder.target_scale
    order = np.argsort(-np.abs(weights).max(axis=1), kind="stable")
    outputs = tuple(text(name) for name in model.encoder.outputs)
    features = tuple(text(name) for name in model.features_)
    note = _note(model, weights)
    if told := coefficients_text(run_data.results):
        note += f" {told[:1].upper()}{told[1:]}."
    return Coefficients(weights, features, outputs, order, note, _ends(run_data))


def _ends(run_data: RunData) -> dict[tuple[str, str], tuple[float, float]]:
    return {
        (text(row["feature"]), text(row["output"])): (row["low"], row["high"])
        for row in run_data.coefficients
        if row["low"] is not None and row["high"] is not None
    }


def _note(model: FittedModel, weights: NDArray[np.float64]) -> str:
    scaled = not (model.encoder.unit or (model.encoder.scale == 1).all())
    grows = "one standard deviation (a 0/1 column: by 1)" if scaled else "1"
    note = f"How far {MODELS[model.model].score} moves when a feature grows by {grows}."
    if model.encoder.classes is not None and len(model.encoder.outputs) == 1:
        note += f" To the right: towards {text(model.encoder.classes[1])}."
    zeros = int((weights == 0).sum())
    if zeros:
        note += f" {zeros:,} of {counted(weights.size, 'weight')} are exactly 0."
    return note


def bars(found: Coefficients) -> list[Bar]:
    """The largest coefficients of one output, and their intervals."""
    shown = [(int(d), float(found.weights[d, 0])) for d in found.order[:_MOST_BARS]]
    ends = [found.ends_of(d, 0) for d, _ in shown]
    reach = [abs(value) for _, value in shown]
    reach += [abs(end) for pair in ends if pair is not None for end in pair]
    largest = max(reach) or 1.0
    return [
        Bar(
            found.features[d],
            value,
            pair,
            value / largest,
            None if pair is None else (pair[0] / largest, pair[1] / largest),
        )
        for (d, value), pair in zip(shown, ends, strict=True)
    ]


def grid(found: Coefficients) -> Chart:
    """Features by outputs, shaded by sign and size."""
    rows = found.order[:_MOST_ROWS]
    columns = np.argsort(-np.abs(found.weights).max(axis=0), kind="stable")[:_MOST_COLUMNS]
    columns = np.sort(columns)
    values = found.weights[np.ix_(rows, columns)]
    features = [found.features[d] for d in rows]
    outputs = [found.outputs[c] for c in columns]
    reach = float(np.abs(values).max()) or 1.0
    hover = [[f"{escaped(f)} → {escaped(o)}" for o in outputs] for f in features]
    cells: Trace = {
        "type": "heatmap",
        "z": [listed(row, 4) for row in values],
        "customdata": hover,
        "hovertemplate": "%{customdata}: %{z:.4~g}<extra></extra>",
        "zmin": -reach,
        "zmax": reach,
        "colorscale": [[0, "var(--vermillion)"], [0.5, "var(--card)"], [1, "var(--blue)"]],
        "showscale": False,
        "xgap": 1,
        "ygap": 1,
    }
    series = (
        Series(f"up to {number(reach, 3)}", "var(--blue)", (cells,), marker=True),
        Series(f"down to {number(-reach, 3)}", "var(--vermillion)", (), marker=True),
    )
    plan = layout(
        "",
        x_axis=_named(outputs, 10) | {"side": "top", "range": [-0.5, len(outputs) - 0.5]},
        y_axis=_named(features, 18) | {"range": [len(features) - 0.5, -0.5], "nticks": 0},
        hovermode="closest",
    )
    note = found.note
    if len(rows) < len(found.features) or len(columns) < len(found.outputs):
        note += f" The {len(rows)} largest of {counted(len(found.features), 'feature')}"
        if len(columns) < len(found.outputs):
            note += f", the {len(columns)} largest of {counted(len(found.outputs), 'output')}"
        note += "."
    height = 60 + 22 * len(rows)
    return Chart("Weights", note, (View("", series, plan),), height=height, wide=True)


def _named(names: list[str], most: int) -> dict[str, Any]:
    return {
        "tickvals": list(range(len(names))),
        "ticktext": list(map(escaped, cut_apart(names, most))),
        "showgrid": False,
    }
