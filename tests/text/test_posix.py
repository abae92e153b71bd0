"""What other systems lack: each of these must have an answer without it."""

from __future__ import annotations

import errno
import os
import sys

import pytest

from trainer.text import posix, windows

linux = pytest.mark.skipif(sys.platform != "linux", reason="of Linux alone")


@linux
def test_a_folder_is_followed(tmp_path):
    folder = tmp_path / "a"
    folder.mkdir()
    descriptor = posix.hold(folder)
    try:
        assert posix.is_held(descriptor, folder)
        assert posix.where(descriptor) == folder
        folder.rename(tmp_path / "b")
        assert not posix.is_held(descriptor, folder)
        assert posix.where(descriptor) == tmp_path / "b"
        folder.mkdir()  # another one of its name
        assert not posix.is_held(descriptor, folder)
        (tmp_path / "b").rmdir()
        assert not posix.is_held(descriptor, posix.where(descriptor))
    finally:
        os.close(descriptor)


def test_where_no_folder_is_opened_there_is_no_descriptor(tmp_path, monkeypatch):
    assert posix.hold(tmp_path / "nowhere") is None
    monkeypatch.setattr(windows, "ON_WINDOWS", True)
    assert posix.hold(tmp_path) is None


def test_where_nobody_knows_the_path_of_a_descriptor(monkeypatch):
    def none(path):
        raise FileNotFoundError(path)

    monkeypatch.setattr(os, "readlink", none)
    assert posix.where(0) is None


@linux
def test_blocks_are_taken(tmp_path):
    with open(tmp_path / "file", "wb") as file:
        if not posix.allocate(file.fileno(), 1 << 20):
            pytest.skip("a file system without fallocate")
        assert os.fstat(file.fileno()).st_blocks * 512 >= 1 << 20
        with pytest.raises(OSError, match=r"No space|too large") as caught:
            posix.allocate(file.fileno(), 1 << 45)
        assert caught.value.errno in (errno.ENOSPC, errno.EFBIG)


@pytest.mark.parametrize("code", [errno.EOPNOTSUPP, errno.ENOSYS])
def test_a_file_system_without_the_call(tmp_path, monkeypatch, code):
    class Library:
        def __init__(self, *_, **__):
            self.fallocate = lambda *_: -1

    monkeypatch.setattr(posix.ctypes, "CDLL", lambda *_, **__: Library())
    monkeypatch.setattr(posix.ctypes, "get_errno", lambda: code)
    assert not posix.allocate(0, 1)


def test_a_system_without_the_call(monkeypatch):
    monkeypatch.setattr(sys, "platform", "freebsd14")
    assert not posix.allocate(0, 1)
