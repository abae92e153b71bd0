"""Regular files alone: a pipe would wait for ever, a device never end, a folder hold no bytes."""

from __future__ import annotations

import errno
import os
import stat
from typing import BinaryIO

_HOW = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)


def open_regular(path: str | os.PathLike[str]) -> BinaryIO:
    """Open a file that somebody else may have put there, to be read.

    Raises:
        OSError: it is missing, cannot be read, or is no regular file; `strerror` says which.
    """
    _check(os.stat(path).st_mode)  # some devices act when they are opened
    descriptor = os.open(path, _HOW)
    try:
        _check(os.fstat(descriptor).st_mode)  # another may have come since
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def read_regular(path: str | os.PathLike[str], most: int) -> bytes:
    """Read a file whole.

    Args:
        path: of the file.
        most: bytes for which there is memory.

    Raises:
        OSError: as `open_regular`, or it is larger than that.
    """
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        try:
            if size > most:
                raise MemoryError
            return file.read(size)
        except MemoryError:
            raise OSError(
                errno.EFBIG, f"{size:,} bytes, more than the memory has room for"
            ) from None


def _check(mode: int) -> None:
    if stat.S_ISDIR(mode):
        raise OSError(errno.EISDIR, "a folder, no file")
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, "is no regular file")
