"""The metric over two swept values: the best trial of each pair, in shades."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np

from trainer.report.charts.chart import Chart, Series, Trace, View, escaped, layout, listed
from trainer.text.names import cut_apart

if TYPE_CHECKING:
    from trainer.report.sweep.axes import ChartAxis, Numbers
    from trainer.report.sweep.view import SweepView

_MOST_CELLS = 120  # along one axis
_MOST_PAIRS = 6
_CLEAR = 0.1  # of the variance of ranks, to say that an axis matters
_MOST_WRITTEN = 120  # cells that have their value in them
_MOST_NAMES = 16  # along one axis


def heat_map(sweep: SweepView) -> Chart | None:
    """Pairs of axes, those first along which the metric moves most; the reader chooses."""
    explained = {axis.path: _explained(sweep, axis) for axis in sweep.axes}
    axes = sorted(sweep.axes, key=lambda axis: -explained[axis.path])
    pairs = [pair for pair in combinations(axes, 2) if _crossed(sweep, *pair)][:_MOST_PAIRS]
    if not pairs or not np.isfinite(sweep.value).any():
        return None
    views = [_view(sweep, *pair) for pair in pairs]
    rows = max(len(trace["z"]) for view in views for trace in view.series[0].traces)
    better = "smaller" if sweep.minimize else "larger"
    note = f"The best trial of each pair of values; the bluer the better ({better})."
    if sweep.run_data.best:
        note += " Framed: the chosen one."
    if sweep.diverged.any():
        note += " ×: all diverged."
    title = f"{sweep.title} over {axes[0].name} and {axes[1].name}"
    if len(axes) > 2:
        first = [axis.name for axis in pairs[0] if explained[axis.path] > _CLEAR]
        first = sorted(first, key=[axis.name for axis in axes].index)
        sentence = f"{' and '.join(first)} matter{'s' * (len(first) == 1)} most"
        title = f"{sweep.title} over two axes" + (f": {sentence}" if first else "")
    height = 90 + min(max(22 * rows, 160), 560)
    return Chart(title, note, tuple(views), height=height, wide=True, choice="axes")


def _explained(sweep: SweepView, axis: ChartAxis) -> float:
    """The share of the variance of the trials' ranks that an axis explains, less that of chance."""
    cells = axis.cell(sweep.column(axis))
    rank = np.flatnonzero((cells >= 0) & np.isfinite(sweep.value))
    if len(rank) < 3:
        return 0.0
    _, which = np.unique(cells[rank], return_inverse=True)
    count = np.bincount(which)
    free = len(rank) - len(count)
    if free < 1:
        return 0.0
    within = ((rank - (np.bincount(which, rank) / count)[which]) ** 2).sum() / free
    return float(1 - within / (rank.var(ddof=1) or 1.0))


def _crossed(sweep: SweepView, a: ChartAxis, b: ChartAxis) -> bool:
    """Whether a pair fills a grid that can be read, not only its diagonal."""
    sizes = len(a.cells), len(b.cells)
    i, j = a.cell(sweep.column(a)), b.cell(sweep.column(b))
    if not ((i >= 0) & (j >= 0) & np.isfinite(sweep.value)).any():  # of blocks that never meet
        return False
    filled = len(np.unique(i * sizes[1] + j))
    return max(sizes) <= _MOST_CELLS and filled > max(sizes) and 8 * filled >= sizes[0] * sizes[1]


def _view(sweep: SweepView, a: ChartAxis, b: ChartAxis) -> View:
    across, down = (a, b) if len(a.cells) >= len(b.cells) else (b, a)
    columns, rows = across.labels(), down.labels()
    i, j = across.cell(sweep.column(across)), down.cell(sweep.column(down))
    cell = np.where((i >= 0) & (j >= 0), j * len(columns) + i, -1)
    best = sweep.best_in(cell, len(columns) * len(rows)).reshape(len(rows), -1)
    z = np.where(best >= 0, sweep.value[best], np.nan)
    marks = _texts(sweep, z, cell)
    trace: Trace = _cells(sweep, z) | {
        "text": marks,
        "texttemplate": "%{text}",
        "textfont": {"color": "var(--ink)"},
        "customdata": [
            [escaped(sweep.label(t)) if t >= 0 else "" for t in row] for row in best.tolist()
        ],
        "hovertemplate": ("%{z:.4~%}" if sweep.is_share else "%{z:.4~g}")
        + "<br>%{customdata}<extra></extra>",
    }
    t = sweep.chosen
    inside = t is not None and i[t] >= 0 and j[t] >= 0
    plan = layout(
        across.name,
        down.name,
        x_axis=_ticks(columns, 14),
        y_axis=_ticks(rows, 14) | {"nticks": 0},
        hovermode="closest",
        shapes=[_frame(int(i[t]), int(j[t]))] if inside else [],
    )
    series = (Series("", "var(--blue)", (trace,)),)
    return View(f"{down.name} by {across.name}", series, plan)


def _cells(sweep: SweepView, z: Numbers) -> Trace:
    """The shades: what is far worse than the best is all alike."""
    low, high = float(np.nanmin(z)), float(np.nanmax(z))
    if sweep.minimize:
        high = float(np.nanquantile(z, 0.7))
        scale = [[0, "var(--cell)"], [1, "var(--pale)"]]
    else:
        low = float(np.nanquantile(z, 0.3))
        scale = [[0, "var(--pale)"], [1, "var(--cell)"]]
    return {
        "type": "heatmap",
        "z": [listed(row, 4) for row in z],
        "zmin": low,
        "zmax": high if high > low else low + 1e-12,
        "colorscale": scale,
        "colorbar": {
            "thickness": 10,
            "outlinewidth": 0,
            "nticks": 5,
            "tickfont": {"color": "var(--soft)"},
            "tickformat": ".3~%" if sweep.is_share else "~g",
        },
        "xgap": 1,
        "ygap": 1,
        "hoverongaps": False,
    }


def _texts(sweep: SweepView, z: Numbers, cell: Any) -> list[list[str]]:
    """The value in each cell, where there is room; a cross where all diverged."""
    tried = np.zeros(z.size, bool)
    tried[cell[sweep.diverged & (cell >= 0)]] = True
    empty: list[list[bool]] = (tried.reshape(z.shape) & ~np.isfinite(z)).tolist()
    written = z.size <= _MOST_WRITTEN and z.shape[1] <= 12
    return [
        [
            "×" if gone else _few(sweep, value) if written and np.isfinite(value) else ""
            for value, gone in zip(row, gone_row, strict=True)
        ]
        for row, gone_row in zip(z.tolist(), empty, strict=True)
    ]


def _few(sweep: SweepView, value: float) -> str:
    return sweep.shown(value) if sweep.is_share else f"{value:.3g}"


def _frame(i: int, j: int) -> dict[str, Any]:
    rule = {"color": "var(--orange)", "width": 3}
    corners = {"x0": i - 0.5, "x1": i + 0.5, "y0": j - 0.5, "y1": j + 0.5}
    return {"type": "rect", **corners, "line": rule}


def _ticks(names: list[str], most: int) -> dict[str, Any]:
    every = -(-len(names) // _MOST_NAMES)
    return {
        "tickvals": list(range(0, len(names), every)),
        "ticktext": list(map(escaped, cut_apart(names[::every], most))),
        "range": [-0.5, len(names) - 0.5],
        "showgrid": False,
    }
