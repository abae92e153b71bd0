"""The text of a config file, or one line that says why there is none."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from trainer.config.yaml.tree import MAX_CHARACTERS
from trainer.errors import Fault, SpecError, UserError
from trainer.text.printable import one_line, one_of
from trainer.text.suggest import nearest


def read_text(path: str | os.PathLike[str]) -> str:
    """Return the text of a config file as written, without a byte order mark.

    Raises:
        UserError: it is missing (with the full path tried and the spelling that would work), a
            folder, or not readable.
        SpecError: it is too large, or not UTF-8 (with the line and column of the first such byte).
    """
    shown = one_line(os.fspath(path)) or "''"
    try:
        if _is_named_pipe(path):
            raise UserError(f"{shown}: a named pipe, not a config file; give a .yaml file")
        with open(path, "rb") as file:
            data = file.read(MAX_CHARACTERS + 1)  # never all of a device or of a data file
    except FileNotFoundError:
        raise UserError(f"{shown}: no such file ({_full(path)}); {_meant(path)}") from None
    except NotADirectoryError:
        raise UserError(
            f"{shown}: no such file ({_full(path)}); a file has no files in it"
        ) from None
    except IsADirectoryError:
        raise UserError(f"{shown}: a folder, not a config file; {_inside(Path(path))}") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UserError(f"{shown}: cannot be read: {reason}; check the path") from None
    return decode(data, shown)


def _is_named_pipe(path: str | os.PathLike[str]) -> bool:
    """Whether opening a path would wait for whoever writes to it: not so the shell's `<(...)`.

    The latter, /dev/fd/63, leads to `pipe:[12345]`, which is no path.
    """
    return os.path.exists(path) and (
        stat.S_ISFIFO(os.stat(path).st_mode) and os.path.exists(os.path.realpath(path))
    )


def decode(data: bytes, file: str) -> str:
    """Decode UTF-8, with or without a byte order mark.

    Raises:
        SpecError: a byte that is not UTF-8, or far too many.
    """
    if len(data) > MAX_CHARACTERS:
        what = f"over {MAX_CHARACTERS:,} bytes; a config is a few lines long"
        raise SpecError([Fault(file, 1, 1, "(file)", what)])
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = data[: error.start].removeprefix(b"\xef\xbb\xbf")
        last = before[before.rfind(b"\n") + 1 :].decode("utf-8", "replace")
        byte = data[error.start]
        what = f"the byte 0x{byte:02X} is not UTF-8; save the file as UTF-8"
        line = before.count(b"\n") + 1
        raise SpecError([Fault(file, line, len(last) + 1, "(file)", what)]) from None


def _full(path: str | os.PathLike[str]) -> str:
    return one_line(os.path.abspath(path))


def _meant(path: str | os.PathLike[str]) -> str:
    """Correct the first part of a path that does not exist to the nearest name there is."""
    full = Path(os.path.abspath(path))
    missing = [part for part in (*reversed(full.parents), full) if not os.path.exists(part)]
    if not missing:  # an empty path, or a file that has come since
        return "give the path of a .yaml file"
    wrong = missing[0]
    try:
        names = sorted(os.listdir(wrong.parent))
    except OSError:
        names = []
    yaml_first = [name for name in names if Path(name).stem == wrong.name and _is_yaml(name)]
    name = yaml_first[0] if yaml_first else nearest(wrong.name, names)
    if name is None:
        configs = [name for name in names if _is_yaml(name)]
        holds = f"holds {one_of(configs[:3], 'and')}" if configs else "has no .yaml file"
        return f"the folder {one_line(str(wrong.parent))} {one_line(holds)}"
    meant = wrong.parent / name / full.relative_to(wrong)
    return f"did you mean {one_line(_like(path, meant))}?"


def _like(path: str | os.PathLike[str], meant: Path) -> str:
    """Write a path relative to the current folder, if the one it corrects is."""
    return str(meant) if os.path.isabs(path) else os.path.relpath(meant)


def _inside(folder: Path) -> str:
    try:
        names = sorted(name for name in os.listdir(folder) if _is_yaml(name))
    except OSError:
        names = []
    return f"for example {one_line(str(folder / names[0]))}" if names else "give a .yaml file"


def _is_yaml(name: str) -> bool:
    return name.endswith((".yaml", ".yml"))
