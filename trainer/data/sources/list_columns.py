"""Columns of lists as blocks of features, as embeddings are shipped: emb[0], emb[1] and so on."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import types

from trainer.data.column_faults import ColumnFault
from trainer.data.frame import ColumnData, Like, check_names
from trainer.data.rows import Array
from trainer.errors import DataError
from trainer.text import arrow
from trainer.text.printable import quote

_ELEMENT = re.compile(r"(.*)\[[0-9]+\]", re.DOTALL)


def is_list(kind: Any) -> bool:
    """Whether an Arrow type is lists, of one length or of any."""
    return bool(
        types.is_list(kind)
        or types.is_large_list(kind)
        or types.is_fixed_size_list(kind)
        or types.is_list_view(kind)
        or types.is_large_list_view(kind)
    )


def may_be_list(kind: Any) -> bool:
    """Whether an Arrow type is lists, or an extension of them."""
    return is_list(kind) or getattr(kind, "extension_name", "") == "arrow.fixed_shape_tensor"


def collapsed(like: Like | None, lists: Collection[str]) -> Like | None:
    """What a table must hold, with the names of its list columns in place of their elements."""
    if like is None:
        return None
    names: dict[str, None] = {}
    for name in like.names:
        element = _ELEMENT.fullmatch(name)
        base = element[1] if element and element[1] in lists else name
        names[base] = None
    return like._replace(names=tuple(names))


def block(
    column: Any, name: str, place: Callable[[int], str], like: Like | None = None
) -> Array | ColumnFault:
    """A column of lists as a matrix; its fault where lists differ in length or hold no numbers.

    Args:
        column: a pyarrow.ChunkedArray of lists.
        name: its name.
        place: how messages call a row.
        like: the training source's columns, which say w where no row has a list.

    Returns:
        (N, w) numbers; NaN where an element is missing, and in all of a row without a list.
    """
    import pyarrow.compute as pc

    inner = _number_type(column.type.value_type)
    if inner is None:
        what = f"holds lists of {column.type.value_type}, where lists of numbers are right"
        return ColumnFault(name, what, is_category=False)
    lengths = arrow.numbers(pc.list_value_length(column))  # floats with NaN where one is missing
    has_list = ~np.isnan(lengths.astype(np.float64))
    if not has_list.any() and like is not None:
        return np.full((len(column), len(_elements(like, name))), np.nan)
    if not has_list.any():
        return ColumnFault(name, "has no list in any row", is_category=False)
    first = int(np.flatnonzero(has_list)[0])
    width = int(lengths[first])
    odd = np.flatnonzero(has_list & (lengths != width))
    if odd.size:
        row = int(odd[0])
        held = f"holds a list of {int(lengths[row])}, {place(first)} one of {width}"
        return ColumnFault(name, f"{held}; one length is right", row, is_category=False)
    if width == 0:
        return ColumnFault(name, "holds lists without elements", is_category=False)
    numbers = arrow.numbers(pc.list_flatten(column).cast(inner)).reshape(-1, width)
    if has_list.all():
        return np.asarray(numbers)
    kept = numbers.dtype if numbers.dtype.kind == "f" else np.dtype(np.float64)
    values = np.full((len(column), width), np.nan, kept)
    values[has_list] = numbers
    return values


def _number_type(inner: Any) -> Any:
    """The type that elements are read as; None for what is no number."""
    if types.is_boolean(inner):
        return pa.uint8()
    if types.is_null(inner) or types.is_decimal(inner):
        return pa.float64()
    return inner if types.is_integer(inner) or types.is_floating(inner) else None


def unrolled(
    names: Sequence[str], columns: Sequence[ColumnData], like: Like | None, where: str
) -> tuple[tuple[str, ...], Array | tuple[ColumnData, ...]]:
    """Names and columns of which some are blocks, one a feature; a lone block stays a matrix.

    Args:
        names: of the columns.
        columns: (N,) each, or (N, w).
        like: the training source's columns.
        where: what messages call the table.

    Returns:
        In the order of the training source, which may have had other columns among the elements.

    Raises:
        DataError: two features of one name, or a block that is none of the training source's.
    """
    shown: list[str] = []
    parts: list[ColumnData] = []
    for name, column in zip(names, columns, strict=True):
        if isinstance(column, np.ndarray) and column.ndim == 2:
            shown += [f"{name}[{i}]" for i in range(column.shape[1])]
            parts += list(column.T)
            _check_width(name, column.shape[1], like, where)
        else:
            shown.append(name)
            parts.append(column)
    check_names(shown, where)
    if like is not None and tuple(shown) != like.names and set(shown) == set(like.names):
        of_name = dict(zip(shown, parts, strict=True))
        return like.names, tuple(of_name[name] for name in like.names)
    if len(columns) == 1 and isinstance(columns[0], np.ndarray) and columns[0].ndim == 2:
        return tuple(shown), columns[0]
    return tuple(shown), tuple(parts)


def _check_width(name: str, width: int, like: Like | None, where: str) -> None:
    if like is None:
        return
    elements = {f"{name}[{i}]" for i in range(width)}
    known = _elements(like, name)
    if len(known) != width:
        raise DataError(
            f"{where}: column {quote(name)}: holds lists of {width} numbers, in the training source"
            f" of {len(known)}; both must have the same"
        )
    odd = [other for other in known if other not in elements or other in like.text]
    if odd:
        raise DataError(
            f"{where}: column {quote(name)}: holds lists of numbers, of which the training source's"
            f" column {quote(odd[0])} is none; columns as there are right"
        )


def _elements(like: Like, name: str) -> list[str]:
    """The columns of the training source that are elements of a list column."""
    return [other for other in like.names if (m := _ELEMENT.fullmatch(other)) and m[1] == name]
