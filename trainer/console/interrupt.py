"""Signals that end a run (Ctrl-C, SIGTERM, a closed terminal): after the step, or at once.

The first signal asks the training to stop after its step, a second one kills the process.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any

_ALWAYS = (signal.SIGINT, signal.SIGTERM)
_CLOSED = [name for name in ("SIGHUP", "SIGBREAK") if hasattr(signal, name)]  # of either system
_HEARD = (*_ALWAYS, *(getattr(signal, name) for name in _CLOSED))  # not SIGHUP under nohup
_ECHO = 0.1  # seconds: a wrapper that forwards Ctrl-C delivers the same one twice
_SHOW_CURSOR = b"\x1b[?25h\r\n"


class Interrupt:
    """The handler of these signals within its `with` block; a call returns the one received.

    A training calls it after each step and stops where it returns a signal. Before the first call
    a signal raises KeyboardInterrupt, as no step would look at it; after that it is recorded only.
    A second signal ends the process once `last_act` has returned; a third does not wait for that.

    Attributes:
        signum: the signal received; None before.
        last_act: something quick to call before a second signal ends the process.
    """

    last_act: Callable[[], None] | None = None
    _dying = False

    def __init__(self) -> None:
        self.signum: int | None = None
        self._came = 0.0
        self._asked = False
        self._before: dict[int, Any] = {}

    def __call__(self) -> int | None:
        """Return the signal received; None before."""
        self._asked = True
        return self.signum

    @property
    def exit_code(self) -> int:
        """128 + the signal's number, as shells count: 130 for Ctrl-C, 143 for SIGTERM."""
        return 128 + (self.signum or signal.SIGINT)

    def reraise(self) -> None:
        """Raise what the signal received would have raised without this handler."""
        if self.signum == signal.SIGINT:
            raise KeyboardInterrupt
        if self.signum is not None:
            raise SystemExit(self.exit_code)

    def __enter__(self) -> Interrupt:
        with contextlib.suppress(ValueError):  # only the main thread may set handlers
            for signum in _HEARD:
                if signum in _ALWAYS or signal.getsignal(signum) is not signal.SIG_IGN:
                    self._before[signum] = signal.signal(signum, self._on_signal)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for signum, handler in self._before.items():
            # None: a handler that was not set from Python, which cannot be set again from it
            signal.signal(signum, signal.SIG_DFL if handler is None else handler)

    def _on_signal(self, signum: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if self.signum is not None:
            if now - self._came >= _ECHO:
                self._act_last()
                _die(128 + signum)
            return
        self.signum, self._came = signum, now
        if not self._asked:
            raise KeyboardInterrupt

    def _act_last(self) -> None:
        """Call `last_act`, once: a disk that hangs must not keep the process from being killed."""
        if self.last_act is not None and not self._dying:
            self._dying = True
            with contextlib.suppress(Exception):
                self.last_act()


def _die(exit_code: int) -> None:
    """End the process without cleaning up, but for the cursor that a progress bar hides."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        if sys.stderr.isatty():
            os.write(sys.stderr.fileno(), _SHOW_CURSOR)
    os._exit(exit_code)
