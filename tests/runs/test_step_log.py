"""The log of steps: readable at every moment, Parquet at the end."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import textwrap

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from run_folders import raising

from trainer.errors import DiskError, RunFolderError
from trainer.runs import step_log
from trainer.runs.names import STEP_VALUES
from trainer.runs.step_log import (
    SCHEMA,
    StepLog,
    has_whole,
    read_steps,
    read_stream,
    stream_to_parquet,
)


def append(log: StepLog, first: int, n: int = 4, columns: int = 3) -> dict[str, np.ndarray]:
    values = {
        name: (np.arange(n * columns) + 100 * i + first).reshape(n, columns).astype(np.float32)
        for i, name in enumerate(STEP_VALUES)
    }
    steps = np.arange(first, first + n)
    log.append(steps, steps // 10, values, np.arange(columns), np.zeros(columns, np.int32))
    return values


def test_the_columns_are_the_contract_s():
    assert [(field.name, str(field.type)) for field in SCHEMA] == [
        ("step", "int64"),
        ("epoch", "int32"),
        ("trial", "int32"),
        ("repeat", "int32"),
        ("loss", "float"),
        ("error_rms", "float"),
        ("error_max", "float"),
        ("dz_rms", "float"),
        ("grad_norm", "float"),
        ("lr", "float"),
    ]


def test_rows_run_by_step_then_column(tmp_path):
    log = StepLog(tmp_path / "s")
    values = append(log, first=9, n=3, columns=2)
    table = read_stream(tmp_path / "s")
    assert table.schema == SCHEMA
    assert table["step"].to_pylist() == [9, 9, 10, 10, 11, 11]
    assert table["epoch"].to_pylist() == [0, 0, 1, 1, 1, 1]
    assert table["trial"].to_pylist() == [0, 1] * 3
    assert table["repeat"].to_pylist() == [0] * 6
    for name in STEP_VALUES:
        np.testing.assert_array_equal(table[name].to_numpy(), values[name].ravel())
    log.close()


def test_a_column_that_has_ended_gets_no_rows(tmp_path):
    log = StepLog(tmp_path / "s")
    values = {name: np.arange(6, dtype=np.float32).reshape(3, 2) for name in STEP_VALUES}
    counts = np.array([[True, True], [True, False], [False, False]])
    for mask in (counts, np.zeros_like(counts), np.ones_like(counts)):
        log.append(np.arange(1, 4), np.ones(3), values, np.arange(2), np.zeros(2), mask)
    table = read_stream(tmp_path / "s")
    assert table["step"].to_pylist() == [1, 1, 2, 1, 1, 2, 2, 3, 3]
    assert table["trial"].to_pylist() == [0, 1, 0, 0, 1, 0, 1, 0, 1]
    assert table["loss"].to_pylist() == [0, 1, 2, 0, 1, 2, 3, 4, 5]
    with pytest.raises(ValueError, match="counts has the shape"):
        log.append(np.arange(1, 4), np.ones(3), values, np.arange(2), np.zeros(2), counts.T)
    log.close()


def test_values_that_are_views_and_not_numbers_come_through(tmp_path):
    log = StepLog(tmp_path / "s")
    ring = np.arange(24, dtype=np.float32).reshape(2, 12)[:, ::4]  # (2, 3), not contiguous
    ring[1, 2] = np.nan
    log.append(
        np.array([1, 2]), np.array([1, 1]), dict.fromkeys(STEP_VALUES, ring), *np.zeros((2, 3))
    )
    loss = read_stream(tmp_path / "s")["loss"]
    assert loss.null_count == 0
    np.testing.assert_array_equal(loss.to_numpy(), ring.ravel())
    log.close()


def test_every_append_can_be_read_at_once_by_anyone(tmp_path):
    log = StepLog(tmp_path / "s")
    assert read_stream(tmp_path / "s").num_rows == 0
    for i in range(3):
        append(log, first=1 + 4 * i)
        assert read_stream(tmp_path / "s").num_rows == 12 * (i + 1)
        with pa.memory_map(str(tmp_path / "s")) as file:
            assert pa.ipc.open_stream(file).read_all().num_rows == 12 * (i + 1)
    log.close()
    log.close()
    assert read_stream(tmp_path / "s").num_rows == 36


def test_a_stream_cut_anywhere_is_read_to_its_last_whole_batch(tmp_path):
    log = StepLog(tmp_path / "s")
    ends = []
    for i in range(3):
        append(log, first=1 + 4 * i)
        ends.append((tmp_path / "s").stat().st_size)
    log.close()
    whole = (tmp_path / "s").read_bytes()
    seen = set()
    for cut in range(len(whole) + 1):
        (tmp_path / "cut").write_bytes(whole[:cut])
        rows = read_stream(tmp_path / "cut").num_rows
        assert rows == 12 * sum(cut >= end for end in ends), cut
        seen.add(rows)
    assert seen == {0, 12, 24, 36}


def test_a_cut_stream_followed_by_zeros_is_read_too(tmp_path):
    """What some file systems leave after a power cut."""
    log = StepLog(tmp_path / "s")
    append(log, first=1)
    log.close()
    with open(tmp_path / "s", "r+b") as file:
        file.seek(-8, 2)
        file.write(bytes(64))
    assert read_stream(tmp_path / "s").num_rows == 12


def test_parquet_has_what_the_stream_has(tmp_path):
    log = StepLog(tmp_path / "s")
    append(log, first=1)
    append(log, first=5)
    log.close()
    before = read_stream(tmp_path / "s").combine_chunks()
    stream_to_parquet(tmp_path / "s", tmp_path / "p")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["p", "s"]
    assert read_steps(tmp_path / "p").equals(before)
    assert pq.read_schema(tmp_path / "p").equals(SCHEMA)


def test_the_bytes_are_those_of_arrow_s_own_writer(tmp_path):
    log = StepLog(tmp_path / "s")
    append(log, first=1)
    append(log, first=5, n=1, columns=1)
    log.close()
    batches = read_stream(tmp_path / "s").to_batches()
    assert len(batches) == 2
    for some in (batches, []):
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, SCHEMA) as writer:
            for batch in some:
                writer.write_batch(batch)
        if not some:
            StepLog(tmp_path / "s").close()
        assert (tmp_path / "s").read_bytes() == sink.getvalue().to_pybytes()


def test_a_stream_goes_on_from_an_offset_with_the_same_bytes(tmp_path):
    log = StepLog(tmp_path / "s")
    offsets = [log.offset]
    for first in (1, 5, 9):
        append(log, first)
        log.commit()
        offsets.append(log.offset)
        assert (tmp_path / "s").stat().st_size == log.offset
    log.close()
    log.close()
    whole = (tmp_path / "s").read_bytes()
    for place, offset in enumerate(offsets):
        assert has_whole(tmp_path / "s", offset)
        again = StepLog.reopen(tmp_path / "s", offset)
        assert (tmp_path / "s").stat().st_size == again.offset == offset
        for first in (1, 5, 9)[place:]:
            append(again, first)
        again.close()
        assert (tmp_path / "s").read_bytes() == whole


def test_a_stream_that_may_not_be_opened(tmp_path):
    for open_it in (StepLog, lambda path: StepLog.reopen(path, 0)):
        with pytest.raises(DiskError, match="cannot write: No such file"):
            open_it(tmp_path / "missing" / "s")


def test_a_refused_sync_is_no_commit(tmp_path, monkeypatch):
    log = StepLog(tmp_path / "s")
    append(log, first=1)
    monkeypatch.setattr(os, "fsync", raising(errno.EIO))
    with pytest.raises(DiskError, match="Input/output error"):
        log.commit()
    monkeypatch.undo()
    for write in (log.commit, lambda: append(log, first=5)):  # who knows what the disk has
        with pytest.raises(DiskError, match="Input/output error"):
            write()
    assert read_stream(tmp_path / "s").num_rows == 12


@pytest.mark.parametrize("rows", [7, 12, 5])
def test_parquet_does_not_tell_how_the_stream_was_cut(tmp_path, monkeypatch, rows):
    """A run that was taken up has other batches than the unbroken one."""
    monkeypatch.setattr(step_log, "_ROW_GROUP", rows)
    found = []
    for cuts in ([12], [4, 8], [1] * 12, [5, 7], [11, 1]):
        log = StepLog(tmp_path / "s")
        first = 1
        for n in cuts:
            values = {
                name: np.sin(np.arange(first, first + n) + i)[:, None]
                for i, name in enumerate(STEP_VALUES)
            }
            steps = np.arange(first, first + n)
            log.append(steps, steps, values, np.zeros(1), np.zeros(1))
            first += n
        log.close()
        stream_to_parquet(tmp_path / "s", tmp_path / "p")
        found.append((tmp_path / "p").read_bytes())
        groups = pq.ParquetFile(tmp_path / "p").metadata
        sizes = [groups.row_group(i).num_rows for i in range(groups.num_row_groups)]
        assert sizes == [min(rows, 12 - at) for at in range(0, 12, rows)]
    assert len(found) == 5
    assert set(found) == {found[0]}
    StepLog(tmp_path / "s").close()
    stream_to_parquet(tmp_path / "s", tmp_path / "p")
    assert read_steps(tmp_path / "p").num_rows == 0


def test_the_pages_of_parquet_end_at_the_same_rows(tmp_path):
    """A column of more than a page, which Arrow ends where a piece of the table does."""
    found, rows = [], 160_000
    for cut in (rows, 7_777):
        log = StepLog(tmp_path / "s")
        for steps in np.split(np.arange(1, rows + 1), range(cut, rows, cut)):
            values = dict.fromkeys(STEP_VALUES, np.zeros((len(steps), 1), np.float32))
            log.append(steps, steps, values, np.zeros(1), np.zeros(1))
        log.close()
        stream_to_parquet(tmp_path / "s", tmp_path / "p")
        found.append((tmp_path / "p").read_bytes())
    assert found[0] == found[1]


def test_a_folder_named_like_a_partition_adds_no_column(tmp_path):
    folder = tmp_path / "lr=1"
    folder.mkdir()
    log = StepLog(folder / "s")
    append(log, first=1)
    log.close()
    stream_to_parquet(folder / "s", folder / "p.parquet")
    assert read_steps(folder / "p.parquet").column_names == SCHEMA.names


def test_a_refused_conversion_keeps_the_stream(tmp_path, monkeypatch):
    log = StepLog(tmp_path / "s")
    append(log, first=1)
    log.close()

    def refuse(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pq.ParquetWriter, "write_table", refuse)
    with pytest.raises(DiskError, match="No space left"):
        stream_to_parquet(tmp_path / "s", tmp_path / "p")
    assert read_stream(tmp_path / "s").num_rows == 12
    assert [path.name for path in tmp_path.iterdir()] == ["s"]


def test_a_disk_that_fills_up_keeps_whole_batches_that_anyone_can_read(tmp_path):
    code = """
        import resource, sys
        from pathlib import Path
        sys.path[:0] = sys.argv[2:]
        from test_step_log import append
        from trainer.errors import DiskError
        from trainer.runs.step_log import StepLog

        log = StepLog(Path(sys.argv[1]))
        _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (4000, most))  # in the middle of a batch
        written = 0
        try:
            while True:
                append(log, first=1)
                written += 12
        except DiskError as error:
            from trainer.runs.step_log import read_stream
            assert read_stream(log.path).num_rows == written
            print(written, error)
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))  # there is room again
        append(log, first=1)  # what was refused comes before
        log.close()
    """
    path = tmp_path / "s"
    from pathlib import Path

    here = Path(__file__).parent
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), path, here, here.parents[1]],
        capture_output=True,
        text=True,
        check=True,
    )
    written, message = done.stdout.split(maxsplit=1)
    assert message.startswith(f"{path}: cannot write: File too large")
    assert message.count("\n") == 1
    assert int(written) > 12
    assert read_stream(path).num_rows == int(written) + 24
    with pa.memory_map(str(path)) as file:
        assert pa.ipc.open_stream(file).read_all().num_rows == int(written) + 24


@pytest.mark.skipif(sys.platform != "linux", reason="needs /dev/full")
def test_a_full_disk_from_the_first_byte(tmp_path):
    (tmp_path / "s").symlink_to("/dev/full")
    log = StepLog(tmp_path / "s")
    for write in (lambda: append(log, first=1), log.close):
        with pytest.raises(DiskError, match="No space left on device; free some space"):
            write()
    log.close()


@pytest.mark.parametrize("name", ["missing", "text"])
def test_what_is_no_parquet_is_said_in_one_line(tmp_path, name):
    (tmp_path / "text").write_text("x" * 100)
    with pytest.raises(RunFolderError, match="cannot read") as caught:
        read_steps(tmp_path / name)
    assert "\n" not in str(caught.value)


def test_wrong_shapes_and_names_are_mistakes(tmp_path):
    log = StepLog(tmp_path / "s")
    one = np.ones((2, 3), np.float32)
    with pytest.raises(ValueError, match="shape"):
        log.append(np.ones(3), np.ones(3), dict.fromkeys(STEP_VALUES, one), np.ones(3), np.ones(3))
    with pytest.raises(ValueError, match="values"):
        log.append(np.ones(2), np.ones(2), {"loss": one}, np.ones(3), np.ones(3))
    log.close()
