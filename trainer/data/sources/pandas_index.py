"""What pandas leaves in a table: its row index, and which columns are categories.

A row index is no feature: it numbers the rows, and where a file is sorted by its label it tells the
label. In Parquet and Arrow, pandas' metadata say which columns are the index; a CSV file has them
under no name, and under `Unnamed: 0` after it was read and written again.
https://pandas.pydata.org/docs/development/developer.html#storing-pandas-dataframe-objects-in-apache-parquet-format
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from trainer.data.column_faults import ColumnFault
from trainer.data.frame import ColumnData, Labels
from trainer.text.labels import nfc

_INDEX_LEVEL = re.compile(r"__index_level_\d+__")
_UNNAMED = re.compile(r"Unnamed: \d+(_level_\d+)?(\.\d+)*")
_CURE = "(pandas writes its index so, but with to_csv(index=False))"


def index_columns(names: Sequence[str], metadata: Mapping[bytes, bytes] | None) -> tuple[str, ...]:
    """Names of the columns that are pandas' row index, by their name or by the metadata."""
    told = _told(metadata).get("index_columns")
    index = [nfc(name) for name in told if isinstance(name, str)] if isinstance(told, list) else []
    return tuple(name for name in names if name in index or _INDEX_LEVEL.fullmatch(name))


def category_columns(metadata: Mapping[bytes, bytes] | None) -> frozenset[str]:
    """Names of the columns that are categories in pandas, whatever type the file has for them."""
    columns = _told(metadata).get("columns")
    return frozenset(
        nfc(str(column.get("field_name", column.get("name"))))
        for column in (columns if isinstance(columns, list) else [])
        if isinstance(column, dict) and column.get("pandas_type") == "categorical"
    )


def nameless_faults(names: Sequence[str], features: Sequence[str]) -> list[ColumnFault]:
    """The fault of a column without a name among the features: most often a row number."""
    if "" not in features:
        return []
    what = f"is column {names.index('') + 1}, which has no name {_CURE}"
    return [ColumnFault("", what, is_category=False)]


def unnamed_fault(name: str, column: ColumnData) -> ColumnFault | None:
    """The fault of a column `Unnamed: 0` that holds another whole number in every row."""
    if not _UNNAMED.fullmatch(name) or isinstance(column, Labels) or column.dtype.kind not in "iuf":
        return None
    numbers = np.asarray(column)
    whole = bool((np.isfinite(numbers) & (numbers >= 0) & (np.floor(numbers) == numbers)).all())
    if not whole or len(np.unique(numbers)) < len(numbers):
        return None
    what = f"numbers the rows, as pandas' index does {_CURE}"
    return ColumnFault(name, what, is_category=False)


def _told(metadata: Mapping[bytes, bytes] | None) -> dict[str, Any]:
    """The metadata that pandas wrote; empty where there are none that can be read."""
    try:
        told = json.loads((metadata or {}).get(b"pandas", b"{}"))
    except ValueError:
        return {}
    return told if isinstance(told, dict) else {}
