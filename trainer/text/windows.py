"""What Windows has otherwise: names that are no files, long paths, quotes of its shells."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterable
from pathlib import PurePath

ON_WINDOWS = os.name == "nt"
LONGEST_FOLDER, LONGEST_FILE = 247, 259  # characters of a path, unless long paths are enabled
_FORBIDDEN = '<>:"|?*'
_DEVICES = {"CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$"} | {
    f"{port}{number}" for port in ("COM", "LPT") for number in (*"123456789", *"¹²³")
}
_PLAIN = re.compile(r"[\w@%+=:,./\\-]+", re.ASCII)


def is_device(name: str) -> bool:
    """Whether a file's name stands for a device there, whatever its suffix and case."""
    return name.split(".")[0].rstrip(" ").upper() in _DEVICES


def why_no_path(path: PurePath, what: str) -> str:
    """Why Windows has no such path, and ends in what would be right; empty if it has.

    Args:
        path: as it was given.
        what: it should be: a folder or a file.
    """
    for part in path.parts[1:] if path.anchor else path.parts:
        if is_device(part):
            return f"{part} is a device on Windows; name another {what}"
        if wrong := [c for c in part if c in _FORBIDDEN]:
            return f"Windows takes no {wrong[0]} in a {what}'s name; name another {what}"
    return ""


def quoted(word: str) -> str:
    """A word of a command as this system's shells take it back."""
    if not ON_WINDOWS:
        return shlex.quote(word)
    if _PLAIN.fullmatch(word):
        return word
    return '"{}"'.format(word.replace('"', '\\"'))


def command_line(words: Iterable[str]) -> str:
    """Words as one line that can be pasted into a shell."""
    return " ".join(map(quoted, words))
