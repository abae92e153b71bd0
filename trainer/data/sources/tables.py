"""Frames from tables: CSV, TSV and Parquet files, Arrow and pandas tables, by pyarrow.

A column is numbers or text. In a text file that is decided by its cells; a file with types decides
itself. Missing: an empty cell, NA, N/A, NaN or null in text files; null or NaN in typed ones.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from trainer.catalog import SOURCES
from trainer.data.frame import ColumnData, Frame, Labels, Like, check_names
from trainer.data.rows import Array
from trainer.data.sources import csv_text
from trainer.data.sources.column_roles import (
    Roles,
    check_header,
    check_nameless,
    feature_names,
    wanted_names,
)
from trainer.data.sources.columns import ColumnReader
from trainer.errors import DataError
from trainer.text.paths import readable_file
from trainer.text.printable import error_text, show_path

SUFFIXES = SOURCES["table"].suffixes
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
    where = where or show_path(file_path)
    name = file_path.name.lower()
    if name.endswith(".parquet"):
        return _read_parquet(file_path, roles, labels, like, where)
    if not name.endswith(SUFFIXES):
        raise _unknown(where)
    names = csv_text.read_header(file_path)
    if like is None:
        check_nameless(names, roles, where)
    check_header(names, roles, where)
    check_names(names, where)
    features = feature_names(names, roles, like, where)
    columns = _by_name(csv_text.read_text(file_path, names, wanted_names(features, roles)))

    def place(row: int) -> str:
        return f"row {row} (line {csv_text.line_of(file_path, row)})"

    reader = ColumnReader(where, place, text_file=True)
    return _frame(columns, features, roles, labels, like, reader)


def column_names(path: str) -> list[str]:
    """Names of the columns of a table file.

    Raises:
        DataError: as `read_table`.
    """
    file_path = readable_file(path, _WANTED)
    name = file_path.name.lower()
    if not name.endswith(SUFFIXES):
        raise _unknown(show_path(file_path))
    if not name.endswith(".parquet"):
        return csv_text.read_header(file_path)
    import pyarrow as pa
    from pyarrow import parquet

    try:
        with parquet.ParquetFile(file_path) as file:
            return list(file.schema_arrow.names)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise _damaged(show_path(file_path), error) from None


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
        raise DataError(
            f"{where}: cannot be read as a table ({error_text(error)});"
            " columns of numbers or text are right"
        ) from None
    check_names(table.column_names, where)
    features = feature_names(table.column_names, roles, like, where)
    columns = _by_name(table.select(wanted_names(features, roles)))
    return _frame(columns, features, roles, labels, like, ColumnReader(where))


def is_table(value: Any) -> bool:
    """Whether something passed in from Python is a table rather than an array."""
    has_columns = hasattr(value, "columns") or hasattr(value, "schema")
    has_values = hasattr(value, "to_numpy") or hasattr(value, "__arrow_c_stream__")
    return isinstance(value, Mapping) or (has_columns and has_values)


def _read_parquet(path: Path, roles: Roles, labels: bool, like: Like | None, where: str) -> Frame:
    import pyarrow as pa
    from pyarrow import parquet

    try:
        with parquet.ParquetFile(path, page_checksum_verification=True) as file:
            names = file.schema_arrow.names
            check_names(names, where)
            features = feature_names(names, roles, like, where)
            columns = _by_name(file.read(columns=wanted_names(features, roles)))
    except (pa.ArrowException, OSError, ValueError) as error:
        raise _damaged(where, error) from None
    return _frame(columns, features, roles, labels, like, ColumnReader(where))


def _unknown(where: str) -> DataError:
    return DataError(f"{where}: is no table that can be read; give {_WANTED}")


def _damaged(where: str, error: Exception) -> DataError:
    return DataError(
        f"{where}: is damaged or no Parquet file ({error_text(error)}); write the file again"
    )


def _by_name(table: Any) -> dict[str, Any]:
    """The columns of an Arrow table by name, so that each can be freed alone."""
    return dict(zip(table.column_names, table.columns, strict=True))


def _frame(
    columns: dict[str, Any],
    features: Sequence[str],
    roles: Roles,
    labels: bool,
    like: Like | None,
    reader: ColumnReader,
) -> Frame:
    """Convert Arrow columns, emptying `columns`: its text goes as the numbers come."""
    rows = len(next(iter(columns.values())))
    if rows == 0:
        raise DataError(f"{reader.where}: has a header and no rows; at least one row is needed")
    target: Array | Labels | None = None
    if labels and len(roles.target) == 1:
        target = reader.labels(columns.pop(roles.target[0]), roles.target[0])
    elif roles.target:
        target = np.column_stack([reader.target(columns.pop(name), name) for name in roles.target])
    weight = None
    if roles.weight:
        hint = "a weight is a number from 0 up"
        weight = reader.numbers(columns.pop(roles.weight), roles.weight, hint)
    group = None
    if roles.group:
        group = reader.groups(columns.pop(roles.group), roles.group)
    texts = like.text if like else frozenset(roles.categorical)
    converted: list[ColumnData] = []
    for name in features:
        column = columns.pop(name)
        if name in texts:
            converted.append(reader.text(column, name))
        elif like is not None:
            hint = "the training source has numbers in this column"
            converted.append(reader.numbers(column, name, hint))
        else:
            converted.append(reader.either(column, name))
    return Frame(
        reader.where,
        tuple(features),
        tuple(converted),
        rows,
        target,
        roles.target,
        target_where=reader.where,
        weight=weight,
        weight_where=reader.where,
        weight_name=roles.weight or "",
        group=group,
        group_where=reader.where,
        group_name=roles.group or "",
        place=reader.place,
    )
