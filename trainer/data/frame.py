"""One source as read: names, columns, target and weight, nothing encoded yet.

Every reader makes a `Frame`, every later step reads one: files, archives and arrays are one path.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from trainer.data.column_faults import FeatureChoice
from trainer.data.rows import Array, IntArray, Label
from trainer.errors import DataError
from trainer.text.labels import column_texts
from trainer.text.printable import quote

_LARGEST_LABEL = 2**53  # the whole numbers below are floats without a gap


class Labels(NamedTuple):
    """A column of labels or of text: sorted distinct values and a code a row."""

    values: tuple[Label, ...]
    codes: NDArray[np.int32]
    """(N,): position in `values`; −1 where the value is missing."""


class RepeatColumn(NamedTuple):
    """A column that repeats are made by, and what messages call it."""

    values: Labels
    """Of folds each value as text, sorted as numbers where all are such; −1 where it is missing."""
    where: str


ColumnData: TypeAlias = Array | Labels
"""(N,) numbers, NaN where missing; or text."""


def row_number(row: int) -> str:
    """How messages call a row of a source without lines."""
    return f"row {row}"


class Stacked:
    """Matrices one above another, without a copy: rows are put together as they are asked for."""

    def __init__(self, *parts: Array | Stacked | Beside) -> None:
        """Take matrices of the same number of columns."""
        self.parts: list[Array | Beside] = []
        for part in parts:
            self.parts += part.parts if isinstance(part, Stacked) else [part]
        self._starts = np.cumsum([0, *map(len, self.parts)])
        self.dtype: np.dtype[Any] = np.result_type(*(part.dtype for part in self.parts))
        self.shape: tuple[int, int] = (int(self._starts[-1]), self.parts[0].shape[1])

    def __getitem__(self, rows: slice | Array) -> Array:
        """Rows of all: a slice without a step, or ascending row numbers."""
        if isinstance(rows, slice):
            low, high, _ = rows.indices(self.shape[0])
        else:
            low, high = (int(rows[0]), int(rows[-1]) + 1) if len(rows) else (0, 0)
        first, last = np.searchsorted(self._starts, (low, high - 1), side="right") - 1
        taken = []
        for i in range(first, last + 1) if low < high else ():
            part, start = self.parts[i], int(self._starts[i])
            if isinstance(rows, slice):
                taken.append(part[max(low - start, 0) : high - start])
            else:
                from_row, to_row = np.searchsorted(rows, (start, start + len(part)))
                taken.append(part[rows[from_row:to_row] - start])
        if not taken:
            return np.empty((0, self.shape[1]), self.dtype)
        return taken[0] if len(taken) == 1 else np.concatenate(taken)


class Beside:
    """Matrices side by side, without a copy: rows are put together as they are asked for."""

    def __init__(self, *parts: Array | Stacked | Beside) -> None:
        """Take matrices of the same number of rows."""
        self.parts = parts
        self.dtype: np.dtype[Any] = np.result_type(*(part.dtype for part in parts))
        self.shape: tuple[int, int] = (parts[0].shape[0], sum(part.shape[1] for part in parts))

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: slice | Array) -> Array:
        """Rows of all: a slice, or row numbers."""
        return np.concatenate([part[rows] for part in self.parts], axis=1, dtype=self.dtype)

    def of_columns(self, start: int, stop: int) -> Beside:
        """Those columns of it, of which there is one at least."""
        kept: list[Array | Stacked | Beside] = []
        for part in self.parts:
            assert isinstance(part, np.ndarray)
            if start < part.shape[1] and stop > 0:
                kept.append(part[:, max(start, 0) : stop])
            start, stop = start - part.shape[1], stop - part.shape[1]
        return Beside(*kept)


@dataclass(frozen=True)
class Frame:
    """N rows of one source."""

    where: str
    """What messages call it: a path, a bundled name, `data['train'] X`."""
    names: tuple[str, ...]
    """Of the feature columns."""
    features: Array | Stacked | Beside | tuple[ColumnData, ...]
    """(N, columns) numbers, perhaps memory-mapped; or a column a name."""
    rows: int
    target: Array | Labels | None = None
    """(N, C) numbers, perhaps memory-mapped; or the labels of one column."""
    target_names: tuple[str, ...] = ()
    target_values: tuple[tuple[Label, ...], ...] = ()
    """Of several columns of labels their values, whose positions `target` has; else empty."""
    target_named: bool = True
    """Whether several targets have names of their own rather than numbers."""
    target_where: str = ""
    weight: Array | None = None
    """(N,) numbers."""
    weight_where: str = ""
    weight_name: str = ""
    """Of its column, in a table."""
    group: NDArray[np.int32] | None = None
    """(N,) codes: rows that stay together in every split; −1 where it is missing."""
    group_values: tuple[Label, ...] = ()
    """By code, what each group is called."""
    group_where: str = ""
    group_name: str = ""
    """Of its column, in a table."""
    place: Callable[[int], str] = row_number
    """How messages call a row: `row 3`, for text files `row 3 (line 5)`."""
    keys: Mapping[str, str] = field(default_factory=dict)
    """What another file is read by, see `Encoder.keys`, besides what the spec says."""
    choice: FeatureChoice = field(default_factory=FeatureChoice)
    """What the source says of its features, and why some of them cannot be such."""
    index: tuple[str, ...] = ()
    """Columns that are a row index, and so no features."""
    remarks: tuple[str, ...] = ()
    """What a user should know of the source, in clauses: what was passed over, what looks odd."""

    @property
    def text(self) -> frozenset[str]:
        """Names of the text columns."""
        if not isinstance(self.features, tuple):
            return frozenset()
        pairs = zip(self.names, self.features, strict=True)
        return frozenset(name for name, column in pairs if isinstance(column, Labels))


class Like(NamedTuple):
    """The columns of the training source, which another source is matched to by name."""

    names: tuple[str, ...]
    text: frozenset[str]
    indexed: bool = False
    """Whether it is LIBSVM text, whose names are indices."""
    strict: bool = True
    """Whether a table must have these names even where they are those of a matrix's columns."""
    whole: bool = False
    """Whether it has no other features, as a shard."""

    @property
    def nameless(self) -> bool:
        """Whether a table's columns are taken in their order, as the matrix had no names."""
        numbered = self.names == tuple(f"x{i}" for i in range(len(self.names)))
        return numbered and not self.indexed and not self.strict


