"""Columns of Arrow tables as NumPy: numbers with NaN, or text and labels with codes."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.types as types
from numpy.typing import NDArray

from trainer.data.column_faults import ColumnFault
from trainer.data.frame import (
    ColumnData,
    Labels,
    coded,
    group_labels,
    labels_of,
    no_label,
    renumber,
    row_number,
)
from trainer.data.rows import Array
from trainer.data.sources import cells
from trainer.data.sources.cells import NUMBER
from trainer.data.sources.csv_options import DEFAULT, MISSING, CsvOptions
from trainer.errors import DataError
from trainer.text import arrow
from trainer.text.labels import column_texts, label_text
from trainer.text.printable import quote

_CODE = re.compile(r"\s*[+-]?(0\d|\d{19})")
_WHOLE = re.compile(r"-?(0|[1-9]\d{0,17})")
_APART = 1 << 16


@dataclass(frozen=True)
class ColumnReader:
    """Converts Arrow columns; knows what to call the file and its rows."""

    where: str
    place: Callable[[int], str] = row_number
    options: CsvOptions | None = None
    """Of a text file, whose cells are text that may be numbers, and some words mean missing."""
    faults: list[ColumnFault] = field(default_factory=list)
    """Why columns that were read as features cannot be such as they are."""
    categories: frozenset[str] = frozenset()
    """Names of columns that are categories whatever their type is."""
    has_keys: bool = True
    """Whether a source of the spec is read, rather than a table passed in from Python, or rows to
    be predicted."""
    remarks: list[str] = field(default_factory=list)
    """What is to be said of columns to be predicted, in clauses."""

    def either(self, column: Any, name: str) -> ColumnData:
        """Numbers where the column is, else text; what speaks against that is kept in `faults`."""
        of_codes = types.is_dictionary(column.type)
        if name in self.categories or (of_codes and self.options is None):
            return self.text(column, name)
        if not _is_text(column.type):
            if is_number(column.type):
                return self.numbers(column, name, "")
            self.faults.append(_no_feature(column.type, name))
            return np.zeros(len(column))  # never seen: the fault is told first
        if self.options is not None:
            column = cells.encoded(column) if of_codes else column
            found = cells.numbers(column, self.options)
            if found is not None:
                return found
        values, codes = self._values(column, name)
        self._doubt(values, codes, name)
        return _texts(values, codes)

    def _doubt(self, values: Sequence[Any], codes: NDArray[np.int32], name: str) -> None:
        """Keep as a fault what a column of text looks like."""
        present = [i for i, value in enumerate(values) if value is not None]
        counts = np.bincount(codes + 1, minlength=len(values) + 1)[1:][present].tolist()
        found = _spellings().doubt([values[i] for i in present], counts, self.options)
        if found is not None:
            code = present[found.cell]
            row = int(np.flatnonzero(codes == code)[0])
            what = f"{quote(values[code])} {found.what}"
            self.faults.append(ColumnFault(name, what, row, found.keys, other=found.other))

    def told(self, features: Sequence[ColumnData]) -> tuple[ColumnFault, ...]:
        """The faults of the features that were read, each with keys that read all columns."""
        return tuple(_with_cure(fault, self.options, features) for fault in self.faults)

    def numbers(self, column: Any, name: str, hint: str) -> Array:
        """(N,) numbers, NaN where missing."""
        kind = column.type
        if types.is_dictionary(kind) and not _is_text(kind):
            column, kind = column.cast(kind.value_type), kind.value_type
        if _is_text(kind):
            found = cells.numbers(column, self.options) if self.options else None
            if found is None and not self.has_keys:
                found = self._known_as_missing(column, name)
            if found is None:
                raise self._no_number(column, name, hint)
            return found
        if types.is_boolean(kind):
            column = column.cast(pa.uint8())
        elif types.is_decimal(kind) or types.is_null(kind):
            column = column.cast(pa.float64())
        elif not is_number(kind):
            cure = ", or leave it out with `drop`" if self.has_keys else ""
            raise DataError(
                f"{self.where}: column {quote(name)}: holds {kind}; numbers or text are right:"
                f" convert it{cure}"
            )
        result = arrow.numbers(column)
        return cells.present(result, self.options) if self.options else result

    def _known_as_missing(self, column: Any, name: str) -> Array | None:
        """Numbers of a column of text to be predicted; NaN for `?` and the like, which are told."""
        options = self.options or DEFAULT
        coded = cells.encoded(column)
        distinct = coded.dictionary.to_pylist()
        words = [
            w for w in distinct if _spellings().stands_for_missing(w) and w not in options.missing
        ]
        found = cells.numbers(coded, replace(options, na_values=(*options.missing, *words)))
        if found is not None and words:
            shown = ", ".join(map(quote, words[:3]))
            self.remarks.append(f"{shown} in column {quote(name)} is taken for a missing value")
        return found

    def known_numbers(self, column: Any, name: str) -> Array:
        """(N,) float64 of a column, NaN where a cell is no number: an error in `numbers`."""
        if self.options is not None and _is_text(column.type):
            found = cells.numbers(column, self.options)
            return cells.known_numbers(column, self.options) if found is None else found
        with contextlib.suppress(DataError):
            return self.numbers(column, name, "").astype(np.float64)
        return np.full(len(column), np.nan)

    def known_labels(self, column: Any, name: str) -> Labels:
        """Labels, or the text of what is none, or all missing: errors in `labels`."""
        for read in (self.labels, self.text):
            with contextlib.suppress(DataError):
                return read(column, name)
        return Labels((), np.full(len(column), -1, dtype=np.int32))

    def target(self, column: Any, name: str) -> Array:
        """(N,) float64 of a column that is to be predicted as a number."""
        hint = "for labels in one column `model: logistic` or `softmax` is right"
        return self.numbers(column, name, hint).astype(np.float64)

    def weight(self, column: Any, name: str) -> Array:
        """(N,) numbers; of rows to be predicted NaN where a cell is none."""
        if not self.has_keys:
            return self.known_numbers(column, name)
        return self.numbers(column, name, "a weight is a number from 0 up")

    def text(self, column: Any, name: str) -> Labels:
        """Sorted distinct texts and a code a row; numbers as `label_text` writes them."""
        return _texts(*self._values(column, name))

    def groups(self, column: Any, name: str) -> Labels:
        """The rows' groups: their names, and (N,) codes, −1 where missing."""
        if types.is_floating(column.type) or types.is_decimal(column.type):
            values = arrow.numbers(column.cast(pa.float64()))
            return group_labels(values, f"{self.where}: column {quote(name)}", self.place)
        return self.text(column, name)

    def labels(self, column: Any, name: str) -> Labels:
        """Labels of a target: whole numbers where all are, else text or booleans."""
        where = f"{self.where}: column {quote(name)}"
        if types.is_floating(column.type) or types.is_decimal(column.type):
            return self._whole(arrow.numbers(column.cast(pa.float64())), name, where)
        encoded = coded(*self._values(column, name))
        if self.options is None:
            return encoded
        texts = [str(value) for value in encoded.values]
        words = column_texts(texts)
        if words and {"true", "false"}.issuperset(words):
            return coded([word == "true" for word in words], encoded.codes)
        is_plain = self.options.plain_numbers or all(map(_WHOLE.fullmatch, texts))
        if is_plain and all(map(_WHOLE.fullmatch, words)):
            return coded(list(map(int, words)), encoded.codes)
        # 01 is a name rather than a number, and so is what no 64-bit integer holds.
        is_name = any(map(_CODE.match, texts))
        numbers = None if is_name else cells.numbers(arrow.text(texts), self.options)
        if numbers is not None:
            values = np.append(numbers, np.nan)  # code −1 reads the last: missing
            return self._whole(values[encoded.codes], name, where)
        return coded(words, encoded.codes)

    def _whole(self, numbers: Array, name: str, where: str) -> Labels:
        if (fault := no_label(numbers)) is not None:
            row, what = fault
            raise DataError(f"{self.where}: {self.place(row)}, column {quote(name)}: {what}")
        return labels_of(numbers, where)

    def _values(self, column: Any, name: str) -> tuple[list[Any], NDArray[np.int32]]:
        """Distinct values, None where missing, in the order of their rows; and a code a row."""
        kind = column.type
        if types.is_dictionary(kind):
            kind = kind.value_type
        elif _is_text(kind):
            column = column.cast(pa.large_string())  # 64-bit offsets: any length fits one chunk
        elif types.is_decimal(kind):
            column = column.cast(pa.float64())
        if not (_is_text(kind) or is_number(kind)):
            raise DataError(
                f"{self.where}: column {quote(name)}: holds {kind}; text, whole numbers or"
                " booleans are right"
            )
        if types.is_integer(column.type) and not column.null_count:
            found = _small_numbers(arrow.numbers(column))
            if found is not None:
                return found
        column = cells.encoded(column)
        try:
            values = column.dictionary.to_pylist()
        except UnicodeDecodeError:
            raise DataError(
                f"{self.where}: column {quote(name)}: holds text that is not UTF-8; write it again"
            ) from None
        words = frozenset(self.options.missing if self.options else ())
        numbers = frozenset(map(label_text, self.options.missing_numbers if self.options else ()))

        def is_missing(value: Any) -> bool:
            text = str(value).strip()
            return value is None or value != value or text in words or label_text(text) in numbers

        known = [None if is_missing(value) else value for value in values]
        return known, cells.codes(column)

    def _no_number(self, column: Any, name: str, hint: str) -> DataError:
        text = self.text(column, name)
        odd = [code for code, value in enumerate(text.values) if not NUMBER.fullmatch(str(value))]
        # A typed column of text may hold nothing but digits: its first cell is the fault then.
        rows = np.flatnonzero(np.isin(text.codes, odd) if odd else text.codes >= 0)
        if not rows.size:
            return DataError(f"{self.where}: column {quote(name)}: is text without values; {hint}")
        row = int(rows[0])
        value = str(text.values[text.codes[row]])
        what = "is text where a number should be"
        if (spelled := _spellings().spelled_otherwise(value, self.options)) is not None:
            from trainer.config.yaml.write import flow_keys

            what, keys = spelled
            hint = "write a plain number"
            if not self.has_keys and self.options is not None and not self.options.plain_numbers:
                hint = "write numbers as the training file has them"
            elif keys and self.has_keys:
                hint = f"`{flow_keys(keys)}` reads it"
        elif row == 0 and self.options is not None and not self.options.header:
            hint = "the training file has no header line, and none is right here"
        return DataError(
            f"{self.where}: {self.place(row)}, column {quote(name)}: {quote(value)} {what}; {hint}"
        )


