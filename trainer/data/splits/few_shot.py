"""Few-shot draws: k training rows of each class, several times."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal

from trainer.data.rows import IntArray
from trainer.data.sources.source import Source
from trainer.data.splits.folds import draw
from trainer.data.splits.holdout import hold_out, usable
from trainer.data.splits.row_split import Holdout, RowSplit, class_codes, counted, scarcest
from trainer.errors import DataError
from trainer.streams import DRAWS, VAL_DRAWS

if TYPE_CHECKING:
    from trainer.config.schema.spec import Spec


def draw_splits(
    source: Source, spec: Spec, k: int, tries: int, val_k: Literal["none"] | int
) -> Iterator[RowSplit]:
    """Draws from the plain run's training rows, by the run's seed and the number of the draw.

    Raises:
        DataError: no single-label classes, or a class with fewer rows than are to be drawn.
    """
    holdout, frame = hold_out(source, spec), source.frame
    if holdout.target.kind != "labels":
        raise DataError(
            f"repeat.few_shot: draws rows of each class, and {frame.target_where} has no"
            " single-label classes; repeat.folds is right for it"
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
    for number in range(tries):
        drawn = rows[draw(codes, k, seed=spec.seed, stream=DRAWS + number)]
        val, of_own = (None, None)
        if val_k != "none":
            val, of_own = _drawn_val(source, spec, holdout, val_k, number)
        key = ("draw", k, val_k, spec.seed, number)
        yield RowSplit(f"draw {number + 1}", drawn, val, key, of_own)


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
