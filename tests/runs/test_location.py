"""Where a run folder may be, and what is said of a place that will not do."""

from __future__ import annotations

import errno
import json
import os
import re
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from run_folders import raising, read

from trainer.errors import DiskError, RunFolderError
from trainer.runs import location
from trainer.runs.location import check_free, safe_name
from trainer.runs.writer import RunWriter

pytestmark = pytest.mark.usefixtures("in_an_empty_folder")
STAMP = re.compile(r"\d{8}-\d{6}")


def test_the_default_place():
    folder = RunWriter.create("softmax-digits")
    assert folder.path.parent == Path.cwd() / "runs" / "softmax-digits"
    assert STAMP.fullmatch(folder.path.name)
    datetime.strptime(folder.path.name, "%Y%m%d-%H%M%S")


def test_runs_of_one_second_are_numbered(monkeypatch):
    class Noon(datetime):
        @classmethod
        def now(cls, tz=None):
            return cls(2026, 2, 3, 4, 5, 6)

    monkeypatch.setattr(location, "datetime", Noon)
    names = [RunWriter.create("a").path.name for _ in range(3)]
    assert names == ["20260203-040506", "20260203-040506-2", "20260203-040506-3"]


def test_runs_started_at_once_get_folders_of_their_own():
    start = threading.Barrier(8)

    def create(_: int) -> Path:
        start.wait()
        return RunWriter.create("a").path

    with ThreadPoolExecutor(8) as pool:
        paths = list(pool.map(create, range(8)))
    assert len(set(paths)) == 8


def test_one_named_folder_is_taken_once(tmp_path):
    (tmp_path / "run").mkdir()
    start, taken = threading.Barrier(8), []

    def create(_: int) -> str:
        start.wait()
        try:
            taken.append(RunWriter.create("a", tmp_path / "run"))  # alive
            return str(taken[0].path)
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
    folder = RunWriter.create(name)
    assert folder.path.parent.parent == Path.cwd() / "runs"
    assert read(folder).manifest()["name"] == name


def test_a_named_folder_is_taken_exactly(tmp_path, monkeypatch):
    (tmp_path / "empty").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "empty")
    assert RunWriter.create("a", tmp_path / "new" / "deep").path == tmp_path / "new" / "deep"
    assert RunWriter.create("a", tmp_path / "link").path == tmp_path / "link"
    monkeypatch.chdir(tmp_path)
    assert RunWriter.create("a", "rel").path == tmp_path / "rel"
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
            RunWriter.create("a", out)
        assert words in str(caught.value), out
        assert "\n" not in str(caught.value)
    assert (tmp_path / "file").read_text() == "x"
    assert os.listdir(tmp_path / "full") == [".hidden"]


def test_a_file_called_runs():
    Path("runs").write_text("mine")
    with pytest.raises(RunFolderError, match="runs: a file"):
        RunWriter.create("a")


@pytest.mark.parametrize("code", [errno.EROFS, errno.EACCES, errno.ENOSPC])
@pytest.mark.parametrize("out", [None, "here"])
def test_a_place_that_may_not_be_written_is_the_disk_s_fault(monkeypatch, code, out):
    monkeypatch.setattr(Path, "mkdir", raising(code))
    with pytest.raises(DiskError, match=os.strerror(code)) as caught:
        RunWriter.create("a", out)
    assert "--out" in str(caught.value)
    assert "\n" not in str(caught.value)


def stillborn(path: Path, last: str) -> Path:
    """A folder whose run died once it had written a file."""
    path.mkdir()
    for name, text in FIRST.items():
        (path / name).write_text(text)
        if name == last:
            break
    return path


FIRST = {
    "run.log": "",
    ".manifest.json.12.tmp": '{"status',
    "manifest.json": json.dumps({"status": "running", "pid": 2**30, "name": "a"}),
    "steps.arrows": "",
    ".input.yaml.12.tmp": "model: lin",
    "input.yaml": "model: linear\n",
    ".config.yaml.12.tmp": "model: lin",
}


@pytest.mark.parametrize("last", FIRST)
def test_a_folder_whose_run_died_before_its_config_is_as_good_as_empty(tmp_path, last):
    path = stillborn(tmp_path / "run", last)
    if (path / "manifest.json").exists():
        (path / "run.log").write_text("of the dead run\n")
    check_free(path)
    folder = RunWriter.create("b", path)
    assert (path / "run.log").read_bytes() == b""
    assert read(folder).manifest()["name"] == "b"
    assert sorted(os.listdir(path)) == ["manifest.json", "run.log", "steps.arrows"]
    assert len(FIRST) == 7
    folder.close("failed")


def not_empty(name: str, text: str):
    return lambda path: (path / name).write_text(text)


KEPT = {
    "a file of the user's": not_empty("notes.txt", ""),
    "another's half": not_empty(".notes.txt.12.tmp", ""),
    "a config": not_empty("config.yaml", ""),
    "an end": not_empty("manifest.json", '{"status": "failed", "pid": 1073741824}'),
    "a manifest of before there were locks": not_empty("manifest.json", '{"status": "running"}'),
    "a manifest that is none": not_empty("manifest.json", "[1]"),
    "a broken manifest": not_empty("manifest.json", "{"),
    "steps": not_empty("steps.arrows", "x"),
    "a link": lambda path: (
        (path / "input.yaml").unlink() or (path / "input.yaml").symlink_to(path / "run.log")
    ),
    "a folder": lambda path: (path / "input.yaml").unlink() or (path / "input.yaml").mkdir(),
    "a log, and no manifest": lambda path: (
        (path / "manifest.json").unlink() or (path / "run.log").write_text("mine")
    ),
    "an input, and no manifest": lambda path: (path / "manifest.json").unlink(),
}


@pytest.mark.parametrize("change", KEPT.values(), ids=KEPT)
def test_what_else_a_folder_holds_is_never_taken(tmp_path, change):
    path = stillborn(tmp_path / "run", "input.yaml")
    change(path)
    before = sorted(os.listdir(path))
    with pytest.raises(RunFolderError, match="not empty"):
        check_free(path)
    with pytest.raises(RunFolderError, match="not empty"):
        RunWriter.create("b", path)
    assert sorted(os.listdir(path)) == before


def test_a_run_that_has_just_begun_keeps_its_folder(tmp_path):
    folder = RunWriter.create("a", tmp_path / "run")
    with pytest.raises(RunFolderError, match="not empty"):
        check_free(folder.path)
    with pytest.raises(RunFolderError, match="nothing was trained there"):
        RunWriter.reopen(stillborn(tmp_path / "other", "input.yaml"))
    folder.close("failed")


def test_one_dead_folder_is_taken_once(tmp_path):
    path = stillborn(tmp_path / "run", "steps.arrows")
    start, taken = threading.Barrier(8), []

    def create(_: int) -> str:
        start.wait()
        try:
            taken.append(RunWriter.create("a", path))
            return str(path)
        except RunFolderError as error:
            return str(error)

    with ThreadPoolExecutor(8) as pool:
        outcomes = list(pool.map(create, range(8)))
    assert outcomes.count(str(path)) == 1


def test_a_folder_whose_run_was_cut_short_can_be_gone_on_with(tmp_path):
    (tmp_path / "a" / "checkpoint").mkdir(parents=True)
    with pytest.raises(RunFolderError) as caught:
        location.named_folder(tmp_path / "a")
    assert str(caught.value).endswith(f"run --resume {tmp_path / 'a'}` goes on with the run there")
