"""What is said of a run's repeats: which were left out, and what their means are worth."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from trainer.text.names import cut_apart
from trainer.text.numbers import counted, plain_number

_FEWEST = 50  # resamples that a standard deviation takes (Efron and Tibshirani 1993, §6.4)
_SHOWN = 20
_MOST = 40  # letters of a name
_NONE: Mapping[str, int] = MappingProxyType({})


def repeat_word(repeat: Any) -> str:
    """What a repeat is, by the `repeat` block of a config: a fold, a draw, a resample, a repeat."""
    block = repeat if isinstance(repeat, Mapping) else {}
    words = {"folds": "fold", "few_shot": "draw", "bootstrap": "resample"}
    return next((word for key, word in words.items() if block.get(key)), "repeat")


def value_column(repeat: Any) -> str | None:
    """The column of repeats.csv with what the data call a fold; None where they call it nothing."""
    folds = repeat.get("folds") if isinstance(repeat, Mapping) else None
    if folds == "leave_one_group_out":
        return "group"
    is_given = isinstance(folds, Mapping) and bool({"column", "npy"} & set(folds))
    return "fold" if is_given else None


def repeats_texts(
    repeat: Any,
    repeats: int,
    left_out: Mapping[str, str],
    always: int = 0,
    inner: Mapping[str, int] = _NONE,
) -> list[str]:
    """A sentence on each thing that a reader of means over repeats should know.

    Args:
        repeat: the config's block.
        repeats: how many train.
        left_out: {name of a repeat that does not: what its rows lack}.
        always: rows that no fold holds out.
        inner: {what the rows of an inner fold lack: how many do}, which do not train.
    """
    word, told = repeat_word(repeat), []
    block = repeat if isinstance(repeat, Mapping) else {}
    if block.get("bootstrap"):
        told.append(
            "val is the rows that a resample did not draw, and its model has seen about 63 % of"
            " all: val is pessimistic, and not to be compared with that of folds"
        )
        if repeats < _FEWEST:
            told.append(
                f"{counted(repeats, 'resample')} are few: standard deviations take {_FEWEST} or"
                " more, percentiles 1,000"
            )
    if block.get("leave_one_out"):
        told.append(
            "val is leave-one-out: each training row by the model of all others; the model that is"
            " kept has seen them all"
        )
    if always:
        told.append(
            f"{counted(always, 'row')} {'is' if always == 1 else 'are'} in every fold's"
            " training rows: of fold -1, or of none"
        )
    if left_out:
        all_of = f"{len(left_out):,} of {counted(repeats + len(left_out), word)}"
        told.append(_left_out(all_of, word, Counter(left_out.values())))
    if inner:
        told.append(_left_out(counted(sum(inner.values()), "inner fold"), "inner fold", inner))
    return told


def _left_out(which: str, word: str, lacks: Mapping[str, int]) -> str:
    """Which are left out of every trial, and how many of them for what their rows lack."""
    often = Counter(lacks).most_common(3)
    why = ", ".join(f"{counted(n, word)} without {what}" for what, n in often)
    more = " and others" if len(lacks) > 3 else ""
    return (
        f"{which} left out of every trial: {why}{more};"
        " a model of such rows has no finite optimum, or nothing to be measured on"
    )


def by_value_text(what: str, metric: str, values: Sequence[tuple[str, float]], low: bool) -> str:
    """A metric of each fold that the data name, the worst first.

    Args:
        what: a fold is: a group, a fold.
        metric: by name.
        values: (name, value) of each.
        low: whether less is better.
    """
    ordered = sorted(values, key=lambda pair: -pair[1] if low else pair[1])[:_SHOWN]
    names = cut_apart([name for name, _ in ordered], _MOST)
    told = ", ".join(f"{n} {plain_number(v)}" for n, (_, v) in zip(names, ordered, strict=True))
    more = f", and {len(values) - _SHOWN:,} more in repeats.csv" if len(values) > _SHOWN else ""
    return f"{metric} by {what}, the worst first: {told}{more}"
