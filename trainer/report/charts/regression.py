"""Charts of predicted numbers: against the true ones, and how far off they are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from trainer.report.charts import curves
from trainer.report.charts.chart import (
    Chart,
    Series,
    Trace,
    View,
    escaped,
    layout,
    listed,
    reference,
    square,
    tick_format,
)
from trainer.text.numbers import counted, number

if TYPE_CHECKING:
    from trainer.report.prediction_data import PredictionData

_MOST_TARGETS = 24


def number_charts(predictions: PredictionData) -> list[Chart]:
    """Predicted against true, and the histogram of ŷ − y; of several targets, one at a time."""
    scatter, bars = [], []
    names = predictions.names[:_MOST_TARGETS]
    endless = 0
    for i, name in enumerate(names):
        known = np.isfinite(predictions.prediction[:, i])
        endless += int((~known).sum())
        y, predicted = predictions.target[known, i], predictions.prediction[known, i]
        label = name if len(names) > 1 else ""
        if len(y):
            scatter.append(_scatter_view(label, y, predicted, predictions.row[known]))
            bars.append(_residual_view(label, predicted - y))
    if not scatter:
        return []
    more = len(predictions.names) - len(names)
    left_out = f" {counted(more, 'more target')} not shown." if more else ""
    if endless:
        left_out += f" Without {counted(endless, 'prediction')} past float64."
    return [
        Chart(
            "Predicted against true",
            f"Above the dotted line predicted too high, below it too low.{left_out}",
            tuple(scatter),
            height=0,
            choice="target",
        ),
        Chart(
            "Residuals",
            "ŷ − y, predicted minus true: narrow and about 0 is good, a long tail is a kind of row"
            " that the model misses.",
            tuple(bars),
            height=0,
            choice="target",
        ),
    ]


def _scatter_view(name: str, y: Any, predicted: Any, row: Any) -> View:
    error = predicted - y
    shown = curves.some_rows(error)
    note = ""
    if len(shown) < len(y):
        note = f"{len(shown):,} of {len(y):,} rows: the 100 largest misses, the others at random."
    low = float(min(y.min(), predicted.min()))
    high = float(max(y.max(), predicted.max()))
    low, high = (low, high) if high > low else (low - 1, high + 1)
    points: Trace = {
        "type": "scatter",
        "mode": "markers",
        "x": listed(y[shown]),
        "y": listed(predicted[shown]),
        "customdata": listed(row[shown]),
        "marker": {"size": 5, "color": "var(--blue)/0.45", "line": {"width": 0}},
        "hovertemplate": "row %{customdata}<br>true %{x:,.5~r}<br>predicted %{y:,.5~r}"
        "<extra></extra>",
    }
    axis = square((low, high)) | {
        "tickformat": tick_format(max(abs(low), abs(high)) / 10),
        "nticks": 6,
    }
    plan = layout(
        "true", "predicted", x_axis=axis, y_axis=axis, hovermode="closest",
        shapes=reference(low, low, high, high),
    )  # fmt: skip
    return View(name, (Series("", "var(--blue)", (points,)),), plan, note)


def _residual_view(name: str, error: NDArray[np.float64]) -> View:
    found = curves.histogram(error)
    width = found.edges[1] - found.edges[0]
    bars: Trace = {
        "type": "bar",
        "x": listed((found.edges[:-1] + found.edges[1:]) / 2),
        "y": listed(found.counts),
        "width": float(f"{width:.5g}") * 0.92,
        "marker": {"color": "var(--blue)", "line": {"width": 0}},
        "hovertemplate": "%{x:,.4~r} ± "
        + escaped(number(width / 2, 2))
        + ": %{y:,d} rows<extra></extra>",
    }
    note = (
        f"{counted(found.outside, 'row')} beyond the edges: counted in the outermost bars."
        if found.outside
        else ""
    )
    plan = layout(
        "ŷ − y", "rows", hovermode="closest", bargap=0,
        x_axis={"tickformat": tick_format(float(found.edges[-1]) / 10), "nticks": 7},
        y_axis={"tickformat": tick_format(float(found.counts.max()) / 10), "rangemode": "tozero"},
        shapes=reference(0, 0, 0, 1, yref="paper"),
    )  # fmt: skip
    return View(name, (Series("", "var(--blue)", (bars,)),), plan, note)
