"""Arrow columns from NumPy arrays and back, by their buffers.

pyarrow's own `array` and `to_numpy` import pandas wherever it is installed, to see whether a value
is one of its types: a quarter of a second at the start of every run that has no use for it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.types as types

Array = np.ndarray[Any, np.dtype[Any]]


def column(values: Array) -> pa.Array:
    """An Arrow array of a NumPy array (N,): numbers share its memory."""
    if values.dtype.kind in "iuf" and values.dtype.isnative:
        whole = np.ascontiguousarray(values)
        kind = pa.from_numpy_dtype(whole.dtype)
        return pa.Array.from_buffers(kind, len(whole), [None, pa.py_buffer(whole)])
    if values.dtype.kind == "b":
        bits = np.packbits(values, bitorder="little")
        return pa.Array.from_buffers(pa.bool_(), len(values), [None, pa.py_buffer(bits)])
    if values.dtype.kind == "U":
        return text(values.tolist())
    return pa.array(values)


def masked(values: Array, known: Array) -> pa.Array:
    """An Arrow array of numbers (N,), null where `known` (N,) is false."""
    bits, whole = np.packbits(known, bitorder="little"), np.ascontiguousarray(values)
    buffers = [pa.py_buffer(bits), pa.py_buffer(whole)]
    return pa.Array.from_buffers(pa.from_numpy_dtype(whole.dtype), len(whole), buffers)


def text(words: list[str]) -> pa.Array:
    """An Arrow array of strings."""
    cells = [word.encode() for word in words]
    ends = np.cumsum([0, *map(len, cells)])
    if ends[-1] >= 2**31:  # more than one array of strings can hold
        return pa.array(words)
    buffers = [None, pa.py_buffer(ends.astype(np.int32)), pa.py_buffer(b"".join(cells))]
    return pa.Array.from_buffers(pa.string(), len(cells), buffers)


def numbers(arrow: Any, null: float = np.nan) -> Array:
    """An Arrow array or column as a NumPy array.

    Args:
        arrow: of any type; what has no buffer of numbers goes through pyarrow's `to_numpy`.
        null: what stands for a null; NaN makes float64 of whole numbers with nulls among them.
    """
    plain = types.is_integer(arrow.type) or types.is_floating(arrow.type)
    chunks = arrow.chunks if isinstance(arrow, pa.ChunkedArray) else [arrow]
    if not plain or not chunks:
        found: Array = arrow.to_numpy(zero_copy_only=False)
        return found
    parts = [_chunk(chunk, null) for chunk in chunks]
    return np.concatenate(parts) if isinstance(arrow, pa.ChunkedArray) else parts[0]


def _chunk(chunk: Any, null: float) -> Array:
    validity, data = chunk.buffers()
    here = slice(chunk.offset, chunk.offset + len(chunk))
    kind = np.dtype(chunk.type.to_pandas_dtype())
    values: Array = np.frombuffer(data, kind)[here] if len(chunk) else np.empty(0, kind)
    if not chunk.null_count:
        return values
    known = np.unpackbits(np.frombuffer(validity, np.uint8), bitorder="little")[here].astype(bool)
    whole = values.dtype.kind in "iu" and np.isnan(null)
    return np.where(known, values, np.asarray(null, np.float64 if whole else values.dtype))
