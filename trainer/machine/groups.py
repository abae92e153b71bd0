"""Limits of Linux control groups: a container's, a batch system's, a service's.

psutil and os tell what the machine has, not what a group may have of it. A group lies in others,
and each may have a limit. Elsewhere than on Linux there are none of these files.
"""

from __future__ import annotations

import contextlib
import functools
import time
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

_OWN = Path("/proc/self/cgroup")  # lines of `number:controllers:group`, without controllers in v2
_MOUNTED = Path("/sys/fs/cgroup")


def memory_limits() -> list[int]:
    """Bytes, one a group that has a limit."""
    return list(_memory(_OWN, _MOUNTED, _now()))


def processor_limits() -> list[float]:
    """Processors' worth of time, one a group that has a limit (`docker run --cpus`)."""
    return list(_processors(_OWN, _MOUNTED, _now()))


def _now() -> int:
    """What changes every second: so long a limit counts as it was read.

    To read them all takes the better part of a millisecond, and a small fit a few.
    """
    return int(time.monotonic())


@functools.lru_cache(maxsize=1)
def _memory(own: Path, mounted: Path, now: int) -> list[int]:
    texts = (*_texts("memory", "memory.limit_in_bytes"), *_texts("", "memory.max"))
    return [int(text) for text in texts if _is_limit(text)]


@functools.lru_cache(maxsize=1)
def _processors(own: Path, mounted: Path, now: int) -> list[float]:
    quotas = _texts("cpu", "cpu.cfs_quota_us"), _texts("cpu", "cpu.cfs_period_us")
    pairs = [*zip(*quotas, strict=False), *(text.split() for text in _texts("", "cpu.max"))]
    return [
        int(pair[0]) / int(pair[1])
        for pair in pairs
        if len(pair) == 2 and all(_is_limit(text) for text in pair)
    ]


def _is_limit(text: str) -> bool:
    """Whether it is a number above 0: `max` and -1 stand for no limit."""
    return text.isdecimal() and int(text) > 0


def _texts(controller: str, file: str) -> Iterator[str]:
    """What a file says in this process's group and in those around it, where it is there."""
    for folder in _folders(controller):
        with contextlib.suppress(OSError, UnicodeDecodeError):
            yield (folder / file).read_text(encoding="ascii").strip()


def _folders(controller: str) -> list[Path]:
    """The folders of this process's group and of those around it; controller "" is v2."""
    own = ""
    with contextlib.suppress(OSError):
        own = _OWN.read_text(encoding="utf-8", errors="surrogateescape")
    return _folders_of(own, controller, _MOUNTED / controller)


@functools.lru_cache
def _folders_of(groups: str, controller: str, mounted: Path) -> list[Path]:
    """`_folders` by the text that tells the groups, which is mostly what it was."""
    found = {mounted: None}
    for line in groups.splitlines():
        _, controllers, group = line.split(":", 2)
        if controller in controllers.split(","):
            own = PurePosixPath(group.lstrip("/"))
            found |= {mounted / one: None for one in (own, *own.parents)}
    return list(found)