def _spellings() -> Any:
    """The module of other spellings, whose patterns only text needs."""
    from trainer.data.sources import number_spellings

    return number_spellings


def _small_numbers(values: Array) -> tuple[list[Any], NDArray[np.int32]] | None:
    """Distinct whole numbers as they first occur, and a code a row; None where they lie far apart.

    Class labels mostly do not, and pyarrow's encoding would import `pyarrow.compute` for them.
    """
    N, low, high = len(values), int(values.min(initial=0)), int(values.max(initial=0))
    if high - low >= _APART:
        return None
    places = values.astype(np.int64) - low
    first = np.full(high - low + 1, N)
    first[places[::-1]] = np.arange(N)[::-1]  # the last that is written stays: the first row
    order = np.argsort(first, kind="stable")[: np.count_nonzero(first < N)]
    code = np.empty(len(first), np.int32)
    code[order] = np.arange(len(order))
    return (order + low).tolist(), code[places]


def _with_cure(
    fault: ColumnFault, options: CsvOptions | None, features: Sequence[ColumnData]
) -> ColumnFault:
    """The fault with keys that read all columns: they say anew what was said or is the default."""
    keys = dict(fault.keys)
    if "decimal" in keys and any(map(_has_fractions, features)):
        return replace(fault, keys={})  # other columns have a point
    if "na_values" in keys and options is not None:
        said = options.na_values
        if said is None:
            said = MISSING[1:] if any(map(_has_missing, features)) else ()
        keys["na_values"] = list(dict.fromkeys([*said, *keys["na_values"]]))
    return replace(fault, keys=keys)


