"""The run folder: its names, what it holds after a crash or on a full disk, and where it may be."""

from __future__ import annotations

import errno
import json
import math
import os
import re
import shutil
import signal
import subprocess
import sys
import textwrap
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file

from trainer.errors import DiskError, RunFolderError, TrainerError
from trainer.runs import location
from trainer.runs import writer as folder_module
from trainer.runs.location import safe_name
from trainer.runs.step_log import SCHEMA, VALUES
from trainer.runs.writer import RunFolder
from trainer.workflow.loaded import Run, load_run

STAMP = re.compile(r"\d{8}-\d{6}")


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path, monkeypatch):
    (tmp_path / "cwd").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")


@pytest.fixture
def folder(tmp_path):
    return RunFolder.create("a", tmp_path / "run")


def log_steps(folder: RunFolder, first: int = 1, n: int = 4, columns: int = 1) -> None:
    values = {name: np.full((n, columns), i, np.float32) for i, name in enumerate(VALUES)}
    steps = np.arange(first, first + n)
    folder.append_steps(steps, np.ones(n), values, np.arange(columns), np.zeros(columns))


def history_row(epoch: int, **metrics: float | None) -> dict:
    return {"trial": 0, "repeat": 0, "epoch": epoch, "step": 12 * epoch, **metrics}


def trial_row(**more: object) -> dict:
    return {"trial": 0, "rank": 1, "status": "finished", "reason": "all 3 epochs", **more}


def write_all(folder: RunFolder) -> None:
    folder.write_input("model: linear\r\n")
    folder.write_config("model: linear\n")
    folder.update_manifest(command="python -m trainer run a.yaml", rows={"train": 3})
    folder.log("hello")
    log_steps(folder)
    folder.append_history([history_row(1, train_loss=0.5, val_loss=0.25)])
    folder.write_trials([trial_row(**{"penalty.l2": 1e-4, "penalty.C": None})])
    best = {"trial": 0, "metrics": {"val_loss": 0.1}}
    folder.write_results({"metric": "val_loss", "counts": {"finished": 1}, "best": best})
    folder.write_predictions(pa.table({"split": ["val"], "row": [3], "prediction": [0.5]}))
    folder.write_weights(np.ones((4, 2, 3)), np.ones((2, 3)), np.arange(3), np.zeros(3))
    folder.write_gradients(12, {"error": np.ones((5, 2, 3), np.float32)})
    folder.close("finished", device="cpu")


def raising(code: int):
    def refuse(*_: object, **__: object) -> None:
        raise OSError(code, os.strerror(code))

    return refuse


# Where it is.


def test_the_default_place():
    folder = RunFolder.create("softmax-digits")
    assert folder.path.parent == Path.cwd() / "runs" / "softmax-digits"
    assert STAMP.fullmatch(folder.path.name)
    datetime.strptime(folder.path.name, "%Y%m%d-%H%M%S")


def test_runs_of_one_second_are_numbered(monkeypatch):
    class Noon(datetime):
        @classmethod
        def now(cls, tz=None):
            return cls(2026, 2, 3, 4, 5, 6)

    monkeypatch.setattr(location, "datetime", Noon)
    names = [RunFolder.create("a").path.name for _ in range(3)]
    assert names == ["20260203-040506", "20260203-040506-2", "20260203-040506-3"]


def test_runs_started_at_once_get_folders_of_their_own():
    start = threading.Barrier(8)

    def create(_: int) -> Path:
        start.wait()
        return RunFolder.create("a").path

    with ThreadPoolExecutor(8) as pool:
        paths = list(pool.map(create, range(8)))
    assert len(set(paths)) == 8


