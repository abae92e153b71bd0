"""Rows that cannot be predicted: a value is infinite, or missing where nothing fills it in."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from trainer.data.frame import ColumnData, Frame, Labels
from trainer.data.rows import Array
from trainer.text.printable import quote


def has_gap(frame: Frame, rows: slice, *, fill_in: bool) -> NDArray[np.bool_]:
    """(n,): whether some value of a row cannot be used.

    Args:
        frame: its columns are the model's.
        rows: n of them.
        fill_in: whether a missing value is filled in.
    """
    if not isinstance(frame.features, tuple):
        block = frame.features[rows]
        if np.isfinite(block).all():  # the usual case, and quicker
            return np.zeros(len(block), dtype=bool)
        return np.asarray(_is_gap(block, fill_in).any(axis=1), dtype=np.bool_)
    gap = np.zeros(rows.stop - rows.start, dtype=bool)
    for column in frame.features:
        gap |= _is_gap(_of_rows(column, rows), fill_in)
    return gap


def first_gap(frame: Frame, row: int, columns: tuple[str, ...], *, fill_in: bool) -> str:
    """Where the first such value of a row is, for messages: `row 3 (line 5), column 'age'`."""
    one = slice(row, row + 1)
    if isinstance(frame.features, tuple):
        cells = [_is_gap(_of_rows(column, one), fill_in)[0] for column in frame.features]
    else:
        cells = _is_gap(frame.features[one], fill_in)[0].tolist()
    return f"{frame.place(row)}, column {quote(columns[cells.index(True)])}"


def _of_rows(column: ColumnData, rows: slice) -> Array:
    """The numbers of a column, or the codes of its text as numbers, NaN where it is missing."""
    if isinstance(column, Labels):
        return np.where(column.codes[rows] < 0, np.nan, 0.0)
    return column[rows]


def _is_gap(values: Array, fill_in: bool) -> NDArray[np.bool_]:
    if values.dtype.kind != "f":
        return np.zeros(values.shape, dtype=bool)
    return np.isinf(values) if fill_in else ~np.isfinite(values)
