"""What an array holds that holds no plain numbers, in words; which objects are missing."""

from __future__ import annotations

from typing import Any

import numpy as np

KINDS = {
    "U": "text",
    "S": "text",
    "T": "text",
    "O": "text or booleans, some of them missing",
    "V": "records",
    "M": "dates",
    "m": "times",
    "c": "complex numbers",
}
"""What a dtype's kind is called, where it is not numbers."""

_SMALL_FLOATS = {1: "float8 and int4", 2: "bfloat16"}


def dtype_words(dtype: np.dtype[Any]) -> str:
    """What a dtype that is no number's holds, in words: `dates (datetime64[D])`."""
    if dtype.type is np.void and dtype.names is None and dtype.itemsize in _SMALL_FLOATS:
        small = _SMALL_FLOATS[dtype.itemsize]
        return (
            f"raw bytes ({dtype}), which is how NumPy writes {small}: save it after"
            " .astype('float32')"
        )
    return f"{KINDS[dtype.kind]} ({dtype})"


def is_missing(member: Any) -> bool:
    """Whether a Python object stands for a missing value: None, NaN, pandas' NA and NaT."""
    if member is None or member is np.ma.masked:
        return True
    if isinstance(member, float | np.floating):
        return bool(np.isnan(member))
    return type(member).__name__ in ("NAType", "NaTType")
