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
from typing import NamedTuple

_OWN = Path("/proc/self/cgroup")  # lines of `number:controllers:group`, without controllers in v2
_MOUNTED = Path("/sys/fs/cgroup")
# limit, usage, and the line of memory.stat that tells the pages of files that can be dropped
_V1 = "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"
_V2 = "memory.max", "memory.current", "inactive_file"


def memory_limits() -> list[int]:
    """Bytes, one a group that has a limit."""
    return [one.bytes for one in _memory(_OWN, _MOUNTED, _now())]


def memory_left(most: int) -> list[int]:
    """Bytes that each group with a limit below `most` has left: less what cannot be dropped.

    Groups count pages of files that were read lately, which the system drops where memory is short.
    Version 1 has no limit as a number beyond any memory.
    """
    limits = [one for one in _memory(_OWN, _MOUNTED, _now()) if one.bytes < most]
    return [left for one in limits for left in _left(one)]


def processor_limits() -> list[float]:
    """Processors' worth of time, one a group that has a limit (`docker run --cpus`)."""
    return list(_processors(_OWN, _MOUNTED, _now()))


def _now() -> int:
    """What changes every second: so long a limit counts as it was read.

    To read them all takes half a millisecond, and a small fit a few.
    """
    return int(time.monotonic())


class _Limit(NamedTuple):
    """A group's limit, and the files that tell what it has in use and what of it can be dropped."""

    bytes: int
    usage: Path
    stat: Path
    dropped: str


@functools.lru_cache(maxsize=1)
def _memory(own: Path, mounted: Path, now: int) -> list[_Limit]:
    groups = _groups(own)
    return [*_limits(groups, "memory", _V1), *_limits(groups, "", _V2)]


def _limits(groups: str, controller: str, files: tuple[str, str, str]) -> Iterator[_Limit]:
    limit, usage, dropped = files
    for path, text in _texts(groups, controller, limit):
        if _is_limit(text):
            folder = Path(path).parent
            yield _Limit(int(text), folder / usage, folder / "memory.stat", dropped)


@functools.lru_cache(maxsize=1)
def _processors(own: Path, mounted: Path, now: int) -> list[float]:
    groups = _groups(own)

    def texts(controller: str, file: str) -> list[str]:
        return [text for _, text in _texts(groups, controller, file)]

    quotas = texts("cpu", "cpu.cfs_quota_us"), texts("cpu", "cpu.cfs_period_us")
    pairs = [*zip(*quotas, strict=False), *(text.split() for text in texts("", "cpu.max"))]
    return [
        int(pair[0]) / int(pair[1])
        for pair in pairs
        if len(pair) == 2 and all(_is_limit(text) for text in pair)
    ]


def _left(limit: _Limit) -> Iterator[int]:
    """What a group has left; nothing where its files do not tell."""
    with contextlib.suppress(OSError, ValueError):
        stat = dict(line.split(" ", 1) for line in _read(limit.stat).splitlines())
        used = int(_read(limit.usage)) - int(stat.get(limit.dropped, 0))
        yield max(limit.bytes - used, 0)


def _is_limit(text: str) -> bool:
    """Whether it is a number above 0: `max` and -1 stand for no limit."""
    return text.isdecimal() and int(text) > 0


def _groups(own: Path) -> str:
    """The lines that tell this process's groups; none elsewhere than on Linux."""
    with contextlib.suppress(OSError):
        return _read(own)
    return ""


def _texts(groups: str, controller: str, file: str) -> Iterator[tuple[str, str]]:
    """A file in this process's group and in those around it, where it is there; what it says."""
    for path in _paths(groups, controller, file, _MOUNTED / controller):
        with contextlib.suppress(OSError):
            yield path, _read(path).strip()


def _read(path: str | Path) -> str:
    with open(path, "rb", buffering=0) as file:  # a text of a line, as quickly as can be
        return file.read().decode("utf-8", "surrogateescape")


@functools.lru_cache
def _paths(groups: str, controller: str, file: str, mounted: Path) -> list[str]:
    """Where the files of the groups may be, by the text that tells these; controller "" is v2."""
    found = {mounted: None}
    for line in groups.splitlines():
        _, controllers, group = line.split(":", 2)
        if controller in controllers.split(","):
            own = PurePosixPath(group.lstrip("/"))
            found |= {mounted / one: None for one in (own, *own.parents)}
    return [str(folder / file) for folder in found]
