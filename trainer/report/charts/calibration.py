"""The chart of how often what was predicted with probability p comes true."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainer.report.charts import curves
from trainer.report.charts.chart import (
    Chart,
    Series,
    Trace,
    colour,
    line,
    listed,
    reference,
    square_chart,
)
from trainer.text.numbers import number

Numbers = NDArray[np.float64]


def calibration_chart(title: str, note: str, what: str, y: NDArray[Any], p: Numbers) -> Chart:
    """Observed against predicted in bins of p, with the rows of each bin below.

    Args:
        title: of the chart.
        note: the same.
        what: a row is whose y is 1.
        y: (N,) of 0 and 1.
        p: (N,) predicted probabilities.
    """
    found = curves.calibration(y, p)
    series: list[Series] = []
    if found is not None:
        label = f"share {what}, with its 95 % interval"
        series = [
            Series(label, colour(0), (_observed(found, title, what),), marker=True),
            Series("rows", "var(--faint)", (_rows(found),), marker=True),
        ]
        note += f" Off by {number(found.error, 2)} on average."
    chart = square_chart(
        title, note, series, "predicted probability", f"share {what}", reference(0, 0, 1, 1)
    )
    plan = chart.views[0].layout
    plan["yaxis"]["domain"] = [0.24, 1]
    plan["yaxis2"] = {
        "domain": [0, 0.16], "showgrid": False, "zeroline": False, "automargin": True,
        "nticks": 3, "tickformat": "~s", "rangemode": "tozero", "fixedrange": True,
    }  # fmt: skip
    plan["xaxis"]["anchor"] = "y2"
    return chart


def _observed(found: curves.Calibration, title: str, what: str) -> Trace:
    trace = line(found.predicted, found.observed, colour(0), title)
    return trace | {
        "mode": "lines+markers",
        "marker": {"size": 8},
        "error_y": {
            "type": "data",
            "symmetric": False,
            "array": listed(found.high - found.observed, 4),
            "arrayminus": listed(found.observed - found.low, 4),
            "thickness": 1.2,
            "width": 3,
            "color": f"{colour(0)}/0.6",
        },
        "customdata": found.rows[found.rows > 0].tolist(),
        "hovertemplate": f"p = %{{x:.3f}}: %{{y:.1%}} {what}, of %{{customdata:,d}}<extra></extra>",
    }


def _rows(found: curves.Calibration) -> Trace:
    return {
        "type": "bar",
        "x": listed(np.arange(len(found.rows)) / len(found.rows) + 0.05),
        "y": listed(found.rows),
        "width": 0.094,
        "yaxis": "y2",
        "marker": {"color": "var(--faint)", "line": {"width": 0}},
        "hovertemplate": "%{y:,d} rows<extra></extra>",
    }
