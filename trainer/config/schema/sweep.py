"""Sweeps: what varies, what repeats, how one is chosen."""

from __future__ import annotations

from collections.abc import Collection
from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt, Le, MinLen
from pydantic import Discriminator, Field, Tag, model_validator

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
    PathText,
    Switch,
    Text,
    tag,
    word_or_list,
    word_or_mapping,
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


_Portion = Annotated[float, Gt(0), Le(1), Expected("a number above 0, up to 1")]
_Portions = Annotated[tuple[_Portion, ...], MinLen(1), Field(strict=False)]
_Counts = Annotated[
    Annotated[OptionalCount, Tag("<word>")]
    | Annotated[Annotated[tuple[Count, ...], MinLen(1), Field(strict=False)], Tag("<list>")],
    Discriminator(word_or_list),
]


class FewShot(Block):
    """Few of the training rows, drawn several times: so many of each class, or of all."""

    k: _Counts = Field(
        None, description="Rows of each class; of several each is a trial.", examples=[[1, 2, 4]]
    )
    rows: _Counts = Field(
        None,
        description="In place of k: rows in all, of each class its share; of several each is a"
        " trial.",
        examples=[[50, 100, 200]],
    )
    fraction: Annotated[
        Annotated[
            float | None,
            Gt(0),
            Le(1),
            Absent,
            Expected("a number above 0, up to 1", ("none",)),
            Tag("<word>"),
        ]
        | Annotated[_Portions, Tag("<list>")],
        Discriminator(word_or_list),
    ] = Field(
        None,
        description="In place of k: such a share of the training rows, as rows draws them.",
        examples=[[0.1, 0.5, 1]],
    )
    tries: Count = Field(10, description="Draws, over which metrics are averaged.")
    val_k: Annotated[
        Literal["none"] | Count, Expected("a whole number from 1, or none", choices=("none",))
    ] = Field("none", description="Rows of each class drawn from val, in place of all of it.")


class FoldColumn(Block):
    """Folds that a column names: of each of its values the rows are held out together."""

    form = "column"
    column: Name = Field(
        description="The column of folds, which is no feature: of a table, an array of an archive,"
        " or what Python passes under that name. Rows with -1 or without a value are never held"
        " out.",
        examples=["fold"],
    )


class FoldFile(Block):
    """A column of folds, or of times, from a file."""

    form = "npy"
    npy: PathText = Field(
        description="Path of the column, (N,), of a source of any kind.", examples=["fold.npy"]
    )


class ForwardFolds(Block):
    """Folds in the order of time: each is learnt from all rows before it."""

    form = "forward"
    forward: Annotated[int, Ge(2), Expected("a whole number from 2")] = Field(
        description="How many stretches of time are held out, one after another.", examples=[5]
    )
    by: Annotated[
        Annotated[Name, Tag("<word>")] | Annotated[FoldFile, Tag("<mapping>")],
        Discriminator(word_or_mapping),
    ] = Field(
        description="The column of times, which is no feature: numbers, dates, or text as"
        " 2024-05-31; found as a column of folds is.",
        examples=["time"],
    )


GROUPS = "leave_one_group_out"
_WORDS = "a whole number from 2, {column: fold}, {forward: 5, by: time}, leave_one_group_out"
_FoldsWord = Annotated[
    Annotated[int, Ge(2)] | Literal["leave_one_group_out"] | None,
    Absent,
    Expected(f"{_WORDS} or none", ("none", GROUPS)),
]


def _folds_form(value: Any) -> str:
    """The tag of a form of folds."""
    if not isinstance(value, (dict, Block)):
        return tag("word")
    keys = value if isinstance(value, dict) else type(value).model_fields
    if "forward" in keys or "by" in keys:
        return tag("forward")
    return tag("npy" if "npy" in keys else "column")


