"""Charts of predicted classes: which are taken for which, and how sure the model is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from trainer.report.charts import curves
from trainer.report.charts.calibration import calibration_chart
from trainer.report.charts.chart import Chart, Series, Trace, View, escaped, layout, listed
from trainer.text.names import cut_apart

if TYPE_CHECKING:
    from trainer.report.prediction_data import PredictionData

_MOST_CLASSES = 30  # in a confusion matrix


def confusion_chart(predictions: PredictionData) -> Chart:
    """Rows by true and predicted class, each shaded by its share of the true class."""
    matrix = curves.confusion(
        predictions.target, predictions.prediction, len(predictions.names)
    )  # (C, C)
    shown = curves.most_confused(matrix, _MOST_CLASSES)
    names = [predictions.names[i] for i in shown]
    of_class = matrix.sum(axis=1)[shown]  # of all predictions, also of those not shown
    counts = matrix[np.ix_(shown, shown)]
    with np.errstate(invalid="ignore", divide="ignore"):
        share = counts / of_class[:, None]
    axis = {
        "tickvals": list(range(len(names))),
        "ticktext": list(map(escaped, cut_apart(names, 12))),
        "showgrid": False,
        "range": [-0.5, len(names) - 0.5],
    }
    plan = layout(
        "predicted",
        "true",
        x_axis={**axis, "tickangle": "auto", "side": "bottom"},
        y_axis={**axis, "nticks": 0, "range": [len(names) - 0.5, -0.5]},
        hovermode="closest",
    )
    view = View("", _right_and_wrong(counts, share, names), plan)
    return Chart("Confusion matrix", _confusion_note(predictions, len(shown)), (view,), height=0)


def _right_and_wrong(
    counts: NDArray[np.int64], share: NDArray[np.float64], names: list[str]
) -> tuple[Series, Series]:
    """The diagonal in one colour and the rest in another, with numbers where there is room."""
    right = np.eye(len(names), dtype=bool)
    hover = [
        [
            f"{escaped(true)} taken for {escaped(predicted)}"
            if i != j
            else f"{escaped(true)} recognised"
            for j, predicted in enumerate(names)
        ]
        for i, true in enumerate(names)
    ]
    cells = [
        _cells(np.where(where & (counts > 0), share, np.nan), counts, hover, hue)
        for where, hue in ((right, "var(--cell)"), (~right, "var(--miss)"))
    ]
    numbers = [_numbers(counts)] if len(names) <= 12 else []
    return (
        Series("right", "var(--cell)", (cells[0],), marker=True),
        Series("wrong", "var(--miss)", (cells[1], *numbers), marker=True),
    )


def _confusion_note(predictions: PredictionData, shown: int) -> str:
    note = (
        "Rows by true class (down) and predicted class (across); the stronger the colour, the more"
        " of the true class."
    )
    if predictions.kind == "distribution":
        note += " Of the soft labels the largest share counts as the true class."
    if shown < len(predictions.names):
        note += (
            f" The {shown} of {len(predictions.names)} classes with the most mistakes; a row of"
            " theirs may have gone to a class that is not shown."
        )
    return note


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


def _numbers(counts: NDArray[np.int64]) -> Trace:
    """The counts; their colour stands out from every shade of a cell."""
    i, j = np.nonzero(counts)
    return {
        "type": "scatter",
        "mode": "text",
        "x": j.tolist(),
        "y": i.tolist(),
        "text": [f"{n:,}" for n in counts[i, j].tolist()],
        "textfont": {"size": 12, "color": "var(--ink)"},
        "hoverinfo": "skip",
    }


def confidence_chart(predictions: PredictionData) -> Chart:
    """How often the predicted class is right, by the probability it was predicted with."""
    sure = predictions.p.max(axis=1)
    right = (predictions.target == predictions.prediction).astype(np.float64)
    note = (
        "Of rows predicted with probability p, how many were right? On the dotted line: p of them."
    )
    return calibration_chart("Confidence", note, "right", right, sure)
