"""The chart of a permutation test: what the selection came to with permuted labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from trainer.catalog import is_share
from trainer.report.charts.chart import Chart, Series, View, layout, listed
from trainer.report.sweep.words import metric_words

_BINS = 40


def null_chart(
    test: Mapping[str, Any], permutations: Sequence[Mapping[str, Any]], note: str
) -> Chart | None:
    """How many permutations came to which score, and where the labels as they are lie.

    Args:
        test: `permutation_test` of results.json, of one target.
        permutations: rows of permutations.csv.
        note: what it says.
    """
    cells = [row.get("score") for row in permutations]
    scores = np.array([float(cell) for cell in cells if isinstance(cell, int | float)])
    scores = scores[np.isfinite(scores)]
    score = test.get("score")
    if not len(scores) or not isinstance(score, int | float):
        return None
    name = str(test["metric"])
    low, high = min(scores.min(), score), max(scores.max(), score)
    if not high > low:
        low, high = low - 0.5, high + 0.5
    counts, edges = np.histogram(scores, _BINS, (low, high))
    width = edges[1] - edges[0]
    bars = {
        "type": "bar",
        "x": listed((edges[:-1] + edges[1:]) / 2),
        "y": listed(counts),
        "width": float(f"{width:.5g}") * 0.92,
        "marker": {"color": "var(--blue)", "line": {"width": 0}},
        "hovertemplate": "%{x:,.4~r}: %{y:,d} permutations<extra></extra>",
    }
    here = {
        "type": "scatter",
        "mode": "lines",
        "x": listed([score, score]),
        "y": [0, int(counts.max())],
        "line": {"color": "var(--vermillion)", "width": 2},
        "hovertemplate": "labels as they are: %{x:,.4~r}<extra></extra>",
    }
    form = {"tickformat": ".2~%"} if is_share(name) else {"tickformat": ",.4~r"}
    plan = layout(
        metric_words(name), "permutations", hovermode="closest", bargap=0,
        x_axis={"nticks": 8, **form}, y_axis={"rangemode": "tozero"},
    )  # fmt: skip
    series = (
        Series("permuted labels", "var(--blue)", (bars,), marker=True),
        Series("labels as they are", "var(--vermillion)", (here,)),
    )
    return Chart("With permuted labels", note, (View("", series, plan),), height=300, wide=True)
