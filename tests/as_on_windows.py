"""The command line as on Windows: `python tests/as_on_windows.py run CONFIG ...`, on any system.

Modules and names that only POSIX has are taken from our own code, not from the libraries, which
have Windows code of their own. Folders cannot be opened, files that are open for reading alone
cannot be synced, and files that are open cannot be renamed over or removed.
"""

from __future__ import annotations

import builtins
import errno
import os
import sys
import types
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
MODULES = {"resource", "fcntl", "termios", "tty", "pty", "pwd", "grp", "syslog", "posix"}
NAMES = {
    "os": (
        "sysconf sysconf_names fork forkpty register_at_fork getloadavg sched_getaffinity geteuid"
        " getuid getgid getegid setsid killpg getpgid uname chown lchown mkfifo mknod statvfs"
        " posix_fadvise posix_fallocate sendfile pread pwrite O_DIRECTORY O_NOFOLLOW O_CLOEXEC"
        " O_SYNC O_DSYNC O_NONBLOCK O_NOCTTY openpty ttyname wait3 wait4 nice sync fchmod fchown"
    ),
    "signal": (
        "SIGHUP SIGKILL SIGALRM SIGUSR1 SIGUSR2 SIGPIPE SIGQUIT SIGSTOP SIGTSTP SIGCONT SIGCHLD"
        " SIGWINCH alarm setitimer pause sigwait pthread_kill pthread_sigmask siginterrupt"
    ),
    "time": "tzset clock_gettime clock_getres pthread_getcpuclockid",
    "select": "poll epoll kqueue",
    "socket": "AF_UNIX socketpair",
}


class OnWindows(types.ModuleType):
    """A module without the names that it has on POSIX alone, but for those that are given."""

    def __init__(self, module: types.ModuleType, **given: object) -> None:
        super().__init__(module.__name__)
        self.__dict__.update(given, _module=module, _missing=NAMES[module.__name__].split())

    def __getattr__(self, name: str) -> object:
        if name in self._missing:
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r} on Windows")
        return getattr(self._module, name)


def _open(path, flags, *rest, **more):
    if os.path.isdir(path):
        raise PermissionError(errno.EACCES, "a folder", os.fspath(path))
    return os.open(path, flags, *rest, **more)


def _fsync(descriptor):
    import fcntl

    if fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY:
        raise OSError(errno.EBADF, "open for reading alone")
    os.fsync(descriptor)


def _refusing(call):
    """A call that takes no path of a file that this process has open, or has mapped."""

    def refuse(*paths, **more):
        held = {os.path.realpath(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd")}
        held |= {line.split(None, 5)[-1].strip() for line in open("/proc/self/maps")}  # noqa: SIM115
        for path in paths:
            if isinstance(path, (str, os.PathLike)) and os.path.realpath(path) in held:
                raise PermissionError(errno.EACCES, "open in another program", os.fspath(path))
        return call(*paths, **more)

    return refuse


def ours(module: str | None) -> bool:
    return (module or "").split(".")[0] == "trainer"


def pretend() -> None:
    """Take from the modules of `trainer` that are imported from now on what Windows lacks."""
    import signal

    given = {
        "os": {"name": "nt", "open": _open, "fsync": _fsync},
        "signal": {"SIGBREAK": signal.SIGUSR2},
    }
    modules = {}
    real = builtins.__import__

    def importing(name, globals=None, locals=None, fromlist=(), level=0):
        if not ours((globals or {}).get("__name__")):
            return real(name, globals, locals, fromlist, level)
        if name in MODULES:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        found = real(name, globals, locals, fromlist, level)
        if name in NAMES:
            if name not in modules:
                modules[name] = OnWindows(found, **given.get(name, {}))
            return modules[name]
        return found

    builtins.__import__ = importing
    if os.path.isdir("/proc/self/fd"):
        for name in ("replace", "rename", "unlink", "remove", "rmdir"):
            setattr(os, name, _refusing(getattr(os, name)))


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    sys.stdout.reconfigure(encoding="cp1252")  # as where it is a pipe
    sys.stderr.reconfigure(encoding="cp1252", errors="backslashreplace")
    pretend()
    from trainer.cli import main

    sys.exit(main(sys.argv[1:]))
