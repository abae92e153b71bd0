"""Paths that a user gives: checked before reading or writing, corrected where misspelt."""

from __future__ import annotations

import os
from pathlib import Path

from trainer.errors import DataError, UserError
from trainer.text import windows
from trainer.text.file_kinds import LENGTH, other_kind
from trainer.text.printable import error_text, quote, show_path
from trainer.text.suggest import LISTED, closest

_SCHEMES = ("http:", "https:", "ftp:", "s3:", "gs:", "hf:")


def readable_file(path: str | os.PathLike[str], wanted: str) -> Path:
    """The path of a file that can be opened and is not empty.

    Args:
        path: as the spec holds it.
        wanted: what would be right, such as "a .csv file".

    Raises:
        DataError: missing (with the full path tried and the spelling that would work), a folder,
            empty, not readable, or of another kind than its name says.
    """
    full = Path(os.path.abspath(path))
    shown = show_path(full)
    try:
        if full.is_dir():
            raise DataError(f"{shown}: is a folder; give {wanted} in it{_pattern(full)}")
        if full.exists() and not full.is_file():
            raise DataError(f"{shown}: is no regular file; give {wanted}")
        with full.open("rb") as file:
            start = file.read(LENGTH)
        if not start:
            raise DataError(f"{shown}: is empty; give {wanted} with at least one row")
        if (clause := other_kind(start, full.name)) is not None:
            raise DataError(f"{shown}: {clause}")
    except (FileNotFoundError, NotADirectoryError):
        raise DataError(f"{shown}: no such file; {_meant(full)}") from None
    except UnicodeEncodeError:
        cure = "set PYTHONUTF8=1, or give the file an ASCII name"
        raise DataError(f"{shown}: cannot be read where names are ASCII; {cure}") from None
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error_text(error)
        raise DataError(f"{shown}: cannot be read ({why}); give {wanted}") from None
    return full


def _pattern(folder: Path) -> str:
    """How the files of a folder are named at once, where they are of one kind."""
    endings = {file.suffix for file in folder.iterdir() if file.is_file() and file.name[0] != "."}
    if len(endings) != 1 or "" in endings:
        return ""
    return f", or all: {show_path(folder / ('*' + endings.pop()))}"


def _meant(path: Path) -> str:
    """Correct a path part by part, each to the nearest name in the folder before it."""
    here = Path(path.anchor)
    for part in path.parts[1:]:
        if (here / part).exists():
            here = here / part
            continue
        if part in _SCHEMES:
            return "files are read from the disk: download it, and give its path"
        names = _listing(here)
        close = closest(part, names)
        if close is None:
            held = ", ".join(quote(name) for name in names[:LISTED]) or "nothing"
            more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
            return f"the folder {show_path(here)} holds {held}{more}"
        here = here / close
    return f"did you mean {show_path(here)}?"


def _listing(folder: Path) -> list[str]:
    try:
        return sorted(os.listdir(folder))
    except OSError:
        return []


def named_file(out: str | os.PathLike[str], example: str) -> Path:
    """The absolute path of a file that the user wants written, in a folder that is there.

    Raises:
        UserError: it is a folder, lies in none, or no file can be called so.
    """
    path = Path(os.path.abspath(out)) if "\0" not in os.fspath(out) else None
    if path is None or not os.fspath(out):
        raise UserError(f"--out: {os.fspath(out)!r} is no path; name a file, such as {example}")
    if windows.ON_WINDOWS and (why := windows.why_no_path(Path(out), "file")):
        raise UserError(f"--out: {os.fspath(out)}: {why}")
    if os.path.isdir(path):
        raise UserError(f"--out: {path} is a folder; name a file in it, such as {path / example}")
    if not os.path.isdir(path.parent):
        raise UserError(f"--out: {path}: {path.parent} is no folder; make it first")
    try:
        path.with_name(f".{path.name}.{'9' * 12}.tmp").exists()  # as it is written, see atomic.py
    except OSError as error:
        raise UserError(f"--out: {path}: {error.strerror}; name another file") from None
    return path
