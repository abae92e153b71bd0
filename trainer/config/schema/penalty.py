"""The three ways to write a penalty."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Discriminator, Field, Tag

from trainer.config.schema.fields import (
    Block,
    FromZero,
    Positive,
    Share,
    tag,
)


class L2L1(Block):
    """l2/2 · ‖W‖² + l1 · ‖W‖₁."""

    form = "{l2, l1}"
    l2: FromZero = Field(1e-4, description="Adds l2/2 · ‖W‖² to the mean loss.")
    l1: FromZero = Field(0.0, description="Adds l1 · ‖W‖₁ to the mean loss; zeros are exact.")


class InverseC(Block):
    """a = 1/(C · S), S the sum of row weights; l2 = (1 − l1_ratio) · a, l1 = l1_ratio · a."""

    form = "{C, l1_ratio}"
    C: Positive = Field(
        description="C of scikit-learn's LogisticRegression: the penalty is 1/(C · rows).",
        examples=[1.0],
    )
    l1_ratio: Share = Field(0.0, description="Share of the penalty that is l1.")


class Alpha(Block):
    """l2 = (1 − l1_ratio) · alpha, l1 = l1_ratio · alpha."""

    form = "{alpha, l1_ratio}"
    alpha: FromZero = Field(
        description="alpha of scikit-learn's ElasticNet, lambda of glmnet.", examples=[0.1]
    )
    l1_ratio: Share = Field(0.0, description="Share of the penalty that is l1.")


def _penalty_form(value: Any) -> str:
    if isinstance(value, Block):
        return tag(value.form)
    for form in (InverseC, Alpha):
        if isinstance(value, dict) and next(iter(form.model_fields)) in value:
            return tag(form.form)
    return tag(L2L1.form)


Penalty = Annotated[
    Annotated[L2L1, Tag("<{l2, l1}>")]
    | Annotated[InverseC, Tag("<{C, l1_ratio}>")]
    | Annotated[Alpha, Tag("<{alpha, l1_ratio}>")],
    Discriminator(_penalty_form),
]
