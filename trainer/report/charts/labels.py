"""Charts of labels that are yes or no, one or several: what each threshold would give."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from trainer.report.charts import curves
from trainer.report.charts.calibration import calibration_chart
from trainer.report.charts.chart import (
    Chart,
    Series,
    colour,
    dash,
    line,
    reference,
    square_chart,
)
from trainer.report.charts.downsample import downsample
from trainer.text.names import cut_apart
from trainer.text.numbers import number, percent

if TYPE_CHECKING:
    from trainer.report.prediction_data import PredictionData

_MOST_LABELS = 6  # curves in one chart


def ranking_charts(predictions: PredictionData, labels: dict[int, str]) -> list[Chart]:
    """ROC, precision-recall and calibration.

    Args:
        predictions: of two classes, or of several labels.
        labels: {column of p: its name}.
    """
    true = {i: _is(predictions, i) for i in labels}
    ranked = {i: curves.ranking(true[i], predictions.p[:, i]) for i in labels}
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
    pooled = np.concatenate([true[i] for i in labels])
    p = predictions.p[:, list(labels)].T.ravel()
    note = "Of rows given probability p, how many were positive? On the dotted line: p of them."
    if len(labels) > 1:
        note += " All labels together."
    return [*found, calibration_chart("Calibration", note, "positive", pooled, p)]


def _is(predictions: PredictionData, i: int) -> NDArray[np.float64]:
    if predictions.kind == "multilabel":
        return np.asarray(predictions.target[:, i], dtype=np.float64)
    return np.asarray(predictions.target == i, dtype=np.float64)


def _roc_chart(ranked: dict[str, curves.Ranking], picked: str) -> Chart:
    series = [
        _ranked_series(i, name, f"AUC {number(r.auc)}", r.false_rate, r.true_rate)
        for i, (name, r) in enumerate(_shown(ranked))
    ]
    note = (
        "Positives found against false alarms, for every threshold; each row counts once."
        " Guessing gives the dotted line."
    )
    return square_chart(
        "ROC",
        note + picked,
        series,
        "share of negatives taken for positive",
        "share of positives found",
        reference(0, 0, 1, 1),
    )


def _precision_chart(ranked: dict[str, curves.Ranking], picked: str) -> Chart:
    series = []
    for i, (name, r) in enumerate(_shown(ranked)):
        x, y = r.true_rate, np.append(r.precision[:1], r.precision)
        value = f"AP {number(r.average_precision)}"
        series.append(_ranked_series(i, name, value, x, y, shape="vh"))
    note = "How many of the rows found are positive, against how many positives are found."
    rules = []
    if len(ranked) == 1:
        (only,) = ranked.values()
        note += f" Guessing gives the dotted line, {percent(only.share)}."
        rules = reference(0, only.share, 1, only.share)
    return square_chart(
        "Precision and recall",
        note + picked,
        series,
        "recall: share of positives found",
        "precision",
        rules,
    )


def _ranked_series(i: int, name: str, value: str, x: Any, y: Any, shape: str = "linear") -> Series:
    x, y = downsample(x, y, 1000)
    trace = line(x, y, colour(i), name, dashed=dash(i), width=2)
    trace["line"]["shape"] = shape
    trace["hovertemplate"] = "%{x:.3f}, %{y:.3f}"
    return Series(f"{name}: {value}", colour(i), (trace,), dash(i))


def _shown(ranked: dict[str, curves.Ranking]) -> Iterable[tuple[str, curves.Ranking]]:
    """Each with its name as a legend has room for it."""
    return zip(cut_apart(list(ranked), 24), ranked.values(), strict=True)
