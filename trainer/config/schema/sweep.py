"""Sweeps: what varies, what repeats, how one is chosen."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from annotated_types import Ge, Le, MinLen
from pydantic import Discriminator, Field, Tag

from trainer.catalog import METHODS
from trainer.config.schema.fields import (
    METRIC_NAMES,
    Absent,
    Block,
    Count,
    Expected,
    Name,
    OneOf,
    OptionalCount,
    Text,
    word_or_list,
)
from trainer.text.printable import one_of


class SweepMetric(Block):
    """What trials are ranked by."""

    name: Text = Field(
        "val_loss",
        description="The metric; it says itself whether low or high is good.",
        examples=["val_accuracy"],
        json_schema_extra=METRIC_NAMES,
    )
    goal: Annotated[
        Literal["minimize", "maximize"] | None, Absent, Expected("minimize or maximize")
    ] = Field(None, description="By default the metric's own.", examples=["minimize"])


class EarlyTerminate(Block):
    """Synchronous halving: after min_iter, min_iter·eta, … evaluations the best 1/eta stay."""

    type: Annotated[Literal["hyperband"], Expected()] = Field(
        "hyperband", description="hyperband: one bracket of it, with all trials in step."
    )
    min_iter: Count = Field(3, description="Evaluations before the first halving.")
    eta: Annotated[int, Ge(2), Le(1000), Expected("a whole number from 2 to 1000")] = Field(
        3, description="What the number of trials is divided by at each halving."
    )


# Axes and settings are read by config.sweep.axes and config.sweep.expand, which know the file.
Anything = Annotated[Any, Expected("a mapping of dotted keys to their values")]


class Sweep(Block):
    """Many trials in one run."""

    method: Annotated[
        str,
        OneOf(tuple(METHODS)),
        Expected(one_of(tuple(METHODS)), choices=tuple(METHODS)),
    ] = Field("grid", description="grid: every combination; random: num_trials draws.")
    metric: SweepMetric | None = Field(
        None,
        description="What trials are ranked by; by default val_loss, train_loss without val.",
        examples=[{"name": "val_loss"}],
    )
    parameters: Anything = Field(
        None,
        description="{dotted key: values}, or a list of such blocks, whose trials are added up.",
        examples=[{"optimizer.lr": [0.01, 0.1]}],
    )
    zip: Anything = Field(
        None,
        description="Settings that go together, crossed with the rest.",
        examples=[[{"optimizer.name": "sgd", "optimizer.lr": 0.1}]],
    )
    num_trials: OptionalCount = Field(None, description="Draws of method random.", examples=[64])
    early_terminate: Annotated[EarlyTerminate | None, Absent] = Field(
        None,
        description="Drop trials that fall behind; none, the default, trains all to their ends.",
        examples=[{"type": "hyperband"}],
    )


class FewShot(Block):
    """k rows of each class, drawn several times."""

    k: Annotated[
        Annotated[Count, Tag("<word>")]
        | Annotated[Annotated[tuple[Count, ...], MinLen(1), Field(strict=False)], Tag("<list>")],
        Discriminator(word_or_list),
    ] = Field(description="Rows of each class; of several each is a trial.", examples=[[1, 2, 4]])
    tries: Count = Field(10, description="Draws, over which metrics are averaged.")
    val_k: Annotated[
        Literal["none"] | Count, Expected("a whole number from 1, or none", choices=("none",))
    ] = Field("none", description="Rows of each class drawn from val, in place of all of it.")


class Repeat(Block):
    """What each trial is averaged over, and never selected over."""

    folds: Annotated[int | None, Ge(2), Absent, Expected("a whole number from 2", ("none",))] = (
        Field(None, description="Cross-validation: the part held out is val.", examples=[5])
    )
    times: Count = Field(1, description="How many times the folds are drawn anew.")
    few_shot: Annotated[FewShot | None, Absent] = Field(
        None,
        description="Draws of a few rows a class, in place of folds; full batch.",
        examples=[{"k": [1, 2, 4]}],
    )
    seeds: Count = Field(1, description="The run again with seed, seed + 1, ….")

    @property
    def count(self) -> int:
        """How many repeats a trial has."""
        drawn = self.few_shot.tries if self.few_shot is not None else self.times
        return (self.folds or 1) * drawn * self.seeds


class Select(Block):
    """Which trial is chosen, and whether it is trained again on more rows."""

    rule: Annotated[Literal["best", "one_std_err"], Expected()] = Field(
        "best",
        description="one_std_err: the strongest penalty within one standard error of the best.",
    )
    per: Annotated[tuple[Name, ...], Field(strict=False)] = Field(
        (),
        description="Swept keys whose every value gets a winner of its own; repeat: every fold or"
        " draw does, which takes data.test to score.",
        examples=[["vars.layer"]],
    )
    refit: Annotated[
        Literal["auto", "none", "train", "train+val"],
        Expected(choices=("auto", "none", "train", "train+val")),
    ] = Field(
        "auto",
        description="Train the chosen trial again on all training rows, or those of val too;"
        " auto: train with folds, else none.",
    )


EACH_REPEAT = "repeat"
"""The word in `select.per` by which each repeat chooses for itself; no swept key is called so."""

SHOTS = "repeat.few_shot.k"
"""The key that is an axis where its value is a list."""
