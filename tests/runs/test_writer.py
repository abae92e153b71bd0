"""What a run folder holds as it is written, after a crash and on a full disk."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
from datetime import datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from run_folders import history_row, log_steps, raising, read, trial_row, write_all
from safetensors.numpy import load_file

from trainer.errors import DiskError
from trainer.runs import history_log, step_log
from trainer.runs.step_log import SCHEMA
from trainer.runs.writer import RunWriter
from trainer.workflow.loaded import load_run

pytestmark = pytest.mark.usefixtures("in_an_empty_folder")


def test_the_names_are_the_contract_s(folder):
    write_all(folder)
    found = {str(p.relative_to(folder.path)) for p in folder.path.rglob("*") if p.is_file()}
    assert found == {
        "input.yaml",
        "config.yaml",
        "manifest.json",
        "run.log",
        "steps.parquet",
        "history.csv",
        "trials.csv",
        "results.json",
        "predictions.parquet",
        "weights.safetensors",
        "gradients/step-12.safetensors",
    }


def test_a_new_folder_says_that_it_runs(folder):
    manifest = json.loads((folder.path / "manifest.json").read_bytes())
    assert manifest["status"] == "running"
    assert manifest["name"] == "a"
    assert datetime.fromisoformat(manifest["started"]).tzinfo is not None
    assert manifest["versions"]["numpy"] == np.__version__
    assert manifest["versions"]["pyarrow"] == pa.__version__
    assert {"python", "trainer", "platform"} <= manifest["versions"].keys()
    assert manifest["git_commit"] is None or re.fullmatch("[0-9a-f]{40}", manifest["git_commit"])
    assert manifest["git_dirty"] in (None, True, False)
    assert (folder.path / "run.log").exists()
    assert read(folder).steps().num_rows == 0


def test_the_manifest_is_added_to(folder):
    folder.update_manifest(rows={"train": 3}, notes="cpu")
    folder.update_manifest(notes="gpu")
    manifest = read(folder).manifest()
    assert (manifest["rows"], manifest["notes"], manifest["status"]) == (
        {"train": 3},
        "gpu",
        "running",
    )


def test_the_input_is_kept_byte_for_byte(folder):
    folder.write_input(b"\xef\xbb\xbfmodel: linear\r\n")
    assert (folder.path / "input.yaml").read_bytes() == b"\xef\xbb\xbfmodel: linear\r\n"
    folder.write_input("name: \u00e9\r\n")
    assert (folder.path / "input.yaml").read_bytes() == "name: é\r\n".encode()


def test_each_line_of_the_log_has_its_time(folder):
    folder.log("one\ntwo")
    folder.log("")
    folder.log("three \ud800")
    lines = (folder.path / "run.log").read_text().splitlines()
    stamps, texts = zip(*(line.split("  ", 1) for line in lines), strict=True)
    assert texts == ("one", "two", "", "three \\ud800")
    assert all(datetime.fromisoformat(stamp) for stamp in stamps)


def test_arrays(folder):
    weights = np.arange(24, dtype=np.float32).reshape(4, 2, 3)
    given = weights[::2], np.ones((2, 3)), np.arange(3), np.zeros(3, np.int32)
    folder.write_weights(dict(zip(("weights", "bias", "trial", "repeat"), given, strict=True)))
    back = load_file(folder.path / "weights.safetensors")
    np.testing.assert_array_equal(back["weights"], weights[::2])
    assert {name: array.shape for name, array in back.items()} == {
        "weights": (2, 2, 3),
        "bias": (2, 3),
        "trial": (3,),
        "repeat": (3,),
    }
    folder.write_gradients(1, {"dz": weights.transpose(2, 0, 1)})
    folder.write_gradients(1000, {"dz": weights})
    assert sorted(os.listdir(folder.path / "gradients")) == [
        "step-1.safetensors",
        "step-1000.safetensors",
    ]
    dz = load_file(folder.path / "gradients" / "step-1.safetensors")["dz"]
    np.testing.assert_array_equal(dz, weights.transpose(2, 0, 1))


@pytest.mark.parametrize(
    ("status", "form"),
    [
        ("finished", "steps.parquet"),
        ("diverged", "steps.parquet"),
        ("interrupted", "steps.arrows"),
        ("failed", "steps.arrows"),
    ],
)
def test_the_end_of_a_run(folder, status, form):
    log_steps(folder)
    log_steps(folder, first=5)
    folder.append_history([history_row(1, train_loss=0.5)])
    folder.append_history([history_row(2, train_loss=0.5)])
    folder.close(status, best="trial 0")
    assert [name for name in os.listdir(folder.path) if name.startswith("steps")] == [form]
    run = load_run(folder.path)
    assert run.status == status
    assert run.steps()["step"].to_pylist() == list(range(1, 9))
    assert run.steps().schema == SCHEMA
    assert run.history().num_rows == 2
    manifest = read(folder).manifest()
    assert manifest["best"] == "trial 0"
    assert manifest["ended"] >= manifest["started"]
    assert 0 <= manifest["seconds"] < 60


def test_a_run_is_not_finished_before_all_is_written(folder, monkeypatch):
    log_steps(folder)
    monkeypatch.setattr(pq.ParquetWriter, "write_table", raising(errno.ENOSPC))
    with pytest.raises(DiskError, match=r"steps\.parquet: cannot write: No space left"):
        folder.close("finished")
    assert read(folder).manifest()["status"] == "failed"
    assert "steps.parquet" in read(folder).manifest()["reason"]
    assert read(folder).steps().num_rows == 4


def test_a_killed_run_is_readable_up_to_its_last_flush(tmp_path):
    code = """
        import os, signal, sys
        sys.path[:0] = sys.argv[2:]
        from run_folders import history_row, log_steps, trial_row
        from trainer.runs.writer import RunWriter
        folder = RunWriter.create("a", sys.argv[1])
        folder.log("training")
        log_steps(folder)
        log_steps(folder, first=5)
        folder.append_history([history_row(1, train_loss=0.5)])
        folder.write_trials([trial_row()])
        os.kill(os.getpid(), signal.SIGKILL)
    """
    here = Path(__file__).parent
    command = [sys.executable, "-c", textwrap.dedent(code), tmp_path / "run", here, here.parents[1]]
    assert subprocess.run(command).returncode == -signal.SIGKILL
    run = load_run(tmp_path / "run")
    assert run.status == "killed"
    assert run.steps()["step"].to_pylist() == list(range(1, 9))
    assert run.history()["epoch"].to_pylist() == [1]
    assert run.trials == [trial_row()]
    assert "training" in (run.folder / "run.log").read_text()


WRITES = {
    "input.yaml": lambda f: f.write_input("a"),
    "config.yaml": lambda f: f.write_config("a"),
    "manifest.json": lambda f: f.update_manifest(a=1),
    "trials.csv": lambda f: f.write_trials([trial_row()]),
    "results.json": lambda f: f.write_results({"metric": "val_loss"}),
    "predictions.parquet": lambda f: f.write_predictions(pa.table({"row": [1]})),
    "weights.safetensors": lambda f: f.write_weights({"bias": np.ones(3)}),
    "gradients/step-7.safetensors": lambda f: f.write_gradients(7, {"dz": np.ones(3)}),
    "history.csv": lambda f: (
        f.append_history([history_row(1, train_loss=1.0)]),
        f.flush(),
    ),
    "steps.parquet": lambda f: (log_steps(f), f.finish_steps()),
}


@pytest.mark.parametrize("name", WRITES)
@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_disk_that_refuses_any_file_loses_nothing(folder, monkeypatch, name, call):
    for write in WRITES.values():  # everything is there once
        if write is not WRITES["steps.parquet"]:
            write(folder)
    folder.flush()
    before = {p: p.read_bytes() for p in folder.path.rglob("*") if p.is_file()}
    monkeypatch.setattr(os, call, raising(errno.ENOSPC))
    with pytest.raises(DiskError) as caught:
        WRITES[name](folder)
    monkeypatch.undo()
    assert str(folder.path / name) in str(caught.value)
    assert "No space left on device" in str(caught.value)
    assert "\n" not in str(caught.value)
    after = {p: p.read_bytes() for p in folder.path.rglob("*") if p.is_file()}
    if name == "steps.parquet":  # whose steps did get into the stream
        stream = folder.path / "steps.arrows"
        assert after.pop(stream).startswith(before.pop(stream))
    assert after == before


def test_every_write_is_in_the_table_above(folder):
    """A new writer must be tried on a full disk too."""
    write_all(folder)
    files = {str(p.relative_to(folder.path)) for p in folder.path.rglob("*") if p.is_file()}
    assert {re.sub(r"\d+", "7", name) for name in files} - {"run.log"} == WRITES.keys()


@pytest.mark.skipif(sys.platform != "linux", reason="needs /dev/full")
def test_a_log_on_a_full_disk(folder):
    folder.log_path.unlink()
    folder.log_path.symlink_to("/dev/full")
    with pytest.raises(DiskError, match=r"run\.log: cannot write: No space left on device"):
        folder.log("x")


@pytest.mark.parametrize("status", ["failed", "interrupted"])
def test_one_refused_file_does_not_keep_the_rest_from_being_saved(folder, monkeypatch, status):
    write = history_log.write_atomic

    def refuse(path: Path, data: bytes) -> None:
        if path.name == "history.csv":
            raise DiskError(f"{path}: cannot write")
        write(path, data)

    monkeypatch.setattr(history_log, "write_atomic", refuse)
    log_steps(folder)
    folder.append_history([history_row(1, train_loss=0.5)])  # it is tried again
    with pytest.raises(DiskError, match=r"history\.csv"):
        folder.close(status, reason="why")
    assert read(folder).manifest()["status"] == status
    assert read(folder).manifest()["reason"] == "why"
    assert read(folder).steps().num_rows == 4


def test_what_is_spared_is_told_once_and_is_no_finish(folder, monkeypatch):
    told = []
    folder.tell = told.append
    with folder.spared("steps"):
        log_steps(folder)
    for _ in range(2):
        with folder.spared("best"), monkeypatch.context() as patch:
            patch.setattr(os, "fsync", raising(errno.ENOSPC))
            folder.write_best("a: 1")
    (line,) = told
    assert line.startswith(f"warning: {folder.path / 'best.yaml'}: cannot write: No space left")
    assert line.endswith("; it is tried again at the end")
    with folder.spared("gradients"), monkeypatch.context() as patch:
        patch.setattr(os, "fsync", raising(errno.EIO))
        folder.write_gradients(3, {"dz": np.ones(3)})
    folder.close("finished")
    assert told[2] == "written at last: best.yaml, gradients/step-3.safetensors"
    assert read(folder).manifest()["status"] == "finished"
    assert read(folder).steps().num_rows == 4
    assert (folder.path / "best.yaml").read_text() == "a: 1"


def test_what_is_refused_to_the_end_is_no_finish(folder, monkeypatch, tmp_path):
    told = []
    folder.tell = told.append
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "run"))
    replace = os.replace

    def refuse(old, new):
        if new.name == "best.yaml":
            raise OSError(errno.EROFS, "read-only")
        replace(old, new)

    monkeypatch.setattr(os, "replace", refuse)
    folder.write_config("a: 2")
    with folder.spared("best"):
        folder.write_best("a: 1")
    with pytest.raises(DiskError, match=r"best\.yaml: cannot write: Read-only"):
        folder.close("finished")
    assert told[1:] == ["warning: best.yaml: lost, as no other folder takes it either"]
    assert read(folder).manifest()["status"] == "failed"


def test_a_refused_history_is_told_at_once_and_written_later(folder, monkeypatch):
    told, clock = [], [history_log.time.monotonic()]
    folder.tell = told.append
    monkeypatch.setattr(history_log.time, "monotonic", lambda: clock[0])
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", raising(errno.ENOSPC))
        for epoch in range(1, 4):
            folder.append_history([history_row(epoch, train_loss=0.5)])
            clock[0] += 1.5
    (line,) = told
    assert line.startswith(f"warning: {folder.path / 'history.csv'}: cannot write: No space left")
    clock[0] += 2.0
    folder.append_history([history_row(4, train_loss=0.5)])
    assert read(folder).history().num_rows == 4
    folder.close("finished")
    assert read(folder).manifest()["status"] == "finished"


def test_lines_that_run_log_refuses_go_with_the_next(folder):
    folder.log("one")
    log = folder.path / "run.log"
    log.rename(folder.path / "a")
    log.mkdir()
    for text in ("two", "three"):
        with folder.spared("run.log"):
            folder.log(text)
    log.rmdir()
    (folder.path / "a").rename(log)
    folder.log("four")
    texts = [line.split("  ", 1)[1] for line in log.read_text().splitlines()]
    assert texts == ["one", "two", "three", "four"]
    folder.close("finished")
    assert read(folder).manifest()["status"] == "finished"


def test_an_end_that_the_manifest_refused_once_is_written(folder, monkeypatch):
    left = [1]
    replace = os.replace

    def refuse(old, new):
        left[0] -= 1
        if left[0] == 0:
            raise OSError(errno.EIO, "once")
        replace(old, new)

    monkeypatch.setattr(os, "replace", refuse)
    folder.close("interrupted")
    assert read(folder).manifest()["status"] == "interrupted"


def test_the_log_of_steps_leaves_room_for_what_comes_after(folder, monkeypatch):
    log_steps(folder)
    full = type("Disk", (), {"total": 1 << 30, "free": 8 * 2**20})
    monkeypatch.setattr(shutil, "disk_usage", lambda path: full)
    with pytest.raises(DiskError, match=r"steps\.arrows: cannot write: the disk's last 8 MiB"):
        log_steps(folder, first=5)
    with folder.spared("steps"):
        log_steps(folder, first=9)
    with pytest.raises(DiskError, match=r"steps\.arrows"):
        folder.close("finished")
    assert read(folder).steps()["step"].to_pylist() == [1, 2, 3, 4]
    assert not (folder.path / "steps.parquet").exists()  # which would look whole


@pytest.mark.parametrize("again", ["at the end", "with the next", "with a checkpoint"])
def test_steps_that_the_disk_refused_for_a_while_are_not_lost(folder, monkeypatch, again):
    log_steps(folder)
    with monkeypatch.context() as patch:
        full = type("Disk", (), {"total": 1 << 30, "free": 8 * 2**20})
        patch.setattr(shutil, "disk_usage", lambda path: full)
        for first in (5, 9):
            with folder.spared("steps"):
                log_steps(folder, first=first)
        with pytest.raises(DiskError, match=r"steps\.arrows"):
            folder.checkpoint({})
        assert read(folder).steps().num_rows == 4
    if again == "with the next":
        log_steps(folder, first=13)
    if again == "with a checkpoint":
        folder.checkpoint({})
    assert read(folder).steps().num_rows == {"at the end": 4, "with the next": 16}.get(again, 12)
    folder.close("finished")
    last = 16 if again == "with the next" else 12
    assert read(folder).steps()["step"].to_pylist() == list(range(1, last + 1))
    assert read(folder).status == "finished"


def test_more_steps_than_may_wait_are_lost(folder, monkeypatch):
    monkeypatch.setattr(step_log, "_MOST", 300)
    with monkeypatch.context() as patch:
        full = type("Disk", (), {"total": 1 << 30, "free": 8 * 2**20})
        patch.setattr(shutil, "disk_usage", lambda path: full)
        for first in (1, 5):
            with folder.spared("steps"):
                log_steps(folder, first=first)
    for write in (lambda: log_steps(folder, first=9), lambda: folder.checkpoint({})):
        with pytest.raises(DiskError, match=r"steps\.arrows"):
            write()  # with a gap it would be no log
    with pytest.raises(DiskError, match=r"steps\.arrows"):
        folder.close("finished")
    assert read(folder).steps().num_rows == 0
    assert read(folder).status == "failed"


def test_on_a_full_disk_a_run_does_not_claim_to_go_on(folder, monkeypatch):
    log_steps(folder)
    before = read(folder).manifest()
    monkeypatch.setattr(os, "fsync", raising(errno.ENOSPC))
    with pytest.raises(DiskError, match=r"manifest\.json"):
        folder.close("failed", reason="no space")
    assert read(folder).manifest() == before | {"status": "failed"}
    assert load_run(folder.path).steps().num_rows == 4


@pytest.mark.parametrize(
    ("ended", "left"),
    [("finished", "failed"), ("diverged", "failed"), ("interrupted", "interrupted")],
)
@pytest.mark.parametrize("full", [False, True])
def test_a_refusal_after_the_end_is_no_finish(folder, monkeypatch, ended, left, full):
    folder.close(ended)
    before = read(folder).manifest()
    if full:
        monkeypatch.setattr(os, "fsync", raising(errno.ENOSPC))
    folder.fail(DiskError("report.html: cannot write"))
    told = {"reason": "report.html: cannot write", "trained": ended}
    told = told if left == "failed" and not full else {}
    assert read(folder).manifest() == before | {"status": left} | told


def test_a_folder_that_could_not_be_begun_is_left_empty(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "fsync", raising(errno.ENOSPC))
    with pytest.raises(DiskError, match=r"manifest\.json"):
        RunWriter.create("a", tmp_path / "run")
    assert os.listdir(tmp_path / "run") == []
    monkeypatch.undo()
    RunWriter.create("a", tmp_path / "run")


def test_predictions_are_plain_parquet(folder):
    folder.write_predictions(pa.table({"split": ["val"], "row": pa.array([1], pa.int64())}))
    assert pq.read_table(folder.path / "predictions.parquet", partitioning=None).num_rows == 1


@pytest.mark.skipif(sys.platform != "linux", reason="folders are held by descriptors")
@pytest.mark.parametrize("name", [*WRITES, "run.log"])
def test_each_file_goes_where_the_folder_was_moved_to(folder, name, tmp_path):
    told, writes = [], WRITES | {"run.log": lambda f: f.log("a")}
    folder.tell = told.append
    writes["history.csv"](folder)
    folder.path.rename(tmp_path / "b")
    writes[name](folder)
    assert (tmp_path / "b" / name).exists()
    assert not (tmp_path / "run").exists()
    assert folder.path == tmp_path / "b"
    assert len(told) == 1
    folder.close("interrupted" if name == "steps.parquet" else "finished")
    assert (tmp_path / "b" / "manifest.json").stat().st_size > 0
    assert read(folder).manifest()["status"] != "running"
