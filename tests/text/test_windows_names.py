"""Names, paths and quotes that Windows has otherwise."""

import errno
import os
from pathlib import PureWindowsPath

import pytest

from trainer.errors import DiskError, UserError
from trainer.text import atomic, windows
from trainer.text.atomic import disk_error, write_atomic
from trainer.text.paths import named_file
from trainer.text.windows import command_line, is_device, quoted, why_no_path

DEVICES = ["con", "NUL", "nul.txt", "Com1", "LPT9.tar.gz", "aux .x", "COM²", "conout$"]
PLAIN = ["console", "com", "com10", "lpt0", "nullable", "x.con", "_nul", ""]


def test_devices():
    assert [name for name in DEVICES if not is_device(name)] == []
    assert [name for name in PLAIN if is_device(name)] == []


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("C:\\runs\\new", ""),
        ("..\\a b\\λ", ""),
        ("\\\\server\\share\\x", ""),
        ("C:\\runs\\prn", "prn is a device"),
        ("a\\b?c", "takes no ? in"),
        ("D:\\12:30\\x", "takes no : in"),
    ],
)
def test_folders(path, why):
    found = why_no_path(PureWindowsPath(path), "folder")
    assert why in found
    assert bool(found) == bool(why)


@pytest.mark.parametrize(
    ("word", "posix", "there"),
    [
        ("run", "run", "run"),
        ("C:\\a\\b.yaml", "'C:\\a\\b.yaml'", "C:\\a\\b.yaml"),
        ("a b", "'a b'", '"a b"'),
        ("optimizer={name: lbfgs}", "'optimizer={name: lbfgs}'", '"optimizer={name: lbfgs}"'),
        ('say "so"', "'say \"so\"'", '"say \\"so\\""'),
        ("", "''", '""'),
    ],
)
def test_words_of_a_command(monkeypatch, word, posix, there):
    monkeypatch.setattr(windows, "ON_WINDOWS", False)
    assert quoted(word) == posix
    monkeypatch.setattr(windows, "ON_WINDOWS", True)
    assert quoted(word) == there
    assert command_line(["run", word]) == f"run {there}"


@pytest.mark.parametrize("out", ["nul", "con.html", "a:b.yaml", "what?.csv"])
def test_files_that_the_user_names(there, tmp_path, monkeypatch, out):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"; name another file$"):
        named_file(out, "a.csv")
    assert named_file("plain.csv", "a.csv") == tmp_path / "plain.csv"


@pytest.fixture
def there(monkeypatch):
    monkeypatch.setattr(windows, "ON_WINDOWS", True)
    monkeypatch.setattr(atomic, "_WAITS", (0.0, 0.0))


def held(times):
    """An `os.replace` that a virus scanner stands in the way of, so many times."""
    replace, left = os.replace, [times]

    def call(*paths):
        if left[0]:
            left[0] -= 1
            raise PermissionError(errno.EACCES, "Permission denied")
        replace(*paths)

    return call


def test_a_file_that_is_held_for_a_moment_is_waited_for(there, tmp_path, monkeypatch):
    path = tmp_path / "a.csv"
    path.write_bytes(b"old")
    monkeypatch.setattr(os, "replace", held(2))
    write_atomic(path, b"new")
    assert path.read_bytes() == b"new"


def test_a_file_that_stays_open_elsewhere_is_told(there, tmp_path, monkeypatch):
    path = tmp_path / "a.csv"
    path.write_bytes(b"old")
    monkeypatch.setattr(os, "replace", held(99))
    with pytest.raises(DiskError, match="close the program that has it open"):
        write_atomic(path, b"new")
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a.csv"]


def test_elsewhere_nothing_waits(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "replace", held(1))
    with pytest.raises(DiskError):
        write_atomic(tmp_path / "a", b"new")


def test_a_path_that_is_too_long_is_told_as_such(there):
    error = FileNotFoundError(errno.ENOENT, "No such file or directory")
    assert "the path is long" in str(disk_error("C:\\" + "a" * 260, error))
    assert "its folder is gone" in str(disk_error("C:\\a", error))
