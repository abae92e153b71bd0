"""The log of steps: an Arrow stream while a run goes on, a Parquet file once it is over.

A stream has no footer, so it can be read at any moment, also after a crash, up to the last
record batch that reached it whole. Parquet opens in every tool but needs its footer.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator, Mapping
from io import FileIO
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from trainer.errors import DiskError, RunFolderError
from trainer.machine.memory import memory_limit
from trainer.runs.frames import first_schema, record_batches
from trainer.runs.names import STEP_KEYS, STEP_VALUES, TARGET
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
WITH_TARGET = SCHEMA.insert(len(STEP_KEYS), pa.field(TARGET, pa.int32(), nullable=False))
"""Of a run whose targets are problems of their own: their numbers, from 0, behind `repeat`."""
_ROW_GROUP = 1 << 20  # rows; 50 MB before compression
_END = bytes.fromhex("ffffffff00000000")  # of a stream: a message of no bytes
_MOST = 64 << 20  # bytes that wait in memory for a disk that refuses them
_LEFT = 8 << 20  # bytes of the disk that the log leaves where no room is kept for the end


class StepLog:
    """Writer of the stream: every `append` is one record batch, handed to the system whole.

    Batches that the disk refuses wait in memory, up to 64 MiB, for the next call. Where there are
    more, or the disk may have dropped what it had taken, the log lacks steps for good.

    Attributes:
        path: of the file.
        offset: bytes of the file that are whole record batches.
        refusal: the DiskError for which batches wait or are lost; None while the file has all.
        left: bytes of the disk that are left to others.
    """

    left = _LEFT

    def __init__(self, path: Path, offset: int | None = None) -> None:
        self.path = path
        self.offset = offset or 0
        self.refusal: DiskError | None = None
        self._waiting: list[pa.RecordBatch] = []
        self._is_broken = False
        self._schema = SCHEMA  # until there are steps
        with self._refused_is_disk_error():
            self._file = _open(path, os.O_CREAT | (os.O_TRUNC if offset is None else 0))
            if offset is not None:
                os.ftruncate(self._file.fileno(), offset)
                os.fsync(self._file.fileno())

    @classmethod
    def reopen(cls, path: Path, offset: int) -> StepLog:
        """Go on with a stream: what follows its first `offset` bytes is cut off.

        Raises:
            DiskError: the disk refused.
        """
        return cls(path, offset)

    def append(
        self,
        step: npt.NDArray[np.integer],
        epoch: npt.NDArray[np.integer],
        values: Mapping[str, npt.NDArray[np.float32]],
        trial: npt.NDArray[np.integer],
        repeat: npt.NDArray[np.integer],
        counts: npt.NDArray[np.bool_] | None = None,
        target: npt.NDArray[np.integer] | None = None,
    ) -> None:
        """Write n steps of K columns: n·K rows, step by step and within a step by column.

        Args:
            step: (n,), from 1.
            epoch: (n,).
            values: an (n, K) array for each name of `STEP_VALUES`.
            trial: (K,), the trial of each column.
            repeat: (K,), the repeat of each column.
            counts: (n, K), False where a column had ended before the step: it gets no row.
            target: (K,), of each column, where there are several; in every call or in none.

        Raises:
            DiskError: the disk refused; the batches written before stay, and stay readable.
        """
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
            *([] if target is None else [np.tile(np.asarray(target, np.int32), n)]),
            *shown,
        ]
        if counts is not None and not counts.all():
            arrays = [array[counts.reshape(n * columns)] for array in arrays]
        if arrays[0].size == 0:
            return
        self._schema = SCHEMA if target is None else WITH_TARGET
        batch = pa.record_batch([arrow.column(array) for array in arrays], schema=self._schema)
        if not self._is_broken:  # with a gap it would be no log
            self._waiting.append(batch)
        self._write_waiting()

    @property
    def lacks(self) -> bool:
        """Whether it lacks steps for good."""
        return self._is_broken

    def commit(self) -> None:
        """Wait until the disk has all that was appended.

        Raises:
            DiskError: the disk refused: the stream lacks steps.
        """
        self._write_waiting()
        try:
            with self._refused_is_disk_error():
                os.fsync(self._file.fileno())
        except DiskError:
            self._is_broken = True  # a second fsync would pass, whatever the disk has
            raise

    def close(self) -> None:
        """End the stream. What it holds can be read before and after.

        Raises:
            DiskError: the disk refused: the stream lacks steps.
        """
        if self._file.closed:
            return
        with contextlib.closing(self._file):
            self._write_waiting()
            with self._refused_is_disk_error():
                self._write(_END)

    def _write_waiting(self) -> None:
        """Write the batches that wait."""
        if self.refusal is not None and self._is_broken:
            raise self.refusal
        try:
            with self._refused_is_disk_error():
                while self._waiting:
                    self._leave_room(self._waiting[0].nbytes)
                    self._write(self._waiting[0].serialize())
                    self.offset = self._file.tell()
                    del self._waiting[0]
        except DiskError:
            if sum(batch.nbytes for batch in self._waiting) > _MOST:
                self._is_broken, self._waiting = True, []
            raise
        self.refusal = None

    def __del__(self) -> None:
        with contextlib.suppress(OSError, AttributeError):  # it may not have been opened
            self._file.close()

    def _write(self, message: pa.Buffer | bytes) -> None:
        """Write a message of the stream, whose first is the schema."""
        for part in (message,) if self.offset else (self._schema.serialize(), message):
            left = memoryview(part)
            while left:  # a disk that fills up, and a system's own limits, take a part
                left = left[self._file.write(left) :]

    def _leave_room(self, size: int) -> None:
        """Refuse to fill the disk: the tables and the model, which come last, need room."""
        there = os.path.exists(self.path)  # the folder may have been moved
        disk = shutil.disk_usage(self.path if there else self._file.fileno())
        if disk.total and disk.free < size + self.left:
            raise OSError(f"the disk's last {self.left >> 20} MiB are for the tables and the model")

    @contextlib.contextmanager
    def _refused_is_disk_error(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            # Readers other than ours stumble over a half batch at the end, so it is cut off.
            with contextlib.suppress(OSError, AttributeError):  # or it could not be opened
                self._file.truncate(self.offset)
            self.refusal = disk_error(self.path, error)
            raise self.refusal from error


def _open(path: Path, more: int = 0) -> FileIO:
    """The file of a stream; written without a buffer, so that what is written has left us."""
    how = os.O_RDWR | os.O_APPEND | getattr(os, "O_BINARY", 0)
    return FileIO(os.open(path, how | more, 0o666), "r+b")


def read_stream(path: Path, trial: int | None = None) -> pa.Table:
    """Read a stream up to its last whole record batch: running, closed or cut short alike.

    Args:
        path: the file.
        trial: read the rows of this one alone.

    Raises:
        RunFolderError: the file cannot be read.
    """
    schema = _schema_of(path)
    batches = [_of_trial(batch, trial) for batch in _batches(path)]
    return pa.Table.from_batches(batches, schema=schema)


def _schema_of(path: Path) -> pa.Schema:
    """Which of the two schemas a stream has."""
    try:
        with open_regular(path) as file:
            found = first_schema(file, memory_limit() // 2)
    except (OSError, MemoryError) as error:
        raise RunFolderError(f"{path}: cannot read: {first_line(error)}") from error
    return WITH_TARGET if found is not None and found.equals(WITH_TARGET) else SCHEMA


def _batches(path: Path) -> Iterator[pa.RecordBatch]:
    """The whole record batches of a stream, one after another."""
    schema = _schema_of(path)
    try:
        with open_regular(path) as file:
            yield from record_batches(file, schema, memory_limit() // 2)
    except (OSError, ValueError, MemoryError) as error:
        raise RunFolderError(f"{path}: cannot read: {first_line(error)}") from error


def has_whole(path: Path, offset: int) -> bool:
    """Whether the first `offset` bytes of a stream are whole record batches."""
    if offset == 0:
        return True
    try:
        with pa.OSFile(os.fsencode(path)) as file:
            if file.size() < offset:
                return False
            stream = pa.ipc.open_stream(file)
            known = any(map(stream.schema.equals, (SCHEMA, WITH_TARGET)))
            while known and file.tell() < offset:
                stream.read_next_batch()
            return bool(file.tell() == offset)
    except (OSError, pa.ArrowException, StopIteration):
        return False


def stream_to_parquet(stream: Path, parquet: Path) -> None:
    """Write the Parquet form of a stream, whose bytes do not depend on how it was cut in batches.

    Raises:
        DiskError: the disk refused.
    """
    import pyarrow.parquet as pq

    with (
        replacing(parquet) as beside,
        pa.OSFile(os.fsencode(beside), "wb") as sink,
        pq.ParquetWriter(sink, schema := _schema_of(stream)) as writer,
    ):
        for table in _row_groups(stream, schema):
            writer.write_table(table, row_group_size=_ROW_GROUP)


def _row_groups(path: Path, schema: pa.Schema) -> Iterator[pa.Table]:
    """A stream in row groups, all but the last full: it may be larger than the memory."""
    waiting: list[pa.RecordBatch] = []
    rows = 0
    for batch in _batches(path):
        waiting.append(batch)
        rows += batch.num_rows
        while rows >= _ROW_GROUP:
            rows -= _ROW_GROUP
            cut = waiting[-1].num_rows - rows
            yield _whole([*waiting[:-1], waiting[-1].slice(0, cut)], schema)
            waiting = [waiting[-1].slice(cut)]
    if rows:
        yield _whole(waiting, schema)


def _whole(batches: list[pa.RecordBatch], schema: pa.Schema) -> pa.Table:
    """A table in one piece: the pages of a Parquet file end where pieces do."""
    return pa.Table.from_batches(batches, schema=schema).combine_chunks()


def _of_trial(rows: pa.RecordBatch, trial: int | None) -> pa.RecordBatch:
    """The rows of one trial, or all."""
    if trial is None:
        return rows
    return rows.filter(arrow.column(arrow.numbers(rows["trial"]) == trial))


def read_steps(path: Path, trial: int | None = None) -> pa.Table:
    """Read steps.parquet, with the columns of `SCHEMA`, or of `WITH_TARGET` if it has that.

    Args:
        path: the file.
        trial: read the rows of this one alone, so that a large log does not fill the memory.

    Raises:
        RunFolderError: the file cannot be read, or is no log of steps.
    """
    with parquet_file(path) as (_, file):
        right = WITH_TARGET if TARGET in file.schema_arrow.names else SCHEMA
        if trial is None:
            return read_parquet(path, right)
        check_columns(file.schema_arrow, right)
        found, size = [], 0
        for batch in file.iter_batches(columns=right.names):
            found.append(_of_trial(batch, trial))
            size += found[-1].nbytes
            check_room(size)
        table = pa.Table.from_batches(found, schema=_own_columns(file.schema_arrow, right))
        check_values(table, right)
        return table


def _own_columns(schema: pa.Schema, right: pa.Schema) -> pa.Schema:
    """The fields that the right schema has, as a file has them, in its order."""
    return pa.schema([field for field in schema if field.name in right.names])
