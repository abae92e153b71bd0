"""What not every system has: locks that end with their process, boot ids, signs of a process.

Nobody else asks which of them there are. What cannot be told is None.
"""

from __future__ import annotations

import contextlib
import errno
import os
import platform
import stat
import time
import weakref
from pathlib import Path
from typing import Any

from trainer.text import windows

fcntl: Any
msvcrt: Any
try:
    import fcntl
except ImportError:  # Windows
    fcntl = None
try:
    import msvcrt
except ImportError:  # everywhere else
    msvcrt = None

_BOOT_ID = "/proc/sys/kernel/random/boot_id"  # Linux
_TRIES = 10  # who asks whether a file is locked locks it himself for a moment
_WAIT = 0.02  # seconds between tries
_FAR = 1 << 40  # the byte that is locked on Windows, where nobody can read a locked one
_TAKEN = (errno.EACCES, errno.EAGAIN, errno.EWOULDBLOCK, getattr(errno, "EDEADLOCK", errno.EAGAIN))


class Lock:
    """A file that is open and locked until `release`, or until this process ends, in any way.

    Processes that this one forks do not hold it.

    Attributes:
        works: False where the file system has no locks, so that others may hold the file too.
    """

    def __init__(self, descriptor: int, works: bool) -> None:
        self._descriptor: int | None = descriptor
        self.works = works
        _held.add(self)

    def clear(self) -> None:
        """Empty the file."""
        if self._descriptor is not None:
            os.ftruncate(self._descriptor, 0)

    def release(self) -> None:
        """Close the file, which ends the lock; harmless if repeated."""
        if self._descriptor is not None:
            os.close(self._descriptor)
        self._descriptor = None

    def __del__(self) -> None:
        with contextlib.suppress(OSError):
            self.release()


_held: weakref.WeakSet[Lock] = weakref.WeakSet()


def _forked() -> None:
    """Close what a child process has of its parent's locks: they would outlive the parent."""
    for held in list(_held):
        with contextlib.suppress(OSError):
            held.release()


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_forked)


def lock(path: Path, *, new: bool = False) -> Lock | None:
    """Open a file to write to, make it if it is not there, and lock it; None if another holds it.

    Args:
        path: of the file.
        new: with True it must not be there.

    Raises:
        OSError: it cannot be opened, with `new` FileExistsError if it is there.
    """
    how = os.O_RDWR | os.O_CREAT | os.O_APPEND | (os.O_EXCL if new else 0)
    for attempt in range(_TRIES):
        if attempt:
            time.sleep(_WAIT)
            how &= ~os.O_EXCL
        descriptor = os.open(path, how, 0o666)
        got = _try(descriptor, shared=False)
        if got is not False and _is_at(descriptor, path):
            return Lock(descriptor, works=got is not None)
        os.close(descriptor)
    return None


def is_locked(path: Path) -> bool | None:
    """Whether a process holds a `lock` of a file; None without such a file or without locks."""
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))  # it may be a pipe
    except OSError:
        return None
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return None
        got = _try(descriptor, shared=True)
        return None if got is None else not got
    finally:
        os.close(descriptor)


def _try(descriptor: int, *, shared: bool) -> bool | None:
    """Lock an open file, as long as it is open; False if another holds it, None without locks."""
    try:
        if fcntl is not None:
            fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
            return True
        if msvcrt is not None:
            os.lseek(descriptor, _FAR, os.SEEK_SET)
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
            return True
    except OSError as error:
        return False if error.errno in _TAKEN else None
    return None


def _is_at(descriptor: int, path: Path) -> bool:
    """Whether a path still names the file that was opened by it."""
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    except OSError:
        return False


def host() -> str:
    """The name of this machine in its network."""
    return platform.node()


def boot_id() -> str | None:
    """What tells this start of the machine from its others, since process ids begin anew."""
    try:
        with open(_BOOT_ID, encoding="ascii") as file:
            return file.read().strip()
    except (OSError, ValueError):
        return None


def process_lives(pid: int) -> bool | None:
    """Whether this machine has a process of this number."""
    if windows.ON_WINDOWS:  # where signal 0 is one that ends it
        return None
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:  # another user's
        return True
    return True
