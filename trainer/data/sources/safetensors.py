"""Arrays in .safetensors files, without trust: offsets are checked against the bytes there are.

Layout: https://huggingface.co/docs/safetensors. Nothing is copied but bfloat16, which NumPy has no
type for and float32 holds exactly.
"""

from __future__ import annotations

import json
import os
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from trainer.data.rows import Array
from trainer.errors import DataError
from trainer.text.paths import readable_file
from trainer.text.printable import error_text, quote, show_path
from trainer.text.suggest import nearest_name

_DTYPES = {
    "BOOL": "?",
    "U8": "u1",
    "I8": "i1",
    "U16": "<u2",
    "I16": "<i2",
    "U32": "<u4",
    "I32": "<i4",
    "U64": "<u8",
    "I64": "<i8",
    "F16": "<f2",
    "F32": "<f4",
    "F64": "<f8",
    "BF16": "<u2",
}
_LONGEST_HEADER = 100_000_000  # the format's own limit
_AGAIN = "write it again with safetensors.numpy.save_file"


def read_safetensors(path: str | os.PathLike[str], names: list[str]) -> dict[str, Array]:
    """Memory-map the named arrays of a .safetensors file, read-only.

    Raises:
        DataError: missing, damaged, a name it does not hold, a type that NumPy has not.
    """
    file_path = readable_file(path, "a .safetensors file")
    where = show_path(file_path)
    header, start = _read_header(file_path, where)
    for name in names:
        if name not in header:
            raise DataError(f"{where}: holds no array {name!r}; {nearest_name(name, [*header])}")
    arrays = {name: _mapped(file_path, header[name], start, f"{where}: {name}") for name in names}
    ends = [_end(entry) for entry in header.values()]
    if max(ends, default=0) > file_path.stat().st_size - start:
        raise DataError(f"{where}: is cut short: its header tells of more bytes; {_AGAIN}")
    return arrays


def _end(entry: Any) -> int:
    """Where the bytes of an array end; 0 where its entry does not say."""
    try:
        return int(entry["data_offsets"][1])
    except (KeyError, IndexError, TypeError, ValueError):
        return 0


def safetensors_names(path: str | os.PathLike[str]) -> list[str]:
    """Names of the arrays of a .safetensors file.

    Raises:
        DataError: missing, or damaged.
    """
    file_path = readable_file(path, "a .safetensors file")
    return [*_read_header(file_path, show_path(file_path))[0]]


def _read_header(path: Path, where: str) -> tuple[dict[str, Any], int]:
    """{name: its entry} and where the arrays' bytes begin."""
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if not 2 <= length <= min(_LONGEST_HEADER, path.stat().st_size - 8):
                raise ValueError("its header is longer than the file")
            fields = json.loads(file.read(length).decode())
        if not isinstance(fields, dict):
            raise ValueError("its header is no mapping")
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(
            f"{where}: is damaged or no .safetensors file ({error_text(error)}); {_AGAIN}"
        ) from None
    fields.pop("__metadata__", None)
    return fields, 8 + length


def _mapped(path: Path, entry: Any, start: int, where: str) -> Array:
    try:
        kind, shape, (begin, end) = entry["dtype"], tuple(entry["shape"]), entry["data_offsets"]
        numbers = (*shape, begin, end)
        if any(type(number) is not int or number < 0 for number in numbers):
            raise ValueError("no sizes")
    except (KeyError, TypeError, ValueError):
        raise DataError(f"{where}: its entry in the header is damaged; {_AGAIN}") from None
    if kind not in _DTYPES:
        raise DataError(
            f"{where}: holds {quote(kind)} numbers, which NumPy has no type for; save it as F32 or"
            " F16"
        )
    dtype = np.dtype(_DTYPES[kind])
    held = min(end, path.stat().st_size - start) - begin
    if not prod(shape) * dtype.itemsize == end - begin == held:
        raise DataError(
            f"{where}: shape {shape} of {kind} takes {prod(shape) * dtype.itemsize} bytes, and the"
            f" file holds {max(held, 0)} of it; {_AGAIN}"
        )
    if begin == end:
        return np.empty(shape, dtype)
    try:
        array = np.memmap(path, dtype, "r", start + begin, shape)
    except (OSError, ValueError) as error:  # it has shrunk since it was looked at
        raise DataError(f"{where}: cannot be read ({error_text(error)}); {_AGAIN}") from None
    return _from_bfloat16(array) if kind == "BF16" else array


def _from_bfloat16(bits: Array) -> Array:
    """The upper half of a float32 as a float32."""
    wide = bits.astype(np.uint32)
    wide <<= 16
    return wide.view(np.float32)
