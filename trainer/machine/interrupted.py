"""Work that a signal ends: it asks between its pieces whether to go on."""

from __future__ import annotations

from collections.abc import Callable

ShouldStop = Callable[[], object]


class Interrupted(Exception):
    """A signal came within work that takes longer than one can wait; nothing of it is kept."""


def never() -> bool:
    """Let work go on to its end."""
    return False


def ask(should_stop: ShouldStop) -> None:
    """Go on, or not.

    Raises:
        Interrupted: `should_stop()`.
    """
    if should_stop():
        raise Interrupted
