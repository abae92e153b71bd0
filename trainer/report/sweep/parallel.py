"""All swept values at once: a line a trial, through its value on every axis.

Drawn as plain lines: plotly.js's own parallel coordinates want WebGL, which not all have.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from trainer.report.charts.chart import Chart, Series, View, escaped, layout, line
from trainer.report.charts.downsample import spans_decades
from trainer.text.names import cut_apart

if TYPE_CHECKING:
    from trainer.report.sweep.axes import ChartAxis, Numbers
    from trainer.report.sweep.view import SweepView

_LEAST_TENTH = 10  # trials that a "best tenth" has at least
_MOST_LINES = 2000
_MOST_TICKS = 9
_SHADES = ("var(--blue)/0.95", "var(--blue)/0.5", "var(--blue)/0.25", "var(--faint)/0.35")


def parallel(sweep: SweepView) -> Chart | None:
    """The best tenth, or all."""
    known = np.flatnonzero(np.isfinite(sweep.value))
    if len(sweep.axes) < 2 or len(known) < 3:
        return None
    tenth = known[: max(len(known) // 10, min(_LEAST_TENTH, len(known)))]
    views = [_lines(sweep, known, "all")]
    if len(tenth) < len(known):
        views.insert(0, _lines(sweep, tenth, "the best tenth:"))
    note = "A line is a trial, through its value on each axis; the bluer the better."
    title = "Every axis at once"
    return Chart(title, note, tuple(views), height=340, wide=True, choice="trials")


def _lines(sweep: SweepView, trials: NDArray[np.intp], name: str) -> View:
    """Trials as lines, in shades by their rank, the best on top."""
    count = f"{len(trials):,}"
    if len(trials) > _MOST_LINES:
        trials = trials[np.linspace(0, len(trials) - 1, _MOST_LINES).astype(int)]
        count = f"{_MOST_LINES:,} of {count}"
    scales = [_Upright(axis, sweep.column(axis)) for axis in sweep.axes]
    value = sweep.value[trials]
    best, worst = value.min(), value.max()
    if not sweep.minimize:
        best, worst = worst, best
    heights = [scale.heights(sweep.column(scale.axis)[trials]) for scale in scales]
    heights.append(_metric_heights(value, best, worst))
    traces = _traces(np.array(heights))
    ticks = [(i, h, text) for i, scale in enumerate(scales) for h, text in scale.ticks()]
    ticks += [(len(scales), 1.0, sweep.shown(best)), (len(scales), 0.0, sweep.shown(worst))]
    names = [*cut_apart([scale.axis.name for scale in scales], 16), sweep.name]
    names = list(map(escaped, names))
    names[-1] = names[-1].replace(" ", "<br>")  # plotly.js leaves out what has no room
    series = (Series("", "var(--blue)", tuple(traces)),)
    room = 7 * max(len(sweep.shown(best)), len(sweep.shown(worst)))
    return View(f"{name} {count}", series, _plan(names, ticks, room))


def _metric_heights(value: Numbers, best: float, worst: float) -> Numbers:
    """(T,) from the worst at 0 to the best at 1; evenly in decades where a loss spans some."""
    if spans_decades(value) and best < worst:
        value, best, worst = np.log10(value), np.log10(best), np.log10(worst)
    return np.asarray((value - worst) / ((best - worst) or 1.0))


def _traces(points: Numbers) -> list[dict[str, Any]]:
    """A trace a shade, its lines with gaps between them.

    Args:
        points: (axes, T) heights from 0 to 1, the best trial first.
    """
    count = points.shape[1]
    shade = np.minimum(np.arange(count) * len(_SHADES) // count, len(_SHADES) - 1)
    traces = []
    for i in reversed(range(len(_SHADES))):
        mine = points[:, shade == i]  # (axes, T_i)
        if not mine.shape[1]:
            continue
        gaps = np.full((1, mine.shape[1]), np.nan)
        x = np.tile([*range(len(points)), np.nan], mine.shape[1])
        y = np.round(np.concatenate([mine, gaps]).T.reshape(-1), 4)
        traces.append(line(x, y, _SHADES[i], "", width=2.0 if i == 0 else 1.0, hover=False))
    return traces


def _plan(names: list[str], ticks: list[tuple[int, float, str]], room: int) -> dict[str, Any]:
    rule = {"color": "var(--line)", "width": 1}
    return layout(
        "",
        x_axis={
            "tickvals": list(range(len(names))),
            "ticktext": names,
            "side": "top",
            "range": [-0.1, len(names) - 0.99],
            "fixedrange": True,
        },
        y_axis={"visible": False, "range": [-0.06, 1.06], "fixedrange": True},
        hovermode=False,
        margin={"l": 20, "r": max(50, room + 8), "t": 8, "b": 6},  # for the last axis' labels
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
                "bgcolor": "var(--card)/0.8",
            }
            for i, height, text in ticks
        ],
    )


class _Upright:
    """One upright axis: places of values to heights from 0 to 1."""

    def __init__(self, axis: ChartAxis, places: Numbers) -> None:
        self.axis = axis
        known = axis.scaled(places[np.isfinite(places)])
        self._low, high = float(known.min()), float(known.max())
        self._span = (high - self._low) or 1.0

    def heights(self, places: Numbers) -> Numbers:
        """(T,) from 0 to 1."""
        return (self.axis.scaled(places) - self._low) / self._span

    def ticks(self) -> list[tuple[float, str]]:
        """Heights with their labels: all values of a short axis, else some; none too near."""
        values = self.axis.values
        if len(values) > _MOST_TICKS:
            at = np.unique(np.linspace(0, len(values) - 1, 5).astype(int))
            values = tuple(values[i] for i in at)
        heights = self.heights(np.array([self.axis.place(value) for value in values])).tolist()
        kept = [0]
        kept += [i for i in range(1, len(heights)) if heights[i] - heights[kept[-1]] > 0.06]
        names = cut_apart([self.axis.label(values[i]) for i in kept], 12)
        return list(zip([heights[i] for i in kept], names, strict=True))
