"""The chart of what training rows do to a model: leverage against leave-one-out residual."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from trainer.report.charts import curves
from trainer.report.charts.chart import Chart, Series, View, layout, listed, reference

_MOST_OUTPUTS = 24

Row = Mapping[str, Any]


def disagreeing(rows: Sequence[Row], most: int) -> list[Row]:
    """The rows of influence.csv without which a model moves the most, by Cook's distance."""
    known = [row for row in rows if row["cooks_distance"] is not None]
    return sorted(known, key=lambda row: -row["cooks_distance"])[:most]


def influence_chart(rows: Sequence[Row], note: str) -> Chart | None:
    """Leverage against residual, an output at a time.

    Args:
        rows: of influence.csv.
        note: which rows they are.
    """
    by_output: dict[str, list[Row]] = {}
    for row in rows:
        if None not in (row["residual"], row["leverage"]):
            by_output.setdefault(str(row["output"]), []).append(row)
    several = len(by_output) > 1
    views = [
        _view(name if several else "", of) for name, of in [*by_output.items()][:_MOST_OUTPUTS]
    ]
    if not views:
        return None
    more = len(by_output) - len(views)
    told = f"{note} {more:,} more outputs not shown." if more else note
    return Chart(
        "Leverage and residual", told, tuple(views), height=300, wide=True, choice="output"
    )


def _view(name: str, rows: Sequence[Row]) -> View:
    residual, leverage, row = (
        np.array([of[key] for of in rows]) for key in ("residual", "leverage", "row")
    )
    distance = np.array([np.nan if (d := of["cooks_distance"]) is None else d for of in rows])
    shown = curves.some_rows(np.nan_to_num(distance))
    told = ""
    if len(shown) < len(rows):
        told = f"{len(shown):,} of {len(rows):,}: the 100 largest distances, the others at random."
    points = {
        "type": "scatter",
        "mode": "markers",
        "x": listed(leverage[shown]),
        "y": listed(residual[shown]),
        "customdata": [
            [int(i), d] for i, d in zip(row[shown], listed(distance[shown]), strict=True)
        ],
        "marker": {"size": 5, "color": "var(--blue)/0.45", "line": {"width": 0}},
        "hovertemplate": "row %{customdata[0]}<br>leverage %{x:,.4~r}<br>residual %{y:,.5~r}"
        "<br>Cook’s distance %{customdata[1]:,.4~r}<extra></extra>",
    }
    plan = layout(
        "leverage", "y − ŷ of the model of all others", hovermode="closest",
        x_axis={"rangemode": "tozero", "nticks": 6},
        shapes=reference(0, 0, 1, 0, xref="paper"),
    )  # fmt: skip
    return View(name, (Series("", "var(--blue)", (points,)),), plan, told)
