"""Work that a signal ends: it asks between its pieces whether to go on, or is left to itself."""

from __future__ import annotations

import atexit
import contextlib
import os
import sys
import threading
from collections.abc import Callable

ShouldStop = Callable[[], object]
_left: list[threading.Thread] = []


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


def leave_to_itself(thread: threading.Thread) -> None:
    """Let a thread go on that nobody waits for any more, up to the end of the process.

    There it is waited for: a matrix library whose memory goes while it computes ends the process
    by a fault. Whoever has nothing more to do says so (`leave_at_once`).
    """
    _left.append(thread)
    atexit.register(thread.join)


def leave_at_once(exit_code: int) -> None:
    """End the process, when it comes to that, without waiting for threads left to themselves."""
    if _are_at_work():
        atexit.register(_leave, exit_code)


def _are_at_work() -> bool:
    return any(thread.is_alive() for thread in _left)


def _leave(exit_code: int) -> None:
    if _are_at_work():
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError, AttributeError):
                stream.flush()
        os._exit(exit_code)
