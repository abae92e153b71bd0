"""Columns of Arrow tables as NumPy: numbers with NaN, or text and labels with codes."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainer.data.frame import ColumnData, Labels, group_codes, labels_of, row_number
from trainer.data.rows import Array, Label
from trainer.errors import DataError
from trainer.text.labels import label_text
from trainer.text.printable import quote

MISSING = ("", "NA", "N/A", "n/a", "NaN", "nan", "null", "NULL")
"""Cells of a text file that are missing values, quoted or not."""

_NUMBER = re.compile(
    r"\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*|\s*[+-]?(inf(inity)?|nan)\s*", re.I | re.A
)
_CODE = re.compile(r"\s*[+-]?(0\d|\d{19})")
_WHOLE = re.compile(r"-?(0|[1-9]\d{0,17})")


@dataclass(frozen=True)
class ColumnReader:
    """Converts Arrow columns; knows what to call the file and its rows."""

    where: str
    place: Callable[[int], str] = row_number
    text_file: bool = False
    """Whether cells are text that may be numbers, and some words mean missing."""

    def either(self, column: Any, name: str) -> ColumnData:
        """Numbers where the column is, else text."""
        import pyarrow.types as types

        if not _is_text(column.type):
            return self.numbers(column, name, "")
        if not self.text_file or types.is_dictionary(column.type):
            return self.text(column, name)
        found = _parsed(column)
        if found is not None:
            return found
        text = self.text(column, name)
        odd = [code for code, value in enumerate(text.values) if not _NUMBER.fullmatch(str(value))]
        is_odd = np.isin(text.codes, odd)
        if 0 < 2 * int(is_odd.sum()) < int((text.codes >= 0).sum()):
            row = int(np.flatnonzero(is_odd)[0])
            raise DataError(
                f"{self.where}: {self.place(row)}, column {quote(name)}:"
                f" {quote(text.values[text.codes[row]])} is not a number, as most of the column is;"
                f" write a number, leave the cell empty, or list the column under `categorical`"
            )
        return text

    def numbers(self, column: Any, name: str, hint: str) -> Array:
        """(N,) numbers, NaN where missing."""
        import pyarrow as pa
        import pyarrow.types as types

        kind = column.type
        if _is_text(kind):
            found = _parsed(column) if self.text_file else None
            if found is None:
                raise self._no_number(column, name, hint)
            return found
        if types.is_boolean(kind):
            column = column.cast(pa.uint8())
        elif types.is_decimal(kind) or types.is_null(kind):
            column = column.cast(pa.float64())
        elif not (types.is_integer(kind) or types.is_floating(kind)):
            raise DataError(
                f"{self.where}: column {quote(name)}: holds {kind}; numbers or text are right:"
                " convert it, or leave it out with `drop`"
            )
        result: Array = column.to_numpy()
        return result

    def target(self, column: Any, name: str) -> Array:
        """(N,) float64 of a column that is to be predicted as a number."""
        hint = "for labels in one column `model: logistic` or `softmax` is right"
        return self.numbers(column, name, hint).astype(np.float64)

    def text(self, column: Any, name: str) -> Labels:
        """Sorted distinct texts and a code a row; numbers as `label_text` writes them."""
        return self._encoded(column, name, label_text)

    def groups(self, column: Any, name: str) -> NDArray[np.int32]:
        """(N,) codes of the rows' groups, −1 where missing."""
        import pyarrow as pa
        import pyarrow.types as types

        if types.is_floating(column.type) or types.is_decimal(column.type):
            values = column.cast(pa.float64()).to_numpy()
            return group_codes(values, f"{self.where}: column {quote(name)}", self.place)
        return self.text(column, name).codes

    def labels(self, column: Any, name: str) -> Labels:
        """Labels of a target: whole numbers where all are, else text or booleans."""
        import pyarrow as pa
        import pyarrow.types as types

        where = f"{self.where}: column {quote(name)}"
        if types.is_floating(column.type) or types.is_decimal(column.type):
            return self._whole(column.cast(pa.float64()).to_numpy(), name, where)
        encoded = self._encoded(column, name, lambda value: value)
        texts = encoded.values
        if not self.text_file or not all(isinstance(text, str) for text in texts):
            return encoded
        if all(_WHOLE.fullmatch(str(text)) for text in texts):
            return _recoded([int(text) for text in texts], encoded.codes)
        # 01 is a name rather than a number, and so is what no 64-bit integer holds.
        if all(_NUMBER.fullmatch(str(text)) for text in texts) and not any(
            _CODE.match(str(text)) for text in texts
        ):
            values = np.array([float(text) for text in texts])
            numbers = np.full(len(encoded.codes), np.nan)
            present = encoded.codes >= 0
            numbers[present] = values[encoded.codes[present]]
            return self._whole(numbers, name, where)
        return encoded

    def _whole(self, numbers: Array, name: str, where: str) -> Labels:
        try:
            return labels_of(numbers, where)
        except DataError:
            fraction = ~np.isnan(numbers) & ~(np.isfinite(numbers) & (np.floor(numbers) == numbers))
            row = int(np.flatnonzero(fraction)[0])
            raise DataError(
                f"{self.where}: {self.place(row)}, column {quote(name)}: {numbers[row]} is no"
                " label; whole numbers or text are, and for numbers to be predicted"
                " `model: linear` is right"
            ) from None

    def _encoded(self, column: Any, name: str, written: Callable[[Any], Label]) -> Labels:
        import pyarrow as pa
        import pyarrow.types as types

        kind = column.type
        if types.is_dictionary(kind):
            column, kind = column.cast(kind.value_type), kind.value_type
        if _is_text(kind):
            column = column.cast(pa.large_string())  # 64-bit offsets: any length fits one chunk
        elif not (
            types.is_boolean(kind)
            or types.is_integer(kind)
            or types.is_floating(kind)
            or types.is_null(kind)
        ):
            raise DataError(
                f"{self.where}: column {quote(name)}: holds {kind}; text, whole numbers or"
                " booleans are right"
            )
        encoded = column.combine_chunks().dictionary_encode()
        codes = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int32)
        try:
            values = encoded.dictionary.to_pylist()
        except UnicodeDecodeError:
            raise DataError(
                f"{self.where}: column {quote(name)}: holds text that is not UTF-8; write it again"
            ) from None
        missing = [
            value is None or value != value or (self.text_file and str(value).strip() in MISSING)
            for value in values
        ]
        return _recoded(
            [None if m else written(v) for v, m in zip(values, missing, strict=True)], codes
        )

    def _no_number(self, column: Any, name: str, hint: str) -> DataError:
        text = self.text(column, name)
        odd = [code for code, value in enumerate(text.values) if not _NUMBER.fullmatch(str(value))]
        # A typed column of text may hold nothing but digits: its first cell is the fault then.
        rows = np.flatnonzero(np.isin(text.codes, odd) if odd else text.codes >= 0)
        if not rows.size:
            return DataError(f"{self.where}: column {quote(name)}: is text without values; {hint}")
        row = int(rows[0])
        return DataError(
            f"{self.where}: {self.place(row)}, column {quote(name)}:"
            f" {quote(text.values[text.codes[row]])} is text where a number should be; {hint}"
        )


