"""The bytes of files in a run folder, as they are before they are written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from trainer.text.atomic import utf8
from trainer.text.csv_json import csv_header, csv_lines


def csv_bytes(rows: Sequence[Mapping[str, Any]], least: Sequence[str]) -> bytes:
    """A table as CSV, rows in the order given, columns in the order of appearance.

    Args:
        rows: each {column: cell}.
        least: the columns of a table without rows.
    """
    alike = dict.fromkeys(map(tuple, rows))  # most rows have the same keys in the same order
    columns = tuple(dict.fromkeys(chain.from_iterable(alike))) or tuple(least)
    whole = rows if len(alike) == 1 else [{c: row.get(c) for c in columns} for row in rows]
    return utf8(csv_header(columns) + csv_lines(whole, columns))


def parquet_bytes(table: pa.Table, **how: Any) -> bytes:
    """A table as Parquet; `how` goes to pyarrow's `write_table`."""
    import pyarrow.parquet as pq

    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, **how)
    data: bytes = sink.getvalue().to_pybytes()
    return data


def safetensors_bytes(arrays: Mapping[str, npt.NDArray[Any]]) -> bytes:
    """Arrays as a safetensors file."""
    from safetensors.numpy import save

    data: bytes = save({name: np.ascontiguousarray(a) for name, a in arrays.items()})
    return data


def rows_bytes(table: pa.Table) -> bytes:
    """The bytes of rows.parquet: words and small counts by their codes, row numbers by steps."""
    coded = [name for name in table.column_names if name != "row"]
    how = {"use_dictionary": coded, "column_encoding": {"row": "DELTA_BINARY_PACKED"}}
    return parquet_bytes(table, compression="zstd", **how)
