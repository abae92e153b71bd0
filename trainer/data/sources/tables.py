"""Frames from tables: CSV, TSV and Parquet files, Arrow and pandas tables, by pyarrow.

A column is numbers or text. In a text file that is decided by its cells; a file with types decides
itself. Missing: an empty cell, NA, N/A, NaN or null in text files; null or NaN in typed ones.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from trainer.catalog import SOURCES
from trainer.data.column_faults import ColumnFault, FeatureChoice
from trainer.data.frame import ColumnData, Frame, Labels, Like, check_names, positions
from trainer.data.rows import Array, IntArray, Label
from trainer.data.sources import csv_faults, csv_text
from trainer.data.sources.arrow_types import plain_array
from trainer.data.sources.column_roles import (
    Roles,
    check_header,
    feature_names,
    wanted_names,
)
from trainer.data.sources.columns import ColumnReader
from trainer.data.sources.csv_options import DEFAULT, CsvOptions
from trainer.data.sources.list_columns import block, collapsed, is_list, may_be_list, unrolled
from trainer.data.sources.pandas_index import (
    category_columns,
    index_columns,
    nameless_faults,
    unnamed_fault,
)
from trainer.data.sources.repeated_header import repeated_header
from trainer.errors import DataError
from trainer.machine.memory import memory_limit
from trainer.text.labels import nfc
from trainer.text.numbers import counted, shown_size
from trainer.text.parquet_size import decoded_bytes
from trainer.text.paths import readable_file
from trainer.text.printable import error_text, quote, show_path

SUFFIXES = SOURCES["table"].suffixes
_WANTED = "a .csv, .csv.gz, .tsv or .parquet file"


def read_table(
    path: str,
    roles: Roles,
    *,
    labels: bool,
    like: Like | None = None,
    where: str = "",
    options: CsvOptions = DEFAULT,
) -> Frame:
    """Read a table file.

    Args:
        path: ends in one of `SUFFIXES`.
        roles: target, columns and so on.
        labels: whether a single target is labels rather than a number.
        like: the training source's columns; then `roles.columns`, `drop`, `categorical` are not
            looked at.
        where: what messages call the file, its path by default.
        options: how a text file is written.

    Raises:
        DataError: everything that can be wrong with the file, its columns and its cells.
    """
    file_path, roles = readable_file(path, _WANTED), roles.composed()
    where = where or show_path(file_path)
    name = file_path.name.lower()
    if name.endswith(".parquet"):
        return _read_parquet(file_path, roles, labels, like, where, not options.to_predict)
    if not name.endswith(SUFFIXES):
        raise _unknown(where)
    return _read_text(file_path, options, roles, labels, like, where)


def _read_text(
    path: Path, options: CsvOptions, roles: Roles, labels: bool, like: Like | None, where: str
) -> Frame:
    head = csv_text.read_head(path, options)
    names = head.names
    delimiter = options.delimiter(path) if options.to_predict else None
    needed = roles.target or (like.names if like else ())
    check_header(names, head.sample, needed, where, delimiter)
    check_names(names, where, _needed(roles, like))
    index = index_columns(names, None)
    features = feature_names(names, roles, like, where, index)
    texts = {*(like.text if like else roles.categorical), roles.group}
    if labels and len(roles.target) == 1:
        texts.add(roles.target[0])
    wanted = wanted_names(features, roles)
    table = csv_text.read_columns(path, options, head, wanted, texts, memory_limit())

    def place(row: int) -> str:
        return f"row {row} (line {csv_faults.line_of(path, options, row)})"

    remarks = _by_position(features, like)
    if options.to_predict:
        table, blank = csv_text.with_blank_rows(table, path, options)
        if len(blank):
            remarks += (_blank_remark(blank, place),)
    columns = _by_name(table)
    if options.header and (row := repeated_header(columns)) is not None:
        raise DataError(f"{where}: {place(row)}: repeats the header; take the line out")

    faults = _nameless(names, features, roles, like)
    reader = ColumnReader(where, place, options, faults, has_keys=not options.to_predict)
    frame = _frame(columns, features, roles, labels, like, reader)
    keys = replace(options, width=len(names)).to_keys()
    left_out = _left_out(index, features, roles)
    remarks += tuple(reader.remarks)
    if like is None:
        from trainer.data.sources.sentinels import sentinel_remarks  # with the config's YAML

        remarks += tuple(sentinel_remarks(frame, options))
    return replace(frame, keys=keys, index=left_out, remarks=remarks)


def _needed(roles: Roles, like: Like | None) -> frozenset[str] | None:
    """The columns that must be told apart; None: all, as each may be a feature."""
    if like is None or like.nameless:
        return None
    return frozenset(wanted_names(like.names, roles))


def _by_position(features: tuple[str, ...], like: Like | None) -> tuple[str, ...]:
    """What to say of columns that were taken by their position."""
    if like is None or features == like.names:
        return ()
    return ("its columns are taken in their order, as training had no names",)


def _blank_remark(blank: IntArray, place: Callable[[int], str]) -> str:
    what = "is a row" if len(blank) == 1 else "are rows"
    first = ": " if len(blank) == 1 else ", the first "
    return f"{counted(len(blank), 'blank line')} {what} without values{first}{place(int(blank[0]))}"


def column_names(path: str, options: CsvOptions = DEFAULT) -> list[str]:
    """Names of the columns of a table file.

    Raises:
        DataError: as `read_table`.
    """
    file_path = readable_file(path, _WANTED)
    name = file_path.name.lower()
    if not name.endswith(SUFFIXES):
        raise _unknown(show_path(file_path))
    if not name.endswith(".parquet"):
        return csv_text.read_head(file_path, options).names
    from pyarrow import parquet

    try:
        with parquet.ParquetFile(file_path) as file:
            return list(map(nfc, file.schema_arrow.names))
    except (pa.ArrowException, OSError, ValueError) as error:
        raise _damaged(show_path(file_path), error) from None


def table_frame(
    table: pa.Table, roles: Roles, *, labels: bool, like: Like | None = None, where: str
) -> Frame:
    """A frame of a table in memory.

    Raises:
        DataError: as `read_table`.
    """
    return _typed(table.schema, table.select, roles.composed(), labels, like, where, has_keys=False)


def _read_parquet(
    path: Path, roles: Roles, labels: bool, like: Like | None, where: str, has_keys: bool
) -> Frame:
    from pyarrow import parquet

    try:
        with parquet.ParquetFile(path, page_checksum_verification=True) as file:

            def read(names: list[str]) -> Any:
                size, limit = decoded_bytes(path, file, names, memory_limit()), memory_limit() // 2
                if size > limit:
                    raise DataError(
                        f"{where}: its columns take {shown_size(size)} or more, more than"
                        f" {shown_size(limit)}, half of the memory there is; fewer rows or columns"
                        " are right"
                    )
                return file.read(columns=names)

            return _typed(
                file.schema_arrow,
                read,
                roles,
                labels,
                like,
                where,
                has_keys=has_keys,
            )
    except (pa.ArrowException, OSError, ValueError) as error:
        raise _damaged(where, error) from None


def _typed(
    schema: Any,
    read: Callable[[list[str]], Any],
    roles: Roles,
    labels: bool,
    like: Like | None,
    where: str,
    *,
    has_keys: bool,
) -> Frame:
    """The frame of a table with types, of which `read` gives the columns of these names."""
    names, metadata = list(map(nfc, schema.names)), schema.metadata
    lists = {name for name, part in zip(names, schema, strict=True) if may_be_list(part.type)}
    matched = collapsed(like, lists)
    check_names(names, where, _needed(roles, matched))
    index = index_columns(names, metadata)
    features = feature_names(names, roles, matched, where, index)
    reader = ColumnReader(
        where,
        faults=_nameless(names, features, roles, like),
        categories=category_columns(metadata),
        has_keys=has_keys,
    )
    wanted = wanted_names(features, roles)
    written = dict(zip(names, schema.names, strict=True))
    found = read([written[name] for name in wanted])
    with _arrow_faults(where):
        columns = _by_name(_plain(found.rename_columns(wanted), where))
        del found  # so that each column goes as its numbers come
        frame = _frame(columns, features, roles, labels, like, reader)
    left_out = _left_out(index, features, roles)
    remarks = (*_by_position(features, matched), *reader.remarks)
    return replace(frame, index=left_out, remarks=remarks)


def _plain(table: Any, where: str) -> Any:
    """An Arrow table with columns of polars' categories, runs and extensions as plain ones.

    Args:
        table: with the columns that are read.
        where: what messages call it.

    Raises:
        DataError: a column that Arrow cannot convert.
    """
    for i, name in enumerate(table.column_names):
        column = table.column(i)
        with _arrow_faults(f"{where}: column {quote(name)}"):
            changed = plain_array(column)
        if changed is not column:
            table = table.set_column(i, name, changed)
    return table


@contextlib.contextmanager
def _arrow_faults(where: str) -> Iterator[None]:
    """Raise what Arrow cannot do in this block as a DataError that says where."""
    try:
        yield
    except (pa.ArrowException, OverflowError) as error:
        raise DataError(
            f"{where}: cannot be converted ({error_text(error)}); numbers or text are right"
        ) from None


def _nameless(
    names: Sequence[str], features: Sequence[str], roles: Roles, like: Like | None
) -> list[ColumnFault]:
    return nameless_faults(names, features) if like is None and roles.columns is None else []


def _left_out(index: Sequence[str], features: Sequence[str], roles: Roles) -> tuple[str, ...]:
    """The columns of the index that nobody asked for."""
    asked = {*features, *roles.drop, *roles.target, roles.weight, roles.group}
    return tuple(name for name in index if name not in asked)


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
        what = "no rows" if reader.options is None else "a header and no rows"
        raise DataError(f"{reader.where}: has {what}; at least one row is needed")
    target, target_values = _target(columns, roles, labels, reader)
    weight = None
    if roles.weight:
        weight = reader.weight(columns.pop(roles.weight), roles.weight)
    no_group = Labels((), None)  # type: ignore[arg-type]
    group = reader.groups(columns.pop(roles.group), roles.group) if roles.group else no_group
    texts = like.text if like else frozenset(roles.categorical)
    converted: list[ColumnData] = []
    for name in features:
        column = columns.pop(name)
        if name in texts:
            converted.append(reader.text(_dates_as_text(column) if roles.dates else column, name))
        elif is_list(column.type):
            converted.append(_block(column, name, like, reader))
        elif like is not None:
            hint = "the training source has numbers in this column"
            converted.append(reader.numbers(column, name, hint))
        else:
            converted.append(reader.either(column, name))
            if roles.columns is None and (fault := unnamed_fault(name, converted[-1])):
                reader.faults.append(fault)
    shown, values = unrolled(features, converted, like, reader.where)
    return Frame(
        reader.where,
        shown,
        values,
        rows,
        target,
        roles.target,
        target_values,
        target_where=reader.where,
        weight=weight,
        weight_where=reader.where,
        weight_name=roles.weight or "",
        group=group.codes,
        group_values=group.values,
        group_where=reader.where,
        group_name=roles.group or "",
        place=reader.place,
        choice=FeatureChoice(
            reader.told(converted), roles.columns, roles.drop, roles.categorical, reader.has_keys
        ),
    )


def _target(
    columns: dict[str, Any], roles: Roles, labels: bool, reader: ColumnReader
) -> tuple[Array | Labels | None, tuple[tuple[Label, ...], ...]]:
    """The target, and of several columns of labels their values."""
    read_labels = reader.labels if reader.has_keys else reader.known_labels
    if labels and len(roles.target) == 1:
        return read_labels(columns.pop(roles.target[0]), roles.target[0]), ()
    if labels and roles.separate and roles.target:
        return positions([read_labels(columns.pop(name), name) for name in roles.target])
    if not roles.target:
        return None, ()
    read = reader.target if reader.has_keys else reader.known_numbers
    return np.column_stack([read(columns.pop(name), name) for name in roles.target]), ()


def _dates_as_text(column: Any) -> Any:
    """A column of dates or times as ISO 8601 writes them; any other as it is."""
    return column.cast(pa.string()) if pa.types.is_temporal(column.type) else column


def _block(column: Any, name: str, like: Like | None, reader: ColumnReader) -> Array:
    """The matrix of a column of lists; what speaks against a training source's is kept."""
    found = block(column, name, reader.place, like)
    if not isinstance(found, ColumnFault):
        return found
    if like is not None:
        row = "" if found.row is None else f"{reader.place(found.row)}, "
        raise DataError(f"{reader.where}: {row}column {quote(name)}: {found.what}")
    reader.faults.append(found)
    return np.zeros(len(column))  # never seen: the fault is told first
