"""What is true of a model, a loss, a metric, an optimizer, a source, a sweep method: plain facts.

One row each, in closed tables; nothing else tells one from another by its name. What a row does
stands under the same name where it is done: `trainer.model.models` (models and losses),
`trainer.model.metrics`, `trainer.optim.first_order`, `trainer.data.sources.registry`. Tests hold
that each row has its function and each function its row.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

Kind = Literal["numbers", "labels", "multilabel", "distribution"]  # of a row's targets


# --- models ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ModelFacts:
    """What is true of a model.

    Attributes:
        one: what one target a row is: numbers or labels.
        several: what several targets a row are: numbers; labels of their own, 0 or 1 each
            (multilabel); or shares of the classes that sum to 1 (distribution).
        targets: what they are called.
        headline: the metric that a page opens with.
        headline_of_labels: the same of a multilabel run.
        score: what a score z is, to a reader of weights.
        noise: how targets scatter about ŷ, for made-up rows.
        equivalent: its penalty in another library's words, without l1 and with it; of a = l2 + l1,
            ratio = l1/a, l2, C = 1/(a·S) and S, the sum of the row weights.
        most_classes: how many classes labels may have; None for any number.
        output_a_class: whether labels have an output for each class; else they have one for all.
        scales_target: whether targets may be scaled, so that scores are in units of σ.
        lowest: the least number that a target may be; None for any.
    """

    one: Kind
    several: Kind
    targets: str
    headline: str
    score: str
    noise: str
    equivalent: tuple[str, str]
    most_classes: int | None = None
    output_a_class: bool = False
    scales_target: bool = False
    lowest: float | None = None
    headline_of_labels: str = ""

    @property
    def has_classes(self) -> bool:
        """Whether a single target is a label."""
        return self.one == "labels"

    @property
    def kinds(self) -> tuple[Kind, Kind]:
        """What targets may be."""
        return self.one, self.several


_INVERSE_C = "C = {C:.4g} in scikit-learn"

MODELS: dict[str, ModelFacts] = {
    "linear": ModelFacts(
        one="numbers",
        several="numbers",
        targets="numbers",
        headline="r2",
        score="the prediction",
        noise="normal",
        equivalent=(
            "Ridge's alpha = {l2_sum:.4g} in scikit-learn",
            "ElasticNet's alpha = {a:.4g}, l1_ratio = {ratio:.4g} in scikit-learn",
        ),
        scales_target=True,
    ),
    "logistic": ModelFacts(
        one="labels",
        several="multilabel",
        targets="classes",
        headline="accuracy",
        score="the score z",
        noise="bernoulli",
        headline_of_labels="map",
        equivalent=(_INVERSE_C, _INVERSE_C),
        most_classes=2,
    ),
    "softmax": ModelFacts(
        one="labels",
        several="distribution",
        targets="classes",
        headline="accuracy",
        score="the score z",
        noise="categorical",
        equivalent=(_INVERSE_C, _INVERSE_C),
        output_a_class=True,
    ),
    "poisson": ModelFacts(
        one="numbers",
        several="numbers",
        targets="counts",
        headline="d2",
        score="the logarithm of the prediction",
        noise="poisson",
        equivalent=(
            "PoissonRegressor's alpha = {l2:.4g} in scikit-learn",
            "lambda = {a:.4g}, alpha = {ratio:.4g} in glmnet",
        ),
        lowest=0,
    ),
}


# --- losses ---------------------------------------------------------------------------------------


class Apart(NamedTuple):
    """How dL/dz differs from ŷ − y, in words.

    Attributes:
        name: the loss in a heading.
        dz: dL/dz.
        effect: what comes of it.
        plateau: what of it shows in the last steps.
    """

    name: str
    dz: str
    effect: str
    plateau: str


@dataclass(frozen=True)
class LossFacts:
    """What is true of one loss of one model.

    Attributes:
        formula: as a run's opening line has it.
        apart: how dL/dz differs from ŷ − y; None where it is ŷ − y: the link is canonical.
        convex: in the scores, and so in weights.
        quadratic: whether its second derivatives are the same everywhere.
        second_derivatives: whether it has them everywhere, for Newton's method.
        parameters: names of its own settings, each one number a column.
    """

    formula: str
    apart: Apart | None = None
    convex: bool = True
    quadratic: bool = False
    second_derivatives: bool = True
    parameters: tuple[str, ...] = ()

    @property
    def canonical(self) -> bool:
        """Whether dL/dz is ŷ − y."""
        return self.apart is None


OWN_LOSS = "auto"
LOSSES: dict[tuple[str, str], LossFacts] = {
    ("linear", OWN_LOSS): LossFacts("½(ŷ − y)²", quadratic=True),
    ("logistic", OWN_LOSS): LossFacts("binary cross-entropy"),
    ("softmax", OWN_LOSS): LossFacts("cross-entropy"),
    ("poisson", OWN_LOSS): LossFacts("(ŷ − y·z)"),
    ("logistic", "squared_error"): LossFacts(
        "½(ŷ − y)² on the sigmoid, so dL/dz is not ŷ − y",
        Apart(
            name="squared error on a sigmoid",
            dz="(ŷ − y)·ŷ·(1 − ŷ)",
            effect="nearly 0 wherever ŷ is near 0 or 1, right or wrong",
            plateau="a row that is very wrong sits on a plateau of the sigmoid and hardly moves",
        ),
        convex=False,
        second_derivatives=False,
    ),
}
LOSSES["linear", "squared_error"] = LOSSES["linear", OWN_LOSS]
"""By (model, loss) as a spec names them."""


def models_with(loss: str) -> tuple[str, ...]:
    """The models that take a loss."""
    return tuple(model for model in MODELS if (model, loss) in LOSSES)


# --- metrics --------------------------------------------------------------------------------------


class Outputs(NamedTuple):
    """With how many outputs there is something, at least and at most; None for any number."""

    fewest: int = 1
    most: int | None = None

    def has(self, count: int) -> bool:
        """Whether it is there with so many outputs."""
        return self.fewest <= count and (self.most is None or count <= self.most)


_ANY, _ONE, _SEVERAL, _ABOVE_5 = Outputs(), Outputs(most=1), Outputs(2), Outputs(6)


@dataclass(frozen=True)
class MetricFacts:
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
        dict.fromkeys(MODELS, _ANY),
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


# --- optimizers -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class OptimizerFacts:
    """What is true of an optimizer.

    Attributes:
        settings: of a first-order optimizer: names of its own numbers, each one a column.
        is_solver: whether it goes to the optimum, with all rows at every iteration.
        closed_form: whether it is for squared losses alone.
        second_derivatives: whether it takes the loss's second derivatives.
    """

    settings: tuple[str, ...] = ()
    is_solver: bool = False
    closed_form: bool = False
    second_derivatives: bool = False


OPTIMIZERS: dict[str, OptimizerFacts] = {
    "sgd": OptimizerFacts(("momentum",)),
    "adam": OptimizerFacts(("beta1", "beta2", "eps")),
    "adamw": OptimizerFacts(("beta1", "beta2", "eps", "weight_decay")),
    "lbfgs": OptimizerFacts(is_solver=True),
    "newton": OptimizerFacts(is_solver=True, second_derivatives=True),
    "exact": OptimizerFacts(is_solver=True, closed_form=True),
    "auto": OptimizerFacts(is_solver=True),
}

FIRST_ORDER = tuple(name for name, row in OPTIMIZERS.items() if not row.is_solver)
SOLVERS = tuple(name for name, row in OPTIMIZERS.items() if row.is_solver)


# --- sources --------------------------------------------------------------------------------------


class Bundled(NamedTuple):
    """A data set in the package: its target's column, and the model that it is for."""

    target: str
    model: str


