"""Parquet files of a run folder, which may come from anybody: their types and sizes come first."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa

from trainer.errors import RunFolderError
from trainer.machine.memory import memory_limit
from trainer.text.numbers import shown_size
from trainer.text.parquet_size import decoded_bytes
from trainer.text.printable import first_line
from trainer.text.regular_file import open_regular


def read_parquet(path: Path, schema: pa.Schema) -> pa.Table:
    """Read the columns of a schema.

    Raises:
        RunFolderError: the file cannot be read, is too large, or has other columns.
    """
    with parquet_file(path) as (source, file):
        check_columns(file.schema_arrow, schema)
        check_room(decoded_bytes(source, file, schema.names, memory_limit()))
        table = file.read(columns=schema.names)
        check_values(table, schema)
        return table


def read_words(path: Path, *, coded: bool) -> pa.Table:
    """Read a table of numbers and text.

    Args:
        path: of the file.
        coded: leave text as the codes into a dictionary that the file has.

    Raises:
        RunFolderError: the file cannot be read, is too large, or has columns of other types.
    """
    import pyarrow.parquet as pq

    with parquet_file(path) as (source, file):
        schema = file.schema_arrow
        for field in schema:
            if not any(check(field.type) for check in _PLAIN):
                raise ValueError(f"its column {field.name!r:.80} is {field.type!s:.80}")
        text = [field.name for field in schema if pa.types.is_string(field.type)]
        if not coded:
            check_room(decoded_bytes(source, file, schema.names, memory_limit()))
            return file.read()
        numbers = [field.name for field in schema if field.name not in text]
        codes = file.metadata.num_rows * 4 * len(text)
        check_room(decoded_bytes(source, file, numbers, memory_limit()) + codes)
        return pq.ParquetFile(source, metadata=file.metadata, read_dictionary=text).read()


_PLAIN = (
    pa.types.is_integer,
    pa.types.is_floating,
    pa.types.is_boolean,
    pa.types.is_string,
    pa.types.is_null,
)


@contextlib.contextmanager
def parquet_file(path: Path) -> Iterator[tuple[Any, Any]]:
    """Open a Parquet file as (the file of Arrow, the `ParquetFile`), whose columns differ in name.

    Raises:
        RunFolderError: it cannot be read, is not Parquet, or the block refuses it by a ValueError.
    """
    import pyarrow.parquet as pq

    try:
        open_regular(path).close()
        # not read_table, which makes a column of a folder named a=1
        with pa.OSFile(os.fsencode(path)) as source, pq.ParquetFile(source) as file:
            names = file.schema_arrow.names
            if len(set(names)) < len(names):
                raise ValueError("two columns have one name")
            yield source, file
    # ValueError: names out of UTF-8; MemoryError: a page that would be larger than the memory
    except (OSError, ValueError, MemoryError, pa.ArrowException) as error:
        raise RunFolderError(f"{path}: cannot read: {first_line(error)}") from error


def check_room(size: int) -> None:
    """Refuse what would take more than half of the memory.

    Raises:
        ValueError: it would.
    """
    if size > memory_limit() // 2:
        raise ValueError(f"it takes {shown_size(size)} or more of memory, which has no room for it")


def check_columns(found: pa.Schema, right: pa.Schema) -> None:
    """Refuse other columns than those of a schema; further ones are let pass.

    Raises:
        ValueError: one is missing, or of another type.
    """
    for field in right:
        if field.name not in found.names:
            raise ValueError(f"it has no column {field.name}")
        if (kind := found.field(field.name).type) != field.type:
            raise ValueError(f"its column {field.name} is {kind!s:.80}, not {field.type}")


def check_values(table: pa.Table, schema: pa.Schema) -> None:
    """Refuse nulls where a schema has none.

    Raises:
        ValueError: a column has one.
    """
    for field in schema:
        if not field.nullable and table[field.name].null_count:
            raise ValueError(f"its column {field.name} has a cell without a value")