def _recoded(values: Sequence[Any], codes: Any) -> Labels:
    """Sort the values, None for missing, and renumber the codes; equal values become one."""
    distinct = sorted({value for value in values if value is not None})
    position = {value: i for i, value in enumerate(distinct)}
    renumbered = np.array(
        [-1 if value is None else position[value] for value in values] + [-1], dtype=np.int32
    )
    return Labels(tuple(distinct), renumbered[codes])  # code −1 reads the last: missing


def _parsed(column: Any) -> Array | None:
    """A column of text as float64, NaN where missing; None if some cell is no number."""
    import pyarrow as pa
    import pyarrow.compute as pc

    missing_words, boolean_words, none = _words()
    for trim in (False, True):
        cells = pc.utf8_trim_whitespace(column) if trim else column
        missing = pc.is_in(cells, value_set=missing_words)
        try:
            numbers = pc.if_else(missing, none, cells).cast(pa.float64())
        except pa.ArrowInvalid:
            continue
        return np.asarray(numbers.to_numpy(), dtype=np.float64)
    lower = pc.utf8_lower(cells)
    if pc.all(pc.or_(missing, pc.is_in(lower, value_set=boolean_words))).as_py():
        truth = pc.if_else(missing, none, pc.equal(lower, boolean_words[1])).cast(pa.float64())
        return np.asarray(truth.to_numpy(), dtype=np.float64)
    return None


@cache
def _words() -> tuple[Any, Any, Any]:
    """As Arrow's, made once: each pa.array asks whether pandas is installed, 0.1 ms a column."""
    import pyarrow as pa

    return pa.array(MISSING), pa.array(["false", "true"]), pa.scalar(None)


def _is_text(kind: Any) -> bool:
    import pyarrow.types as types

    if types.is_dictionary(kind):
        kind = kind.value_type
    return bool(types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind))
