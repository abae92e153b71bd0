"""Facts of metrics."""

from __future__ import annotations

from collections.abc import Collection, Mapping
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
        needs_predictions: which predictions it is defined for; empty for one that any will do.
        named: in these models it is computed only where a config names it.
        negatives: how many negative rows it takes; of fewer it is told what it comes to.
        of_numbers: whether it is for labels that are numbers alone.
        no_interval: why rows drawn anew say nothing of it; empty for one that has intervals.
        formula: what it is, of ŷ, y and the row weights w, W = Σ w; in Markdown.
        source: who defined it, or the function of that name which it equals.
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
    needs_predictions: str = ""
    named: frozenset[str] = frozenset()
    negatives: int = 0
    of_numbers: bool = False
    no_interval: str = ""
    formula: str = ""
    source: str = ""

    @property
    def may_be_undefined(self) -> bool:
        """Whether there are rows or predictions that it has no value for."""
        return bool(self.needs or self.needs_predictions)

    def is_read(self, model: str, outputs: int | None, named: Collection[str], name: str) -> bool:
        """Whether an evaluation of a model with so many outputs has it, where these are named."""
        return (
            model in self.models
            and (outputs is None or self.models[model].has(outputs))
            and (model not in self.named or name in named)
        )


_CLASSES, _VALUES = "rows of both classes", "more than one value of the target"
_TWO, _POSITIVE = "rows of two classes", "rows of the positive class"
_DIFFER, _CHOSEN = "predictions that differ", "a row that is called positive"
_LINEAR, _LOGISTIC, _SOFTMAX = (frozenset({model}) for model in ("linear", "logistic", "softmax"))
_SKLEARN = "scikit-learn, `{}`"

