"""What a run warns of: columns that a precision has few steps for, a fit worse than the mean."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypedDict

from trainer.catalog import METRICS, MODELS
from trainer.text.names import cut_apart
from trainer.text.numbers import counted, plain_number
from trainer.text.printable import one_of

_SHOWN = 3  # columns with a sentence of their own
_MOST = 40  # letters of a name
_MANTISSA = {"float16": 10, "float32": 23, "float64": 52}  # bits behind the first


class CoarseFacts(TypedDict):
    """A column whose values differ by few steps of a precision.

    Attributes:
        name: of the column.
        is_target: else it is a feature.
        size: of its largest value.
        spread: its largest value minus its least.
        precision: that has few steps.
        as_read: whether the values were read in it.
    """

    name: str
    is_target: bool
    size: float
    spread: float
    precision: str
    as_read: bool


def coarse_texts(columns: Sequence[CoarseFacts], model: str) -> list[str]:
    """A sentence a column, of the first few, and how many more there are."""
    names = cut_apart([column["name"] for column in columns], _MOST)
    found = [_coarse_text(column, name, model) for column, name in zip(columns, names, strict=True)]
    more = len(found) - _SHOWN
    return [*found[:_SHOWN], *([f"{counted(more, 'more column')} like this"] if more > 0 else [])]


def _coarse_text(column: CoarseFacts, name: str, model: str) -> str:
    size, precision = column["size"], column["precision"]
    step = 2.0 ** (math.frexp(size)[1] - 1 - _MANTISSA[precision])
    what = "target" if column["is_target"] else "feature"
    told = (
        f"{what} {name!r}: its values are about {plain_number(size, 3)} and differ by"
        f" {plain_number(column['spread'], 3)}, where {precision} has steps of"
        f" {plain_number(step, 3)}"
    )
    return f"{told}: {_cure(column, model)}"


def _cure(column: CoarseFacts, model: str) -> str:
    if column["as_read"]:
        other = "" if column["is_target"] else ", or leave it out with `drop`"
        return f"take a constant from it before it is rounded to them{other}"
    cures = ["precision: float64"]
    if not column["is_target"]:
        cures.insert(0, "data.scale: standard")
    elif MODELS[model].scales_target:
        cures += ["data.scale_target: standard", "bias: true"]
    return f"{one_of(cures)} {'is' if len(cures) == 1 else 'are'} right"


class FitFacts(TypedDict):
    """How the chosen model does beside the mean of the targets.

    Attributes:
        metric: a metric whose `baseline` the mean has.
        train: it on the training rows.
        val: it on val; None without.
        model: of the run.
        scale_target: as the config has it.
        rose: whether its training loss went up, which another scale of the target does not mend.
        bias: whether there is one.
        solves: whether a solver went to the optimum.
    """

    metric: str
    train: float
    val: float | None
    model: str
    scale_target: str
    rose: bool
    bias: bool
    solves: bool


def worse_than_mean_text(facts: FitFacts) -> str | None:
    """A sentence where the mean of the targets fits better than the model; else None."""
    name, train, val = facts["metric"], facts["train"], facts["val"]
    baseline = METRICS[name].baseline
    assert baseline is not None
    scale = f"{plain_number(baseline)} is what the mean of the target has"
    held = "" if val is None else f"val_{name} {plain_number(val)}"
    if train < baseline:
        beside = f", {held}" if held else ""
        told = f"the fit is worse than the mean of the target: {name} {plain_number(train)}"
        return f"{told} on training rows{beside} ({scale}); {_mend_fit(facts)}"
    if val is not None and val < baseline:
        return (
            f"worse than the mean on held-out rows: {held} ({scale}), and {name}"
            f" {plain_number(train)} on training rows; a stronger penalty, fewer features or more"
            " rows would help"
        )
    return None


def _mend_fit(facts: FitFacts) -> str:
    cures = []
    if not facts["solves"]:
        can_scale = MODELS[facts["model"]].scales_target and facts["scale_target"] == "none"
        if can_scale and not facts["rose"]:
            cures.append("data.scale_target=standard")
        cures.append("'optimizer={name: auto}'")
    if not facts["bias"]:
        cures.append("bias=true")
    return f"{one_of(cures or ['more iterations'])} would help"


def few_negatives_text(metric: str, count: int, least: int) -> str:
    """Of a metric at a share of false positives that is less than one of the negative rows.

    Args:
        metric: a column of the run's tables.
        count: of negative rows.
        least: how many there are to be.
    """
    rows = counted(count, "negative row")
    return (
        f"with {rows} {metric} is the recall without a false positive: 1 in {least} of them is"
        " less than one"
    )
