"""Cells of text as numbers: what is one, what is missing, what is true or false.

`pc` is pyarrow.compute, imported where it is needed: tables of numbers do without its 30 ms.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.types as types
from numpy.typing import NDArray

from trainer.data.rows import Array
from trainer.data.sources.csv_options import CsvOptions
from trainer.text import arrow

_WORDS = r"inf(?:inity)?|nan"
NUMBER = re.compile(rf"\s*[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?\s*|\s*[+-]?({_WORDS})\s*", re.I | re.A)


def numbers(column: Any, options: CsvOptions) -> Array | None:
    """A column of text as float64, NaN where missing; None if some cell is no number.

    Args:
        column: an Arrow column of strings, or of codes into a dictionary of strings.
        options: how numbers and missing values are written.
    """
    import pyarrow.compute as pc

    if types.is_dictionary(column.type):
        coded = encoded(column)
        found = numbers(coded.dictionary, options)
        return None if found is None else np.append(found, np.nan)[codes(coded)]  # −1: missing
    words, _, _ = _arrow(options.missing)
    for trim in (False, True):
        cells = pc.utf8_trim_whitespace(column) if trim else column
        missing = pc.is_in(cells, value_set=words)
        found = _cast(pc, cells, missing, options)
        if found is not None:
            return present(found, options)
    return _truth(pc, cells, missing, options)


def present(numbers: Array, options: CsvOptions) -> Array:
    """Numbers of a text file with NaN for those that mean a missing value."""
    words = options.missing_numbers
    return np.where(np.isin(numbers, words), np.nan, numbers) if words else numbers


def known_numbers(column: Any, options: CsvOptions) -> Array:
    """A column of text as float64, NaN where a cell is no number."""
    import pyarrow.compute as pc

    coded = encoded(column)
    is_number = pc.match_substring_regex(coded.dictionary, pattern=_written(options))
    found = numbers(pc.if_else(is_number, coded.dictionary, ""), options)
    found = np.full(len(coded.dictionary), np.nan) if found is None else found
    return np.append(found, np.nan)[codes(coded)]  # −1: missing


def encoded(column: Any) -> Any:
    """An Arrow column as one array of codes into a dictionary of its distinct values."""
    if not types.is_dictionary(column.type):
        return column.combine_chunks().dictionary_encode()
    if isinstance(column, pa.ChunkedArray):
        return column.unify_dictionaries().combine_chunks()
    return column


def codes(column: Any) -> NDArray[np.int32]:
    """(N,) places in the dictionary of an encoded column, −1 where it is null."""
    return arrow.numbers(column.indices.cast(pa.int32()), null=-1)


def _cast(pc: Any, cells: Any, missing: Any, options: CsvOptions) -> Array | None:
    """Numbers of cells that all are, exact to the last bit, in the way they are written."""
    if not options.plain_numbers:
        written = pc.match_substring_regex(cells, pattern=_written(options))
        if not pc.all(pc.or_(missing, written)).as_py():
            return None
        if options.thousands is not None:
            cells = pc.replace_substring(cells, pattern=options.thousands, replacement="")
        cells = pc.replace_substring(cells, pattern=options.decimal, replacement=".")
    try:
        numbers = pc.if_else(missing, pa.nulls(1, cells.type)[0], cells).cast(pa.float64())
    except pa.ArrowInvalid:
        return None
    return np.asarray(arrow.numbers(numbers), dtype=np.float64)


@cache
def _written(options: CsvOptions) -> str:
    """The regular expression (RE2) of a number with other separators than a point."""
    digits = r"\d+"
    if options.thousands is not None:
        apart = re.escape(options.thousands)
        digits = rf"(\d+|\d{{1,3}}({apart}\d{{2,3}})*{apart}\d{{3}})"
    point = re.escape(options.decimal)
    return rf"(?i)^\s*[+-]?(({digits}({point}\d*)?|{point}\d+)(e[+-]?\d+)?|{_WORDS})\s*$"


def _truth(pc: Any, cells: Any, missing: Any, options: CsvOptions) -> Array | None:
    """Booleans as 1 and 0, also where some of them are written so."""
    _, true, false = _arrow(options.missing)
    lower = pc.utf8_lower(cells)
    is_true = pc.is_in(lower, value_set=true)
    if not pc.all(pc.or_(missing, pc.or_(is_true, pc.is_in(lower, value_set=false)))).as_py():
        return None
    truth = pc.if_else(missing, pa.nulls(1, pa.bool_())[0], is_true).cast(pa.float64())
    return np.asarray(arrow.numbers(truth), dtype=np.float64)


@cache
def _arrow(missing: tuple[str, ...]) -> tuple[Any, Any, Any]:
    """The words as Arrow's, made once."""
    words = missing, ("true", "1", "1.0"), ("false", "0", "0.0")
    all_missing, true, false = (arrow.column(np.array(each, np.str_)) for each in words)
    return all_missing, true, false