METRICS: dict[str, MetricFacts] = {
    "accuracy": MetricFacts(
        "accuracy",
        {"logistic": _ANY, "softmax": _ANY},
        is_share=True,
        to_1=True,
        meaning="of {rows} are classified right.",
        meaning_of_labels="of {rows} have all {labels} labels right.",
        label_of_labels="subset accuracy",
        formula="the share of the rows whose class, or all of whose labels, are right",
        source=_SKLEARN.format("accuracy_score"),
    ),
    "balanced_accuracy": MetricFacts(
        "balanced accuracy",
        {"logistic": _ONE, "softmax": _ANY},
        is_share=True,
        to_1=True,
        formula="the mean of the classes' recalls",
        source=_SKLEARN.format("balanced_accuracy_score"),
    ),
    "top5": MetricFacts(
        "top-5 accuracy",
        {"softmax": _ABOVE_5},
        is_share=True,
        to_1=True,
        formula="the share of the rows whose class is among the five of the largest ŷ",
        source=_SKLEARN.format("top_k_accuracy_score"),
    ),
    "auc": MetricFacts(
        "ROC AUC",
        {"logistic": _ANY, "softmax": _ANY},
        to_1=True,
        needs=_CLASSES,
        named=_SOFTMAX,
        formula="the area under true over false positive rates, equal scores together; the mean"
        " over labels; of softmax over classes, each against the rest",
        source=_SKLEARN.format("roc_auc_score"),
    ),
    "average_precision": MetricFacts(
        "average precision",
        {"logistic": _ONE},
        to_1=True,
        needs=_CLASSES,
        formula="Σ over thresholds of the growth of recall times the precision there",
        source=_SKLEARN.format("average_precision_score"),
    ),
    "f1": MetricFacts(
        "F1",
        {"logistic": _ONE},
        to_1=True,
        needs=_POSITIVE,
        formula="2·TP / (2·TP + FP + FN)",
        source=_SKLEARN.format("f1_score"),
    ),
    "precision": MetricFacts(
        "precision",
        {"logistic": _ONE},
        to_1=True,
        needs_predictions=_CHOSEN,
        named=_LOGISTIC,
        formula="TP / (TP + FP)",
        source=_SKLEARN.format("precision_score"),
    ),
    "recall": MetricFacts(
        "recall",
        {"logistic": _ONE},
        to_1=True,
        needs=_POSITIVE,
        named=_LOGISTIC,
        formula="TP / (TP + FN)",
        source=_SKLEARN.format("recall_score"),
    ),
    "recall_at_1pct_fpr": MetricFacts(
        "recall at 1 % false positives",
        {"logistic": _ONE},
        to_1=True,
        needs=_CLASSES,
        named=_LOGISTIC,
        negatives=100,
        formula="the largest recall of a threshold, found on the same rows, at which at most 1 % of"
        " the negative weight is called positive; equal scores are on one side of it",
        source="Carlini et al. 2022, section III",
    ),
    "macro_f1": MetricFacts(
        "macro F1",
        {"softmax": _ANY},
        to_1=True,
        named=_SOFTMAX,
        formula="the mean of the F1 of the classes that have rows",
        source=_SKLEARN.format('f1_score(average="macro")'),
    ),
    "weighted_f1": MetricFacts(
        "weighted F1",
        {"softmax": _ANY},
        to_1=True,
        named=_SOFTMAX,
        formula="the mean of the classes' F1, each by the weight of its rows",
        source=_SKLEARN.format('f1_score(average="weighted")'),
    ),
    "mcc": MetricFacts(
        "MCC",
        {"logistic": _ONE, "softmax": _ANY},
        needs=_TWO,
        needs_predictions="predictions of two classes",
        named=_LOGISTIC | _SOFTMAX,
        formula="(c·W − Σ_k t_k·p_k) / √((W² − Σ p_k²)·(W² − Σ t_k²)), of the weight c that is"
        " right, t_k that is of class k, p_k that is called so",
        source=_SKLEARN.format("matthews_corrcoef") + "; Matthews 1975, Gorodkin 2004",
    ),
    "cohen_kappa": MetricFacts(
        "Cohen's κ",
        {"softmax": _ANY},
        needs=_TWO,
        named=_SOFTMAX,
        formula="(a − e) / (1 − e), of the accuracy a and e = Σ_k t_k·p_k / W²",
        source=_SKLEARN.format("cohen_kappa_score") + "; Cohen 1960",
    ),
    "quadratic_kappa": MetricFacts(
        "quadratic κ",
        {"softmax": _ANY},
        needs=_TWO,
        named=_SOFTMAX,
        of_numbers=True,
        formula="1 − Σ w·(t − p)²/W over the same for t and p drawn apart, of the labels t, p as"
        " numbers",
        source=_SKLEARN.format('cohen_kappa_score(weights="quadratic")')
        + " for labels at equal steps; Cohen 1968",
    ),
    "brier": MetricFacts(
        "Brier score",
        {"logistic": _ANY},
        greater_is_better=False,
        to_1=True,
        named=_LOGISTIC,
        formula="Σ w·(ŷ − y)² / W; the mean over labels",
        source=_SKLEARN.format("brier_score_loss") + "; Brier 1950",
    ),
    "ece": MetricFacts(
        "calibration error",
        {"logistic": _ANY, "softmax": _ANY},
        greater_is_better=False,
        to_1=True,
        named=_LOGISTIC | _SOFTMAX,
        no_interval="chance makes it larger, in draws twice over",
        formula="Σ_b |Σ_{rows in b} w·(ŷ − y)| / W over 15 equal bins (a, b] of ŷ; of softmax ŷ of"
        " the class chosen, and whether it is right; the mean over labels",
        source="Guo et al. 2017, section 2; torchmetrics' `CalibrationError` has bins [a, b)",
    ),
    "map": MetricFacts(
        "mean average precision",
        {"logistic": _SEVERAL},
        to_1=True,
        figure="mAP {value}",
        meaning_of_labels="on {rows}: average precision, mean over {labels} labels.",
        beside=("accuracy", "All {labels} labels are right in {value} of the rows."),
        needs=_CLASSES,
        formula="the mean of the labels' average precision",
        source=_SKLEARN.format('average_precision_score(average="macro")'),
    ),
    "r2": MetricFacts(
        "R²",
        {"linear": _ANY},
        figure="R² {value}",
        meaning="on {rows}: the share of the target's variance that is explained.",
        beside=("rmse", "Typical miss (RMSE): {value}."),
        needs=_VALUES,
        baseline=0.0,
        formula="1 − Σ w·(ŷ − y)² / Σ w·(y − ȳ)²; the mean over targets",
        source=_SKLEARN.format("r2_score"),
    ),
    "rmse": MetricFacts(
        "RMSE",
        {"linear": _ANY},
        greater_is_better=False,
        decades=True,
        formula="√(Σ w·(ŷ − y)² / W); the mean over targets",
        source=_SKLEARN.format("root_mean_squared_error"),
    ),
    "mae": MetricFacts(
        "mean absolute error",
        {"linear": _ANY},
        greater_is_better=False,
        decades=True,
        named=_LINEAR,
        formula="Σ w·|ŷ − y| / W; the mean over targets",
        source=_SKLEARN.format("mean_absolute_error"),
    ),
    "median_absolute_error": MetricFacts(
        "median absolute error",
        {"linear": _ANY},
        greater_is_better=False,
        decades=True,
        named=_LINEAR,
        formula="the value with half of W on either side of it, of |ŷ − y|; between two the middle;"
        " the mean over targets",
        source=_SKLEARN.format("median_absolute_error"),
    ),
    "max_error": MetricFacts(
        "largest error",
        {"linear": _ANY},
        greater_is_better=False,
        decades=True,
        named=_LINEAR,
        no_interval="no draw has a larger one than the rows",
        formula="the largest |ŷ − y| of a row with a weight; the mean over targets",
        source=_SKLEARN.format("max_error"),
    ),
    "explained_variance": MetricFacts(
        "explained variance",
        {"linear": _ANY},
        needs=_VALUES,
        named=_LINEAR,
        formula="1 − Var(ŷ − y) / Var(y), weighted; the mean over targets",
        source=_SKLEARN.format("explained_variance_score"),
    ),
    "pearson": MetricFacts(
        "Pearson's r",
        {"linear": _ANY},
        needs=_VALUES,
        needs_predictions=_DIFFER,
        named=_LINEAR,
        formula="Cov(ŷ, y) / √(Var(ŷ)·Var(y)), weighted; the mean over targets",
        source="SciPy, `pearsonr`",
    ),
    "spearman": MetricFacts(
        "Spearman's ρ",
        {"linear": _ANY},
        needs=_VALUES,
        needs_predictions=_DIFFER,
        named=_LINEAR,
        formula="Pearson's r of the ranks, equal values at the middle of theirs; a row of weight 2"
        " is two rows; the mean over targets",
        source="SciPy, `spearmanr`",
    ),
    "d2": MetricFacts(
        "D²",
        {"poisson": _ANY},
        figure="D² {value}",
        meaning="on {rows}: the share of the deviance that is explained.",
        beside=("deviance", "Mean deviance: {value}."),
        needs=_VALUES,
        baseline=0.0,
        formula="1 − the deviance over that of ȳ; the mean over targets",
        source=_SKLEARN.format("d2_tweedie_score(power=1)"),
    ),
    "deviance": MetricFacts(
        "deviance",
        {"poisson": _ANY},
        greater_is_better=False,
        decades=True,
        formula="Σ w·2·(y·log(y/ŷ) − y + ŷ) / W; the mean over targets",
        source=_SKLEARN.format("mean_poisson_deviance"),
    ),
    "loss": MetricFacts(
        "loss",
        dict.fromkeys(("linear", "logistic", "softmax", "poisson"), _ANY),
        greater_is_better=False,
        is_loss=True,
        meaning="is the loss on {rows}.",
        formula="the data term of J: no penalty, no class weight",
        source="mathematics.md",
    ),
}
"""In the order of a page's tables; those of val and test have the split's name before them."""

LOSS = next(name for name, metric in METRICS.items() if metric.is_loss)


def metrics_of(
    model: str, outputs: int | None = None, named: Collection[str] | None = None
) -> tuple[str, ...]:
    """The metrics of a model, its loss first.

    Args:
        model: a row of the models.
        outputs: how many it has; None: those of any number.
        named: what a config names: an evaluation has these beside those it always has. None: all.
    """
    named = METRICS if named is None else named
    found = [name for name, facts in METRICS.items() if facts.is_read(model, outputs, named, name)]
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
