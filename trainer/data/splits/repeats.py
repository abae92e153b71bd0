"""The repeats of a run as row numbers: folds, draws, resamples, or the one plain split."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from trainer.data.frame import Labels
from trainer.data.sources.beside import folds_form
from trainer.data.sources.source import Source
from trainer.data.splits.bootstrap import resample_splits
from trainer.data.splits.cross_validation import fold_splits
from trainer.data.splits.few_shot import draw_splits
from trainer.data.splits.given_folds import column_splits, forward_splits, group_splits
from trainer.data.splits.holdout import hold_out, plain_split
from trainer.data.splits.row_split import RowSplit
from trainer.errors import DataError
from trainer.text.labels import label_text
from trainer.text.printable import quote

if TYPE_CHECKING:
    from trainer.config.schema.spec import Spec


def row_splits(source: Source, spec: Spec) -> tuple[RowSplit, ...]:
    """The repeats of a trial for one seed: folds, few-shot draws, resamples, or the plain split.

    Args:
        source: what `read` returned.
        spec: of one trial, so that `few_shot` has one number.

    Raises:
        DataError: too few rows, groups or rows of a class; no classes to draw from.
    """
    repeat = spec.repeat
    if repeat is None:
        return (plain_split(source, spec),)
    if isinstance(repeat.folds, int):
        return tuple(fold_splits(source, spec, repeat.folds, repeat.times))
    if repeat.folds is not None:
        given = {"": group_splits, "forward": forward_splits}.get(folds_form(spec), column_splits)
        return tuple(given(source, spec))
    if repeat.few_shot is not None:
        return tuple(draw_splits(source, spec, repeat.few_shot))
    if repeat.bootstrap is not None:
        return tuple(resample_splits(source, spec, repeat.bootstrap))
    if repeat.leave_one_out and source.frame.group is not None:
        raise DataError(
            f"{source.frame.group_where}: repeat.leave_one_out: the rest of a row's group tells of"
            " it; write repeat: {leave_one_group_out: true}"
        )
    return (plain_split(source, spec),)


def why_left_out(source: Source, spec: Spec, part: RowSplit) -> str:
    """What the rows of a repeat lack, so that nothing can be learnt or measured; empty: nothing.

    Without the rows of a class a model has no finite optimum, as its bias is not penalised.
    """
    holdout, whole = hold_out(source, spec), part.whole()
    if whole.val is not None and not len(whole.val):
        return "rows that are not drawn"
    target = source.frame.target
    if holdout.target.kind != "labels" or not isinstance(target, Labels):
        return ""
    there, left = (
        np.bincount(target.codes[rows], minlength=len(target.values)) > 0  # by class
        for rows in (holdout.train, whole.train)
    )
    lacking = np.flatnonzero(there & ~left)
    return f"the class {quote(label_text(target.values[lacking[0]]))}" if len(lacking) else ""
