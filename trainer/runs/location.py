"""The place of a run folder: a safe default, the user's choice, and why a place cannot be one."""

from __future__ import annotations

import errno
import itertools
import os
from datetime import datetime
from pathlib import Path

from trainer.errors import DiskError, RunFolderError
from trainer.runs.liveness import is_stillborn
from trainer.runs.names import CHECKPOINTS, MANIFEST
from trainer.text import windows
from trainer.text.atomic import disk_error
from trainer.text.program import PROGRAM


def safe_name(name: str) -> str:
    """Return `name` as one component of a path that any file system takes.

    What cannot be printed, separates paths or is reserved on some system becomes `_`; so do a dot
    or space at the end and a name made of dots. A device of Windows (`con`, `nul.a`) gets one in
    front. At most 120 bytes.
    """
    shown = "".join(c if c.isprintable() and c not in '/\\:*?"<>|' else "_" for c in name)
    shown = shown.lstrip()
    shown = f"_{shown}" if windows.is_device(shown) else shown
    shown = shown.encode()[:120].decode(errors="ignore").lstrip()
    bare = shown.rstrip(" .")
    return bare + "_" * (len(shown) - len(bare)) or "_"


def default_folder(name: str) -> Path:
    """Make a new folder `runs/<name>/<date>-<time>` under the current one; return its path.

    Raises:
        RunFolderError: a file is in the way.
        DiskError: the disk refused.
    """
    parent = Path.cwd() / "runs" / safe_name(name)
    stamp = f"{datetime.now():%Y%m%d-%H%M%S}"
    try:
        parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _no_folder(parent, error) from error
    for number in itertools.count(1):
        path = parent / (stamp if number == 1 else f"{stamp}-{number}")
        try:
            path.mkdir()
        except FileExistsError:
            continue
        except OSError as error:
            raise _no_folder(path, error) from error
        return path
    raise AssertionError("unreachable")


def named_folder(out: str | os.PathLike[str]) -> Path:
    """Make the folder that the user named, or take it if it is empty; return its absolute path.

    Empty is also what has no more than the first files of a run that was killed as it began.

    Raises:
        RunFolderError: it is a file, not empty, or no folder can be called so.
        DiskError: the disk refused.
    """
    check_free(out)
    path = Path(os.path.abspath(out))
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _no_folder(path, error) from error
    return path


def check_free(out: str | os.PathLike[str]) -> None:
    """Check that `out` can be a new run folder as far as that can be seen; makes nothing.

    Raises:
        RunFolderError: it is a file, not empty, or no folder can be called so.
        DiskError: it cannot be read.
    """
    if not os.fspath(out) or "\0" in os.fspath(out):
        raise RunFolderError(f"--out: {os.fspath(out)!r} is no path; name a new or an empty folder")
    if windows.ON_WINDOWS and (why := windows.why_no_path(Path(out), "folder")):
        raise RunFolderError(f"--out: {os.fspath(out)}: {why}")
    path = Path(os.path.abspath(out))
    try:
        held = sorted(entry.name for entry in path.iterdir())
        if not held or is_stillborn(path):
            return
    except FileNotFoundError:
        return
    except OSError as error:
        raise _no_folder(path, error) from error
    more = f" and {len(held) - 1} more" if len(held) > 1 else ""
    again = f"; `{PROGRAM} run --resume {windows.quoted(str(path))}` goes on with the run there"
    raise RunFolderError(
        f"{path}: not empty (it holds {held[0]}{more}); --out takes a new or an empty folder"
        + (again if os.path.isdir(path / CHECKPOINTS) else "")
    )


def _no_folder(path: Path, error: OSError) -> Exception:
    """Why `path` cannot be made: the user's choice of a place, or the disk."""
    if error.errno in (errno.EEXIST, errno.ENOTDIR):
        blocked = next(
            p for p in (path, *path.parents) if os.path.lexists(p) and not os.path.isdir(p)
        )
        what = "a file" if os.path.exists(blocked) else "a link to nothing"
        return RunFolderError(f"{blocked}: {what}; a run folder must be a new or an empty folder")
    if error.errno in (errno.ENAMETOOLONG, errno.ELOOP):
        return RunFolderError(f"{path}: {os.strerror(error.errno)}; name another folder")
    if windows.ON_WINDOWS and len(str(path)) > windows.LONGEST_FOLDER:
        return RunFolderError(
            f"{path}: {len(str(path))} characters, of which Windows takes"
            f" {windows.LONGEST_FOLDER} unless long paths are enabled; name a shorter path"
        )
    return DiskError(f"{disk_error(path, error)} (--out DIR says where)")


def why_no_run_folder(path: Path) -> str:
    """Say what is at `path` instead of a run folder, and where one is nearby."""
    if not os.path.exists(path):
        near = next(p for p in path.parents if os.path.exists(p))
        return f"no such folder; {near} is there"
    if not os.path.isdir(path):
        inside = os.path.isfile(path.parent / MANIFEST)
        return "a file" + (f"; its run folder is {path.parent}" if inside else ", no run folder")
    runs = [p.parent for depth in ("*", "*/*") for p in path.glob(f"{depth}/{MANIFEST}")]
    newest = max(runs, key=lambda p: p.stat().st_mtime, default=None)
    what = f"not a run folder: it has no {MANIFEST}"
    return what + (f"; the newest one under it is {newest}" if newest else "")
