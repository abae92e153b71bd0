"""Each weight of the model against the strength of the penalty, where all weights are kept."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from trainer.report.charts.chart import Chart, Series, Trace, View, colour, escaped, layout, line
from trainer.report.sweep.scales import x_axis
from trainer.report.sweep.words import settings_words
from trainer.text.names import cut_apart
from trainer.text.numbers import counted, text

if TYPE_CHECKING:
    from trainer.report.sweep.axes import ChartAxis, Numbers
    from trainer.report.sweep.view import SweepView

_PENALTIES = ("penalty.l1", "penalty.l2", "penalty.alpha", "penalty.C")
_MOST_PATHS = 30
_NAMED = 6


def coefficient_path(sweep: SweepView) -> Chart | None:
    """Along the penalty, all else as the chosen trial has it."""
    arrays = sweep.run_data.weights
    axis = next((axis for p in _PENALTIES for axis in sweep.axes if axis.path == p), None)
    if sweep.chosen is None or axis is None or {"weights", "trial", "repeat"} - arrays.keys():
        return None
    x, columns = _along(sweep, axis, arrays)
    if len(x) < 3:
        return None
    weights = arrays["weights"][:, :, columns].astype(np.float64)  # (D, C, P)
    flat = weights.reshape(-1, len(x))  # (DC, P)
    size = np.nan_to_num(np.abs(flat)).max(axis=1)
    largest = np.argsort(-size, kind="stable")[:_MOST_PATHS].tolist()
    series = _series(sweep, x, flat, largest, weights.shape[1])
    plan = layout(
        axis.name,
        "weight",
        x_axis=x_axis(axis),
        y_axis={"tickformat": "~g"},
        hovermode="closest",
        **_mark(axis.place(sweep.rows[sweep.chosen].get(axis.path))),
    )
    note = _note(sweep, axis, len(largest), len(flat))
    return Chart(
        f"Coefficient path{_zeros(axis, flat)}",
        note,
        (View("", series, plan),),
        height=360,
        wide=True,
    )


def _along(
    sweep: SweepView, axis: ChartAxis, arrays: Mapping[str, NDArray[Any]]
) -> tuple[Numbers, Any]:
    """(places on the axis, their columns) of the trials that differ from the chosen in it alone."""
    first = arrays["repeat"] == arrays["repeat"].min()
    column = dict(zip(arrays["trial"][first].tolist(), np.flatnonzero(first), strict=True))
    others = [other.path for other in sweep.axes if other is not axis]
    chosen = sweep.rows[sweep.chosen or 0]
    found = sorted(
        (axis.place(row[axis.path]), int(column[row["trial"]]))
        for row in sweep.rows
        if row["trial"] in column
        and row.get(axis.path) is not None
        and row.get("status") != "diverged"  # its weights would hide all others
        and all(row.get(path) == chosen.get(path) for path in others)
    )
    return np.array([place for place, _ in found]), [k for _, k in found]


def _series(
    sweep: SweepView, x: Numbers, flat: Numbers, largest: list[int], outputs: int
) -> tuple[Series, ...]:
    """The largest few by name, in colours of their own; the others grey behind them."""
    named: list[Series] = []
    others: list[Trace] = []
    names = _names(sweep, [divmod(i, outputs) for i in largest])
    for n, (i, name) in enumerate(zip(largest, names, strict=True)):
        stroke = colour(n) if n < _NAMED else "var(--faint)/0.8"
        trace = line(x, flat[i], stroke, name, width=2 if n < _NAMED else 1)
        trace["hovertemplate"] = f"{escaped(name)}: %{{y:.4~g}}<extra></extra>"
        if n < _NAMED:
            named.append(Series(name, stroke, (trace,)))
        else:
            others.append(trace)
    rest = [Series(f"{len(others)} more", "var(--faint)", tuple(others))] if others else []
    return *rest, *named


def _names(sweep: SweepView, places: list[tuple[int, int]]) -> list[str]:
    """Names of weights, each by its feature and its output."""
    model = sweep.run_data.model
    if model is None or any(d >= len(model.features_) for d, _ in places):
        return [f"weight {d}, {c}" for d, c in places]
    features = cut_apart([text(model.features_[d]) for d, _ in places], 24)
    outputs = model.encoder.outputs
    if len(outputs) == 1:
        return features
    return [
        f"{feature} → {text(outputs[c])}" for feature, (_, c) in zip(features, places, strict=True)
    ]


def _mark(at: float) -> dict[str, Any]:
    """An upright line where the chosen trial is."""
    rule = {"color": "var(--soft)", "width": 1, "dash": "dot"}
    ends = {"xref": "x", "yref": "paper", "x0": at, "x1": at, "y0": 0, "y1": 1}
    return {"shapes": [{"type": "line", **ends, "line": rule}]}


def _zeros(axis: ChartAxis, flat: Numbers) -> str:
    """How many weights are exactly 0, from the weak end of the penalty to the strong one."""
    zeros = (flat == 0).sum(axis=0)
    if not zeros.any():
        return ""
    weak, strong = (zeros[-1], zeros[0]) if axis.path == "penalty.C" else (zeros[0], zeros[-1])
    if weak == strong:
        return f": {weak:,} of {len(flat):,} weights are exactly 0 throughout"
    return f": from {weak:,} to {strong:,} of {len(flat):,} weights exactly 0"


def _note(sweep: SweepView, axis: ChartAxis, shown: int, of: int) -> str:
    chosen = sweep.settings(sweep.chosen or 0)
    given = {path: value for path, value in chosen.items() if path != axis.path}
    which = "All" if shown == of else f"The {shown} largest of"
    where = f", at {settings_words(sweep.axis_names, given)}" if given else ""
    first = " Those of the first repeat." if sweep.repeats > 1 else ""
    first += " Without those of trials that diverged." if sweep.diverged.any() else ""
    return (
        f"{which} {counted(of, 'weight')}, on scaled features{where}."
        f" Dotted: the chosen {axis.name}.{first}"
    )
