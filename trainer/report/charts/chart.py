"""Charts as plain data: what plotly.js draws, in the colours and letters of the page.

A colour is written `var(--name)` or `var(--name)/0.3`, a variable of report.css and an opacity; the
page puts in the light or the dark value, so a chart follows the reader's choice. Text is escaped
here, because plotly.js reads some HTML.
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from trainer.report.charts.downsample import spans_decades

Trace = dict[str, Any]
Layout = dict[str, Any]

# Okabe & Ito's colours, told apart with any colour vision; with a dash once they come round again.
CYCLE = ("blue", "vermillion", "green", "purple", "orange", "sky")
DASHES = ("solid", "dash", "dot", "dashdot")


class Series(NamedTuple):
    """Traces that belong together under one entry of the legend."""

    label: str
    colour: str
    traces: tuple[Trace, ...]
    dash: str = "solid"
    marker: bool = False


class View(NamedTuple):
    """One drawing; a chart of several lets the reader choose."""

    name: str
    series: tuple[Series, ...]
    layout: Layout
    note: str = ""


@dataclass(frozen=True)
class Chart:
    """A drawing with its title, and a sentence that says what is to be seen.

    Attributes:
        title, note: plain text.
        views: at least one.
        height: in pixels; 0 makes the drawing about as high as it is wide.
        log: whether the reader may switch the y axis between linear and log.
        wide: whether it takes the whole width of the page.
    """

    title: str
    note: str
    views: tuple[View, ...]
    height: int = 260
    log: bool = False
    wide: bool = False
    choice: str = field(default="", kw_only=True)


def colour(i: int) -> str:
    """The i-th colour of the cycle."""
    return f"var(--{CYCLE[i % len(CYCLE)]})"


def dash(i: int) -> str:
    """The dash of the i-th curve."""
    return DASHES[i // len(CYCLE) % len(DASHES)]


def escaped(text: str) -> str:
    """Text that plotly.js shows letter by letter."""
    return html.escape(text, quote=False)


def listed(values: Iterable[Any] | NDArray[Any], digits: int = 5) -> list[Any]:
    """Numbers for JSON, floats to some digits; what is not finite is null, a gap."""
    array = np.asarray(values)
    if array.dtype.kind in "iu":
        return list(array.tolist())
    numbers = array.astype(np.float64)
    return [
        float(f"{value:.{digits}g}") if finite else None
        for value, finite in zip(numbers.tolist(), np.isfinite(numbers).tolist(), strict=True)
    ]


def line(
    x: NDArray[Any],
    y: NDArray[Any],
    stroke: str,
    name: str,
    *,
    width: float = 1.8,
    dashed: str = "solid",
    hover: bool = True,
    apart: bool = False,
    **more: Any,
) -> Trace:
    """A curve through (x, y); one set apart stretches no axis."""
    trace: Trace = {
        "type": "scatter",
        "mode": "lines",
        "x": listed(x),
        "y": listed(y),
        "name": escaped(name),
        "line": {"color": stroke, "width": width, "dash": dashed},
        **more,
    }
    if apart:
        trace["apart"] = True
    if hover:
        trace.setdefault("hovertemplate", "%{y:.4~g}")
    else:
        trace["hoverinfo"] = "skip"
    return trace


def layout(
    x: str,
    y: str = "",
    *,
    x_axis: Mapping[str, Any] = {},
    y_axis: Mapping[str, Any] = {},
    **more: Any,
) -> Layout:
    """The layout all charts share, with the titles of the axes."""
    shared = {
        "automargin": True,
        "zeroline": False,
        "showline": False,
        "ticks": "",
        "ticklabelstandoff": 4,
        "tickformat": ",~r",
        "fixedrange": False,
        "gridcolor": "var(--grid)",
    }
    return {
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"size": 12, "color": "var(--soft)"},
        "margin": {"l": 6, "r": 14, "t": 8, "b": 6},
        "showlegend": False,
        "hovermode": "x unified",
        "hoverlabel": {
            "bgcolor": "var(--card)",
            "bordercolor": "var(--line)",
            "font": {"size": 12, "color": "var(--ink)"},
            "namelength": 28,
        },
        "xaxis": {**shared, "showgrid": False, "title": _title(x), **x_axis},
        "yaxis": {**shared, "nticks": 6, "title": _title(y), **y_axis},
        **more,
    }


def y_scale(*curves: NDArray[Any]) -> dict[str, Any]:
    """The y axis of curves: log where it helps, ticks in the form that suits their size.

    report.js places the ticks, of what is in sight.
    """
    finite = [curve[np.isfinite(curve)] for curve in curves]
    values = np.concatenate(finite) if finite else np.empty(0)
    most = float(np.abs(values).max()) if values.size else 1.0
    log = spans_decades(*curves)
    form = tick_format(most, log)
    if most and values.size and 0 < values.max() / most - values.min() / most < 1e-4:
        form = ""  # six digits do not tell ticks apart
    return {"type": "log" if log else "linear", "tickformat": form}


def above_0(*curves: NDArray[Any]) -> bool:
    """Whether a log scale can show all of the curves."""
    return all(bool((curve[np.isfinite(curve)] > 0).all()) for curve in curves)


def tick_format(most: float, log: bool = False) -> str:
    """d3's format of tick labels for values up to `most`."""
    if most >= 1e5:
        return "~s"
    if 0 < most < 1e-3 or log:
        return "~g"
    return ",~r"


def square(limit: Sequence[float]) -> dict[str, Any]:
    """The range of both axes of a square chart, with a little room around it."""
    room = (limit[1] - limit[0]) * 0.02
    return {"range": [limit[0] - room, limit[1] + room]}


def square_chart(
    title: str, note: str, series: Sequence[Series], x: str, y: str, rules: list[dict[str, Any]]
) -> Chart:
    """A chart of two shares of 1 against each other.

    Args:
        title: of the chart.
        note: the same.
        series: its curves.
        x: the title of that axis.
        y: the same.
        rules: lines of reference.
    """
    axis = {"tickformat": ".1~f", "nticks": 6, **square((0, 1))}
    plan = layout(x, y, x_axis=axis, y_axis=axis, hovermode="closest", shapes=rules)
    return Chart(title, note, (View("", tuple(series), plan),), height=0)


def reference(x0: float, y0: float, x1: float, y1: float, **more: Any) -> list[dict[str, Any]]:
    """A dotted line of reference."""
    stroke = {"color": "var(--soft)", "width": 1, "dash": "dot"}
    ends = {"x0": x0, "y0": y0, "x1": x1, "y1": y1}
    return [{"type": "line", "layer": "below", "line": stroke, **ends, **more}]


def _title(text: str) -> dict[str, Any]:
    return {"text": escaped(text), "standoff": 8, "font": {"size": 12, "color": "var(--soft)"}}
