"""What each swept value did: the metric along an axis, over two axes, over all of them at once."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainer.report.chart import (
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
    y_scale,
)
from trainer.report.sweep import Axis, Numbers, SweepView, settings_words
from trainer.report.words import counted, short

_MOST_DOTS = 500
_MOST_CELLS = 40  # rows or columns of a heat map
_MOST_PAIRS = 6
_MOST_LINES = len(CYCLE) * 3
_LEAST_TENTH = 10  # trials that a "best tenth" has at least


def along_axes(sweep: SweepView) -> list[Chart]:
    """A chart an axis: of each value the best trial, with its spread, and all trials as dots."""
    per = sweep.per
    axes = [axis for axis in sweep.axes if axis not in per]
    charts = [_along(sweep, axis, per[0] if per else None) for axis in axes]
    return [*charts, *(_along(sweep, axis, None) for axis in per)]


def _along(sweep: SweepView, axis: Axis, per: Axis | None) -> Chart:
    x = sweep.column(axis)
    series: list[Series] = []
    dots = _dots(sweep, x)
    if dots is not None:
        series.append(Series("trials", "var(--faint)", (dots,), marker=True))
    groups: list[tuple[str, NDArray[np.bool_]]] = [("best at each value", np.ones(len(x), bool))]
    if per is not None:
        of = sweep.column(per)
        groups = [
            (f"{per.name} {per.label(value)}", of == per.place(value))
            for value in per.values[:_MOST_LINES]
        ]
    for i, (label, members) in enumerate(groups):
        trace = _envelope(sweep, x, members, label, i)
        if trace is not None:
            series.append(Series(label, colour(i), (trace,), dash(i)))
    spread = "; bars: the standard deviation over repeats" if np.isfinite(sweep.std).any() else ""
    note = f"Of each value the best trial, whatever else it had{spread}. Dots: every trial."
    if any(row.get("status") == "halved" for row in sweep.rows):
        note += " Those halved away are where they stopped."
    view = View("", tuple(series), _plan(sweep, axis, x))
    title = f"{sweep.name.capitalize()} by {axis.name}"
    return Chart(
        title,
        note,
        (view,),
        height=300,
        log=bool((sweep.value[np.isfinite(sweep.value)] > 0).all()),
    )


def _dots(sweep: SweepView, x: Numbers) -> Trace | None:
    """Every trial, or an even choice of them, best first."""
    known = np.flatnonzero(np.isfinite(x) & np.isfinite(sweep.value))
    if not len(known):
        return None
    if len(known) > _MOST_DOTS:
        known = known[np.linspace(0, len(known) - 1, _MOST_DOTS).astype(int)]
    return {
        "type": "scatter",
        "mode": "markers",
        "x": listed(x[known]),
        "y": listed(sweep.value[known]),
        "marker": {"size": 5, "color": "var(--faint)/0.55"},
        "hoverinfo": "skip",
    }


def _envelope(
    sweep: SweepView, x: Numbers, members: NDArray[np.bool_], label: str, i: int
) -> Trace | None:
    """The best trial at each place."""
    places = np.unique(x[np.isfinite(x) & members])
    best = [sweep.best_of(members & (x == place)) for place in places]
    found = [(place, t) for place, t in zip(places, best, strict=True) if t is not None]
    if not found:
        return None
    at = np.array([t for _, t in found])
    where = np.array([place for place, _ in found])
    trace = line(where, sweep.value[at], colour(i), label, dashed=dash(i))
    trace |= {"mode": "lines+markers", "marker": {"size": 6, "color": colour(i)}}
    trace["customdata"] = [
        escaped(f"trial {sweep.rows[t]['trial']}: {settings_words(sweep, _settings(sweep, t))}")
        for t in at.tolist()
    ]
    trace["hovertemplate"] = "%{y:.4~g} (%{customdata})<extra></extra>"
    if np.isfinite(sweep.std[at]).any():
        bars = {"type": "data", "array": listed(np.nan_to_num(sweep.std[at]))}
        trace["error_y"] = bars | {"color": f"{colour(i)}/0.6", "thickness": 1.2, "width": 3}
    return trace


def _settings(sweep: SweepView, t: int) -> dict[str, Any]:
    return {axis.path: sweep.rows[t].get(axis.path) for axis in sweep.axes}


def _plan(sweep: SweepView, axis: Axis, x: Numbers) -> dict[str, Any]:
    scale = value_scale(sweep, sweep.value)
    y_axis = scale | _in_sight(sweep, scale["type"] == "log")
    return layout(axis.name, sweep.name, x_axis=x_axis(axis), y_axis=y_axis, hovermode="closest")


def _in_sight(sweep: SweepView, log: bool) -> dict[str, Any]:
    """A range of y without what is far worse than most: one wild trial would hide the rest."""
    values = sweep.value[np.isfinite(sweep.value)]
    if len(values) < 4:
        return {}
    low, high = values.min(), values.max()
    near, far = np.quantile(values, [0.1, 0.9])
    reach = 3 * max(far - near, 1e-12)
    low, high = max(low, near - reach), min(high, far + reach)
    if log:
        low, high = np.log10(max(low, 1e-300)), np.log10(max(high, 1e-300))
    room = 0.06 * (high - low) or 0.1
    return {"range": listed([low - room, high + room])}


def value_scale(sweep: SweepView, values: Numbers) -> dict[str, Any]:
    """The y axis of the metric: log for losses that are several times as large as the best."""
    known = values[np.isfinite(values)]
    scale = y_scale(known) if len(known) else {"type": "linear"}
    if sweep.minimize and len(known) and known.min() > 0 and known.max() > 4 * known.min():
        scale |= {"type": "log", "tickformat": "~g"}
    return scale


def x_axis(axis: Axis) -> dict[str, Any]:
    """The axis of a swept value: words at even places, a log scale with its 0 apart."""
    if not axis.is_number:
        names = [escaped(short(axis.label(value), 14)) for value in axis.values]
        return {
            "tickvals": list(range(len(names))),
            "ticktext": names,
            "range": [-0.4, len(names) - 0.6],
        }
    if not axis.log:
        return {"tickformat": "~g", "nticks": 8}
    above = [value for value in axis.values if value > 0]
    first, last = np.log10(float(above[0])), np.log10(float(above[-1]))
    every = max(int(np.ceil((last - first) / 6)), 1)
    powers = list(range(int(np.ceil(first - 1e-9)), int(np.floor(last + 1e-9)) + 1, every))
    values = [10.0**p for p in powers]
    labels = [f"{value:g}" for value in values]
    start = first
    if axis.values[0] == 0:
        values, labels = [axis.zero, *values], ["0", *labels]
        start = np.log10(axis.zero)
    room = 0.04 * (last - start)
    return {
        "type": "log",
        "tickvals": values,
        "ticktext": labels,
        "range": listed([start - room, last + room]),
    }


# ---------------------------------------------------------------- two axes


def heat_map(sweep: SweepView) -> Chart | None:
    """The best metric of each pair of values, for the pairs of axes that matter most."""
    axes = sorted(sweep.axes, key=lambda axis: -_weight(sweep, axis))
    pairs = [pair for pair in combinations(axes, 2) if _fits(sweep, *pair)][:_MOST_PAIRS]
    views = [view for pair in pairs if (view := _cells(sweep, *pair)) is not None]
    if not views:
        return None
    rows = max(len(view.layout["yaxis"]["tickvals"]) for view in views)
    best = "smaller" if sweep.minimize else "larger"
    note = f"Of each pair of values the best trial; the bluer the better ({best})."
    height = 90 + min(max(22 * rows, 160), 22 * _MOST_CELLS)
    title = f"{sweep.name.capitalize()} over two axes"
    return Chart(title, note, tuple(views), height=height, wide=True, choice="axes")


def _weight(sweep: SweepView, axis: Axis) -> float:
    """How much the best trial's metric moves along an axis."""
    x = sweep.column(axis)
    best = [sweep.best_of(sweep.whole & (x == place)) for place in np.unique(x[np.isfinite(x)])]
    values = [sweep.value[t] for t in best if t is not None]
    return float(np.ptp(values)) if len(values) > 1 else 0.0


