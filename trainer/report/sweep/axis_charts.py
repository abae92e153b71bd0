"""What each swept value did: the metric along an axis, best trials joined, every trial a dot."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from trainer.report.charts.chart import (
    CYCLE,
    Chart,
    Series,
    Trace,
    View,
    colour,
    dash,
    escaped,
    layout,
    line,
    listed,
)
from trainer.report.sweep.scales import value_axis, x_axis
from trainer.text.numbers import counted

if TYPE_CHECKING:
    from trainer.report.sweep.axes import ChartAxis, Indices, Numbers
    from trainer.report.sweep.view import SweepView

_MOST_DOTS = 500
_MOST_LINES = len(CYCLE) * 3


def along_axes(sweep: SweepView) -> list[Chart]:
    """A chart an axis; the axes with winners of their own last, as lines in those before."""
    if not np.isfinite(sweep.value).any():
        return []
    others = [axis for axis in sweep.axes if axis not in sweep.per]
    charts = [_along(sweep, axis, sweep.per) for axis in others]
    return [*charts, *(_along(sweep, axis, ()) for axis in sweep.per)]


def _along(sweep: SweepView, axis: ChartAxis, per: tuple[ChartAxis, ...]) -> Chart:
    x = sweep.column(axis)
    series: list[Series] = []
    groups = [(f"best of each {_whose(axis)}", np.zeros(len(x), np.intp))]
    if per:
        groups = _groups(sweep, per)
    for i, (label, members) in enumerate(groups):
        trace = _envelope(sweep, axis, np.where(members == 0, axis.cell(x), -1), label, i)
        if trace is not None:
            series.append(Series(label, colour(i), (trace,), dash(i)))
    joined = sum(len(trace["x"]) for each in series for trace in each.traces)
    dots = _dots(sweep, x) if joined < np.isfinite(sweep.value).sum() else []
    series = [*dots, *series]
    series += _diverged(sweep, x)
    plan = layout(
        axis.name,
        sweep.name,
        x_axis=x_axis(axis),
        y_axis=value_axis(sweep),
        hovermode="closest",
        yaxis2={"overlaying": "y", "range": [0, 1], "visible": False, "fixedrange": True},
    )
    known = sweep.value[np.isfinite(sweep.value)]
    title, note = _title(sweep, axis, per), _note(sweep, axis, bool(dots))
    view = View("", tuple(series), plan)
    return Chart(title, note, (view,), height=300, log=bool((known > 0).all()))


def _title(sweep: SweepView, axis: ChartAxis, per: tuple[ChartAxis, ...]) -> str:
    title = f"{sweep.title} by {axis.name}"
    if axis.path.startswith("repeat.few_shot."):  # numbers of rows are no settings to choose from
        return f"Learning curve: {title[0].lower()}{title[1:]}"
    if per:
        return f"{title}, for each {' and '.join(other.name for other in per)}"
    if sweep.chosen is None:
        return title
    word = "best" if sweep.value[sweep.chosen] == np.nanmin(sweep.value) else "chosen"
    if not sweep.minimize and sweep.value[sweep.chosen] == np.nanmax(sweep.value):
        word = "best"
    return f"{title}: {word} at {axis.label(sweep.rows[sweep.chosen].get(axis.path))}"


def _note(sweep: SweepView, axis: ChartAxis, dots: bool) -> str:
    spread = ", with the standard deviation over repeats" if np.isfinite(sweep.std).any() else ""
    note = f"The line: the best trial of each {_whose(axis)}{spread}."
    if dots:
        every = len(sweep.rows) <= _MOST_DOTS
        note += " Dots: every trial." if every else f" Dots: {_MOST_DOTS} trials."
    if sweep.halved.any():
        note += " Those halved away stand where they stopped."
    if sweep.partial:
        note += " So far: the last evaluations, of the repeats that came to one."
    return note


def _whose(axis: ChartAxis) -> str:
    return "stretch of values" if len(axis.cells) < len(axis.values) else "value"


def _groups(sweep: SweepView, per: tuple[ChartAxis, ...]) -> list[tuple[str, Indices]]:
    """(label, 0 for its members) of each combination of values that have a winner."""
    cells = [axis.cell(sweep.column(axis)) for axis in per]
    found = []
    for at in product(*(range(len(axis.values)) for axis in per)):
        label = ", ".join(
            f"{axis.name} {axis.label(axis.values[i])}" for axis, i in zip(per, at, strict=True)
        )
        inside = np.all([cell == i for cell, i in zip(cells, at, strict=True)], axis=0)
        found.append((label, np.where(inside, 0, -1)))
    return found[:_MOST_LINES]


def _dots(sweep: SweepView, x: Numbers) -> list[Series]:
    """Every trial, or an even choice of them."""
    known = np.flatnonzero(np.isfinite(x) & np.isfinite(sweep.value))
    if not len(known):
        return []
    if len(known) > _MOST_DOTS:
        known = known[np.linspace(0, len(known) - 1, _MOST_DOTS).astype(int)]
    trace = {
        "type": "scatter",
        "mode": "markers",
        "x": listed(x[known]),
        "y": listed(sweep.value[known]),
        "text": [escaped(sweep.label(t)) for t in known.tolist()],
        "marker": {"size": 5, "color": "var(--faint)/0.7"},
        "hovertemplate": "%{y:.4~g} (%{text})<extra></extra>",
    }
    return [Series("trials", "var(--faint)", (trace,), marker=True)]


def _diverged(sweep: SweepView, x: Numbers) -> list[Series]:
    """A cross at the upper edge for each value at which a trial diverged."""
    places = np.unique(x[sweep.diverged & np.isfinite(x)])
    if not len(places):
        return []
    counts = [int((sweep.diverged & (x == place)).sum()) for place in places]
    trace = {
        "type": "scatter",
        "mode": "markers",
        "x": listed(places),
        "y": [0.97] * len(places),
        "yaxis": "y2",
        "text": [f"{counted(n, 'trial')} diverged" for n in counts],
        "marker": {"symbol": "x-thin", "size": 8, "line": {"width": 2, "color": _DIVERGED}},
        "hovertemplate": "%{text}<extra></extra>",
    }
    return [Series("diverged", _DIVERGED, (trace,), marker=True)]


_DIVERGED = "var(--vermillion)"


def _envelope(
    sweep: SweepView, axis: ChartAxis, cells: Indices, label: str, i: int
) -> Trace | None:
    """The best trial of each cell."""
    best = sweep.best_in(cells, len(axis.cells))
    at = best[best >= 0]
    if not len(at):
        return None
    x = np.array([axis.place(sweep.rows[t].get(axis.path)) for t in at.tolist()])
    trace = line(x, sweep.value[at], colour(i), label, dashed=dash(i))
    trace |= {"mode": "lines+markers", "marker": {"size": 6, "color": colour(i)}}
    if len(at) > 60:
        trace["marker"]["size"] = 3
    trace["text"] = [escaped(sweep.label(t)) for t in at.tolist()]
    trace["hovertemplate"] = "%{y:.4~g} (%{text})<extra></extra>"
    if np.isfinite(sweep.std[at]).any():
        bars = {"type": "data", "array": listed(np.nan_to_num(sweep.std[at]))}
        trace["error_y"] = bars | {"color": f"{colour(i)}/0.6", "thickness": 1.2, "width": 3}
    return trace
