"""How the trials of a sweep went: learning curves, halving, coefficients by penalty."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainer.report.axis_charts import value_scale, x_axis
from trainer.report.chart import (
    Chart,
    Series,
    Trace,
    View,
    above_0,
    colour,
    dash,
    layout,
    line,
)
from trainer.report.sweep import Axis, Numbers, SweepView, settings_words
from trainer.report.thin import thin
from trainer.report.training import counted_axis
from trainer.report.words import counted, short, text

_IN_COLOUR = 20
_MOST_POINTS = 200
_PENALTIES = ("penalty.l1", "penalty.l2", "penalty.alpha", "penalty.C")
_MOST_PATHS = 30  # coefficients


def learning_curves(sweep: SweepView) -> Chart | None:
    """The ranking metric of each evaluation: the best twenty in colour, the rest as a band."""
    history = sweep.material.history
    if history is None or sweep.metric not in history.column_names:
        return None
    unit = "step" if sweep.material.config.get("optimizer", {}).get("steps") else "epoch"
    place = {row["trial"]: i for i, row in enumerate(sweep.rows)}
    trial = history["trial"].to_numpy()
    rank = np.array([place.get(t, -1) for t in trial.tolist()])
    at = history[unit].to_numpy().astype(np.int64)
    value = history[sweep.metric].to_numpy(zero_copy_only=False).astype(np.float64)
    series: list[Series] = []
    if (band := _band(at, value, rank)) is not None:
        series.append(Series("the rest, 10 to 90 %", "var(--faint)", band, marker=True))
    shown = min(_IN_COLOUR, len(sweep.rows))
    for i in reversed(range(shown)):
        mine = rank == i
        if mine.any():
            x, y = _mean_at(at[mine], value[mine])
            label = f"trial {sweep.rows[i]['trial']}"
            strong = i == 0
            trace = line(
                *thin(x, y, _MOST_POINTS), colour(i), label,
                width=3 if strong else 1.2, dashed=dash(i), hover=strong,
            )  # fmt: skip
            series.append(Series(label, colour(i), (trace,), dash(i)))
    if not series:
        return None
    ends = value[np.isfinite(value)]
    scale = value_scale(sweep, ends)
    last = int(at.max()) if len(at) else 1
    note = (
        f"After each evaluation, means over repeats. The best {counted(shown, 'trial')} in colour."
    )
    plan = layout(unit, sweep.name, x_axis=counted_axis(unit, last), y_axis=scale)
    view = View("", (*series[:1], *reversed(series[1:])), plan)
    log = above_0(ends) if len(ends) else False
    return Chart("Learning curves", note, (view,), height=340, log=log, wide=True)


def _mean_at(at: NDArray[np.int64], value: Numbers) -> tuple[NDArray[np.int64], Numbers]:
    """The mean of the values at each place."""
    x, inverse = np.unique(at, return_inverse=True)
    return x, np.bincount(inverse, value) / np.bincount(inverse)


def _band(
    at: NDArray[np.int64], value: Numbers, rank: NDArray[np.int64]
) -> tuple[Trace, ...] | None:
    """Quantiles of the trials beyond the best twenty, as two curves with a fill between them."""
    rest = (rank >= _IN_COLOUR) & np.isfinite(value)
    if not rest.any():
        return None
    places = np.unique(at[rest])
    kept = places[np.unique(np.linspace(0, len(places) - 1, _MOST_POINTS).astype(int))]
    order = np.argsort(at[rest], kind="stable")
    sorted_at, sorted_value = at[rest][order], value[rest][order]
    ends = np.searchsorted(sorted_at, kept, "right")
    starts = np.searchsorted(sorted_at, kept, "left")
    quantiles = np.array(
        [np.quantile(sorted_value[a:b], [0.1, 0.9]) for a, b in zip(starts, ends, strict=True)]
    )
    low = line(kept, quantiles[:, 0], "var(--faint)/0.1", "", width=0, hover=False)
    high = line(kept, quantiles[:, 1], "var(--faint)/0.1", "", width=0, hover=False)
    return low, high | {"fill": "tonexty", "fillcolor": "var(--faint)/0.35"}


def coefficient_path(sweep: SweepView) -> Chart | None:
    """Each weight against the penalty, all else as the chosen trial has it."""
    arrays, axis = sweep.material.weights, _penalty_axis(sweep)
    if not arrays or axis is None or {"weights", "trial", "repeat"} - arrays.keys():
        return None
    best = sweep.material.best_row
    others = [other for other in sweep.axes if other is not axis]
    column_of = {
        int(t): k
        for k, (t, r) in enumerate(zip(arrays["trial"], arrays["repeat"], strict=True))
        if r == 0
    }
    found = sorted(
        (axis.place(row[axis.path]), column_of[row["trial"]])
        for row in sweep.rows
        if row["trial"] in column_of
        and row.get(axis.path) is not None
        and all(row.get(other.path) == best.get(other.path) for other in others)
    )
    if len(found) < 3:
        return None
    x = np.array([place for place, _ in found])
    weights = arrays["weights"][:, :, [k for _, k in found]].astype(np.float64)  # (D, C, P)
    D, C, _ = weights.shape
    flat = weights.reshape(D * C, -1)
    largest = np.argsort(-np.nan_to_num(np.abs(flat)).max(axis=1), kind="stable")[:_MOST_PATHS]
    traces = [
        line(
            x,
            flat[i],
            colour(n),
            _weight_name(sweep, *divmod(int(i), C)),
            dashed=dash(n),
            width=1.4,
        )
        for n, i in enumerate(largest.tolist())
    ]
    rule = {"color": "var(--soft)", "width": 1, "dash": "dot"}
    at = axis.place(best[axis.path])
    shape = {"type": "line", "xref": "x", "yref": "paper", "x0": at, "x1": at, "y0": 0, "y1": 1}
    plan = layout(
        axis.name,
        "weight",
        x_axis=x_axis(axis),
        y_axis={"tickformat": "~g"},
        hovermode="closest",
        shapes=[shape | {"line": rule}],
    )
    for trace in traces:
        trace["hovertemplate"] = "%{fullData.name}: %{y:.4~g}<extra></extra>"
    given = {other.path: best.get(other.path) for other in others}
    where = f" at {settings_words(sweep, given)}" if given else ""
    zeros = (flat == 0).mean(axis=0)
    sparse = f" {100 * zeros.max():.0f} % are exactly 0 at the strongest." if zeros.any() else ""
    note = f"The {len(traces)} largest of {counted(D * C, 'weight')}{where}, on scaled features."
    view = View("", (Series("", "var(--blue)", tuple(traces)),), plan)
    return Chart("Coefficient path", note + sparse, (view,), height=340, wide=True)


def _penalty_axis(sweep: SweepView) -> Axis | None:
    by_path = {axis.path: axis for axis in sweep.axes}
    return next((by_path[path] for path in _PENALTIES if path in by_path), None)


def _weight_name(sweep: SweepView, d: int, c: int) -> str:
    model = sweep.material.model
    if model is None or d >= len(model.features_):
        return f"weight {d}, {c}"
    feature, outputs = short(text(model.features_[d]), 24), model.encoder.outputs
    return feature if len(outputs) == 1 else f"{feature} → {text(outputs[c])}"


def halving_rows(sweep: SweepView) -> list[tuple[str, str, str]]:
    """(after which evaluation, how many went on, the best of those that did not)."""
    by_trial: dict[Any, Any] = {row["trial"]: row for row in sweep.rows}
    found = []
    for rung in sweep.material.results.get("halving") or ():
        dropped = rung.get("dropped") or ()
        best = by_trial.get(dropped[0]) if dropped else None
        value = best.get(sweep.metric) if best else None
        named = f"trial {best['trial']}" if best else "–"
        told = f"{named}, {sweep.shown(value)}" if best and value is not None else named
        going = f"{rung.get('kept', 0):,} of {rung.get('alive', 0):,}"
        found.append((f"{rung.get('evaluation', 0):,}", going, told))
    return found
