import os
import socket
import sys

import pytest

from trainer.text.regular_file import open_regular, read_regular


def test_a_file_is_read_whole(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    assert read_regular(tmp_path / "a", 3) == b"abc"
    (tmp_path / "link").symlink_to("a")
    with open_regular(tmp_path / "link") as file:
        assert file.read() == b"abc"


def test_a_file_larger_than_the_memory_is_not_read(tmp_path):
    with (tmp_path / "a").open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(OSError, match=r"1,099,511,627,776 bytes, more than the memory"):
        read_regular(tmp_path / "a", 1 << 30)


@pytest.mark.skipif(sys.platform == "win32", reason="pipes and sockets as files")
def test_nothing_else_is_opened(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    os.mkfifo("pipe")
    os.mkdir("folder")
    os.symlink("loop", "loop")
    with socket.socket(socket.AF_UNIX) as made:
        made.bind("socket")
    found = {}
    for name in ("pipe", "folder", "loop", "socket", "/dev/zero", "missing"):
        with pytest.raises(OSError, match=r"[a-z]") as caught:
            open_regular(name)
        found[name] = caught.value.strerror
    assert found == {
        "pipe": "is no regular file",
        "folder": "a folder, no file",
        "loop": "Too many levels of symbolic links",
        "socket": "is no regular file",
        "/dev/zero": "is no regular file",
        "missing": "No such file or directory",
    }
