"""Facts of metrics."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class Outputs(NamedTuple):
    """With how many outputs there is something, at least and at most; None for any number."""

    fewest: int = 1
    most: int | None = None

    def has(self, count: int) -> bool:
        """Whether it is there with so many outputs."""
        return self.fewest <= count and (self.most is None or count <= self.most)


_ANY, _ONE, _SEVERAL, _ABOVE_5 = Outputs(), Outputs(most=1), Outputs(2), Outputs(6)


class MetricFacts(NamedTuple):
    """What is true of a metric.

    Attributes:
        label: what it is called on a page.
        label_of_labels: the same in a multilabel run, where that is another thing.
        models: {model: with how many outputs it has it}.
        greater_is_better: else less is.
        is_share: whether it is a share of 1 that is read in percent.
        to_1: whether it goes from 0 to 1, so that several can be drawn together.
        decades: whether it is above 0 and may span decades.
        is_loss: whether it is the data term of J, which every step logs.
        figure: it as the head of a page, of {value}.
        meaning: the rest of that sentence, of {rows}.
        meaning_of_labels: the same of {labels} labels a row.
        beside: (metric, sentence of its {value}) that is told with it; of {labels} labels a row.
        needs: which rows it is defined on; empty for one that has a value on any.
        baseline: what the mean of the targets has: a fit below it is worse than none. Such metrics
            are sums over rows.
    """

    label: str
    models: Mapping[str, Outputs]
    greater_is_better: bool = True
    is_share: bool = False
    to_1: bool = False
    decades: bool = False
    is_loss: bool = False
    figure: str = "{value}"
    meaning: str = ""
    meaning_of_labels: str = ""
    label_of_labels: str = ""
    beside: tuple[str, str] | None = None
    needs: str = ""
    baseline: float | None = None


_CLASSES, _VALUES = "rows of both classes", "more than one value of the target"

METRICS: dict[str, MetricFacts] = {
    "accuracy": MetricFacts(
        "accuracy",
        {"logistic": _ANY, "softmax": _ANY},
        is_share=True,
        to_1=True,
        meaning="of {rows} are classified right.",
        meaning_of_labels="of {rows} have all {labels} labels right.",
        label_of_labels="subset accuracy",
    ),
    "balanced_accuracy": MetricFacts(
        "balanced accuracy", {"logistic": _ONE, "softmax": _ANY}, is_share=True, to_1=True
    ),
    "top5": MetricFacts("top-5 accuracy", {"softmax": _ABOVE_5}, is_share=True, to_1=True),
    "auc": MetricFacts("ROC AUC", {"logistic": _ANY}, to_1=True, needs=_CLASSES),
    "average_precision": MetricFacts(
        "average precision", {"logistic": _ONE}, to_1=True, needs=_CLASSES
    ),
    "f1": MetricFacts("F1", {"logistic": _ONE}, to_1=True, needs="rows of the positive class"),
    "map": MetricFacts(
        "mean average precision",
        {"logistic": _SEVERAL},
        to_1=True,
        figure="mAP {value}",
        meaning_of_labels="on {rows}: average precision, mean over {labels} labels.",
        beside=("accuracy", "All {labels} labels are right in {value} of the rows."),
        needs=_CLASSES,
    ),
    "r2": MetricFacts(
        "R²",
        {"linear": _ANY},
        figure="R² {value}",
        meaning="on {rows}: the share of the target's variance that is explained.",
        beside=("rmse", "Typical miss (RMSE): {value}."),
        needs=_VALUES,
        baseline=0.0,
    ),
    "rmse": MetricFacts("RMSE", {"linear": _ANY}, greater_is_better=False, decades=True),
    "d2": MetricFacts(
        "D²",
        {"poisson": _ANY},
        figure="D² {value}",
        meaning="on {rows}: the share of the deviance that is explained.",
        beside=("deviance", "Mean deviance: {value}."),
        needs=_VALUES,
        baseline=0.0,
    ),
    "deviance": MetricFacts("deviance", {"poisson": _ANY}, greater_is_better=False, decades=True),
    "loss": MetricFacts(
        "loss",
        dict.fromkeys(("linear", "logistic", "softmax", "poisson"), _ANY),
        greater_is_better=False,
        is_loss=True,
        meaning="is the loss on {rows}.",
    ),
}
"""In the order of a page's tables; those of val and test have the split's name before them."""

LOSS = next(name for name, metric in METRICS.items() if metric.is_loss)


def metrics_of(model: str, outputs: int | None = None) -> tuple[str, ...]:
    """The metrics of a model, its loss first: with so many outputs, or with any number."""
    found = [
        name
        for name, metric in METRICS.items()
        if model in metric.models and (outputs is None or metric.models[model].has(outputs))
    ]
    return tuple(sorted(found, key=lambda name: not METRICS[name].is_loss))


def metric_of(column: str) -> str | None:
    """The metric that a column such as val_loss or test_later_top5 has; None for none."""
    found = [name for name in METRICS if column == name or column.endswith(f"_{name}")]
    return max(found, key=len, default=None)


def facts_of(column: str) -> MetricFacts:
    """The facts of a column's metric; of one that has none, those of no metric."""
    metric = metric_of(column)
    return METRICS[metric] if metric is not None else MetricFacts("", {})


def is_minimized(column: str) -> bool:
    """Whether less of a column's metric is better."""
    return not facts_of(column).greater_is_better


def is_share(column: str) -> bool:
    """Whether a column's metric is read in percent."""
    return facts_of(column).is_share
