"""Names cut to a length such that those that differ still do."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def short(value: str, most: int) -> str:
    """A name of at most `most` letters, its middle left out: names differ in their ends."""
    if len(value) <= most:
        return value
    head = most // 2
    return f"{value[:head]}…{value[len(value) - (most - 1 - head) :]}"


def cut_apart(names: Sequence[str], most: int) -> list[str]:
    """Names of at most `most` letters each, so cut that those that differ still differ.

    The middle is left out, as ends tell names apart; where they do not, a name is cut around the
    place where it leaves the others, and where that does not help either, names are numbered.

    Args:
        names: any; equal ones are cut alike.
        most: letters, 6 at least.
    """
    distinct = list(dict.fromkeys(names))
    shown = {name: short(name, most) for name in distinct}
    for group in _alike(shown, distinct):
        shown |= _around_differences(group, most)
    for group in _alike(shown, distinct):
        shown |= _numbered(group, most, set(shown.values()))
    return [shown[name] for name in names]


def _alike(shown: dict[str, str], names: Iterable[str]) -> list[list[str]]:
    """Names that are shown as one, in groups."""
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(shown[name], []).append(name)
    return [group for group in groups.values() if len(group) > 1]


def _around_differences(names: list[str], most: int) -> dict[str, str]:
    """Each name from shortly before the place where they part; again where some part later."""
    place = min(_common(names[0], name) for name in names[1:])
    start = max(0, place - most // 3)
    shown = {name: _window(name, start, most) for name in names}
    for group in _alike(shown, names):
        if len(group) < len(names):
            shown |= _around_differences(group, most)
    return shown


def _common(a: str, b: str) -> int:
    """Letters that two names begin with alike."""
    return next(
        (i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(map(len, (a, b)))
    )


def _window(name: str, start: int, most: int) -> str:
    """The letters of a name from a place on, dots where some are left out."""
    start = max(0, min(start, len(name) - most + 1))
    before = "…" if start else ""
    after = "…" if len(name) - start > most - len(before) else ""
    return before + name[start : start + most - len(before) - len(after)] + after


def _numbered(names: list[str], most: int, taken: set[str]) -> dict[str, str]:
    """Each name's beginning and a number that none of the others has."""
    shown: dict[str, str] = {}
    count = 0
    for name in names:
        while True:
            count += 1
            mark = f"…{count}"
            text = name[: max(most - len(mark), 0)] + mark
            if text not in taken:
                break
        shown[name] = text
        taken.add(text)
    return shown
