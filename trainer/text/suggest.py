"""What would be right: the nearest name, the file that was meant. All results are one line."""

from __future__ import annotations

import difflib
import os
from collections.abc import Sequence
from pathlib import Path

from trainer.errors import DataError

_LISTED = 6


def quote(name: object) -> str:
    """A name between quotes on one line, shortened past 60 characters."""
    text = repr(str(name))
    return text if len(text) <= 62 else text[:58] + "…" + text[0]


def nearest(name: str, names: Sequence[str]) -> str:
    """`'label' is the nearest name`, or the names there are."""
    close = closest(name, names)
    if close is not None:
        return f"{quote(close)} is the nearest name"
    shown = ", ".join(quote(other) for other in names[:_LISTED])
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return f"there are {shown}{more}" if names else "there are none"


def closest(name: str, names: Sequence[str]) -> str | None:
    """The name that was probably meant, or None: same letters, same stem, then difflib."""
    for other in names:
        if other.casefold() == name.casefold():
            return other
    for other in names:
        if other.split(".")[0] == name.split(".")[0] and name.split(".")[0]:
            return other
    found = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    return found[0] if found else None


def readable_file(path: str | os.PathLike[str], wanted: str) -> Path:
    """The path of a file that can be opened and is not empty.

    Args:
        path: as the spec holds it.
        wanted: what would be right, such as "a .csv file".

    Raises:
        DataError: missing (with the full path tried and the spelling that would work), a folder,
            empty, or not readable.
    """
    full = Path(os.path.abspath(path))
    shown = show(full)
    try:
        if full.is_dir():
            raise DataError(f"{shown}: is a folder; give {wanted} in it")
        if full.exists() and not full.is_file():
            raise DataError(f"{shown}: is no regular file; give {wanted}")
        with full.open("rb") as file:
            if not file.read(1):
                raise DataError(f"{shown}: is empty; give {wanted} with at least one row")
    except (FileNotFoundError, NotADirectoryError):
        raise DataError(f"{shown}: no such file; {_meant(full)}") from None
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or reason(error)
        raise DataError(f"{shown}: cannot be read ({why}); give {wanted}") from None
    return full


def show(path: str | os.PathLike[str]) -> str:
    """A path as it is, or quoted where a line break or the like would tear the line."""
    text = os.fspath(path)
    return text if text.isprintable() else repr(text)


def reason(error: BaseException) -> str:
    """What another library's exception says, as part of a line of ours."""
    words = " ".join(str(error).split()) or type(error).__name__
    text = "".join(c if c.isprintable() else repr(c)[1:-1] for c in words)
    return text if len(text) <= 200 else text[:199] + "…"


def _meant(path: Path) -> str:
    """Correct a path part by part, each to the nearest name in the folder before it."""
    here = Path(path.anchor)
    for part in path.parts[1:]:
        if (here / part).exists():
            here = here / part
            continue
        names = _listing(here)
        close = closest(part, names)
        if close is None:
            held = ", ".join(quote(name) for name in names[:_LISTED]) or "nothing"
            more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
            return f"the folder {show(here)} holds {held}{more}"
        here = here / close
    return f"did you mean {show(here)}?"


def _listing(folder: Path) -> list[str]:
    try:
        return sorted(os.listdir(folder))
    except OSError:
        return []
