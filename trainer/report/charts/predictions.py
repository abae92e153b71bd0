"""Charts of what the chosen model says of one split: of classes, of labels, of numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainer.report.charts import curves
from trainer.report.charts.chart import (
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
    square,
    tick_format,
)
from trainer.report.charts.downsample import downsample
from trainer.report.prediction_data import PredictionData
from trainer.text.numbers import counted, number, percent, short

_MOST_CLASSES = 30  # in a confusion matrix
_MOST_LABELS = 6  # curves in one chart
_MOST_TARGETS = 24
_UNIT: dict[str, Any] = {"tickformat": ".1~f", "nticks": 6}
_DIAGONAL = {"color": "var(--soft)", "width": 1, "dash": "dot"}


def charts(outcome: PredictionData) -> list[Chart]:
    """The charts that suit the kind of target."""
    if outcome.kind == "numbers":
        return number_charts(outcome)
    if outcome.kind == "multilabel":
        return ranking_charts(outcome, dict(enumerate(outcome.names)))
    if len(outcome.names) == 2 and outcome.kind == "labels":
        return [*ranking_charts(outcome, {1: outcome.names[1]}), confusion_chart(outcome)]
    return [confusion_chart(outcome), confidence_chart(outcome)]


# --- classes --------------------------------------------------------------------------------------


def confusion_chart(outcome: PredictionData) -> Chart:
    """Rows by true and predicted class, each shaded by its share of the true class."""
    matrix = curves.confusion(outcome.target, outcome.prediction, len(outcome.names))
    shown = curves.most_confused(matrix, _MOST_CLASSES)
    of_class = matrix.sum(axis=1)[shown]
    matrix = matrix[np.ix_(shown, shown)]
    names = [outcome.names[i] for i in shown]
    with np.errstate(invalid="ignore", divide="ignore"):
        share = matrix / of_class[:, None]
    right = np.eye(len(shown), dtype=bool)
    hover = [
        [
            f"{escaped(names[i])} taken for {escaped(names[j])}"
            if i != j
            else f"{escaped(names[i])} recognised"
            for j in range(len(names))
        ]
        for i in range(len(names))
    ]
    cells = [
        _cells(np.where(where & (matrix > 0), share, np.nan), matrix, hover, hue)
        for where, hue in ((right, "var(--blue)"), (~right, "var(--vermillion)"))
    ]
    numbers = [_numbers(matrix, share)] if len(names) <= 12 else []
    axis = {
        "tickvals": list(range(len(names))),
        "ticktext": [escaped(short(name, 12)) for name in names],
        "showgrid": False,
        "range": [-0.5, len(names) - 0.5],
    }
    series = (
        Series("right", "var(--blue)", (cells[0],), marker=True),
        Series("wrong", "var(--vermillion)", (cells[1], *numbers), marker=True),
    )
    note = (
        "Rows by true class (down) and predicted class (across); the stronger the colour, the more"
        " of the true class."
    )
    if outcome.kind == "distribution":
        note += " Of the soft labels the largest share counts as the true class."
    if len(shown) < len(outcome.names):
        note += (
            f" The {len(shown)} of {len(outcome.names)} classes with the most mistakes; a row of"
            " theirs may have gone to a class that is not shown."
        )
    plan = layout(
        "predicted",
        "true",
        x_axis={**axis, "tickangle": "auto", "side": "bottom"},
        y_axis={**axis, "nticks": 0, "range": [len(names) - 0.5, -0.5]},
        hovermode="closest",
    )
    return Chart("Confusion matrix", note, (View("", series, plan),), height=0)


def _cells(
    share: NDArray[np.float64], counts: NDArray[np.int64], hover: list[list[str]], hue: str
) -> Trace:
    return {
        "type": "heatmap",
        "z": [listed(row, 3) for row in share],
        "text": [[f"{n:,}" if n else "" for n in row] for row in counts.tolist()],
        "customdata": hover,
        "texttemplate": "",
        "hovertemplate": "%{customdata}: %{text} (%{z:.1%})<extra></extra>",
        "hoverongaps": False,
        "zmin": 0,
        "zmax": 1,
        "colorscale": [[0, f"{hue}/0.12"], [1, hue]],
        "showscale": False,
        "xgap": 1,
        "ygap": 1,
    }


def _numbers(counts: NDArray[np.int64], share: NDArray[np.float64]) -> Trace:
    """The counts as letters that stand out from the shade of their cell."""
    i, j = np.nonzero(counts)
    return {
        "type": "scatter",
        "mode": "text",
        "x": j.tolist(),
        "y": i.tolist(),
        "text": [f"{n:,}" for n in counts[i, j].tolist()],
        "textfont": {
            "size": 12,
            "color": ["var(--card)" if s > 0.5 else "var(--ink)" for s in share[i, j].tolist()],
        },
        "hoverinfo": "skip",
    }


def confidence_chart(outcome: PredictionData) -> Chart:
    """How often the predicted class is right, by the probability it was predicted with."""
    sure = outcome.p.max(axis=1)
    right = (outcome.target == outcome.prediction).astype(np.float64)
    note = (
        "Of rows predicted with probability p, how many were right? On the dotted line: p of them."
    )
    return _calibration_chart("Confidence", note, "right", [("", right, sure)])


# --- one label, or several, each yes or no --------------------------------------------------------


def ranking_charts(outcome: PredictionData, labels: dict[int, str]) -> list[Chart]:
    """ROC, precision-recall and calibration.

    Args:
        outcome: of two classes, or of several labels.
        labels: {column of p: its name}.
    """
    true = {i: _is(outcome, i) for i in labels}
    ranked = {i: curves.ranking(true[i], outcome.p[:, i]) for i in labels}
    known = {i: r for i, r in ranked.items() if r is not None}
    worst = sorted(known, key=lambda i: known[i].average_precision)[:_MOST_LABELS]
    shown = [i for i in known if i in worst]
    picked = (
        f" The {len(shown)} of {len(labels)} labels with the lowest average precision."
        if len(shown) < len(labels)
        else ""
    )
    found = []
    if shown:
        found = [
            _roc_chart({labels[i]: known[i] for i in shown}, picked),
            _precision_chart({labels[i]: known[i] for i in shown}, picked),
        ]
    pooled = [("", np.concatenate([true[i] for i in labels]), outcome.p[:, list(labels)].T.ravel())]
    note = "Of rows given probability p, how many were positive? On the dotted line: p of them."
    if len(labels) > 1:
        note += " All labels together."
    return [*found, _calibration_chart("Calibration", note, "positive", pooled)]


def _is(outcome: PredictionData, i: int) -> NDArray[np.float64]:
    if outcome.kind == "multilabel":
        return np.asarray(outcome.target[:, i], dtype=np.float64)
    return np.asarray(outcome.target == i, dtype=np.float64)


def _roc_chart(ranked: dict[str, curves.Ranking], picked: str) -> Chart:
    series = [
        _ranked_series(i, name, f"AUC {number(r.auc)}", r.false_rate, r.true_rate, len(ranked))
        for i, (name, r) in enumerate(ranked.items())
    ]
    note = (
        "Positives found against false alarms, for every threshold; each row counts once."
        " Guessing gives the dotted line."
    )
    return _square_chart(
        "ROC",
        note + picked,
        series,
        "share of negatives taken for positive",
        "share of positives found",
        _rule(0, 0, 1, 1),
    )


def _precision_chart(ranked: dict[str, curves.Ranking], picked: str) -> Chart:
    series = []
    for i, (name, r) in enumerate(ranked.items()):
        x, y = r.true_rate, np.append(r.precision[:1], r.precision)
        told = f"AP {number(r.average_precision)}"
        series.append(_ranked_series(i, name, told, x, y, len(ranked), shape="vh"))
    note = "How many of the rows found are positive, against how many positives are found."
    rules = []
    if len(ranked) == 1:
        (only,) = ranked.values()
        note += f" Guessing gives the dotted line, {percent(only.share)}."
        rules = _rule(0, only.share, 1, only.share)
    return _square_chart(
        "Precision and recall",
        note + picked,
        series,
        "recall: share of positives found",
        "precision",
        rules,
    )


def _ranked_series(
    i: int, name: str, told: str, x: Any, y: Any, of: int, shape: str = "linear"
) -> Series:
    x, y = downsample(x, y, 1000)
    trace = line(x, y, colour(i), name, dashed=dash(i), width=2)
    trace["line"]["shape"] = shape
    trace["hovertemplate"] = "%{x:.3f}, %{y:.3f}"
    label = f"{short(name, 24)}: {told}"
    return Series(label, colour(i), (trace,), dash(i))


def _calibration_chart(
    title: str, note: str, what: str, parts: list[tuple[str, Any, Any]]
) -> Chart:
    series: list[Series] = []
    for i, (name, y, p) in enumerate(parts):
        found = curves.calibration(y, p)
        if found is None:
            continue
        n = found.rows[found.rows > 0]
        trace = line(found.predicted, found.observed, colour(i), name or title)
        trace |= {
            "mode": "lines+markers",
            "marker": {"size": 8},
            "error_y": {
                "type": "data",
                "symmetric": False,
                "array": listed(found.high - found.observed, 4),
                "arrayminus": listed(found.observed - found.low, 4),
                "thickness": 1.2,
                "width": 3,
                "color": f"{colour(i)}/0.6",
            },
            "customdata": n.tolist(),
            "hovertemplate": f"p = %{{x:.3f}}: %{{y:.1%}} {what}, of %{{customdata:,d}}"
            "<extra></extra>",
        }
        bars: Trace = {
            "type": "bar",
            "x": listed(np.arange(len(found.rows)) / len(found.rows) + 0.05),
            "y": listed(found.rows),
            "width": 0.094,
            "yaxis": "y2",
            "marker": {"color": "var(--faint)", "line": {"width": 0}},
            "hovertemplate": "%{y:,d} rows<extra></extra>",
        }
        series += [
            Series(f"share {what}, with its 95 % interval", colour(i), (trace,), marker=True),
            Series("rows", "var(--faint)", (bars,), marker=True),
        ]
        note += f" Off by {number(found.error, 2)} on average."
    chart = _square_chart(
        title, note, series, "predicted probability", f"share {what}", _rule(0, 0, 1, 1)
    )
    plan = chart.views[0].layout
    plan["yaxis"]["domain"] = [0.24, 1]
    plan["yaxis2"] = {
        "domain": [0, 0.16], "showgrid": False, "zeroline": False, "automargin": True,
        "nticks": 3, "tickformat": "~s", "rangemode": "tozero", "fixedrange": True,
    }  # fmt: skip
    plan["xaxis"]["anchor"] = "y2"
    return chart


# --- numbers --------------------------------------------------------------------------------------


def number_charts(outcome: PredictionData) -> list[Chart]:
    """Predicted against true, and the histogram of ŷ − y; of several targets, one at a time."""
    scatter, bars = [], []
    names = outcome.names[:_MOST_TARGETS]
    for i, name in enumerate(names):
        y, predicted = outcome.target[:, i], outcome.prediction[:, i]
        label = name if len(names) > 1 else ""
        scatter.append(_scatter_view(label, y, predicted, outcome.row))
        bars.append(_residual_view(label, predicted - y))
    more = len(outcome.names) - len(names)
    left_out = f" {counted(more, 'more target')} not shown." if more else ""
    return [
        Chart(
            "Predicted against true",
            f"Above the dotted line predicted too high, below it too low.{left_out}",
            tuple(scatter),
            height=0,
            choice="target",
        ),
        Chart(
            "Residuals",
            "ŷ − y, predicted minus true: narrow and about 0 is good, a long tail is a kind of row"
            " that the model misses.",
            tuple(bars),
            height=0,
            choice="target",
        ),
    ]


def _scatter_view(name: str, y: Any, predicted: Any, row: Any) -> View:
    error = predicted - y
    shown = curves.some_rows(error)
    note = ""
    if len(shown) < len(y):
        note = f"{len(shown):,} of {len(y):,} rows: the 100 largest misses, the others at random."
    low = float(min(y.min(), predicted.min()))
    high = float(max(y.max(), predicted.max()))
    low, high = (low, high) if high > low else (low - 1, high + 1)
    points: Trace = {
        "type": "scatter",
        "mode": "markers",
        "x": listed(y[shown]),
        "y": listed(predicted[shown]),
        "customdata": listed(row[shown]),
        "marker": {"size": 5, "color": "var(--blue)/0.45", "line": {"width": 0}},
        "hovertemplate": "row %{customdata}<br>true %{x:,.5~r}<br>predicted %{y:,.5~r}"
        "<extra></extra>",
    }
    axis = square((low, high)) | {
        "tickformat": tick_format(max(abs(low), abs(high)) / 10),
        "nticks": 6,
    }
    plan = layout(
        "true", "predicted", x_axis=axis, y_axis=axis, hovermode="closest",
        shapes=_rule(low, low, high, high),
    )  # fmt: skip
    return View(name, (Series("", "var(--blue)", (points,)),), plan, note)


def _residual_view(name: str, error: NDArray[np.float64]) -> View:
    found = curves.histogram(error)
    width = found.edges[1] - found.edges[0]
    bars: Trace = {
        "type": "bar",
        "x": listed((found.edges[:-1] + found.edges[1:]) / 2),
        "y": listed(found.counts),
        "width": float(f"{width:.5g}") * 0.92,
        "marker": {"color": "var(--blue)", "line": {"width": 0}},
        "hovertemplate": "%{x:,.4~r} ± "
        + escaped(number(width / 2, 2))
        + ": %{y:,d} rows<extra></extra>",
    }
    note = (
        f"{counted(found.outside, 'row')} beyond the edges: counted in the outermost bars."
        if found.outside
        else ""
    )
    plan = layout(
        "ŷ − y", "rows", hovermode="closest", bargap=0,
        x_axis={"tickformat": tick_format(float(found.edges[-1]) / 10), "nticks": 7},
        y_axis={"tickformat": tick_format(float(found.counts.max()) / 10), "rangemode": "tozero"},
        shapes=_rule(0, 0, 0, 1, yref="paper"),
    )  # fmt: skip
    return View(name, (Series("", "var(--blue)", (bars,)),), plan, note)


# --- shared ---------------------------------------------------------------------------------------


def _square_chart(
    title: str, note: str, series: list[Series], x: str, y: str, rules: list[dict[str, Any]]
) -> Chart:
    axis = {**_UNIT, **square((0, 1))}
    plan = layout(x, y, x_axis=axis, y_axis=axis, hovermode="closest", shapes=rules)
    return Chart(title, note, (View("", tuple(series), plan),), height=0)


def _rule(x0: float, y0: float, x1: float, y1: float, **more: Any) -> list[dict[str, Any]]:
    """A dotted line of reference."""
    ends = {"x0": x0, "y0": y0, "x1": x1, "y1": y1}
    return [{"type": "line", "layer": "below", "line": _DIAGONAL, **ends, **more}]