def _has_fractions(column: ColumnData) -> bool:
    return not isinstance(column, Labels) and bool((np.floor(column) != column).any())


def _has_missing(column: ColumnData) -> bool:
    if isinstance(column, Labels):
        return bool((column.codes < 0).any())
    return bool(np.isnan(column).any())


def _no_feature(kind: Any, name: str) -> ColumnFault:
    what = f"holds {kind}, where numbers or text are right"
    if types.is_temporal(kind):
        what = f"holds dates or times ({kind}), where a number is needed (a year, days since a day)"
    return ColumnFault(name, what, is_category=False)


def _texts(values: Sequence[Any], codes: NDArray[np.int32]) -> Labels:
    """Values of any type as text."""
    known = [value for value in values if value is not None]
    text = dict(zip(known, column_texts(known), strict=True))
    distinct = sorted(set(text.values()))
    place = {text: i for i, text in enumerate(distinct)}
    position = {value: place[text[value]] for value in known}
    return Labels(tuple(distinct), renumber(values, position, codes))


def is_number(kind: Any) -> bool:
    """Whether an Arrow type is numbers, or may be read as such."""
    tests = (types.is_integer, types.is_floating, types.is_boolean, types.is_decimal, types.is_null)
    return any(test(kind) for test in tests)


def _is_text(kind: Any) -> bool:
    if types.is_dictionary(kind):
        kind = kind.value_type
    return bool(types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind))
