"""Atomic writes of files: beside the place, fsynced, then renamed into it.

A reader, a crash or a full disk meets the old file or the new one, never a half.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path

from trainer.errors import DiskError

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
    return DiskError(f"{os.fspath(path)}: cannot write: {reason}; {cure}")


@contextlib.contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a path beside `path` to write to; on leaving, sync it and rename it to `path`.

    When the block raises, or the disk refuses, what stood at `path` stays and the half is removed.

    Raises:
        DiskError: an OSError of the block or of the rename; the message names `path`.
    """
    path = Path(path)
    beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield beside
        _sync(beside)
        os.replace(beside, path)
        _sync(path.parent)  # the rename itself is an entry of the folder
    except BaseException as error:
        with contextlib.suppress(OSError):
            beside.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise disk_error(path, error) from error
        raise


def write_atomic(path: str | os.PathLike[str], data: bytes) -> None:
    """Write `data` to `path`, whole or not at all.

    Raises:
        DiskError: the disk refused; what stood at `path` before is still there.
    """
    with replacing(path) as beside:
        beside.write_bytes(data)


def utf8(text: str | bytes) -> bytes:
    """UTF-8; a lone surrogate, which has no UTF-8, as its escape (JSON reads it back)."""
    return text if isinstance(text, bytes) else text.encode("utf-8", "backslashreplace")


def _sync(path: Path) -> None:
    """Fsync a file or a folder; a file system that cannot sync a folder is left to its habits."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except (PermissionError, IsADirectoryError):  # Windows opens no folders
        return
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(descriptor)
