"""Inner folds: of the training rows of each repeat, by which it chooses among trials.

Varma and Simon 2006, "Bias in error estimation when using cross-validation for model selection":
what a repeat holds out has no part in the choice, so that its score of the chosen is honest.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from trainer.data.rows import IntArray
from trainer.data.sources.source import Source
from trainer.data.splits.folds import fold_of_groups, fold_of_rows
from trainer.data.splits.given_folds import forward_parts
from trainer.data.splits.holdout import hold_out
from trainer.data.splits.row_split import RowSplit, class_codes, counted, scarcest
from trainer.errors import DataError
from trainer.streams import INNER_FOLDS

if TYPE_CHECKING:
    from trainer.config.schema.spec import Spec


class _Outer(NamedTuple):
    """The rows that inner folds are made of: their name, and the number of their stream."""

    name: str
    rows: IntArray
    key: Hashable
    number: int


def inner_splits(source: Source, spec: Spec, repeats: Sequence[RowSplit]) -> tuple[RowSplit, ...]:
    """Inner folds of each repeat in turn, `repeat.inner_folds` of each.

    Those of all training rows come last, by which the final setting is chosen; with few-shot
    draws there are none.

    Args:
        source: what `read` returned.
        spec: of one trial.
        repeats: its own, of one seed.

    Raises:
        DataError: training rows of a repeat that are too few for their folds.
    """
    assert spec.repeat is not None
    parts = [(part.name, part.whole().train, part.key) for part in repeats]
    if spec.repeat.few_shot is None:
        parts.append(("all training rows", hold_out(source, spec).train, ("all",)))
    last = len(parts) - 1 if spec.repeat.few_shot is None else -1
    folds: list[RowSplit] = []
    for i, (name, rows, key) in enumerate(parts):
        outer = _Outer(name, rows, key, 0 if i == last else i + 1)
        folds += _folds(source, spec, outer, spec.repeat.inner_folds or 0)
    return tuple(folds)


def _folds(source: Source, spec: Spec, outer: _Outer, folds: int) -> Iterator[RowSplit]:
    """Forward ones inside of forward ones, else random ones: stratified, of whole groups."""
    kind = "inner", folds, outer.key
    if spec.repeat is not None and getattr(spec.repeat.folds, "form", "") == "forward":
        for i, (train, val) in enumerate(forward_parts(source, outer.rows, folds, "inner_folds")):
            yield RowSplit(_name(i, folds, outer), train, val, (*kind, i))
        return
    fold_of = _fold_of(source, spec, outer, folds)
    for i in range(folds):
        held = fold_of == i
        yield RowSplit(_name(i, folds, outer), outer.rows[~held], outer.rows[held], (*kind, i))


def _name(fold: int, folds: int, outer: _Outer) -> str:
    return f"inner fold {fold + 1} of {folds} of {outer.name}"


def _fold_of(source: Source, spec: Spec, outer: _Outer, folds: int) -> IntArray:
    """(n,) the inner fold of each row."""
    holdout, frame, rows = hold_out(source, spec), source.frame, outer.rows
    codes = None if holdout.codes is None else holdout.codes[rows]
    found = {"row": len(rows)}
    if frame.group is not None:
        found["group"] = len(np.unique(frame.group[rows]))
    for of, number in found.items():
        if number < folds:
            raise _too_few(folds, outer, f"there are {counted(number, of)}", number, f"{of}s")
    if codes is not None and holdout.target.classes is not None:
        # a class that a repeat lacks is said of the repeat
        label, number = scarcest(
            class_codes(frame, holdout.target, rows), holdout.target, absent=False
        )
        if number < folds:
            what = f"the class {label} has {counted(number, 'row')}"
            raise _too_few(folds, outer, what, number, "rows of it")
    seed, stream = spec.data.seed, INNER_FOLDS + outer.number
    if frame.group is None:
        return fold_of_rows(len(rows), folds, seed=seed, stream=stream, codes=codes)
    shares = [1 / folds] * folds
    return fold_of_groups(frame.group[rows], shares, seed=seed, stream=stream, codes=codes)


def _too_few(folds: int, outer: _Outer, what: str, most: int, more: str) -> DataError:
    right = f"at most {most}, or more {more}," if most > 1 else f"more {more}"
    return DataError(
        f"repeat.inner_folds: {folds} folds of the training rows of {outer.name}, and {what} for"
        f" them; {right} are right"
    )
