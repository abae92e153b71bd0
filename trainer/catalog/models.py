"""Facts of models and losses."""

from __future__ import annotations

from typing import Literal, NamedTuple

Kind = Literal["numbers", "labels", "multilabel", "distribution"]  # of a row's targets


class ModelFacts(NamedTuple):
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


class LossFacts(NamedTuple):
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