def test_one_named_folder_is_taken_once(tmp_path):
    (tmp_path / "run").mkdir()
    start = threading.Barrier(8)

    def create(_: int) -> str:
        start.wait()
        try:
            return str(RunFolder.create("a", tmp_path / "run").path)
        except RunFolderError as error:
            return str(error)

    with ThreadPoolExecutor(8) as pool:
        outcomes = list(pool.map(create, range(8)))
    assert outcomes.count(str(tmp_path / "run")) == 1
    assert all("taken" in o or "not empty" in o or o == str(tmp_path / "run") for o in outcomes)


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("softmax-digits", "softmax-digits"),
        ("my run, v1.2 (é)", "my run, v1.2 (é)"),
        ("../x", ".._x"),
        ("..", "__"),
        (".", "_"),
        ("", "_"),
        ("  ", "_"),
        ("/etc/passwd", "_etc_passwd"),
        ("a\\b:c*d", "a_b_c_d"),
        ("a\nb\x00c\x1b[31m", "a_b_c_[31m"),
        ("a\u202eb", "a_b"),
        ("end. .", "end___"),
        ("\ud800", "_"),
        ("x" * 300, "x" * 120),
        ("é" * 100, "é" * 60),
        ("日" * 41, "日" * 40),
    ],
)
def test_safe_names(name, safe):
    assert safe_name(name) == safe


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.text(st.characters(), max_size=200))
@example("../../..")
@example("a" * 119 + " .b")
def test_any_name_is_one_component(tmp_path, name):
    safe = safe_name(name)
    path = tmp_path / safe
    path.mkdir(exist_ok=True)
    assert path.resolve().parent == tmp_path.resolve()
    assert 1 <= len(os.fsencode(safe)) <= 120
    assert safe == safe_name(safe)


@pytest.mark.parametrize("name", ["../x", "..", "a/../../../b", "/tmp/x", ""])
def test_no_name_leads_out_of_runs(name):
    folder = RunFolder.create(name)
    assert folder.path.parent.parent == Path.cwd() / "runs"
    assert folder.manifest()["name"] == name


def test_a_named_folder_is_taken_exactly(tmp_path, monkeypatch):
    (tmp_path / "empty").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "empty")
    assert RunFolder.create("a", tmp_path / "new" / "deep").path == tmp_path / "new" / "deep"
    assert RunFolder.create("a", tmp_path / "link").path == tmp_path / "link"
    monkeypatch.chdir(tmp_path)
    assert RunFolder.create("a", "rel").path == tmp_path / "rel"
    monkeypatch.chdir("/")
    assert (tmp_path / "rel" / "manifest.json").is_file()


def test_what_cannot_be_a_run_folder(tmp_path):
    (tmp_path / "file").write_text("x")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / ".hidden").write_text("x")
    cases = {
        tmp_path / "file": "file: a file; ",
        tmp_path / "file" / "x" / "y": "file: a file; ",
        tmp_path / "full": "not empty (it holds .hidden); --out takes a new or an empty folder",
        "": "'' is no path",
        "a\0b": "'a\\x00b' is no path",
        "x" * 300: "File name too long",
    }
    for out, words in cases.items():
        with pytest.raises(RunFolderError) as caught:
            RunFolder.create("a", out)
        assert words in str(caught.value), out
        assert "\n" not in str(caught.value)
    assert (tmp_path / "file").read_text() == "x"
    assert os.listdir(tmp_path / "full") == [".hidden"]


def test_a_file_called_runs():
    Path("runs").write_text("mine")
    with pytest.raises(RunFolderError, match="runs: a file"):
        RunFolder.create("a")


@pytest.mark.parametrize("code", [errno.EROFS, errno.EACCES, errno.ENOSPC])
@pytest.mark.parametrize("out", [None, "here"])
def test_a_place_that_may_not_be_written_is_the_disk_s_fault(monkeypatch, code, out):
    monkeypatch.setattr(Path, "mkdir", raising(code))
    with pytest.raises(DiskError, match=os.strerror(code)) as caught:
        RunFolder.create("a", out)
    assert "--out" in str(caught.value)
    assert "\n" not in str(caught.value)


# What is in it.


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
    assert folder.steps().num_rows == 0


