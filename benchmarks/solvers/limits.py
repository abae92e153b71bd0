"""A limit of time, and of the threads of the matrix library."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from threadpoolctl import threadpool_limits


class OutOfTimeError(BaseException):
    """A contender took longer than it may.

    No `Exception`: scikit-learn's cross-validation makes a warning of those and a score of NaN.
    """


@contextmanager
def limited(seconds: float) -> Iterator[None]:
    """Raise in the code within once this time is over; a library's C code ends first.

    Raises:
        OutOfTimeError: it took longer.
    """

    def stop(*_: Any) -> None:
        raise OutOfTimeError

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    start = time.perf_counter()
    try:
        yield
    except SystemError as error:  # what Numba makes of an exception within its own code
        if time.perf_counter() - start > seconds:
            raise OutOfTimeError from error
        raise
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    if time.perf_counter() - start > seconds:
        raise OutOfTimeError


@contextmanager
def threads(count: int | None) -> Iterator[None]:
    """So many threads for NumPy, SciPy, scikit-learn and torch; None leaves it to them."""
    if count is None:
        yield
        return
    torch = sys.modules.get("torch")
    before = torch.get_num_threads() if torch else 0
    with threadpool_limits(count):
        if torch:
            torch.set_num_threads(count)
        try:
            yield
        finally:
            if torch:
                torch.set_num_threads(before)
