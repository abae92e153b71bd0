"""What Python passes in as NumPy arrays on the host: NumPy, CuPy, DLPack, Arrow, pandas, lists.

Numbers come as numbers, NaN where missing; text as text, and as Python objects with None where
some of it is missing, for which NumPy has no value.
"""

from __future__ import annotations

import datetime
import decimal
import numbers
import os
from collections.abc import Iterator, Mapping, Set
from typing import Any

import numpy as np

from trainer.data.rows import Array
from trainer.data.sources.dtypes import is_missing
from trainer.errors import DataError
from trainer.text.numbers import shown_size
from trainer.text.printable import error_text, quote

LAZY = {"LazyFrame": ".collect()", "DataFrameGroupBy": ".obj"}
"""What makes a table of those that are none yet, by the name of their type."""

_NO_ARRAYS = (str, bytes, os.PathLike, Mapping, Set, Iterator)
_DATES = (datetime.date, datetime.time, datetime.timedelta, np.datetime64, np.timedelta64)


def host_array(value: Any, where: str) -> Array:
    """A NumPy array of what Python passes in.

    Raises:
        DataError: nothing that can be read as one array of numbers, text or booleans.
    """
    check_dense(value, where)
    if isinstance(value, np.ma.MaskedArray):
        value = _unmasked(value)
    array = np.asarray(value) if isinstance(value, np.ndarray) else _converted(value, where)
    if array.ndim == 0 and not isinstance(value, np.ndarray | np.generic | int | float):
        raise DataError(f"{where}: {_no_array(value)}")
    if array.dtype.kind == "T":
        array = array.astype(np.object_)
    if _is_small_float(array.dtype):
        array = array.astype(np.float32)  # bfloat16 and its like, which float32 holds exactly
    return _from_objects(array, where) if array.dtype.kind == "O" else array


def is_table(value: Any) -> bool:
    """Whether something passed in from Python is a table rather than an array."""
    if type(value).__name__ in LAZY:  # to ask one for its columns may cost a query
        return True
    has_columns = hasattr(value, "columns") or hasattr(value, "schema")
    has_values = hasattr(value, "to_numpy") or hasattr(value, "__arrow_c_stream__")
    return isinstance(value, Mapping) or (has_columns and has_values)


def check_dense(value: Any, where: str) -> None:
    """Refuse a sparse matrix, which would be read as one object.

    Raises:
        DataError: says how to make it dense, and what that takes.
    """
    dense = next((n for n in ("toarray", "to_dense", "todense") if hasattr(value, n)), None)
    sparse = hasattr(value, "nnz") or getattr(value, "is_sparse", False) is True
    if dense is None or not sparse:
        return
    shape = tuple(getattr(value, "shape", ()))
    size = int(np.prod(shape, dtype=np.float64)) * 8
    memory = f", which takes {shown_size(size)}" if size >= 2**20 else ""
    raise DataError(
        f"{where}: is a sparse {type(value).__name__} of shape {shape}; a dense array is right:"
        f" .{dense}() of it{memory}"
    )


def _is_small_float(dtype: np.dtype[Any]) -> bool:
    """Whether it is a type that another library adds: bfloat16, float8, int4."""
    return dtype.kind == "V" and not issubclass(dtype.type, np.void)


def _no_array(value: Any) -> str:
    is_path = isinstance(value, str | os.PathLike)
    shown = "None" if value is None else _a(value) + (f" {quote(value)}" if is_path else "")
    files = "; files are named in the config, data: {train: {table: a.csv, target: y}}"
    return (
        f"is {shown}, no array; NumPy, CuPy or any DLPack array, a list or a table is right"
        f"{files if is_path else ''}"
    )


def _a(value: Any) -> str:
    """The type of a value with its article."""
    name = type(value).__name__
    return f"{'an' if name[0] in 'aeiouAEIOU' else 'a'} {name}"


def _unmasked(value: np.ma.MaskedArray[Any, Any]) -> Array:
    """Numbers with NaN, other values with None, where masked."""
    if value.dtype.kind in "biuf":
        return np.ma.filled(value.astype(np.float64), np.nan)
    filled = np.asarray(value.data).astype(np.object_)
    filled[np.ma.getmaskarray(value)] = None
    return filled