def chunks(total: int, width: int) -> Sequence[slice]:
    """Slices of rows that make about 8 MB of float64 at this width, 1,024 rows at least."""
    step = max(1024, (1 << 20) // max(width, 1))
    return [slice(start, min(start + step, total)) for start in range(0, total, step)]


def read_weight(frame: Frame, rows: IntArray, split_name: str) -> NDArray[np.float64]:
    """Raw weights of some rows, (n,): ones where the source has none.

    Raises:
        DataError: one is negative, NaN or infinite, or all are 0.
    """
    if frame.weight is None:
        return np.ones(len(rows))
    weight = frame.weight[rows].astype(np.float64)
    bad = np.flatnonzero(~(np.isfinite(weight) & (weight >= 0)))
    if bad.size:
        row, value = int(rows[bad[0]]), weight[bad[0]]
        column = f", column {quote(frame.weight_name)}" if frame.weight_name else ""
        shown = "is missing or NaN" if np.isnan(value) else f"is {value:g}"
        raise DataError(
            f"{frame.weight_where}: {frame.place(row)}{column}: the weight {shown};"
            " a finite number from 0 up is right"
        )
    if not weight.any():
        raise DataError(
            f"{frame.weight_where}: every {split_name} row has weight 0;"
            " at least one must be above 0"
        )
    return weight


def zero_weight(frame: Frame) -> NDArray[np.bool_]:
    """(N,): where a row has weight 0, which means that it is not there."""
    if frame.weight is None:
        return np.zeros(frame.rows, dtype=bool)
    return np.asarray(frame.weight == 0, dtype=np.bool_)


def relative_weights(weight: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """Weights (n,) in units of the largest, in (0, 1]; None where all are alike.

    Statistics of rows do not depend on the unit, and sums of large weights would overflow.
    """
    largest = weight.max()
    if weight.min() == largest:
        return None
    relative: NDArray[np.float64] = np.maximum(weight / largest, np.finfo(np.float64).tiny)
    return relative


def check_names(names: Sequence[str], where: str, needed: Collection[str] | None = None) -> None:
    """Refuse two columns of one name, and none.

    Args:
        names: of all columns.
        where: for messages.
        needed: those that are read, where others may be anything; None: all.

    Raises:
        DataError: names the column and both positions.
    """
    seen: dict[str, int] = {}
    for position, name in enumerate(names, start=1):
        if name in seen and (needed is None or name in needed):
            raise DataError(
                f"{where}: columns {seen[name]} and {position} are both called {quote(name)};"
                " each column needs its own name"
            )
        seen[name] = position


def labels_of(values: Array, where: str, place: Callable[[int], str] = row_number) -> Labels:
    """Encode one column of labels: booleans, whole numbers (also as floats), or text.

    Args:
        values: (N,) of any such dtype; NaN is missing, and None among text and booleans.
        where: for messages.
        place: how they call a row.

    Raises:
        DataError: numbers with fractions, Inf, another dtype.
    """
    kind = values.dtype.kind
    if kind == "f":
        return _whole_labels(values, where, place)
    if kind == "O":
        return _present_labels(values)
    if kind == "S":
        try:
            values = np.strings.decode(values, "utf-8")
        except UnicodeDecodeError:
            raise DataError(f"{where}: a label is not UTF-8 text; write labels in UTF-8") from None
    elif kind not in "biuU":
        raise DataError(
            f"{where}: {values.dtype} is no kind of label; text, whole numbers or booleans are"
        )
    distinct, codes = _distinct(values)
    return coded(distinct.tolist(), codes.astype(np.int32).reshape(-1))


def positions(columns: Sequence[Labels]) -> tuple[Array, tuple[tuple[Label, ...], ...]]:
    """Several columns of labels as positions (N, C) in the values of each, NaN where missing."""
    codes = np.column_stack([column.codes for column in columns]).astype(np.float64)
    codes[codes < 0] = np.nan
    return codes, tuple(column.values for column in columns)


def column_labels(frame: Frame, c: int) -> Labels:
    """Column c of several that are labels."""
    assert isinstance(frame.target, np.ndarray)
    codes = np.nan_to_num(frame.target[:, c], nan=-1.0).astype(np.int32)
    return Labels(frame.target_values[c], codes)


def _distinct(values: Array) -> tuple[Array, Array]:
    """The sorted distinct values, and the position of each among them; without a sort if it may be.

    Whole numbers near each other are counted.
    """
    if values.dtype.kind in "iu" and values.dtype != np.uint64 and len(values):
        low, high = int(values.min()), int(values.max())
        if high - low < len(values):
            place = values.astype(np.int64) - low
            there = np.bincount(place) > 0
            distinct = (np.flatnonzero(there) + low).astype(values.dtype)
            return distinct, (np.cumsum(there) - 1)[place]
    return np.unique(values, return_inverse=True)


def coded(values: Sequence[Label | None], codes: NDArray[np.int32]) -> Labels:
    """Labels of distinct values, None where missing; those that are written alike become one.

    Args:
        values: all of one type.
        codes: (N,) position in `values`; −1 where the value is missing.
    """
    values = [value.strip() if isinstance(value, str) else value for value in values]
    known = sorted(value for value in values if value is not None)
    texts = column_texts(known)
    first: dict[str, Label] = {}
    for text, value in zip(texts, known, strict=True):
        first.setdefault(text, value)
    place = {text: i for i, text in enumerate(first)}
    position = {value: place[text] for value, text in zip(known, texts, strict=True)}
    return Labels(tuple(first.values()), renumber(values, position, codes))


def renumber(
    values: Sequence[Any], position: Mapping[Any, int], codes: NDArray[np.int32]
) -> NDArray[np.int32]:
    """(N,) codes into `values`, None for missing, as codes by the position of each value."""
    numbers = [-1 if value is None else position[value] for value in values]
    return np.array([*numbers, -1], dtype=np.int32)[codes]  # code −1 reads the last: missing


def group_labels(values: Array, where: str, place: Callable[[int], str] = row_number) -> Labels:
    """Number the groups of the rows: their names, and a code a row, −1 where it is missing.

    Args:
        values: (N,) of text, whole numbers (also as floats) or booleans.
        where: for messages.
        place: how they call a row.

    Raises:
        DataError: numbers with fractions, Inf, another dtype.
    """
    kind = values.dtype.kind
    if kind == "O":
        return _present_labels(values)
    if kind not in "biufUS":
        raise DataError(f"{where}: {values.dtype} is no kind of group; text and whole numbers are")
    codes = np.full(values.shape, -1, dtype=np.int32)
    present = ~np.isnan(values) if kind == "f" else np.ones(values.shape, dtype=bool)
    odd = present & (np.floor(values) != values) | np.isinf(values) if kind == "f" else ~present
    if odd.any():
        row = int(np.flatnonzero(odd)[0])
        raise DataError(
            f"{where}: {place(row)}: {values[row]} is no group; text and whole numbers are"
        )
    distinct, codes[present] = np.unique(values[present], return_inverse=True)
    names = (np.strings.decode(distinct, "utf-8", "replace") if kind == "S" else distinct).tolist()
    return Labels(tuple(int(v) if kind == "f" else v for v in names), codes)


def _present_labels(values: Array) -> Labels:
    """Text or booleans as Python objects, None where missing."""
    present = np.array([value is not None for value in values], dtype=bool)
    kept = np.array(values[present].tolist())
    distinct, codes = np.unique(kept, return_inverse=True)
    all_codes = np.full(values.shape, -1, dtype=np.int32)
    all_codes[present] = codes.reshape(-1)
    return coded(distinct.tolist(), all_codes)


def no_label(values: Array) -> tuple[int, str] | None:
    """The first row whose number is no label, and why; None where all are, or are missing."""
    right = np.isnan(values) | (np.isfinite(values) & (np.floor(values) == values))
    what = "whole numbers or text are, and for numbers to be predicted `model: linear` is right"
    if right.all():
        right = ~(np.abs(values) > _LARGEST_LABEL)  # NaN is not
        what = f"whole numbers up to {_LARGEST_LABEL:,} or text are: floats part no larger ones"
    if right.all():
        return None
    row = int(np.flatnonzero(~right)[0])
    return row, f"{values[row]} is no label; {what}"


def _whole_labels(values: Array, where: str, place: Callable[[int], str]) -> Labels:
    missing = np.isnan(values)
    if (fault := no_label(values)) is not None:
        row, what = fault
        raise DataError(f"{where}: {place(row)}: {what}")
    distinct, codes = np.unique(values[~missing], return_inverse=True)
    all_codes = np.full(values.shape, -1, dtype=np.int32)
    all_codes[~missing] = codes.reshape(-1)
    return Labels(tuple(int(value) for value in distinct), all_codes)
