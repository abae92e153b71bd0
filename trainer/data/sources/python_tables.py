"""What Python holds as tables, as Arrow's: pandas, polars, dicts, anything with its interface."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from trainer.data.sources.host import LAZY, host_array
from trainer.errors import DataError
from trainer.text.printable import error_text, quote


def arrow_table(table: Any, where: str) -> Any:
    """A pyarrow.Table of a table in memory.

    Args:
        table: what `is_table` knows.
        where: what messages call it.

    Raises:
        DataError: columns of unequal length, or that no Arrow table can hold.
    """
    if (cure := LAZY.get(type(table).__name__)) is not None:
        raise DataError(f"{where}: is a {type(table).__name__}; {cure} of it is right")
    if isinstance(table, Mapping):
        return pa.table(_columns(table, where))
    try:
        if isinstance(table, pa.RecordBatch):
            return pa.Table.from_batches([table])
        if _is_pandas(table):
            _check_pandas(table, where)
            return _of_pandas(table)
        return table if isinstance(table, pa.Table) else pa.table(table)
    except DataError:
        raise
    except Exception as error:  # of whatever library the table is
        if _is_pandas(table):
            _check_objects(table, where)
        raise _unreadable(where, error) from None


def _is_pandas(table: Any) -> bool:
    has_columns = all(hasattr(table, name) for name in ("to_numpy", "columns", "index"))
    return has_columns and hasattr(getattr(table, "dtypes", None), "items")


def _check_objects(table: Any, where: str) -> None:
    """Say of a pandas frame's columns of objects which rows hold what does not go together."""
    for name, kind in table.dtypes.items():
        if kind == np.object_:
            host_array(table[name], f"{where}: column {quote(str(name))}")


def _of_pandas(frame: Any) -> Any:
    """A pyarrow.Table of a pandas frame, as to_parquet would write it: with its index."""
    try:
        return pa.Table.from_pandas(frame)
    except (pa.ArrowException, TypeError, ValueError):  # an index of mixed objects, perhaps
        return pa.Table.from_pandas(frame, preserve_index=False)


def _check_pandas(table: Any, where: str) -> None:
    """Refuse sparse columns, and two of one name, for which Arrow has its own words."""
    sparse = [
        str(name) for name, kind in table.dtypes.items() if type(kind).__name__ == "SparseDtype"
    ]
    if sparse:
        raise DataError(
            f"{where}: column {quote(sparse[0])}: is sparse; dense columns are right: use"
            " .sparse.to_dense() of it"
        )
    names = [str(name) for name in table.columns]
    for i, name in enumerate(names):
        if name in names[:i]:
            raise DataError(
                f"{where}: columns {names.index(name) + 1} and {i + 1} are both called"
                f" {quote(name)}; each column needs its own name"
            )


def _columns(table: Mapping[Any, Any], where: str) -> dict[str, Any]:
    """The columns of a mapping, of equal length."""
    columns: dict[str, Any] = {}
    for key, values in table.items():
        name, place = str(key), f"{where}[{key!r}]"
        if name in columns:
            raise DataError(f"{place}: another column is called {quote(name)} too; rename one")
        columns[name] = _column(values, place)
    lengths = {name: len(column) for name, column in columns.items()}
    for name, length in lengths.items():
        first = next(iter(lengths))
        if length != lengths[first]:
            raise DataError(
                f"{where}: column {quote(first)} has {lengths[first]} rows, column {quote(name)}"
                f" {length}; all must have the same number"
            )
    return columns


def _column(values: Any, place: str) -> Any:
    """One column of a mapping: a matrix becomes lists of one length."""
    if isinstance(values, pa.Array | pa.ChunkedArray):
        return values
    if hasattr(values, "__arrow_c_array__") or hasattr(values, "__arrow_c_stream__"):
        try:
            return pa.chunked_array(values)
        except Exception as error:  # of whatever library they are
            raise _unreadable(place, error) from None
    array = host_array(values, place)
    if array.ndim == 0:
        raise DataError(f"{place}: is one value; a list of the rows' values is right")
    if array.ndim > 2:
        raise DataError(f"{place}: shape {array.shape}; a column has shape (N,), or (N, C)")
    try:
        if array.ndim == 1:
            return pa.array(array.astype(np.str_) if array.dtype.kind == "S" else array)
        return pa.FixedSizeListArray.from_arrays(pa.array(array.reshape(-1)), array.shape[1])
    except (pa.ArrowException, UnicodeDecodeError, TypeError, ValueError) as error:
        raise _unreadable(place, error) from None


def _unreadable(where: str, error: Exception) -> DataError:
    said = [str(part) for part in error.args] or [type(error).__name__]
    return DataError(
        f"{where}: cannot be read as a table ({error_text(Exception('; '.join(said)))});"
        " columns of numbers or text are right"
    )
