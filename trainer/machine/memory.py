"""Memory that this process may have, what of it is left, and the most that it has held."""

from __future__ import annotations

import contextlib
import functools
import sys
from collections.abc import Callable
from typing import Any

from trainer.machine.groups import memory_left, memory_limits

try:
    import resource
except ImportError:  # Windows, where psutil knows the peak
    resource = None  # type: ignore[assignment]


def memory_limit() -> int:
    """Bytes: the least of the machine's memory, the groups' limits and `ulimit -v`."""
    return min([_of_the_machine(), *memory_limits(), *_address_space()])


def available_memory() -> int:
    """Bytes to be had now: the least of what the machine, the groups and `ulimit -v` have left.

    Of a limit what this process and others hold counts as gone, but for pages of files that can be
    dropped; of the address space all that is mapped, which the imports' libraries are, too.
    """
    left = [_left_of_the_machine(), *memory_left(_of_the_machine())]
    left += [limit - _status("VmSize") for limit in _address_space()]
    return max(min(left), 0)


def _address_space() -> list[int]:
    """Bytes of `ulimit -v`, if there is one."""
    if resource is None or sys.platform == "darwin":  # macOS does not keep to it
        return []
    own, _ = resource.getrlimit(resource.RLIMIT_AS)
    return [] if own in (resource.RLIM_INFINITY, -1) else [own]


@functools.cache
def _of_the_machine() -> int:
    found = _size_in("/proc/meminfo", "MemTotal")
    return found if found is not None else int(psutil().virtual_memory().total)


def _left_of_the_machine() -> int:
    found = _size_in("/proc/meminfo", "MemAvailable")
    return found if found is not None else int(psutil().virtual_memory().available)


def _status(name: str, otherwise: Callable[[], int] = lambda: 0) -> int:
    """Bytes that Linux says of this process; elsewhere something else."""
    found = _size_in("/proc/self/status", name)
    return otherwise() if found is None else found


def _size_in(path: str, wanted: str) -> int | None:
    """Bytes of a line `name: number kB` of a file of Linux; None without the file or the line."""
    with contextlib.suppress(OSError, ValueError), open(path, "rb", buffering=0) as file:
        _, found, after = file.read().partition(f"{wanted}:".encode())
        return int(after.split(maxsplit=1)[0]) * 1024 if found else None
    return None


def psutil() -> Any:
    """The library: Linux mostly does without, and its import takes 10 ms."""
    import psutil

    return psutil


def peak_memory() -> int:
    """Bytes: the most of the machine's memory that this process has held at once so far."""
    return _status("VmHWM", _peak_elsewhere)


def _peak_elsewhere() -> int:
    """As the system counts, on Linux with what the process that began this one held by then."""
    if resource is None:
        now = psutil().Process().memory_info()
        return int(getattr(now, "peak_wset", now.rss))
    unit = 1 if sys.platform == "darwin" else 1024
    return int(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit)
