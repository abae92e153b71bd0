"""manifest.json as it is written: how a run stands, also where it is killed or the disk is full."""

import errno
import json
import os

import pytest
from run_folders import raising

from trainer.errors import DiskError
from trainer.runs.manifest import KILLED, Manifest


@pytest.fixture
def manifest(tmp_path):
    found = Manifest(tmp_path / "m.json")
    found.start("a", versions={"numpy": "2"})
    return found


def fields(manifest):
    return json.loads(manifest.path.read_bytes())


def test_the_first_fields(manifest):
    found = fields(manifest)
    first = ["format_version", "status", "name", "started", "pid", "host", "boot_id", "versions"]
    assert list(found) == first
    assert (found["status"], found["pid"]) == ("running", os.getpid())


def test_warnings_stand_one_behind_another(manifest):
    manifest.warn(["target 'y' is far", "and so is x"])
    assert fields(manifest)["warning"] == "target 'y' is far. And so is x"
    manifest.warn(["the fit is bad"])
    assert fields(manifest)["warning"] == "target 'y' is far. And so is x. The fit is bad"


def test_what_a_resumed_run_warns_of_again_stands_once(manifest):
    manifest.warn(["target 'y' is far", "and so is x"])
    manifest.warn(["target 'y' is far", "and so is x"])
    manifest.warn(["and so is x", "the fit is bad"])
    assert fields(manifest)["warning"] == "target 'y' is far. And so is x. The fit is bad"


def test_a_killed_run_is_interrupted(manifest):
    assert manifest.end_at_once()
    found = fields(manifest)
    assert (found["status"], found["reason"]) == ("interrupted", KILLED)
    assert found["seconds"] >= 0
    assert not manifest.end_at_once()  # it has ended by now


@pytest.mark.parametrize("status", ["finished", "diverged", "failed", "interrupted"])
def test_a_run_that_has_ended_is_not_killed(manifest, status):
    manifest.end(status)
    before = fields(manifest)
    assert not manifest.end_at_once()
    assert fields(manifest) == before


def test_an_end_that_the_disk_refused_is_written_at_the_kill(manifest, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", raising(errno.ENOSPC))
        with pytest.raises(DiskError):
            manifest.end("interrupted", reason="why")
    assert fields(manifest)["status"] == "failed"  # in place: there is no room for more
    assert not manifest.end_at_once()
    assert (fields(manifest)["status"], fields(manifest)["reason"]) == ("interrupted", "why")


def test_a_kill_on_a_full_disk_does_not_claim_to_go_on(manifest, monkeypatch):
    monkeypatch.setattr(os, "fsync", raising(errno.ENOSPC))
    with pytest.raises(DiskError):
        manifest.end_at_once()
    assert fields(manifest)["status"] == "failed"


@pytest.mark.parametrize(
    ("status", "after"),
    [
        ("finished", "failed"),
        ("diverged", "failed"),
        ("failed", "failed"),
        ("interrupted", "interrupted"),
    ],
)
def test_only_what_had_gone_its_way_fails_afterwards(manifest, status, after):
    manifest.end(status, reason="before")
    manifest.fail("after")
    found = fields(manifest)
    assert found["status"] == after
    assert found["reason"] == ("after" if status in ("finished", "diverged") else "before")
