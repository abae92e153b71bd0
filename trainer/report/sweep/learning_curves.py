"""How the trials of a sweep went: the ranking metric of each evaluation."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from trainer.report.charts.chart import (
    Chart,
    Series,
    Trace,
    View,
    above_0,
    colour,
    escaped,
    layout,
    line,
)
from trainer.report.charts.downsample import downsample
from trainer.report.charts.training import counted_axis
from trainer.report.sweep.scales import value_scale
from trainer.text import arrow
from trainer.text.numbers import counted

if TYPE_CHECKING:
    from trainer.report.sweep.axes import Numbers
    from trainer.report.sweep.view import SweepView

_IN_COLOUR = 20
_NAMED = 5  # of those in colour: each in a colour of its own
_MOST_POINTS = 200
_WILD = 1e3  # times the median: a curve that goes there is about to diverge


def learning_curves(sweep: SweepView) -> Chart | None:
    """The best twenty in colour, the rest as a band."""
    history = sweep.run_data.history
    if history is None or sweep.metric not in history.column_names:
        return None
    columns = set(zip(*(history[name].to_pylist() for name in ("trial", "repeat")), strict=True))
    if len(columns) == history.num_rows:  # one evaluation each, as solvers have
        return None
    unit = "step" if sweep.run_data.config.get("optimizer", {}).get("steps") else "epoch"
    place = {row["trial"]: i for i, row in enumerate(sweep.rows)}
    numbers, inverse = np.unique(arrow.numbers(history["trial"]), return_inverse=True)
    rank = np.array([place.get(n, -1) for n in numbers.tolist()])[inverse]
    at = arrow.numbers(history[unit]).astype(np.int64)
    value = arrow.numbers(history[sweep.metric]).astype(np.float64)
    solved = np.array([row.get("iterations") is not None for row in sweep.rows], bool)
    able = (rank >= 0) & np.isfinite(value) & ~sweep.diverged[rank] & ~solved[rank]
    rank, at, value = _means(rank[able], at[able], value[able])
    order = [t for t in _shown_first(sweep) if not solved[t]]
    shown = order[: min(_IN_COLOUR, len(order))]
    curves = {t: (at[rank == t], value[rank == t]) for t in shown if (rank == t).any()}
    if not curves:
        return None
    wild = _WILD * float(np.median(np.abs(value)))
    rest = ~np.isin(rank, shown)
    band = _band(at[rest], value[rest])
    last = int(at.max())
    plan = layout(
        unit,
        sweep.name,
        x_axis=counted_axis(unit, last),
        y_axis=value_scale(sweep, value[np.abs(value) <= wild]),
        hovermode="closest",
    )
    means = "means over repeats; " if sweep.repeats > 1 else ""
    note = f"{means}the best {counted(len(curves), 'trial')} in colour."
    if band:
        note += f" Grey: of the other {len(order) - len(shown):,} the middle 80 %."
    if sweep.halved.any():
        note += " Those halved away end where they stopped."
    series = (*band, *_in_colour(sweep, curves, order[0]))
    for trace in (trace for each in series for trace in each.traces):
        if max((abs(y) for y in trace["y"] if y is not None), default=0.0) > wild:
            trace["apart"] = True  # it would hide the rest
    if solved.any():
        note += " Without those of solvers, which have one evaluation."
    view = View("", series, plan)
    chosen = None if sweep.chosen is None else curves.get(sweep.chosen)
    title = f"Learning curves{_end(sweep, unit, chosen)}"
    return Chart(
        title, note[:1].upper() + note[1:], (view,), height=340, log=above_0(value), wide=True
    )


def _shown_first(sweep: SweepView) -> list[int]:
    """Positions of trials, the chosen one before the rest."""
    first = sweep.chosen or 0
    return [first, *(t for t in range(len(sweep.rows)) if t != first)]


def _end(sweep: SweepView, unit: str, best: tuple[NDArray[np.int64], Numbers] | None) -> str:
    """Whether the chosen trial was still gaining when it ended."""
    if best is None or len(best[0]) < 3 or not sweep.run_data.best:
        return ""
    x, y = best
    top = int(x[y.argmin() if sweep.minimize else y.argmax()])
    if top == int(x[-1]):
        return ": the winner was at its best at the end"
    return f": the winner was at its best at {unit} {top:,} of {int(x[-1]):,}"


def _in_colour(
    sweep: SweepView, curves: dict[int, tuple[NDArray[np.int64], Numbers]], chosen: int
) -> list[Series]:
    """The first few in colours of their own, the others of the best twenty in one."""
    found: list[Series] = []
    others: list[Trace] = []
    for i, (t, (x, y)) in enumerate(curves.items()):
        stroke = colour(i) if i < _NAMED else "var(--sky)/0.45"
        trace = line(*downsample(x, y, _MOST_POINTS), stroke, "", width=3 if i == 0 else 1.4)
        trace["text"] = escaped(sweep.label(t))
        trace["hovertemplate"] = "%{y:.4~g} at %{x} (%{text})<extra></extra>"
        trace["zorder"] = len(curves) - i
        if len(x) <= 10:
            trace |= {"mode": "lines+markers", "marker": {"size": 6 if i == 0 else 4}}
        if i < _NAMED:
            found.append(Series(f"trial {sweep.rows[t]['trial']}", colour(i), (trace,)))
        else:
            others.append(trace)
    if others:
        found.append(Series(f"the next {len(others)}", "var(--sky)", tuple(others)))
    return found


def _means(
    trial: NDArray[np.intp], at: NDArray[np.int64], value: Numbers
) -> tuple[NDArray[np.int64], NDArray[np.int64], Numbers]:
    """(trial, evaluation, mean over its repeats), those of a trial in order."""
    last = int(at.max(initial=0)) + 1
    cell, which = np.unique(trial * last + at, return_inverse=True)
    return cell // last, cell % last, np.bincount(which, value) / np.bincount(which)


def _band(at: NDArray[np.int64], value: Numbers) -> list[Series]:
    """Quantiles of the values at each place, as two curves with a fill between them."""
    if not len(at):
        return []
    places = np.unique(at)
    places = places[np.unique(np.linspace(0, len(places) - 1, _MOST_POINTS).astype(int))]
    order = np.argsort(at, kind="stable")
    at, value = at[order], value[order]
    starts, ends = np.searchsorted(at, places, "left"), np.searchsorted(at, places, "right")
    low, high = np.array(
        [np.quantile(value[a:b], [0.1, 0.9]) for a, b in zip(starts, ends, strict=True)]
    ).T
    edge = "var(--faint)/0.1"
    traces = (
        line(places, low, edge, "", width=0, hover=False),
        line(places, high, edge, "", width=0, hover=False)
        | {"fill": "tonexty", "fillcolor": "var(--faint)/0.35"},
    )
    return [Series("the rest", "var(--faint)", traces, marker=True)]
