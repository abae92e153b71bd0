"""Few-shot draws: few training rows, of each class or of all, several times."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from typing import TYPE_CHECKING

import numpy as np

from trainer.data.rows import IntArray
from trainer.data.sources.source import Source
from trainer.data.splits.folds import draw, draw_share
from trainer.data.splits.holdout import hold_out, usable
from trainer.data.splits.row_split import Holdout, RowSplit, class_codes, counted, scarcest
from trainer.errors import DataError
from trainer.streams import DRAWS, VAL_DRAWS

if TYPE_CHECKING:
    from trainer.config.schema.spec import Spec
    from trainer.config.schema.sweep import FewShot


def draw_splits(source: Source, spec: Spec, shot: FewShot) -> Iterator[RowSplit]:
    """Draws from the plain run's training rows, by the run's seed and the number of the draw.

    Of the same draw fewer rows are among more.

    Args:
        source: what `read` returned.
        spec: of one trial.
        shot: its `few_shot`, of one number.

    Raises:
        DataError: no single-label classes for k, or fewer rows, of a class or of all, than are to
            be drawn.
    """
    choose, kind = _of_each_class(source, spec, shot) if shot.k else _of_all(source, spec, shot)
    for number in range(shot.tries):
        drawn = choose(number)
        val, of_own = (None, None)
        if shot.val_k != "none":
            holdout = hold_out(source, spec)
            val, of_own = _drawn_val(source, spec, holdout, shot.val_k, number)
        key = ("draw", kind, shot.val_k, spec.seed, number)
        yield RowSplit(f"draw {number + 1}", drawn, val, key, of_own)


Choice = Callable[[int], IntArray]
"""The rows of a draw, by its number."""


def _of_each_class(source: Source, spec: Spec, shot: FewShot) -> tuple[Choice, Hashable]:
    """So many rows of each class."""
    k = shot.k
    assert isinstance(k, int)
    holdout, frame = hold_out(source, spec), source.frame
    if holdout.target.kind != "labels":
        raise DataError(
            f"repeat.few_shot: draws rows of each class, and {frame.target_where} has no"
            " single-label classes; rows: [50, 100] in place of k is right for it"
        )
    rows = holdout.train
    codes = class_codes(frame, holdout.target, rows)
    label, found = scarcest(codes, holdout.target)
    if found < k:
        weighted = " with a weight" if frame.weight is not None else ""
        raise DataError(
            f"repeat.few_shot.k: {k} rows of each class, and the class {label} has"
            f" {counted(found, 'training row')}{weighted} in {frame.target_where}; a smaller k or"
            " more rows of it are right"
        )
    return lambda number: rows[draw(codes, k, seed=spec.seed, stream=DRAWS + number)], k


def _of_all(source: Source, spec: Spec, shot: FewShot) -> tuple[Choice, Hashable]:
    """So many rows, or such a share of them; each class has its share where they are stratified."""
    holdout, frame = hold_out(source, spec), source.frame
    rows, n = holdout.train, len(holdout.train)
    codes = None if holdout.codes is None else holdout.codes[rows]
    classes = 1 if codes is None else len(np.unique(codes))
    if isinstance(shot.fraction, float):
        key, size = "fraction", max(1, round(shot.fraction * n))
    else:
        assert isinstance(shot.rows, int)
        key, size = "rows", shot.rows
    if size > n:
        raise DataError(
            f"repeat.few_shot.rows: {size} rows, and there are {counted(n, 'training row')} in"
            f" {frame.where}; at most {n} are right"
        )
    if size < classes:
        raise DataError(
            f"repeat.few_shot.{key}: {counted(size, 'row')} of {classes} classes, in"
            f" {frame.target_where}; {classes} rows or more are right, one of each class"
        )

    def choose(number: int) -> IntArray:
        stream = DRAWS + number
        return rows[draw_share(n, size, seed=spec.seed, stream=stream, codes=codes)]

    return choose, ("of all", size)


def _drawn_val(
    source: Source, spec: Spec, holdout: Holdout, k: int, number: int
) -> tuple[IntArray | None, IntArray | None]:
    """The rows of val that a draw takes: of the training source, or of val's own."""
    own = source.held.get("val")
    frame = source.frame if own is None else own
    rows = holdout.val if own is None else usable(source, own, spec.data.missing)
    if not len(rows):
        raise DataError(
            f"repeat.few_shot.val_k: {k} rows of each class of val, and there is no val; set"
            " data.val, or val_k: none"
        )
    codes = class_codes(frame, holdout.target, rows)
    label, found = scarcest(codes, holdout.target, absent=False)
    if found < k:
        raise DataError(
            f"repeat.few_shot.val_k: {k} rows of each class of val, and the class {label} has"
            f" {counted(found, 'row')} there, in {frame.target_where}; a smaller val_k is right"
        )
    drawn = rows[draw(codes, k, seed=spec.seed, stream=VAL_DRAWS + number)]
    return (drawn, None) if own is None else (None, drawn)
