"""The repeats of a run as row numbers: folds, few-shot draws, or the one plain split."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trainer.data.sources.source import Source
from trainer.data.splits.cross_validation import fold_splits
from trainer.data.splits.few_shot import draw_splits
from trainer.data.splits.holdout import plain_split
from trainer.data.splits.row_split import RowSplit

if TYPE_CHECKING:
    from trainer.config.schema.spec import Spec


def row_splits(source: Source, spec: Spec) -> tuple[RowSplit, ...]:
    """The repeats of a trial for one seed: folds, or few-shot draws, or the plain split.

    Args:
        source: what `read` returned.
        spec: of one trial, so that `few_shot.k` is one number.

    Raises:
        DataError: too few rows, groups or rows of a class; no classes to draw from.
    """
    repeat = spec.repeat
    if repeat is not None and repeat.folds is not None:
        return tuple(fold_splits(source, spec, repeat.folds, repeat.times))
    if repeat is not None and repeat.few_shot is not None:
        shot = repeat.few_shot
        assert isinstance(shot.k, int)
        return tuple(draw_splits(source, spec, shot.k, shot.tries, shot.val_k))
    return (plain_split(source, spec),)
