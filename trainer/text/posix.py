"""What POSIX systems have and others lack: a folder held open, and room of a disk kept free."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import sys
from pathlib import Path

from trainer.text import windows

if sys.platform == "darwin":
    import fcntl

_GETPATH, _LONGEST = 50, 1024  # of fcntl on macOS: F_GETPATH, MAXPATHLEN


def hold(folder: Path) -> int | None:
    """A descriptor of a folder, which follows it when it is moved; None where there is none."""
    if windows.ON_WINDOWS:  # where no folder moves while a file in it is open
        return None
    with contextlib.suppress(OSError):
        return os.open(folder, getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY)
    return None


def is_held(descriptor: int, path: Path) -> bool:
    """Whether the folder of a descriptor is the one at `path`."""
    try:
        held, there = os.fstat(descriptor), os.stat(path)
    except OSError:
        return False
    return (held.st_dev, held.st_ino) == (there.st_dev, there.st_ino)


def where(descriptor: int) -> Path | None:
    """The path that the folder of a descriptor has now; None where that cannot be known."""
    with contextlib.suppress(OSError):
        if sys.platform == "darwin":
            found = fcntl.fcntl(descriptor, _GETPATH, bytes(_LONGEST))
            return Path(os.fsdecode(found.rstrip(b"\0")))
        return Path(os.readlink(f"/proc/self/fd/{descriptor}"))
    return None


def allocate(descriptor: int, size: int) -> bool:
    """Take the blocks of a file of `size` bytes; False where the file system has no such call.

    Not `os.posix_fallocate`: where the file system cannot, the C library writes each block.

    Raises:
        OSError: the disk has not so much room.
    """
    if sys.platform != "linux" or sys.maxsize < 2**32:
        return False
    call = getattr(ctypes.CDLL(None, use_errno=True), "fallocate", None)
    if call is None:
        return False
    call.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64]
    if call(descriptor, 0, 0, size) == 0:
        return True
    code = ctypes.get_errno()
    if code in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        raise OSError(code, os.strerror(code))
    return False
