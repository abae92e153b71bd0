"""The memory that columns of a Parquet file take, before they are read.

A few kilobytes can hold a billion equal rows, or one long word in each of a million.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.types as types

from trainer.text import arrow

Integers = np.ndarray[Any, np.dtype[np.int64]]
_PLACE = 4  # bytes of a row of text besides its letters


def decoded_bytes(source: Any, file: Any, names: Sequence[str], most: int) -> int:
    """Bytes of these columns in memory, of lists and the like a lower bound.

    Args:
        source: what `file` reads: a path, or a file of Arrow.
        file: a `pyarrow.parquet.ParquetFile`.
        names: of the columns, as the file has them.
        most: bytes for which there is memory; beyond them nothing is counted any more.
    """
    rows, total = file.metadata.num_rows, 0
    for field in (field for field in file.schema_arrow if field.name in set(names)):
        kind = field.type
        if types.is_dictionary(kind):
            kind = kind.value_type
        total += rows * (_width(kind) or _PLACE)
        if total > most:
            break
        if _is_text(kind):
            total += _letters(source, file, field.name, most)
    return total


def _is_text(kind: pa.DataType) -> bool:
    is_string = types.is_string(kind) or types.is_large_string(kind)
    return bool(is_string or types.is_binary(kind) or types.is_large_binary(kind))


def _width(kind: pa.DataType) -> int:
    """Bytes of a value; 0 where values differ."""
    try:
        return max(int(kind.bit_width) // 8, 1)
    except ValueError:
        return 0


def _letters(source: Any, file: Any, name: str, most: int) -> int:
    """Bytes of the letters of a column of text: counted, where few words may stand in many rows."""
    from pyarrow import parquet

    groups = [file.metadata.row_group(i) for i in range(file.metadata.num_row_groups)]
    chunks = [
        (group.num_rows, group.column(i).total_uncompressed_size)
        for group in groups
        for i in range(group.num_columns)
        if group.column(i).path_in_schema == name
    ]
    held: int = sum(size for _, size in chunks)
    if held > most or sum(rows * size for rows, size in chunks) <= most:
        return held
    coded = parquet.ParquetFile(source, metadata=file.metadata, read_dictionary=[name])
    total = 0
    for i in range(len(groups)):
        for chunk in coded.read_row_group(i, columns=[name]).column(0).chunks:
            total += _letters_of(chunk)
        if total > most:
            break
    return total


def _letters_of(chunk: Any) -> int:
    if not types.is_dictionary(chunk.type):
        return int(chunk.nbytes)
    lengths = _lengths(chunk.dictionary)
    codes = arrow.numbers(chunk.indices.drop_null() if chunk.null_count else chunk.indices)
    return int(np.bincount(codes, minlength=len(lengths)) @ lengths) if len(codes) else 0


def _lengths(words: Any) -> Integers:
    """Bytes (n,) of each word; by its offsets, as `pyarrow.compute` takes 30 ms to import."""
    wide = types.is_large_string(words.type) or types.is_large_binary(words.type)
    if not len(words):
        return np.zeros(0, np.int64)
    ends = np.frombuffer(words.buffers()[1], np.int64 if wide else np.int32)
    return np.diff(ends[words.offset :][: len(words) + 1]).astype(np.int64)
