"""Frames from tables: CSV, TSV and Parquet files, Arrow and pandas tables, by pyarrow.

A column is numbers or text. In a text file that is decided by its cells; a file with types decides
itself. Missing: an empty cell, NA, N/A, NaN or null in text files; null or NaN in typed ones.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from trainer.data import csv_text
from trainer.data.columns import ColumnReader
from trainer.data.frame import Column, Frame, Labels, Like, check_names
from trainer.data.hints import readable_file, show
from trainer.data.roles import (
    Roles,
    check_nameless,
    check_separator,
    feature_names,
    wanted_names,
)
from trainer.data.rows import Array
from trainer.errors import DataError

SUFFIXES = (".csv", ".csv.gz", ".tsv", ".tsv.gz", ".parquet")
_WANTED = "a .csv, .csv.gz, .tsv or .parquet file"


def read_table(
    path: str, roles: Roles, *, labels: bool, like: Like | None = None, where: str = ""
) -> Frame:
    """Read a table file.

    Args:
        path: ends in one of `SUFFIXES`.
        roles: target, columns and so on.
        labels: whether a single target is labels rather than a number.
        like: the training source's columns; then `roles.columns`, `drop`, `categorical` are not
            looked at.
        where: what messages call the file, its path by default.

    Raises:
        DataError: everything that can be wrong with the file, its columns and its cells.
    """
    file_path = readable_file(path, _WANTED)
    where = where or show(file_path)
    name = file_path.name.lower()
    if name.endswith(".parquet"):
        return _read_parquet(file_path, roles, labels, like, where)
    if not name.endswith(SUFFIXES):
        raise DataError(f"{where}: is no table that can be read; give {_WANTED}")
    names = csv_text.read_header(file_path)
    if like is None:
        check_nameless(names, roles, where)
    check_names(names, where)
    check_separator(names, roles, where)
    features = feature_names(names, roles, like, where)
    wanted = wanted_names(features, roles)
    table = csv_text.read_text(file_path, names, wanted)

    def place(row: int) -> str:
        return f"row {row} (line {csv_text.line_of(file_path, row)})"

    return _frame(table, features, roles, labels, like, where, place)


def column_names(path: str) -> list[str]:
    """Names of the columns of a table file.

    Raises:
        DataError: as `read_table`.
    """
    file_path = readable_file(path, _WANTED)
    if not file_path.name.lower().endswith(".parquet"):
        return csv_text.read_header(file_path)
    import pyarrow as pa
    from pyarrow import parquet

    try:
        with parquet.ParquetFile(file_path) as file:
            return list(file.schema_arrow.names)
    except (pa.ArrowException, OSError) as error:
        raise _damaged(show(file_path), error) from None


def table_frame(
    table: Any, roles: Roles, *, labels: bool, like: Like | None = None, where: str
) -> Frame:
    """A frame of a table in memory: pyarrow, pandas, polars, anything with Arrow's interface.

    Raises:
        DataError: as `read_table`.
    """
    import pyarrow as pa

    try:
        if isinstance(table, pa.RecordBatch):
            table = pa.Table.from_batches([table])
        elif hasattr(table, "to_numpy") and hasattr(table, "columns") and hasattr(table, "index"):
            table = pa.Table.from_pandas(table, preserve_index=False)
        elif not isinstance(table, pa.Table):
            table = pa.table(table)
    except (pa.ArrowException, TypeError, ValueError) as error:
        reason = (str(error).splitlines() or ["?"])[0]
        raise DataError(
            f"{where}: cannot be read as a table ({reason}); columns of numbers or text are right"
        ) from None
    check_names(table.column_names, where)
    features = feature_names(table.column_names, roles, like, where)
    table = table.select(wanted_names(features, roles))
    return _frame(table, features, roles, labels, like, where, lambda row: f"row {row}")


def is_table(value: Any) -> bool:
    """Whether something passed in from Python is a table rather than an array."""
    return (
        (hasattr(value, "__arrow_c_stream__") and hasattr(value, "columns"))
        or (hasattr(value, "to_numpy") and hasattr(value, "columns"))
        or hasattr(value, "schema")
    )


def _read_parquet(path: Path, roles: Roles, labels: bool, like: Like | None, where: str) -> Frame:
    import pyarrow as pa
    from pyarrow import parquet

    try:
        with parquet.ParquetFile(path) as file:
            names = file.schema_arrow.names
            check_names(names, where)
            features = feature_names(names, roles, like, where)
            table = file.read(columns=wanted_names(features, roles))
    except (pa.ArrowException, OSError) as error:
        raise _damaged(where, error) from None
    return _frame(table, features, roles, labels, like, where, lambda row: f"row {row}")


def _damaged(where: str, error: Exception) -> DataError:
    reason = (str(error).splitlines() or ["?"])[0]
    return DataError(f"{where}: is damaged or no Parquet file ({reason}); write the file again")


def _frame(
    table: Any,
    features: Sequence[str],
    roles: Roles,
    labels: bool,
    like: Like | None,
    where: str,
    place: Callable[[int], str],
) -> Frame:
    rows = table.num_rows
    if rows == 0:
        raise DataError(f"{where}: has a header and no rows; at least one row is needed")
    texts = like.text if like else frozenset(roles.categorical)
    numbers = frozenset(like.names) - like.text if like else frozenset()
    reader = ColumnReader(where, place, text_file=place(0) != "row 0")
    columns: list[Column] = []
    target: Array | Labels | None = None
    if labels and len(roles.target) == 1:
        target = reader.labels(table.column(roles.target[0]), roles.target[0])
    elif roles.target:
        target = np.column_stack([reader.target(table.column(name), name) for name in roles.target])
    weight = (
        reader.numbers(table.column(roles.weight), roles.weight, "a weight is a number from 0 up")
        if roles.weight
        else None
    )
    for name in features:
        column = table.column(name)
        if name in texts:
            columns.append(reader.text(column, name))
        elif name in numbers:
            columns.append(
                reader.numbers(column, name, "the training source has numbers in this column")
            )
        else:
            columns.append(reader.either(column, name))
        # Each column's text goes as its numbers come: the two never exist side by side as a whole.
        if name not in roles.target and name != roles.weight:
            table = table.drop_columns([name])
    return Frame(
        where,
        tuple(features),
        tuple(columns),
        rows,
        target,
        roles.target,
        where,
        weight,
        where,
        roles.weight or "",
        place,
    )