def _fits(sweep: SweepView, a: Axis, b: Axis) -> bool:
    """Whether a pair is a grid: neither axis with a value of its own for each trial."""
    sizes = len(a.values), len(b.values)
    return max(sizes) <= _MOST_CELLS and sizes[0] * sizes[1] <= 4 * len(sweep.rows)


def _cells(sweep: SweepView, a: Axis, b: Axis) -> View | None:
    across, down = (a, b) if len(a.values) >= len(b.values) else (b, a)
    x, y = sweep.column(across), sweep.column(down)
    xs = [across.place(value) for value in across.values]
    ys = [down.place(value) for value in down.values]
    best = [[sweep.best_of((x == i) & (y == j)) for i in xs] for j in ys]
    z = np.array([[np.nan if t is None else sweep.value[t] for t in row] for row in best])
    if not np.isfinite(z).any():
        return None
    # shades for the better part: what is far worse is all alike
    low, high = np.nanmin(z), np.nanmax(z)
    if sweep.minimize:
        high = np.nanquantile(z, 0.6)
    else:
        low = np.nanquantile(z, 0.4)
    hover = [
        ["" if t is None else escaped(f"trial {sweep.rows[t]['trial']}") for t in row]
        for row in best
    ]
    scale = [[0, "var(--blue)"], [1, "var(--card)"]]
    if not sweep.minimize:
        scale = [[0, "var(--card)"], [1, "var(--blue)"]]
    cells: Trace = {
        "type": "heatmap",
        "z": [listed(row, 4) for row in z],
        "customdata": hover,
        "hovertemplate": f"%{{z:.4~g}}<br>{escaped(across.name)} %{{x}},"
        f" {escaped(down.name)} %{{y}}<br>%{{customdata}}<extra></extra>",
        "x": [escaped(across.label(v)) for v in across.values],
        "y": [escaped(down.label(v)) for v in down.values],
        "zmin": float(low),
        "zmax": float(high if high > low else low + 1e-12),
        "colorscale": scale,
        "colorbar": {
            "thickness": 10,
            "outlinewidth": 0,
            "tickfont": {"color": "var(--soft)"},
            "tickformat": "~g",
        },
        "xgap": 1,
        "ygap": 1,
    }
    series = [Series("", "var(--blue)", (cells,))]
    top = sweep.best_of(sweep.whole)
    if top is not None and np.isfinite(x[top]) and np.isfinite(y[top]):
        mark: Trace = {
            "type": "scatter",
            "mode": "markers",
            "x": [escaped(across.label(sweep.rows[top][across.path]))],
            "y": [escaped(down.label(sweep.rows[top][down.path]))],
            "marker": {
                "symbol": "circle-open",
                "size": 12,
                "color": "var(--orange)",
                "line": {"width": 3, "color": "var(--orange)"},
            },
            "hoverinfo": "skip",
        }
        series.append(Series("", "var(--orange)", (mark,)))
    plan = layout(
        across.name,
        down.name,
        x_axis=_names(across) | {"type": "category"},
        y_axis=_names(down) | {"type": "category", "nticks": 0},
        hovermode="closest",
    )
    return View(f"{down.name} by {across.name}", tuple(series), plan)


