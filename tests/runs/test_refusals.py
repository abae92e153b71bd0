"""What was refused: told once, tried again, put elsewhere."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from trainer.errors import DiskError
from trainer.runs.refusals import Refusals
from trainer.text.atomic import write_atomic

FULL = "cannot write: full; free some"


@pytest.fixture
def refusals(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    (tmp_path / "current").mkdir()
    monkeypatch.chdir(tmp_path / "current")
    found = Refusals()
    found.lines = []
    found.tell = found.lines.append
    return found


def refuse(refusals, name, *, again=True, size=0):
    def write(folder: Path) -> None:
        write_atomic(folder / name, b"data")

    error = DiskError(f"/run/{name}: {FULL}")
    refusals.note(name, error, *([write, write] if again else []), size=size)
    refusals.tell_once(name, error)
    return error


def test_files_that_wait_are_told_of_once_a_reason(refusals):
    refuse(refusals, "a")
    refuse(refusals, "b")
    refuse(refusals, "a")
    refuse(refusals, "c", again=False)
    first, second = refusals.lines
    assert first == f"warning: /run/a: {FULL}; it is tried again at the end"
    assert second == f"warning: /run/c: {FULL}; the run goes on without it"


def test_what_is_taken_at_last_is_no_refusal(refusals, tmp_path):
    assert refusals.first is None
    error = refuse(refusals, "a")
    lost = refuse(refusals, "b", again=False)
    assert refusals.first is error
    refusals.retry(tmp_path)
    assert (tmp_path / "a").read_bytes() == b"data"
    assert refusals.lines[-1] == "written at last: a"
    assert refusals.first is lost


def test_what_the_folder_refuses_goes_where_temporary_files_go(refusals, tmp_path):
    refusals.put_elsewhere(tmp_path / "run")
    assert refusals.place is None
    refuse(refusals, "a")
    refuse(refusals, "b")
    refusals.retry(tmp_path / "nowhere")
    refusals.put_elsewhere(tmp_path / "run")
    (place,) = (tmp_path / "temporary").iterdir()
    assert refusals.place == place
    assert place.name.startswith("run-")
    assert sorted(path.name for path in place.iterdir()) == ["a", "b"]
    told = f"warning: a, b: refused by {tmp_path / 'run'}, put into {place}"
    assert refusals.lines[1:] == [told]
    refuse(refusals, "c")
    refusals.put_elsewhere(tmp_path / "run")
    assert refusals.elsewhere == {"a", "b", "c"}
    assert len(list((tmp_path / "temporary").iterdir())) == 1
    assert refusals.first is not None


def test_then_into_the_current_folder(refusals, tmp_path):
    (tmp_path / "temporary").rmdir()
    refuse(refusals, "a")
    refusals.put_elsewhere(tmp_path / "run")
    assert refusals.place.parent == tmp_path / "current"
    assert (refusals.place / "a").exists()


def test_what_no_folder_takes_is_lost(refusals, tmp_path):
    refuse(refusals, "no/such")
    refuse(refusals, "a")
    for _ in range(2):
        refusals.put_elsewhere(tmp_path / "run")
    assert refusals.lines[-1] == "warning: no/such: lost, as no other folder takes it either"
    assert len(refusals.lines) == 3
    assert list((tmp_path / "current").iterdir()) == []


def test_files_that_wait_fill_no_memory(refusals, tmp_path):
    refuse(refusals, "a", size=60 << 20)
    refuse(refusals, "b", size=60 << 20)
    assert refusals.lines[-1].endswith(
        "b: cannot write: full; free some; the run goes on without it"
    )
    refusals.retry(tmp_path)
    assert (tmp_path / "a").exists()
    assert not (tmp_path / "b").exists()
