"""A header in the middle of a file, as `cat a.csv b.csv` leaves it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow.types as types
from numpy.typing import NDArray

from trainer.data.sources import cells


def repeated_header(columns: Mapping[str, Any]) -> int | None:
    """The first row whose cells are the names of their columns; None where there is none.

    Args:
        columns: {name: Arrow column as it was read}, of which some must be text to tell.
    """
    texts = [name for name, column in columns.items() if not types.is_floating(column.type)]
    if not texts or len(columns) < 2:
        return None
    rows = _rows_of(columns[texts[0]], texts[0])
    for name, column in columns.items():
        if not rows.size:
            return None
        rows = rows[_is_name(column.take(rows), name)]
    return int(rows[0]) if rows.size else None


def _rows_of(column: Any, name: str) -> NDArray[np.int64]:
    encoded = cells.encoded(column)
    words = encoded.dictionary.to_pylist()
    if name not in words:
        return np.empty(0, np.int64)
    return np.flatnonzero(cells.codes(encoded) == words.index(name))


def _is_name(column: Any, name: str) -> NDArray[np.bool_]:
    """(n,): which cells of a few rows are the name of their column."""
    found = column.to_pylist()
    if not cells.NUMBER.fullmatch(name):
        return np.array([cell == name for cell in found], dtype=bool)
    return np.array([cell in (name, float(name)) for cell in found], dtype=bool)
