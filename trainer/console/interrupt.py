"""Ctrl-C, SIGTERM, a closed terminal: the first asks for the end of the step, the second kills."""

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
_HEARD = (*_ALWAYS, *((signal.SIGHUP,) if hasattr(signal, "SIGHUP") else ()))  # not under nohup
_ECHO = 0.1  # seconds: a wrapper that forwards Ctrl-C delivers the same one twice
_SHOW_CURSOR = b"\x1b[?25h\r\n"


class Interrupt:
    """Listens to them inside its `with` block; called, it gives the one that came.

    A training calls it after each step, and stops if it gives a signal. Until the first such call
    nobody would notice, so a signal raises KeyboardInterrupt where the program stands; from then
    on it is noted only. A second signal ends the process at once, but for `last_act`; a third does
    not wait for that.

    Attributes:
        signum: the signal that came, None before.
        last_act: something quick that is done before a second signal kills.
    """

    last_act: Callable[[], None] | None = None
    _dying = False

    def __init__(self) -> None:
        self.signum: int | None = None
        self._came = 0.0
        self._asked = False
        self._before: dict[int, Any] = {}

    def __call__(self) -> int | None:
        """Give the signal that came, if one did."""
        self._asked = True
        return self.signum

    @property
    def exit_code(self) -> int:
        """128 + the signal's number, as shells count: 130 for Ctrl-C, 143 for SIGTERM."""
        return 128 + (self.signum or signal.SIGINT)

    def reraise(self) -> None:
        """Raise what the signal would have raised had nobody listened, if one came."""
        if self.signum == signal.SIGINT:
            raise KeyboardInterrupt
        if self.signum is not None:
            raise SystemExit(self.exit_code)

    def __enter__(self) -> Interrupt:
        with contextlib.suppress(ValueError):  # only the main thread may listen
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
        """Once: a disk that hangs must not keep the process from being killed."""
        if self.last_act is not None and not self._dying:
            self._dying = True
            with contextlib.suppress(Exception):
                self.last_act()


def _die(exit_code: int) -> None:
    """Leave at once: no cleaning up, but for the cursor that a progress bar hides."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        if sys.stderr.isatty():
            os.write(sys.stderr.fileno(), _SHOW_CURSOR)
    os._exit(exit_code)
