"""Memory that this process may have, and the most that it has held."""

from __future__ import annotations

import contextlib
import functools
import sys
from typing import Any

from trainer.machine.groups import memory_limits

try:
    import resource
except ImportError:  # Windows, where psutil knows the peak
    resource = None  # type: ignore[assignment]


def memory_limit() -> int:
    """Bytes: the least of the machine's memory, the container's limit and `ulimit -v`."""
    limits = [_of_the_machine(), *memory_limits()]
    if resource is not None and sys.platform != "darwin":  # macOS does not keep to it
        own, _ = resource.getrlimit(resource.RLIMIT_AS)
        if own not in (resource.RLIM_INFINITY, -1):
            limits.append(own)
    return min(limits)


@functools.cache
def _of_the_machine() -> int:
    with contextlib.suppress(OSError, ValueError), open("/proc/meminfo", encoding="ascii") as lines:
        for line in lines:
            name, _, size = line.partition(":")
            if name == "MemTotal":
                return int(size.split()[0]) * 1024
    return int(psutil().virtual_memory().total)


def psutil() -> Any:
    """The library: Linux mostly does without, and its import takes 10 ms."""
    import psutil

    return psutil


def peak_memory() -> int:
    """Bytes: the most of the machine's memory that this process has held at once so far."""
    if resource is None:
        now = psutil().Process().memory_info()
        return int(getattr(now, "peak_wset", now.rss))
    unit = 1 if sys.platform == "darwin" else 1024
    return int(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit)
