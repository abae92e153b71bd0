"""Small tables as CSV and records as JSON, as people, pandas and jq read them.

Numbers are written in the shortest form that reads back as the same number. In CSV an empty cell
says that there is no such number (None), `nan` and `inf` are numbers that came out so; JSON has no
word for the latter, so they are null there.
"""

from __future__ import annotations

import csv
import io
import json
import math
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import numpy as np

_LONGEST_CELL = 1 << 30  # letters; Python's own limit, 131,072, is shorter than a long text
csv.field_size_limit(max(csv.field_size_limit(), _LONGEST_CELL))
_INTEGER = re.compile(r"[+-]?[0-9]+")
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:e[+-]?[0-9]+)?|nan|[+-]?inf", re.I)
_LONGEST = 4000  # digits: Python reads no longer integer
_TRUTH = {"true": True, "false": False}


def csv_lines(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> str:
    """The rows as CSV without a header, a line each; every row has exactly the `columns`.

    Raises:
        ValueError: a row has other columns.
    """
    names = set(columns)
    for row in rows:
        if row.keys() != names:
            raise ValueError(f"a row has the columns {list(row)}, not {list(columns)}")
    cells = (_cells([row[name] for row in rows]) for name in columns)
    return "".join([",".join(line) + "\n" for line in zip(*cells, strict=True)])


def csv_header(columns: Sequence[str]) -> str:
    """The header line."""
    return csv_lines([dict(zip(columns, columns, strict=True))], columns)


def parse_csv(text: str, words: frozenset[str] = frozenset()) -> list[dict[str, Any]]:
    """Read what `csv_lines` wrote: a column of numbers comes back as numbers, as a whole.

    Args:
        text: CSV with a header.
        words: columns that are text whatever they look like.

    Raises:
        ValueError: the text is not such a table.
    """
    try:
        header, *lines = csv.reader(io.StringIO(text, newline=""), strict=True)
    except csv.Error as error:
        raise ValueError(str(error)) from error
    if any(len(line) != len(header) for line in lines):
        raise ValueError("its rows are of different length")
    columns = []
    for name, cells in zip(header, zip(*lines, strict=True), strict=False):
        distinct = set(cells)  # few in most columns
        distinct.discard("")
        read = str if name in words else _reader(distinct)
        values = {"": None} | {cell: read(cell) for cell in distinct}
        columns.append([values[cell] for cell in cells])
    return [dict(zip(header, row, strict=True)) for row in zip(*columns, strict=True)]


def number(cell: str) -> int | float | None:
    """The number that `csv_lines` wrote as this cell, or None: other spellings are text."""
    if _INTEGER.fullmatch(cell):
        value: int | float = int(cell) if len(cell) < _LONGEST else math.nan
    elif _NUMBER.fullmatch(cell):
        value = float(cell)
    else:
        return None
    return value if repr(value) == cell else None


def json_text(record: Mapping[str, Any]) -> str:
    """The record as indented JSON: non-ASCII as it is, NaN and infinity as null."""
    return json.dumps(_plain(record), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _cells(values: Sequence[Any]) -> list[str]:
    """The cells of one column; a sweep's history has ten thousand in one, all of a kind."""
    kinds = set(map(type, values))
    if kinds in ({float}, {int}):
        distinct = set(values)
        if 2 * len(distinct) > len(values):
            return list(map(repr, values))
        known = {value: repr(value) for value in distinct}
        return [known[value] if value else repr(value) for value in values]  # 0.0 equals −0.0
    if kinds <= {str, type(None)}:  # a few words, or nothing
        known = {value: _cell(value) for value in set(values)}
        return [known[value] for value in values]
    return list(map(_cell, values))


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, np.floating):
        return str(value)  # the shortest form for its own precision
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, str):
        return _quoted(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return repr(value)
    return _quoted(json.dumps(_plain(value), ensure_ascii=False))  # a list or mapping, swept


def _quoted(text: str) -> str:
    if any(letter in text for letter in ',"\r\n'):  # csv.writer leaves a lone \r bare
        return '"' + text.replace('"', '""') + '"'
    return text


def _reader(cells: Collection[str]) -> Callable[[str], Any]:
    """What turns the cells of one column into values: all of them, or they stay text."""
    if not cells:
        return str
    if all(map(_INTEGER.fullmatch, cells)):
        return int
    if all(map(_NUMBER.fullmatch, cells)):
        return float
    if all(cell in _TRUTH for cell in cells):
        return _TRUTH.__getitem__
    return str


def _plain(value: Any) -> Any:
    """`value` in JSON's own types."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
