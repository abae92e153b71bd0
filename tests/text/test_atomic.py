"""Files appear whole or not at all."""

from __future__ import annotations

import errno
import os

import pytest

from trainer.errors import DiskError
from trainer.text import atomic
from trainer.text.atomic import disk_error, replacing, write_atomic


def test_writes_and_replaces(tmp_path):
    path = tmp_path / "a.txt"
    write_atomic(path, b"one")
    write_atomic(str(path), b"two")
    assert path.read_bytes() == b"two"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_a_reader_never_sees_a_half(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes(b"old")
    with replacing(path) as beside:
        beside.write_bytes(b"ne")
        assert path.read_bytes() == b"old"
        beside.write_bytes(b"new")
    assert path.read_bytes() == b"new"


def test_it_is_synced_before_it_is_renamed(tmp_path, monkeypatch):
    calls = []
    sync, replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda fd: (calls.append("sync"), sync(fd)))
    monkeypatch.setattr(os, "replace", lambda a, b: (calls.append("rename"), replace(a, b)))
    write_atomic(tmp_path / "a", b"x")
    assert calls == ["sync", "rename", "sync"]


@pytest.mark.parametrize("call", ["fsync", "replace"])
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS, errno.EIO, errno.EDQUOT])
def test_a_disk_that_refuses_keeps_what_was_there(tmp_path, monkeypatch, call, code):
    path = tmp_path / "a.txt"
    path.write_bytes(b"old")

    def refuse(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, call, refuse)
    with pytest.raises(DiskError) as caught:
        write_atomic(path, b"new")
    assert str(path) in str(caught.value)
    assert os.strerror(code) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_any_other_exception_passes_and_leaves_nothing(tmp_path):
    def interrupted() -> None:
        with replacing(tmp_path / "a") as beside:
            beside.write_bytes(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert os.listdir(tmp_path) == []


def test_a_folder_that_is_gone(tmp_path):
    with pytest.raises(DiskError, match="its folder is gone"):
        write_atomic(tmp_path / "gone" / "a", b"x")


def test_an_error_without_a_number_keeps_its_words():
    assert "odd thing" in str(disk_error("p", OSError("odd thing")))


def test_a_link_that_somebody_has_put_beside_is_not_followed(tmp_path, monkeypatch):
    kept = tmp_path / "kept"
    kept.write_bytes(b"precious")
    monkeypatch.setattr(atomic.secrets, "randbelow", lambda most: 7)  # who can know it in advance
    link = tmp_path / ".a.txt.7.tmp"
    link.symlink_to(kept)
    with pytest.raises(DiskError):
        write_atomic(tmp_path / "a.txt", b"mine")
    assert kept.read_bytes() == b"precious"
    assert not (tmp_path / "a.txt").exists()


def test_two_writes_of_one_process_do_not_meet(tmp_path):
    with replacing(tmp_path / "a") as one, replacing(tmp_path / "a") as other:
        assert one != other
        one.write_bytes(b"1")
        other.write_bytes(b"2")
    assert os.listdir(tmp_path) == ["a"]