def _names(axis: Axis) -> dict[str, Any]:
    names = [escaped(axis.label(value)) for value in axis.values]
    return {"tickvals": names, "ticktext": [short(n, 14) for n in names], "showgrid": False}


# ---------------------------------------------------------------- all axes


def parallel(sweep: SweepView) -> Chart | None:
    """A line a trial through its value on every axis: the best tenth, or all.

    Drawn as plain lines: plotly.js's own parallel coordinates want WebGL, which not all have.
    """
    known = np.flatnonzero(np.isfinite(sweep.value))
    if len(sweep.axes) < 2 or len(known) < 3:
        return None
    tenth = known[: max(len(known) // 10, min(_LEAST_TENTH, len(known)))]
    views = [_lines(sweep, tenth, "the best tenth"), _lines(sweep, known, "all")]
    if len(tenth) == len(known):
        views = views[1:]
    note = "A line is a trial, through its value on each axis; the bluer the better."
    return Chart("All axes", note, tuple(views), height=340, wide=True, choice="trials")


def _lines(sweep: SweepView, trials: NDArray[np.int64], name: str) -> View:
    """Trials as lines, in shades by their rank, the best on top."""
    scales = [_Upright(axis, sweep.column(axis)) for axis in sweep.axes]
    heights = [scale.heights(sweep.column(scale.axis)[trials]) for scale in scales]
    value = sweep.value[trials]
    spread = np.ptp(value) or 1.0
    best = value.min() if sweep.minimize else value.max()
    heights.append(1 - np.abs(value - best) / spread)
    points = np.array(heights)  # (axes + 1, T)
    shade = np.minimum((np.arange(len(trials)) * len(_SHADES)) // len(trials), len(_SHADES) - 1)
    traces = []
    for i in reversed(range(len(_SHADES))):
        mine = points[:, shade == i]
        if not mine.shape[1]:
            continue
        gaps = np.full((1, mine.shape[1]), np.nan)
        y = np.concatenate([mine, gaps]).T.reshape(-1)
        x = np.tile([*range(len(points)), np.nan], mine.shape[1])
        width = 2.0 if i == 0 else 1.0
        trace = line(x, y, _SHADES[i], "", width=width, hover=False)
        traces.append(trace | {"line": {**trace["line"], "shape": "linear"}})
    names = [*(escaped(short(scale.axis.name, 16)) for scale in scales), escaped(sweep.name)]
    ticks = [(i, h, text) for i, scale in enumerate(scales) for h, text in scale.ticks()]
    worst = value.max() if sweep.minimize else value.min()
    ticks += [
        (len(scales), 1.0, sweep.shown(float(best))),
        (len(scales), 0.0, sweep.shown(float(worst))),
    ]
    rule = {"color": "var(--line)", "width": 1}
    plan = layout(
        "",
        x_axis={
            "tickvals": list(range(len(names))),
            "ticktext": names,
            "side": "top",
            "range": [-0.25, len(names) - 0.55],
            "fixedrange": True,
        },
        y_axis={"visible": False, "range": [-0.06, 1.06], "fixedrange": True},
        hovermode=False,
        shapes=[
            {"type": "line", "x0": i, "x1": i, "y0": 0, "y1": 1, "layer": "below", "line": rule}
            for i in range(len(names))
        ],
        annotations=[
            {
                "x": i,
                "y": height,
                "text": escaped(text),
                "showarrow": False,
                "xanchor": "left",
                "xshift": 4,
                "font": {"size": 11, "color": "var(--soft)"},
                "bgcolor": "var(--card)/0.75",
            }
            for i, height, text in ticks
        ],
    )
    told = counted(len(trials), "trial")
    return View(f"{name} ({told})", (Series("", "var(--blue)", tuple(traces)),), plan)


_SHADES = ("var(--blue)/0.95", "var(--blue)/0.5", "var(--blue)/0.25", "var(--faint)/0.35")


class _Upright:
    """One upright axis: places of values to heights from 0 to 1."""

    def __init__(self, axis: Axis, places: Numbers) -> None:
        self.axis = axis
        self._log = axis.is_number and axis.log
        known = self._scaled(places[np.isfinite(places)])
        self._low, high = float(known.min()), float(known.max())
        self._span = (high - self._low) or 1.0

    def _scaled(self, places: Numbers) -> Numbers:
        return np.log10(places) if self._log else places

    def heights(self, places: Numbers) -> Numbers:
        """(T,) from 0 to 1."""
        return (self._scaled(places) - self._low) / self._span

    def ticks(self) -> list[tuple[float, str]]:
        """Heights with their labels: all values of a short axis, else its ends and middle."""
        values = self.axis.values
        if len(values) > _MOST_TICKS:
            at = np.unique(np.linspace(0, len(values) - 1, 5).astype(int))
            values = tuple(values[i] for i in at)
        places = np.array([self.axis.place(value) for value in values])
        labels = [short(self.axis.label(value), 12) for value in values]
        return list(zip(self.heights(places).tolist(), labels, strict=True))


_MOST_TICKS = 9