class Repeat(Block):
    """What each trial is averaged over, and never selected over."""

    folds: Annotated[
        Annotated[_FoldsWord, Tag("<word>")]
        | Annotated[FoldColumn, Tag("<column>")]
        | Annotated[FoldFile, Tag("<npy>")]
        | Annotated[ForwardFolds, Tag("<forward>")],
        Discriminator(_folds_form),
    ] = Field(
        None,
        description="Cross-validation: the part held out is val. A number of random folds; those"
        " of a column; stretches of time, each after its training rows; or each group in turn.",
        examples=[5],
    )
    times: Count = Field(1, description="How many times a number of folds is drawn anew.")
    few_shot: Annotated[FewShot | None, Absent] = Field(
        None,
        description="Draws of a few rows, in place of folds; full batch.",
        examples=[{"k": [1, 2, 4]}],
    )
    bootstrap: Annotated[
        int | None, Ge(2), Absent, Expected("a whole number from 2", ("none",))
    ] = Field(
        None,
        description="Resamples of the training rows, in place of folds: as many rows drawn with"
        " replacement, whole groups where there are groups; those not drawn are val.",
        examples=[200],
    )
    inner_folds: Annotated[
        int | None, Ge(2), Absent, Expected("a whole number from 2", ("none",))
    ] = Field(
        None,
        description="Nested cross-validation: each fold or draw chooses its trial by so many folds"
        " of its own training rows, and what it holds out scores the chosen one.",
        examples=[5],
    )
    leave_one_out: Switch = Field(
        False,
        description="Each row is val for the model of all others, in place of folds; for"
        " optimizer: {name: exact}.",
    )
    seeds: Count = Field(1, description="The run again with seed, seed + 1, ….")

    @model_validator(mode="before")
    @classmethod
    def _leave_one_group_out(cls, value: Any) -> Any:
        """Read `leave_one_group_out: true` as the folds that it is."""
        is_so = isinstance(value, dict) and value.get(GROUPS) is True
        if is_so and value.get("folds", GROUPS) == GROUPS:
            return {**{key: item for key, item in value.items() if key != GROUPS}, "folds": GROUPS}
        return value

    @property
    def holds_out(self) -> bool:
        """Whether each repeat holds out rows of its own, which are val: folds and bootstrap do."""
        return self.folds is not None or self.bootstrap is not None

    @property
    def brings_val(self) -> bool:
        """Whether there are val metrics without data.val: of rows held out, or of each left out."""
        return self.holds_out or self.leave_one_out

    @property
    def draws_rows(self) -> bool:
        """Whether the run's seed decides on the rows of a repeat: few_shot and bootstrap."""
        return self.few_shot is not None or self.bootstrap is not None

    @property
    def count(self) -> int:
        """How many repeats a trial has, as far as the config says: columns may have more folds."""
        folds = self.folds if isinstance(self.folds, int) else getattr(self.folds, "forward", 1)
        drawn = self.few_shot.tries if self.few_shot is not None else self.times
        return int(folds) * drawn * (self.bootstrap or 1) * self.seeds

    @property
    def columns(self) -> int:
        """How many models a trial has, those of inner folds too, as far as the config says."""
        inner = self.inner_folds or 0
        return self.count * (1 + inner) + inner * (self.few_shot is None)


class Select(Block):
    """Which trial is chosen, and whether it is trained again on more rows."""

    rule: Annotated[Literal["best", "one_std_err"], Expected()] = Field(
        "best",
        description="one_std_err: the strongest penalty within one standard error of the best.",
    )
    per: Annotated[tuple[Name, ...], Field(strict=False)] = Field(
        (),
        description="Swept keys whose every value gets a winner of its own; repeat: every fold or"
        " draw does, which takes repeat.inner_folds, or data.test to score.",
        examples=[["vars.layer"]],
    )
    refit: Annotated[
        Literal["auto", "none", "train", "train+val"],
        Expected(choices=("auto", "none", "train", "train+val")),
    ] = Field(
        "auto",
        description="Train the chosen trial again on all training rows, or those of val too;"
        " auto: train with folds and bootstrap, else none.",
    )


EACH_REPEAT = "repeat"
"""The word in `select.per` by which each repeat chooses for itself; no swept key is called so."""

SHOTS = ("repeat.few_shot.k", "repeat.few_shot.rows", "repeat.few_shot.fraction")
"""The keys that are an axis where their value is a list: each value has a winner of its own."""


def swept_shots(axes: Collection[str]) -> list[str]:
    """Which of them is among the swept keys: one at most."""
    return [path for path in SHOTS if path in axes]


_MOST_REPEATS = 10_000  # of a trial: each has rows of its own, which are listed
_MOST_COLUMNS = 1_000_000


def too_many(trials: int, repeats: int) -> str | None:
    """Why a run cannot list so many models; None where it can."""
    if repeats > _MOST_REPEATS:
        return f"{repeats:,} repeats; at most {_MOST_REPEATS:,} are right"
    if trials * repeats > _MOST_COLUMNS:
        return f"{trials:,} trials x {repeats:,} repeats; at most {_MOST_COLUMNS:,} are right"
    return None
