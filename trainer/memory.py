"""How much memory there is, so that too much is refused before it is asked for.

Linux gives out more than it has and ends the process when the pages are touched: a MemoryError
never comes.
"""

from __future__ import annotations

import contextlib
import os
import resource
from pathlib import Path

_CONTAINER = (
    Path("/sys/fs/cgroup/memory.max"),
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
)


def memory_limit() -> int:
    """Bytes: the least of the machine's memory, the container's limit and `ulimit -v`."""
    limits = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    for path in _CONTAINER:
        with contextlib.suppress(OSError, ValueError):  # absent, or the word max
            limits.append(int(path.read_text()))
    limits = [limit for limit in limits if limit > 0]
    own, _ = resource.getrlimit(resource.RLIMIT_AS)
    if own != resource.RLIM_INFINITY:
        limits.append(own)
    return min(limits)


def shown_size(size: int) -> str:
    """Bytes in words: `1.5 GiB`."""
    unit, name = (2**30, "GiB") if size >= 2**30 else (2**20, "MiB")
    return f"{size / unit:,.0f} {name}" if size >= 10 * unit else f"{size / unit:.3g} {name}"