BUNDLED: dict[str, Bundled] = {
    "diamonds": Bundled("price", "linear"),
    "breast_cancer": Bundled("diagnosis", "logistic"),
    "digits": Bundled("digit", "softmax"),
}
"""ATTRIBUTION.md beside the files says whence."""


@dataclass(frozen=True)
class SourceFacts:
    """What is true of a kind of source, which is named after the key that tells it.

    Attributes:
        paths: its keys that are paths.
        suffixes: of the files that it reads.
        example: the source of a {file}, as a fault proposes it.
        not_inherited: keys of train that val and test do not take from it.
        inherited: whether they take any.
        named: keys whose values name something in another file of that kind.
        indexed: whether columns are called by an index.
    """

    paths: tuple[str, ...] = ()
    suffixes: tuple[str, ...] = ()
    example: str = ""
    not_inherited: tuple[str, ...] = ()
    inherited: bool = True
    named: tuple[str, ...] = ()
    indexed: bool = False


SOURCES: dict[str, SourceFacts] = {
    "table": SourceFacts(
        paths=("table",),
        suffixes=(".csv", ".csv.gz", ".tsv", ".tsv.gz", ".parquet"),
        example="{{table: {file}, target: y}}",
        named=("weight",),
    ),
    "npy": SourceFacts(
        paths=("npy", "target", "weight", "group"),
        suffixes=(".npy",),
        example="{{npy: {file}, target: y.npy}}",
        not_inherited=("target", "weight", "group"),
    ),
    "npz": SourceFacts(
        paths=("npz",),
        suffixes=(".npz",),
        example="{{npz: {file}, features: X, target: y}}",
        named=("features", "target", "weight"),
    ),
    "libsvm": SourceFacts(
        paths=("libsvm",),
        suffixes=(".libsvm", ".svm", ".svmlight", ".txt"),
        example="{{libsvm: {file}}}",
        indexed=True,
    ),
    "synthetic": SourceFacts(inherited=False),
}


def source_of(block: Collection[object]) -> str | None:
    """The kind of a source with these keys; None where no key tells it."""
    return next((name for name in SOURCES if name in block), None)


# --- sweep methods --------------------------------------------------------------------------------


@dataclass(frozen=True)
class MethodFacts:
    """What is true of a sweep method: whether its trials are drawn, so many as are asked for."""

    draws: bool


METHODS: dict[str, MethodFacts] = {
    "grid": MethodFacts(draws=False),
    "random": MethodFacts(draws=True),
}


def draws(method: object) -> bool:
    """Whether a method, as a file has it, draws its trials."""
    return isinstance(method, str) and method in METHODS and METHODS[method].draws
