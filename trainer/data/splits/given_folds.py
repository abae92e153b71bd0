"""Folds that the rows say themselves: of a column's values, of time, of each group in turn."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from trainer.data.frame import Frame, RepeatColumn
from trainer.data.rows import IntArray
from trainer.data.sources.beside import COLUMN, FILE, folds_form
from trainer.data.sources.source import Source
from trainer.data.splits.holdout import hold_out, no_val_beside
from trainer.data.splits.row_split import RowSplit, counted
from trainer.data.splits.times import time_ranks
from trainer.errors import DataError
from trainer.text.labels import label_text
from trainer.text.printable import quote

if TYPE_CHECKING:
    from trainer.config.schema.spec import Spec

_NEVER_HELD = "-1"


def column_splits(source: Source, spec: Spec) -> Iterator[RowSplit]:
    """A fold for each value of a column: the rows that have it are held out.

    Rows of -1 (scikit-learn's PredefinedSplit), and rows without a value, always train.

    Raises:
        DataError: one fold, or a group that lies in several; a val of its own.
    """
    rows = no_val_beside(source, spec, "folds of a column").train
    beside = _beside(source)
    codes = beside.values.codes[rows]
    names = [str(value) for value in beside.values.values]
    fold_of = np.array([-1 if name == _NEVER_HELD else i for i, name in enumerate(names)] + [-1])
    codes = fold_of[codes]  # code −1 reads the last: missing
    found = np.unique(codes[codes >= 0])
    if len(found) < 2:
        one = f"the value {quote(names[found[0]])} alone" if len(found) else "no fold"
        raise DataError(
            f"{beside.where}: its training rows have {one}; two values or more are right"
            f" (rows of {_NEVER_HELD}, or without a value, are never held out)"
        )
    _check_groups(source.frame, rows, codes, beside.where)
    for code in found.tolist():
        yield _fold_of(rows, codes, code, "fold", names[code])


def forward_splits(source: Source, spec: Spec) -> Iterator[RowSplit]:
    """Stretches of time, each held out from what is learnt of all rows before it.

    Without ties these are scikit-learn's TimeSeriesSplit's of the rows in order of time. Rows of
    one time stay together: they are held out in the later of two stretches.

    Raises:
        DataError: times that are missing or cannot be sorted, too few of them; groups, which
            stretches of time would part; a val of its own.
    """
    rows = no_val_beside(source, spec, "folds of time").train
    frame = source.frame
    folds: int = getattr(spec.repeat.folds, "forward", 0) if spec.repeat else 0
    if frame.group is not None:
        raise DataError(
            f"{frame.group_where}: stretches of time part groups; leave `group` out, or"
            " write folds: leave_one_group_out"
        )
    for i, (train, val) in enumerate(forward_parts(source, rows, folds, "folds.forward")):
        yield RowSplit(f"stretch {i + 1} of {folds}", train, val, ("forward", folds, i))


def forward_parts(
    source: Source, rows: IntArray, folds: int, key: str
) -> Iterator[tuple[IntArray, IntArray]]:
    """(training rows, held-out rows) of each stretch of time of some rows.

    Args:
        source: with the column of times.
        rows: ascending.
        folds: stretches that are held out.
        key: of `repeat`, which says how many.

    Raises:
        DataError: times that are missing or cannot be sorted, too few of them.
    """
    beside, frame = _beside(source), source.frame
    rank = time_ranks(beside)[rows]
    if (rank < 0).any():
        row = int(rows[np.flatnonzero(rank < 0)[0]])
        raise DataError(
            f"{beside.where}: {frame.place(row)}: the time is missing; give every row its time"
        )
    order = np.argsort(rank, kind="stable")
    ends = _boundaries(rank[order], folds)
    if (np.diff([0, *ends]) <= 0).any():
        times = len(np.unique(rank))
        raise DataError(
            f"{beside.where}: repeat.{key}: {folds} stretches after a first one, of"
            f" {counted(len(rows), 'row')} at {counted(times, 'time')}, leave one without rows;"
            " fewer are right"
        )
    for i in range(folds):
        train, val = order[: ends[i]], order[ends[i] : ends[i + 1]]
        yield rows[np.sort(train)], rows[np.sort(val)]


def _boundaries(rank: IntArray, folds: int) -> list[int]:
    """Where each stretch begins among the rows in order of time, and where the last ends."""
    n = len(rank)
    size = n // (folds + 1)  # the first part, which only trains, takes what is over
    starts = [n - (folds - i) * size for i in range(folds)]
    # a time's rows all go to the later stretch
    return [int(np.searchsorted(rank, rank[start])) if start < n else n for start in starts] + [n]


def group_splits(source: Source, spec: Spec) -> Iterator[RowSplit]:
    """A fold for each group.

    Raises:
        DataError: no groups, or one; a val of its own.
    """
    rows, frame = no_val_beside(source, spec, "leave_one_group_out").train, source.frame
    if frame.group is None:
        raise DataError(
            f"{frame.where}: repeat.folds: leave_one_group_out takes the rows' groups; name their"
            " column: group: patient"
        )
    groups = frame.group[rows]
    found = np.unique(groups)
    if len(found) < 2:
        raise DataError(
            f"{frame.group_where}: the training rows are one group; two groups or more are right"
        )
    for code in found.tolist():
        yield _fold_of(rows, groups, code, "group", label_text(frame.group_values[code]))


def _fold_of(
    rows: IntArray, codes: NDArray[np.integer], code: int, kind: str, value: str
) -> RowSplit:
    """The fold that holds out the rows of a code; thousands of groups are not held at once."""

    def redraw() -> RowSplit:
        held = codes == code
        return RowSplit(name, rows[~held], rows[held], key, value=value)

    name, key = f"{kind} {value}", (kind, code)
    return RowSplit(name, rows[:0], rows[:0], key, value=value, redraw=redraw)


def _beside(source: Source) -> RepeatColumn:
    assert source.beside is not None
    return source.beside


def _check_groups(frame: Frame, rows: IntArray, codes: NDArray[np.integer], where: str) -> None:
    """Refuse folds that part the rows of a group."""
    if frame.group is None:
        return
    pairs = np.unique(np.column_stack([frame.group[rows], codes]), axis=0)
    twice = np.flatnonzero(np.diff(pairs[:, 0]) == 0)
    if len(twice):
        group = quote(label_text(frame.group_values[int(pairs[twice[0], 0])]))
        raise DataError(
            f"{where}: the rows of group {group} lie in several folds; one fold a group is right,"
            " or no `group`"
        )


def always_trained(source: Source, spec: Spec) -> int:
    """How many training rows no fold of a column holds out; 0 of other folds."""
    if folds_form(spec) not in (COLUMN, FILE):
        return 0
    held = (part.whole().val for part in column_splits(source, spec))
    return len(hold_out(source, spec).train) - sum(len(rows) for rows in held if rows is not None)
