"""Room that is kept: nobody sees it, and it is given back file by file."""

from __future__ import annotations

import errno
import os
import sys

import pytest

from trainer.runs.reserve import Reserve
from trainer.text import posix

MiB = 1 << 20


@pytest.fixture
def taken(monkeypatch):
    """The sizes that were asked for, of a disk with five MiB."""
    sizes = []

    def allocate(descriptor, size):
        sizes.append(size)
        if size > 5 * MiB:
            raise OSError(errno.ENOSPC, "full")
        os.truncate(descriptor, size)
        return True

    monkeypatch.setattr(posix, "allocate", allocate)
    return sizes


@pytest.mark.skipif(sys.platform != "linux", reason="of Linux alone")
def test_blocks_are_kept_without_a_name(tmp_path):
    reserve = Reserve()
    if not reserve.take(tmp_path, 4 * MiB):
        pytest.skip("a file system without fallocate")
    assert reserve.held == 4 * MiB
    assert os.fstat(reserve._file.fileno()).st_blocks * 512 >= 4 * MiB
    assert os.listdir(tmp_path) == []
    reserve.give(MiB)
    assert os.fstat(reserve._file.fileno()).st_blocks * 512 < 3 * MiB
    reserve.release()
    assert reserve.held == 0


def test_it_is_given_back_file_by_file(tmp_path, taken):
    reserve = Reserve()
    assert reserve.take(tmp_path, 4 * MiB)
    reserve.give(MiB)
    assert 2.9 * MiB < reserve.held < 3 * MiB
    reserve.give(2 * MiB, least=2 * MiB)
    assert reserve.held == 2 * MiB
    reserve.give(9 * MiB)
    assert reserve.held == 0
    reserve.give(MiB)
    reserve.release()
    reserve.release()


def test_of_a_small_disk_it_takes_what_there_is(tmp_path, taken):
    reserve = Reserve()
    assert reserve.take(tmp_path, 12 * MiB)
    assert taken == [12 * MiB, 6 * MiB, 3 * MiB]
    assert reserve.held == 3 * MiB


def test_a_disk_that_keeps_no_room(tmp_path, monkeypatch):
    monkeypatch.setattr(posix, "allocate", lambda *_: False)
    reserve = Reserve()
    assert not reserve.take(tmp_path, 4 * MiB)
    assert reserve.held == 0
    assert not Reserve().take(tmp_path / "nowhere", 4 * MiB)
