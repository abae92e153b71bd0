"""Memory that this process may have, and the most that it has held."""

from __future__ import annotations

import sys

import psutil

from trainer.machine.groups import memory_limits

try:
    import resource
except ImportError:  # Windows, where psutil knows the peak
    resource = None  # type: ignore[assignment]


def memory_limit() -> int:
    """Bytes: the least of the machine's memory, the container's limit and `ulimit -v`."""
    limits = [int(psutil.virtual_memory().total), *memory_limits()]
    if hasattr(psutil, "RLIMIT_AS"):  # not on macOS, which does not keep to it, nor on Windows
        own, _ = psutil.Process().rlimit(psutil.RLIMIT_AS)
        if own not in (psutil.RLIM_INFINITY, -1):
            limits.append(own)
    return min(limits)


def peak_memory() -> int:
    """Bytes: the most of the machine's memory that this process has held at once so far."""
    if resource is None:
        now = psutil.Process().memory_info()
        return int(getattr(now, "peak_wset", now.rss))
    unit = 1 if sys.platform == "darwin" else 1024
    return int(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit)
