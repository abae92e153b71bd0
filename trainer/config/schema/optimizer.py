"""First-order optimizers with their schedules, and solvers."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, model_validator

from trainer.catalog import OPTIMIZERS
from trainer.config.schema.fields import (
    Block,
    Count,
    Decay,
    Expected,
    FromZero,
    OptionalCount,
    Positive,
    Share,
    Switch,
    tag,
)
from trainer.text.printable import one_of
from trainer.text.suggest import nearest


class Schedule(Block):
    """How lr changes; times are in epochs, or in steps where the run is given in steps."""

    name: Annotated[Literal["constant", "cosine", "step"], Expected()] = Field(
        "constant", description="constant, cosine (from lr down to final · lr) or step."
    )
    warmup: FromZero = Field(
        0.0, description="Epochs (steps with steps:) over which lr rises from 0."
    )
    final: Share = Field(
        0.0, description="cosine: what lr falls to, as a factor of lr, reached as the run ends."
    )
    milestones: Annotated[tuple[Positive, ...], Field(strict=False)] = Field(
        (),
        description="step: the epochs (steps with steps:) after which lr is multiplied by gamma.",
        examples=[[10, 20]],
    )
    gamma: Positive = Field(0.1, description="step: the factor at each milestone.")
    length: OptionalCount = Field(
        None,
        description="cosine: the epochs (steps with steps:) it is spread over, where the run stops"
        " before its end; none: those of the run.",
        examples=[30],
    )


_NAMED = Expected(one_of(tuple(OPTIMIZERS)), choices=tuple(OPTIMIZERS))


_NAME = (
    "sgd, adam, adamw or lars; to the optimum: lbfgs, newton, exact, or auto, which takes one of"
    " these."
)


class FirstOrder(Block):
    """What sgd, adam, adamw and lars share."""

    name: Any
    lr: Positive = Field(0.1, description="Learning rate.")
    base_batch_size: Annotated[
        Literal["none"] | Count, Expected("a whole number from 1, or none", choices=("none",))
    ] = Field("none", description="Where given, lr is multiplied by batch_size / base_batch_size.")
    batch_size: Annotated[
        Literal["full"] | Count, Expected("a whole number from 1, or full", choices=("full",))
    ] = Field(128, description="Rows of a batch, or full.")
    epochs: OptionalCount = Field(
        30, description="Passes over the training rows; epochs or steps.", examples=[30]
    )
    steps: OptionalCount = Field(
        None, description="Number of updates, in place of epochs.", examples=[1000]
    )
    schedule: Schedule = Field(
        Schedule.model_construct(),
        description="How lr changes over the run.",
        examples=[{"name": "cosine"}],
    )

    @model_validator(mode="before")
    @classmethod
    def _steps_replace_epochs(cls, value: Any) -> Any:
        """Leave the default of epochs out where steps are given."""
        if isinstance(value, dict) and value.get("steps", "none") != "none":
            return {"epochs": "none", **value}
        return value


class Sgd(FirstOrder):
    """Stochastic gradient descent with momentum."""

    form = "sgd"
    name: Annotated[Literal["sgd"], _NAMED] = Field("sgd", description=_NAME)
    momentum: Decay = Field(0.9, description="Momentum; 0 for none.")
    nesterov: Switch = Field(False, description="Nesterov's form of momentum.")


class Adam(FirstOrder):
    """Adam (Kingma and Ba 2015)."""

    form = "adam"
    name: Annotated[Literal["adam"], _NAMED] = Field(description=_NAME)
    beta1: Decay = Field(0.9, description="Decay of the mean of gradients.")
    beta2: Decay = Field(0.999, description="Decay of the mean of squared gradients.")
    eps: Positive = Field(1e-8, description="Added to the root of the mean square.")


class AdamW(FirstOrder):
    """Adam with decoupled weight decay (Loshchilov and Hutter 2019)."""

    form = "adamw"
    name: Annotated[Literal["adamw"], _NAMED] = Field(description=_NAME)
    beta1: Decay = Field(0.9, description="Decay of the mean of gradients.")
    beta2: Decay = Field(0.999, description="Decay of the mean of squared gradients.")
    eps: Positive = Field(1e-8, description="Added to the root of the mean square.")
    weight_decay: FromZero = Field(
        0.01, description="Decoupled decay: outside the objective, and not on the bias."
    )


class Lars(FirstOrder):
    """Layer-wise adaptive rates (You, Gitman and Ginsburg 2017): sgd by each column's own norms."""

    form = "lars"
    name: Annotated[Literal["lars"], _NAMED] = Field(description=_NAME)
    momentum: Decay = Field(0.9, description="Momentum; 0 for none.")
    trust_coefficient: Positive = Field(
        0.001,
        description="Before momentum a step is lr times this times ‖W‖ long, however long the"
        " gradient is. Where W is 0 it is sgd's step: begin with `init: {normal: 0.01}`.",
    )


class Solver(Block):
    """What goes to the optimum, with all rows at every iteration."""

    name: Any
    max_iter: Count = Field(1000, description="Most iterations.")
    tol: Positive = Field(
        1e-6, description="Where it stops: the largest |dJ/dW|, of scaled features."
    )

    # What a first-order optimizer would have for the same: steps of a full batch.

    @property
    def steps(self) -> int:
        """Most iterations."""
        return self.max_iter

    @property
    def epochs(self) -> None:
        """Iterations are counted in steps."""
        return None

    @property
    def batch_size(self) -> Literal["full"]:
        """All rows."""
        return "full"


class Lbfgs(Solver):
    """Limited-memory BFGS: any size."""

    form = "lbfgs"
    name: Annotated[Literal["lbfgs"], _NAMED] = Field(description=_NAME)


class Newton(Solver):
    """Newton's method: few features, few classes; with l1 on the weights that are not 0."""

    form = "newton"
    name: Annotated[Literal["newton"], _NAMED] = Field(description=_NAME)


class Exact(Solver):
    """Ridge regression in closed form."""

    form = "exact"
    name: Annotated[Literal["exact"], _NAMED] = Field(description=_NAME)


class Auto(Solver):
    """The solver that suits the model and its size; the manifest says which and why."""

    form = "auto"
    name: Annotated[Literal["auto"], _NAMED] = Field(description=_NAME)


def _optimizer_form(value: Any) -> str:
    """Tell the optimizers apart by name; a misspelt one counts as the nearest, else as sgd."""
    if isinstance(value, Block):
        return tag(value.form)
    name = value.get("name", "sgd") if isinstance(value, dict) else "sgd"
    if isinstance(name, str) and name not in OPTIMIZERS:
        name = nearest(name, tuple(OPTIMIZERS))
    return tag(name if isinstance(name, str) else "sgd")


Optimizer = Annotated[
    Annotated[Sgd, Tag("<sgd>")]
    | Annotated[Adam, Tag("<adam>")]
    | Annotated[AdamW, Tag("<adamw>")]
    | Annotated[Lars, Tag("<lars>")]
    | Annotated[Lbfgs, Tag("<lbfgs>")]
    | Annotated[Newton, Tag("<newton>")]
    | Annotated[Exact, Tag("<exact>")]
    | Annotated[Auto, Tag("<auto>")],
    Discriminator(_optimizer_form),
]
