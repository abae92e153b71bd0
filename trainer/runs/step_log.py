"""The log of steps: an Arrow stream while a run goes on, a Parquet file once it is over.

A stream has no footer, so it can be read at any moment, also after a crash, up to the last
record batch that reached it whole. Parquet opens in every tool but needs its footer.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from trainer.errors import DiskError, RunFolderError
from trainer.machine.memory import memory_limit
from trainer.runs.frames import record_batches
from trainer.runs.names import STEP_KEYS, STEP_VALUES
from trainer.runs.parquet import check_columns, check_room, check_values, parquet_file, read_parquet
from trainer.text import arrow
from trainer.text.atomic import disk_error, replacing
from trainer.text.printable import first_line
from trainer.text.regular_file import open_regular

_TYPES = {
    **dict.fromkeys(STEP_KEYS, pa.int32()),
    "step": pa.int64(),
    **dict.fromkeys(STEP_VALUES, pa.float32()),
}
SCHEMA = pa.schema([pa.field(name, type, nullable=False) for name, type in _TYPES.items()])
_ROW_GROUP = 1 << 20  # rows; 50 MB before compression
_LEFT = 8 << 20  # bytes of the disk that the log leaves to the tables, the model and the page


class StepLog:
    """Writer of the stream: every `append` is one record batch, handed to the system whole.

    Attributes:
        path: of the file.
        refusal: the disk's first DiskError, after which nothing is written; None before.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._whole = 0  # bytes of the file that are whole record batches
        self.refusal: DiskError | None = None
        with self._refused_is_disk_error():
            self._file = pa.OSFile(os.fsencode(path), "wb")  # bytes: any name goes
            self._writer = pa.ipc.new_stream(self._file, SCHEMA)

    def append(
        self,
        step: npt.NDArray[np.integer],
        epoch: npt.NDArray[np.integer],
        values: Mapping[str, npt.NDArray[np.float32]],
        trial: npt.NDArray[np.integer],
        repeat: npt.NDArray[np.integer],
        counts: npt.NDArray[np.bool_] | None = None,
    ) -> None:
        """Write n steps of K columns: n·K rows, step by step and within a step by column.

        Args:
            step: (n,), from 1.
            epoch: (n,).
            values: an (n, K) array for each name of `STEP_VALUES`.
            trial: (K,), the trial of each column.
            repeat: (K,), the repeat of each column.
            counts: (n, K), False where a column had ended before the step: it gets no row.

        Raises:
            DiskError: the disk refused; the batches written before stay, and stay readable.
        """
        if self.refusal is not None:
            raise self.refusal  # the file's end is not where the writer believes it
        n, columns = len(step), len(trial)
        if set(values) != set(STEP_VALUES):
            raise ValueError(f"the log of steps has the values {STEP_VALUES}, not {tuple(values)}")
        for name, array in [*values.items(), *([] if counts is None else [("counts", counts)])]:
            if array.shape != (n, columns):
                raise ValueError(f"{name} has the shape {array.shape}, not {(n, columns)}")
        with np.errstate(over="ignore"):  # a float64 that diverges is infinite here
            shown = [
                np.asarray(values[name], np.float32).reshape(n * columns) for name in STEP_VALUES
            ]
        arrays: list[npt.NDArray[Any]] = [
            np.repeat(np.asarray(step, np.int64), columns),
            np.repeat(np.asarray(epoch, np.int32), columns),
            np.tile(np.asarray(trial, np.int32), n),
            np.tile(np.asarray(repeat, np.int32), n),
            *shown,
        ]
        if counts is not None and not counts.all():
            arrays = [array[counts.reshape(n * columns)] for array in arrays]
        if arrays[0].size == 0:
            return
        batch = pa.record_batch([arrow.column(array) for array in arrays], schema=SCHEMA)
        with self._refused_is_disk_error():
            self._leave_room(batch.nbytes)
            self._writer.write_batch(batch)
            self._whole = self._file.tell()

    def close(self) -> None:
        """End the stream. What it holds can be read before and after."""
        if self._file.closed:
            return
        with self._refused_is_disk_error(), contextlib.closing(self._file):
            if self.refusal is None:
                self._writer.close()

    def _leave_room(self, size: int) -> None:
        """Refuse to fill the disk: the tables and the model, which come last, need room."""
        disk = shutil.disk_usage(self.path)
        if disk.total and disk.free < size + _LEFT:
            raise OSError(f"the disk's last {_LEFT >> 20} MiB are for the tables and the model")

    @contextlib.contextmanager
    def _refused_is_disk_error(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            # Readers other than ours stumble over a half batch at the end, so it is cut off.
            with contextlib.suppress(OSError):
                os.truncate(self.path, self._whole)
            self.refusal = disk_error(self.path, error)
            raise self.refusal from error


def read_stream(path: Path, trial: int | None = None) -> pa.Table:
    """Read a stream up to its last whole record batch: running, closed or cut short alike.

    Args:
        path: the file.
        trial: read the rows of this one alone.

    Raises:
        RunFolderError: the file cannot be read.
    """
    batches = [_of_trial(batch, trial) for batch in _batches(path)]
    return pa.Table.from_batches(batches, schema=SCHEMA)


def _batches(path: Path) -> Iterator[pa.RecordBatch]:
    """The whole record batches of a stream, one after another."""
    try:
        with open_regular(path) as file:
            yield from record_batches(file, SCHEMA, memory_limit() // 2)
    except (OSError, ValueError, MemoryError) as error:
        raise RunFolderError(f"{path}: cannot read: {first_line(error)}") from error


def stream_to_parquet(stream: Path, parquet: Path) -> None:
    """Put the Parquet form of a stream in its place: written whole first, then the stream goes.

    Raises:
        DiskError: the disk refused; the stream is still there.
    """
    import pyarrow.parquet as pq

    with (
        replacing(parquet) as beside,
        pa.OSFile(os.fsencode(beside), "wb") as sink,
        pq.ParquetWriter(sink, SCHEMA) as writer,
    ):
        for table in _row_groups(stream):
            writer.write_table(table, row_group_size=_ROW_GROUP)
    try:
        stream.unlink()
    except OSError as error:
        raise disk_error(stream, error) from error


def _row_groups(path: Path) -> Iterator[pa.Table]:
    """A stream in pieces of about a row group: it may be larger than the memory."""
    batches: list[pa.RecordBatch] = []
    rows = 0
    for batch in _batches(path):
        batches.append(batch)
        rows += batch.num_rows
        if rows >= _ROW_GROUP:
            yield pa.Table.from_batches(batches, schema=SCHEMA)
            batches, rows = [], 0
    yield pa.Table.from_batches(batches, schema=SCHEMA)


def _of_trial(rows: pa.RecordBatch, trial: int | None) -> pa.RecordBatch:
    """The rows of one trial, or all."""
    if trial is None:
        return rows
    return rows.filter(arrow.column(arrow.numbers(rows["trial"]) == trial))


def read_steps(path: Path, trial: int | None = None) -> pa.Table:
    """Read steps.parquet, with the columns of `SCHEMA`.

    Args:
        path: the file.
        trial: read the rows of this one alone, so that a large log does not fill the memory.

    Raises:
        RunFolderError: the file cannot be read, or is no log of steps.
    """
    if trial is None:
        return read_parquet(path, SCHEMA)
    with parquet_file(path) as (_, file):
        check_columns(file.schema_arrow, SCHEMA)
        found, size = [], 0
        for batch in file.iter_batches(columns=SCHEMA.names):
            found.append(_of_trial(batch, trial))
            size += found[-1].nbytes
            check_room(size)
        table = pa.Table.from_batches(found, schema=_own_columns(file.schema_arrow))
        check_values(table, SCHEMA)
        return table


def _own_columns(schema: pa.Schema) -> pa.Schema:
    """The fields that `SCHEMA` has, as a file has them, in its order."""
    return pa.schema([field for field in schema if field.name in SCHEMA.names])
