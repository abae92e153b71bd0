"""Cross-validation: folds, drawn anew `times` times; each time every row is held out once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from trainer.data.frame import Frame
from trainer.data.sources.source import Source
from trainer.data.splits.folds import fold_of_groups, fold_of_rows
from trainer.data.splits.holdout import no_val_beside
from trainer.data.splits.row_split import Holdout, RowSplit, class_codes, counted, scarcest
from trainer.errors import DataError
from trainer.streams import FOLDS

if TYPE_CHECKING:
    from trainer.config.schema.spec import Spec


def fold_splits(source: Source, spec: Spec, folds: int, times: int) -> Iterator[RowSplit]:
    """Folds of the plain run's training rows, those of one drawing after another.

    Raises:
        DataError: fewer rows, groups or rows of a class than folds; a val of its own.
    """
    holdout, frame = no_val_beside(source, spec, f"{folds} folds"), source.frame
    _check(frame, holdout, folds)
    rows = holdout.train
    codes = None if holdout.codes is None else holdout.codes[rows]
    for time in range(times):
        seed, stream = spec.data.seed, FOLDS + time
        if frame.group is None:
            fold_of = fold_of_rows(len(rows), folds, seed=seed, stream=stream, codes=codes)
        else:
            groups, shares = frame.group[rows], [1 / folds] * folds
            fold_of = fold_of_groups(groups, shares, seed=seed, stream=stream, codes=codes)
        for fold in range(folds):
            is_held = fold_of == fold
            name = f"fold {fold + 1} of {folds}" + f", time {time + 1}" * (times > 1)
            key = ("fold", folds, time, fold)
            yield RowSplit(name, rows[~is_held], rows[is_held], key, time=time)


def _check(frame: Frame, holdout: Holdout, folds: int) -> None:
    found = {"row": (len(holdout.train), frame.where)}
    if frame.group is not None:
        found["group"] = (len(np.unique(frame.group[holdout.train])), frame.group_where)
    for of, (number, where) in found.items():
        if number < folds:
            raise DataError(
                f"repeat.folds: {folds} folds of {counted(number, of)} in {where};"
                f" {_at_most(number, f'{of}s')} are right"
            )
    if holdout.codes is None:
        return
    label, rows = scarcest(class_codes(frame, holdout.target, holdout.train), holdout.target)
    if rows < folds:
        raise DataError(
            f"repeat.folds: {folds} folds, and the class {label} has {counted(rows, 'row')} for"
            f" them in {frame.target_where}; {_at_most(rows, 'rows of it')}, or"
            " data.stratify: false, are right"
        )


def _at_most(most: int, more: str) -> str:
    return f"at most {most} folds, or more {more}" if most > 1 else f"more {more}"