def _converted(value: Any, where: str) -> Array:
    if value is None or isinstance(value, _NO_ARRAYS):
        raise DataError(f"{where}: {_no_array(value)}")
    try:
        if hasattr(value, "__cuda_array_interface__") and hasattr(value, "get"):
            return np.asarray(value.get())  # CuPy
        if hasattr(value, "detach"):
            value = value.detach().cpu()  # a torch tensor refuses DLPack while it wants gradients
            if str(getattr(value, "dtype", "")).startswith(("torch.bfloat16", "torch.float8")):
                value = value.float()  # NumPy has no such type
        if hasattr(value, "__dlpack__") and not hasattr(value, "__arrow_c_array__"):
            return _from_dlpack(value)
        if hasattr(value, "to_numpy"):  # Arrow arrays, pandas and polars columns
            if hasattr(value, "to_pylist"):
                from trainer.data.sources.arrow_types import plain_array  # with Arrow

                return np.asarray(plain_array(value).to_numpy(zero_copy_only=False))
            return np.asarray(value.to_numpy())
        array = np.asarray(value)
        if isinstance(value, list | tuple) and array.dtype.kind in "US":
            return np.asarray(value, dtype=np.object_)  # or numbers and NaN would become text
        return array
    except Exception as error:  # of whatever library the value is
        raise DataError(
            f"{where}: {_a(value)} cannot be read as an array ({error_text(error)});"
            " NumPy, CuPy or any DLPack array is right"
        ) from None


def _from_dlpack(value: Any) -> Array:
    try:
        return np.from_dlpack(value)
    except (BufferError, RuntimeError):  # on a device: ask for a copy on the host, NumPy >= 2.1
        return np.from_dlpack(value, device="cpu")


def _from_objects(array: Array, where: str) -> Array:
    """An object array as numbers, text or booleans; with None where text or booleans are missing.

    Raises:
        DataError: members of other types, or of several.
    """
    members = array.reshape(-1).tolist()
    missing = [is_missing(member) for member in members]
    present = [member for member, gone in zip(members, missing, strict=True) if not gone]
    some = any(missing)
    if all(_is_number(member) for member in present):
        filled = [
            np.nan if gone else _as_float(m) for m, gone in zip(members, missing, strict=True)
        ]
        return np.asarray(filled, dtype=np.float64).reshape(array.shape)
    if present and all(isinstance(member, bytes) for member in present) and not some:
        return array.astype(np.bytes_)
    for kind, dtype in ((str, np.str_), (bool | np.bool_, np.bool_)):
        if all(isinstance(member, kind) for member in present):
            if not some:
                return array.astype(dtype)
            held = [None if gone else m for m, gone in zip(members, missing, strict=True)]
            result = np.empty(len(held), dtype=np.object_)
            result[:] = held
            return result.reshape(array.shape)
    raise DataError(f"{where}: {_other_objects(array, members)}")


def _is_number(member: Any) -> bool:
    kinds = numbers.Real | decimal.Decimal
    return isinstance(member, kinds) and not isinstance(member, bool | np.bool_)


def _as_float(member: Any) -> float:
    try:
        return float(member)
    except OverflowError:
        return np.inf if member > 0 else -np.inf


def _other_objects(array: Array, members: list[Any]) -> str:
    """What an object array holds that is no column of one kind, and in which rows."""
    width = max(array[0].size if array.ndim > 1 and len(array) else 1, 1)
    kinds: dict[str, int] = {}
    for i, member in enumerate(members):
        if is_missing(member):
            continue
        kind = _kind(member)
        if kind not in ("a number", "text", "a boolean"):
            right = "numbers, text or booleans are right"
            if isinstance(member, Mapping):
                right = "pa.Table.from_pylist or pandas.DataFrame makes a table of them"
            elif isinstance(member, _DATES):
                right = "numbers, such as days since the first, are right"
            return f"row {i // width} is {kind}; {right}"
        kinds.setdefault(kind, i // width)
    (one, at), (other, there) = list(kinds.items())[:2]
    held = f"row {at} is {one}, row {there} {other}"
    if at == there:
        held = f"row {at} holds {one} and {other}"
    return f"{held}; one kind is right, or a table (pyarrow, pandas) where columns differ"


def _kind(member: Any) -> str:
    if isinstance(member, bool | np.bool_):
        return "a boolean"
    if _is_number(member):
        return "a number"
    return "text" if isinstance(member, str) else _a(member)
