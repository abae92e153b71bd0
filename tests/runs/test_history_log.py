"""history.csv while it grows: whole at every moment, and written no more often than is cheap."""

from __future__ import annotations

import numpy as np
import pytest
from run_folders import history_row, log_steps, read

from trainer.runs import history_log
from trainer.runs.history_log import HistoryLog, has_whole_rows


def test_history_is_written_whole_and_at_most_every_two_seconds(folder, monkeypatch):
    clock = [100.0]
    monkeypatch.setattr(history_log.time, "monotonic", lambda: clock[0])
    writes = []
    write = history_log.write_atomic
    monkeypatch.setattr(
        history_log,
        "write_atomic",
        lambda path, data: (writes.append(path.name), write(path, data)),
    )
    for epoch in range(1, 101):  # ten seconds
        clock[0] += 0.1
        folder.append_history([history_row(epoch, train_loss=0.5)])
        assert read(folder).history().num_rows <= epoch
    assert writes == ["history.csv"] * 5
    assert read(folder).history().num_rows < 100
    folder.flush()
    folder.flush()
    assert len(writes) == 6
    assert read(folder).history()["epoch"].to_pylist() == list(range(1, 101))


def test_a_long_history_is_written_anew_less_often(folder, monkeypatch):
    clock, writes = [100.0], []

    def slow(path, data):
        writes.append(clock[0])
        clock[0] += 0.5

    monkeypatch.setattr(history_log.time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(history_log, "write_atomic", slow)
    for epoch in range(1, 1001):
        clock[0] += 0.1
        folder.append_history([history_row(epoch, train_loss=0.5)])
    gaps = np.diff(writes)
    assert len(gaps) == 9
    assert gaps.min() >= 20 * 0.5


def test_history_that_waits_goes_out_with_the_steps(folder, monkeypatch):
    clock = [100.0]
    monkeypatch.setattr(history_log.time, "monotonic", lambda: clock[0])
    folder.append_history([history_row(1, train_loss=0.5)])
    folder.append_history([history_row(2, train_loss=0.5)])
    assert read(folder).history().num_rows == 1
    clock[0] += 2.0
    log_steps(folder)
    assert read(folder).history().num_rows == 2


def test_a_history_row_with_other_columns_is_a_mistake(folder):
    folder.append_history([history_row(1, train_loss=0.5)])
    with pytest.raises(ValueError, match="has the columns"):
        folder.append_history([history_row(1, val_loss=0.5)])
    folder.append_history([])


def test_a_table_goes_on_from_an_offset_with_the_same_bytes(tmp_path):
    path, offsets = tmp_path / "h.csv", []
    log = HistoryLog(path)
    log.start(["train_loss", 'a,"é"'])
    for epoch in range(1, 4):
        offsets.append(log.offset)
        log.append([history_row(epoch, **{"train_loss": 1 / epoch, 'a,"é"': None})])
    log.flush()
    whole = path.read_bytes()
    assert len(whole) == log.offset
    for place, offset in enumerate(offsets):
        assert has_whole_rows(path, offset)
        again = HistoryLog.reopen(path, offset)
        assert path.stat().st_size == again.offset == offset
        again.start(["train_loss", 'a,"é"'])  # as at the beginning
        for epoch in range(place + 1, 4):
            again.append([history_row(epoch, **{"train_loss": 1 / epoch, 'a,"é"': None})])
        again.flush()
        assert path.read_bytes() == whole


def test_what_is_not_whole_rows(tmp_path):
    path = tmp_path / "h.csv"
    path.write_bytes(b"a,b\n1,2\n3,\xff\n")
    assert [offset for offset in range(20) if has_whole_rows(path, offset)] == [0, 4, 8]
    assert not has_whole_rows(path, 10**30)
    assert not has_whole_rows(tmp_path / "missing", 4)
    assert has_whole_rows(tmp_path / "missing", 0)
    assert not has_whole_rows(tmp_path, 4)
