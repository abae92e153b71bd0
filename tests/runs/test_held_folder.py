"""A folder that is moved, replaced or removed while it is written to."""

from __future__ import annotations

import sys

import pytest

from trainer.runs.held_folder import HeldFolder
from trainer.text import posix

linux = pytest.mark.skipif(sys.platform != "linux", reason="of Linux alone")


@pytest.fixture
def place(tmp_path):
    (tmp_path / "run").mkdir()
    return tmp_path / "run"


@linux
def test_it_is_where_it_was_moved_to(place, tmp_path):
    folder = HeldFolder(place)
    assert folder.path == place
    for name in ("b", "c"):
        folder.path.rename(tmp_path / name)
        assert folder.path == tmp_path / name
    place.mkdir()  # somebody else's
    assert folder.path == tmp_path / "c"


@linux
def test_of_a_folder_that_is_gone_its_path_stays(place):
    folder = HeldFolder(place)
    place.rmdir()
    assert folder.path == place
    place.mkdir()
    assert folder.path == place


def test_without_descriptors_it_is_a_path(place, tmp_path, monkeypatch):
    monkeypatch.setattr(posix, "hold", lambda path: None)
    folder = HeldFolder(place)
    place.rename(tmp_path / "b")
    assert folder.path == place
