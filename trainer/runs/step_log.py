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
from trainer.runs.names import STEP_KEYS, STEP_VALUES
from trainer.text import arrow
from trainer.text.atomic import disk_error, replacing

_TYPES = {
    **dict.fromkeys(STEP_KEYS, pa.int32()),
    "step": pa.int64(),
    **dict.fromkeys(STEP_VALUES, pa.float32()),
}
SCHEMA = pa.schema([pa.field(name, type, nullable=False) for name, type in _TYPES.items()])
_ROW_GROUP = 1 << 20  # rows; 50 MB before compression
_LEFT = 8 << 20  # bytes of the disk that the log leaves where no room is kept for the end


class StepLog:
    """Writer of the stream: every `append` is one record batch, handed to the system whole.

    Attributes:
        path: of the file.
        refusal: the disk's first DiskError, after which nothing is written; None before.
        left: bytes of the disk that it leaves to the tables, the model and the page.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.left = path, _LEFT
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
        if disk.total and disk.free < size + self.left:
            raise OSError(f"the disk's last {self.left >> 20} MiB are for the tables and the model")

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
    schema = batches[0].schema if batches else SCHEMA
    return pa.Table.from_batches(batches, schema=schema)


def _batches(path: Path) -> Iterator[pa.RecordBatch]:
    """The whole record batches of a stream, one after another."""
    try:
        if path.stat().st_size == 0:  # no batch yet
            return
        # it ends at its end, or where it was cut short
        ended = contextlib.suppress(pa.ArrowInvalid, StopIteration)
        with pa.OSFile(os.fsencode(path)) as file, ended:
            stream = pa.ipc.open_stream(file)
            while True:
                yield stream.read_next_batch()
    except OSError as error:
        if error.errno:  # without one it is Arrow's word for a batch that is cut short
            raise RunFolderError(f"{path}: cannot read: {os.strerror(error.errno)}") from error


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
    if trial is None or "trial" not in rows.schema.names:
        return rows
    return rows.filter(arrow.column(arrow.numbers(rows["trial"]) == trial))


def read_parquet(path: Path, trial: int | None = None, *, coded: bool = False) -> pa.Table:
    """Read a Parquet file.

    Args:
        path: the file.
        trial: read the rows of this one alone, so that a large log does not fill the memory.
        coded: leave text as the codes into a dictionary that the file has.

    Raises:
        RunFolderError: the file cannot be read, or is not Parquet.
    """
    import pyarrow.parquet as pq

    try:
        # not read_table, which makes a column of a folder named a=1
        with pa.OSFile(os.fsencode(path)) as source, pq.ParquetFile(source) as file:
            if coded:
                text = [of.name for of in file.schema_arrow if pa.types.is_string(of.type)]
                table = pq.ParquetFile(source, metadata=file.metadata, read_dictionary=text).read()
            elif trial is None:
                table = file.read()
            else:
                batches = (_of_trial(rows, trial) for rows in file.iter_batches())
                table = pa.Table.from_batches(batches, schema=file.schema_arrow)
    except (OSError, ValueError, pa.ArrowException) as error:  # ValueError: names out of UTF-8
        raise RunFolderError(f"{path}: cannot read: {first_line(error)}") from error
    if len(set(table.column_names)) < table.num_columns:
        raise RunFolderError(f"{path}: cannot read: two columns have one name")
    return table


def first_line(error: Exception) -> str:
    """The first line of an exception's message: Arrow's go on for several, and quote raw bytes."""
    line = (str(error).splitlines() or [type(error).__name__])[0]
    line = "".join(c if c.isprintable() else repr(c)[1:-1] for c in line)
    return line if len(line) <= 300 else f"{line[:299]}…"
