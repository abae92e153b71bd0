"""Arrays of a .safetensors file that somebody else may have written."""

from __future__ import annotations

from typing import Any

import numpy as np

_DTYPES = {"F32": "<f4", "F64": "<f8", "I32": "<i4", "I64": "<i8"}  # what run folders hold


def arrays_of(data: bytes) -> dict[str, np.ndarray[Any, np.dtype[Any]]]:
    """The arrays of a file's bytes by name: of float32, float64, int32 or int64.

    Raises:
        ValueError: the bytes are damaged, or hold numbers of another type.
    """
    from safetensors import SafetensorError, deserialize

    try:
        found: list[tuple[str, dict[str, Any]]] = deserialize(data)  # type: ignore[no-untyped-call]
    except SafetensorError as error:
        raise ValueError(str(error)) from None
    for name, held in found:
        if held["dtype"] not in _DTYPES:
            right = ", ".join(_DTYPES)
            raise ValueError(f"{name!r:.80} has numbers of type {held['dtype']}, none of {right}")
    return {
        name: np.frombuffer(held["data"], _DTYPES[held["dtype"]]).reshape(held["shape"])
        for name, held in found
    }
