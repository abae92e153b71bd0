"""Atomic writes of files: beside the place, fsynced, then renamed into it.

A reader, a crash or a full disk meets the old file or the new one, never a half.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
import time
from collections.abc import Iterator
from pathlib import Path

from trainer.errors import DiskError
from trainer.text import windows

_BESIDE = re.compile(r"\.(.+)\.[0-9]+\.tmp", re.ASCII | re.DOTALL)
REFUSED = ": cannot write: "  # of every DiskError: what is before it is a path, behind it a reason
_WAITS = (0.05, 0.1, 0.2, 0.4, 0.8)  # seconds
_CURES = {
    errno.ENOSPC: "free some space, or write to another disk",
    errno.EDQUOT: "free some space, or write to another disk",
    errno.EFBIG: "raise the limit of a file's size (ulimit -f), or write to another disk",
    errno.EROFS: "write to a folder that is not read-only",
    errno.EACCES: "write to a folder that you may write to",
    errno.EPERM: "write to a folder that you may write to",
    errno.ENOENT: "its folder is gone; leave it in place while it is written to",
}


def disk_error(path: str | os.PathLike[str], error: OSError) -> DiskError:
    """The DiskError of a refused write, in one line: the file, the reason, what would be right."""
    code = error.errno or 0
    reason = os.strerror(code) if code else str(error)
    cure = _CURES.get(code, "check the disk, or write to another one")
    if windows.ON_WINDOWS and code == errno.EACCES:
        cure = f"close the program that has it open, or {cure}"
    if windows.ON_WINDOWS and code == errno.ENOENT and len(os.fspath(path)) > windows.LONGEST_FILE:
        cure = "the path is long; name a shorter folder, or let Windows have long paths"
    return DiskError(f"{os.fspath(path)}{REFUSED}{reason}; {cure}")


@contextlib.contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a path beside `path` to write to; on leaving, sync it and rename it to `path`.

    When the block raises, or the disk refuses, what stood at `path` stays and the half is removed.

    Raises:
        DiskError: an OSError of the block or of the rename; the message names `path`.
    """
    path = Path(path)
    beside = path.with_name(f".{path.name}.{secrets.randbelow(10**12)}.tmp")
    try:
        # anew, and under a name that nobody knows before: no link of somebody else is followed
        os.close(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))
        yield beside
        _sync(beside, os.O_RDWR)
        _rename(beside, path)
        sync_folder(path.parent)  # the rename itself is an entry of the folder
    except BaseException as error:
        with contextlib.suppress(OSError):
            beside.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise disk_error(path, error) from error
        raise


def left_over(name: str) -> str | None:
    """The file that a write was for whose process was killed, by the name of its half."""
    found = _BESIDE.fullmatch(name)
    return found[1] if found else None


def write_atomic(path: str | os.PathLike[str], data: bytes) -> None:
    """Write `data` to `path`, whole or not at all.

    Raises:
        DiskError: the disk refused; what stood at `path` before is still there.
    """
    with replacing(path) as beside:
        beside.write_bytes(data)


def sync_folder(path: Path) -> None:
    """Fsync a folder, and with it the names in it.

    Raises:
        OSError: the disk refused.
    """
    if not windows.ON_WINDOWS:  # which opens no folders
        _sync(path, os.O_RDONLY)


def utf8(text: str | bytes) -> bytes:
    """UTF-8; a lone surrogate, which has no UTF-8, as its escape (JSON reads it back)."""
    return text if isinstance(text, bytes) else text.encode("utf-8", "backslashreplace")


def _rename(beside: Path, path: Path) -> None:
    """Rename; on Windows a virus scanner or an indexer may hold what stands there for a moment."""
    for wait in _WAITS if windows.ON_WINDOWS else ():
        try:
            os.replace(beside, path)
            return
        except PermissionError:
            time.sleep(wait)
    os.replace(beside, path)


def _sync(path: Path, how: int) -> None:
    """Fsync a file or a folder; a file system that cannot sync a folder is left to its habits."""
    try:
        descriptor = os.open(path, how)  # Windows syncs only what is open for writing
    except PermissionError:  # a folder that may be written to and not read
        if how == os.O_RDONLY:
            return
        raise
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(descriptor)
