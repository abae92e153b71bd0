"""Charts of what the chosen model says of one split, by the kind of its target."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trainer.report.charts.chart import Chart
from trainer.report.charts.classes import confidence_chart, confusion_chart
from trainer.report.charts.labels import ranking_charts
from trainer.report.charts.regression import number_charts

if TYPE_CHECKING:
    from trainer.report.prediction_data import PredictionData


def charts(predictions: PredictionData) -> list[Chart]:
    """The charts that suit the kind of target."""
    if predictions.kind == "numbers":
        return number_charts(predictions)
    if predictions.kind == "multilabel":
        return ranking_charts(predictions, dict(enumerate(predictions.names)))
    if len(predictions.names) == 2 and predictions.kind == "labels":
        label = {1: predictions.names[1]}
        return [*ranking_charts(predictions, label), confusion_chart(predictions)]
    return [confusion_chart(predictions), confidence_chart(predictions)]