def test_the_manifest_is_added_to(folder):
    folder.update_manifest(rows={"train": 3}, device="cpu")
    folder.update_manifest(device="gpu")
    manifest = folder.manifest()
    assert (manifest["rows"], manifest["device"], manifest["status"]) == (
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


def test_history_types(folder):
    folder.append_history([history_row(1, train_loss=0.1, val_loss=1e-7)])
    folder.append_history([history_row(2, train_loss=None, val_loss=math.nan)])
    folder.flush()
    table = folder.history()
    assert [(f.name, str(f.type)) for f in table.schema] == [
        ("trial", "int32"),
        ("repeat", "int32"),
        ("epoch", "int32"),
        ("step", "int64"),
        ("train_loss", "double"),
        ("val_loss", "double"),
    ]
    assert table["train_loss"].to_pylist() == [0.1, None]
    assert table["val_loss"][0].as_py() == 1e-7
    assert math.isnan(table["val_loss"][1].as_py())


def test_history_is_written_whole_and_at_most_every_two_seconds(folder, monkeypatch):
    clock = [100.0]
    monkeypatch.setattr(folder_module.time, "monotonic", lambda: clock[0])
    writes = []
    write = folder_module.write_atomic
    monkeypatch.setattr(
        folder_module,
        "write_atomic",
        lambda path, data: (writes.append(path.name), write(path, data)),
    )
    for epoch in range(1, 101):  # ten seconds
        clock[0] += 0.1
        folder.append_history([history_row(epoch, train_loss=0.5)])
        assert folder.history().num_rows <= epoch
    assert writes == ["history.csv"] * 5
    assert folder.history().num_rows < 100
    folder.flush()
    folder.flush()
    assert len(writes) == 6
    assert folder.history()["epoch"].to_pylist() == list(range(1, 101))


def test_a_long_history_is_written_anew_less_often(folder, monkeypatch):
    clock, writes = [100.0], []

    def slow(path, data):
        writes.append(clock[0])
        clock[0] += 0.5

    monkeypatch.setattr(folder_module.time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(folder_module, "write_atomic", slow)
    for epoch in range(1, 1001):
        clock[0] += 0.1
        folder.append_history([history_row(epoch, train_loss=0.5)])
    gaps = np.diff(writes)
    assert len(gaps) == 9
    assert gaps.min() >= 20 * 0.5


def test_history_that_waits_goes_out_with_the_steps(folder, monkeypatch):
    clock = [100.0]
    monkeypatch.setattr(folder_module.time, "monotonic", lambda: clock[0])
    folder.append_history([history_row(1, train_loss=0.5)])
    folder.append_history([history_row(2, train_loss=0.5)])
    assert folder.history().num_rows == 1
    clock[0] += 2.0
    log_steps(folder)
    assert folder.history().num_rows == 2


def test_a_history_row_with_other_columns_is_a_mistake(folder):
    folder.append_history([history_row(1, train_loss=0.5)])
    with pytest.raises(ValueError, match="has the columns"):
        folder.append_history([history_row(1, val_loss=0.5)])
    folder.append_history([])


def test_trials_come_back_as_they_were(folder):
    rows = [
        trial_row(**{"penalty.l2": 1e-4, "penalty.C": None, "epochs": 3, "val_loss": 0.1}),
        trial_row(**{"penalty.l2": 0, "penalty.C": None, "epochs": 3, "val_loss": math.inf})
        | {"trial": 1, "rank": None, "status": "diverged", "reason": 'step 3: "loss", not finite'},
    ]
    folder.write_trials(rows)
    assert folder.trials() == rows
    assert (folder.path / "trials.csv").read_text().splitlines()[0] == (
        "trial,rank,status,reason,penalty.l2,penalty.C,epochs,val_loss"
    )


@pytest.mark.parametrize("write", ["trials", "repeats", "groups"])
def test_swept_values_come_back_as_they_were(folder, write):
    swept = {
        "optimizer.lr": [0.1, 1, 1e-05, 0],
        "optimizer.batch_size": ["full", 64, 128, 256],
        "optimizer.nesterov": [True, False, True, None],
        "data.train.npz": ["010", "1_000", "a,b.npz", '"x"\n'],
        "vars.name": ["nan ", "1e5", "none", "+1"],
    }
    assert {len(values) for values in swept.values()} == {4}
    rows = [
        trial_row() | {"trial": i, "repeat": 0} | {path: swept[path][i] for path in swept}
        for i in range(4)
    ]
    getattr(folder, f"write_{write}")(rows)
    again = getattr(folder, write)()
    assert again == rows
    kinds = [[type(value) for value in row.values()] for row in (*again, *rows)]
    assert kinds[:4] == kinds[4:]


def test_a_reason_is_text_whatever_it_looks_like(folder):
    folder.write_trials([trial_row() | {"reason": "12"}])
    assert folder.trials()[0]["reason"] == "12"


def test_arrays(folder):
    weights = np.arange(24, dtype=np.float32).reshape(4, 2, 3)
    folder.write_weights(weights[::2], np.ones((2, 3)), np.arange(3), np.zeros(3, np.int32))
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
    manifest = RunFolder.open(folder.path).manifest()
    assert manifest["best"] == "trial 0"
    assert manifest["ended"] >= manifest["started"]
    assert 0 <= manifest["seconds"] < 60


def test_a_run_is_not_finished_before_all_is_written(folder, monkeypatch):
    log_steps(folder)
    monkeypatch.setattr(pq.ParquetWriter, "write_table", raising(errno.ENOSPC))
    with pytest.raises(DiskError, match=r"steps\.parquet: cannot write: No space left"):
        folder.close("finished")
    assert folder.manifest()["status"] == "failed"
    assert "steps.parquet" in folder.manifest()["reason"]
    assert folder.steps().num_rows == 4


def test_with_both_forms_there_the_whole_one_is_read(folder):
    """A crash between the rename and the removal."""
    log_steps(folder)
    stream = (folder.path / "steps.arrows").read_bytes()
    folder.finish_steps()
    (folder.path / "steps.arrows").write_bytes(stream[:-100])
    assert folder.steps().num_rows == 4


# Crashes and full disks.


def test_a_killed_run_is_readable_up_to_its_last_flush(tmp_path):
    code = """
        import os, signal, sys
        sys.path[:0] = sys.argv[2:]
        from test_writer import RunFolder, history_row, log_steps, trial_row
        folder = RunFolder.create("a", sys.argv[1])
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
    assert run.status == "running"
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
    "weights.safetensors": lambda f: f.write_weights(*[np.ones(3)] * 4),
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
    write = folder_module.write_atomic

    def refuse(path: Path, data: bytes) -> None:
        if path.name == "history.csv":
            raise DiskError(f"{path}: cannot write")
        write(path, data)

    monkeypatch.setattr(folder_module, "write_atomic", refuse)
    log_steps(folder)
    folder.append_history([history_row(1, train_loss=0.5)])  # it is tried again
    with pytest.raises(DiskError, match=r"history\.csv"):
        folder.close(status, reason="why")
    assert folder.manifest()["status"] == status
    assert folder.manifest()["reason"] == "why"
    assert folder.steps().num_rows == 4


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
    assert line.endswith("; the run goes on without it")
    with pytest.raises(DiskError, match=r"best\.yaml"):
        folder.close("finished")
    assert folder.manifest()["status"] == "failed"
    assert folder.steps().num_rows == 4


def test_the_log_of_steps_leaves_room_for_what_comes_after(folder, monkeypatch):
    log_steps(folder)
    disk = os.statvfs(folder.path)
    left = 8 * 2**20 // disk.f_frsize
    full = type("Disk", (), {"f_blocks": 1, "f_frsize": disk.f_frsize, "f_bavail": left})
    monkeypatch.setattr(os, "statvfs", lambda path: full)
    for _ in range(2):
        with pytest.raises(DiskError, match=r"steps\.arrows: cannot write: the disk's last 8 MiB"):
            log_steps(folder, first=5)
    monkeypatch.undo()
    with folder.spared("steps"):
        log_steps(folder, first=5)  # with a gap it would be no log
    with pytest.raises(DiskError, match=r"steps\.arrows"):
        folder.close("finished")
    assert folder.steps()["step"].to_pylist() == [1, 2, 3, 4]
    assert not (folder.path / "steps.parquet").exists()  # which would look whole


def test_on_a_full_disk_a_run_does_not_claim_to_go_on(folder, monkeypatch):
    log_steps(folder)
    before = folder.manifest()
    monkeypatch.setattr(os, "fsync", raising(errno.ENOSPC))
    with pytest.raises(DiskError, match=r"manifest\.json"):
        folder.close("failed", reason="no space")
    assert folder.manifest() == before | {"status": "failed"}
    assert load_run(folder.path).steps().num_rows == 4


@pytest.mark.parametrize(
    ("ended", "left"),
    [("finished", "failed"), ("diverged", "failed"), ("interrupted", "interrupted")],
)
@pytest.mark.parametrize("full", [False, True])
def test_a_refusal_after_the_end_is_no_finish(folder, monkeypatch, ended, left, full):
    folder.close(ended)
    before = folder.manifest()
    if full:
        monkeypatch.setattr(os, "fsync", raising(errno.ENOSPC))
    folder.fail(DiskError("report.html: cannot write"))
    told = {"reason": "report.html: cannot write"} if left == "failed" and not full else {}
    assert folder.manifest() == before | {"status": left} | told


def test_a_folder_that_could_not_be_begun_is_left_empty(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "fsync", raising(errno.ENOSPC))
    with pytest.raises(DiskError, match=r"manifest\.json"):
        RunFolder.create("a", tmp_path / "run")
    assert os.listdir(tmp_path / "run") == []
    monkeypatch.undo()
    RunFolder.create("a", tmp_path / "run")


# Reading.


def test_a_run_can_be_copied_and_its_first_place_forgotten(folder, tmp_path):
    write_all(folder)
    for path in folder.path.rglob("*"):
        if path.is_file():
            assert os.fsencode(tmp_path) not in path.read_bytes(), path
    shutil.copytree(folder.path, tmp_path / "b=2" / "copy")
    shutil.rmtree(folder.path)
    run = load_run(tmp_path / "b=2" / "copy")
    assert run.folder == tmp_path / "b=2" / "copy"
    assert run.status == "finished"
    assert run.best == {"trial": 0, "metrics": {"val_loss": 0.1}}
    assert run.results["counts"] == {"finished": 1}
    assert run.trials[0]["penalty.l2"] == 1e-4
    assert run.history().num_rows == 1
    assert run.steps().column_names == SCHEMA.names
    assert run.predictions().to_pydict() == {"split": ["val"], "row": [3], "prediction": [0.5]}
    assert RunFolder.open(run.folder).config() == "model: linear\n"
    assert repr(run) == f"<Run finished: {run.folder}>"


@pytest.mark.parametrize("ask", ["trials", "status", "best", "results"])
def test_a_run_whose_folder_is_gone(folder, ask):
    write_all(folder)
    run = load_run(folder.path)
    shutil.rmtree(folder.path)
    with pytest.raises(RunFolderError) as caught:
        getattr(run, ask)
    assert str(caught.value) == f"{folder.path / 'manifest.json'}: not there; a run folder has one"


def test_a_run_is_the_same_while_it_goes_on(folder):
    run = Run(folder.path)
    assert run.status == "running"
    log_steps(folder)
    assert run.steps().num_rows == 4
    folder.close("interrupted")
    assert run.status == "interrupted"


def test_a_relative_folder_is_remembered_absolutely(folder, monkeypatch):
    monkeypatch.chdir(folder.path.parent)
    run = load_run("run")
    monkeypatch.chdir("/")
    assert run.status == "running"


def test_what_is_not_there_is_said_with_the_status(folder):
    folder.close("interrupted")
    run = load_run(folder.path)
    questions = {
        "history.csv": run.history,
        "trials.csv": lambda: run.trials,
        "results.json": lambda: run.best,
        "predictions.parquet": run.predictions,
    }
    for name, ask in questions.items():
        with pytest.raises(RunFolderError) as caught:
            ask()
        assert str(caught.value) == (
            f"{folder.path / name}: not there; the run's status is interrupted"
        )


@pytest.mark.parametrize(
    ("name", "ask"),
    [
        ("manifest.json", lambda run: run.status),
        ("results.json", lambda run: run.best),
        ("trials.csv", lambda run: run.trials),
        ("history.csv", lambda run: run.history()),
        ("predictions.parquet", lambda run: run.predictions()),
        ("steps.parquet", lambda run: run.steps()),
    ],
)
@pytest.mark.parametrize("content", [b"", b"[1]\n1,2\n", b"\xff\xfe{", b'{"a": \n"x'])
def test_a_damaged_file_is_named_in_one_line(folder, name, ask, content):
    write_all(folder)
    run = load_run(folder.path)
    (folder.path / name).write_bytes(content)
    with pytest.raises(RunFolderError) as caught:
        ask(run)
    assert str(caught.value).startswith(f"{folder.path / name}: cannot read: ")
    assert "\n" not in str(caught.value)


def test_what_is_no_run_folder(folder, tmp_path):
    (tmp_path / "file").write_text("x")
    cases = {
        tmp_path / "no" / "where": f"no such folder; {tmp_path} is there",
        tmp_path / "cwd": "not a run folder: it has no manifest.json",
        tmp_path / "file": "a file, no run folder",
        folder.path / "run.log": f"a file; its run folder is {folder.path}",
        tmp_path: "not a run folder: it has no manifest.json; the newest one under it is "
        f"{folder.path}",
    }
    for path, words in cases.items():
        with pytest.raises(RunFolderError) as caught:
            load_run(path)
        assert str(caught.value) == f"{path}: {words}"


def test_a_folder_that_is_read_is_not_logged_to(folder):
    with pytest.raises(RuntimeError, match="opened to be read"):
        log_steps(RunFolder.open(folder.path))


def test_all_errors_are_the_package_s():
    assert issubclass(RunFolderError, TrainerError)
    assert (RunFolderError.exit_code, DiskError.exit_code) == (2, 1)


def test_predictions_are_plain_parquet(folder):
    folder.write_predictions(pa.table({"split": ["val"], "row": pa.array([1], pa.int64())}))
    assert pq.read_table(folder.path / "predictions.parquet", partitioning=None).num_rows == 1
