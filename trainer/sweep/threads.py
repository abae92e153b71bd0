"""Stacks side by side on the processor's cores, each with one thread of the matrix library.

Two stacks on two threads take about three quarters of the time of one twice as wide whose products
are shared out: what is not a product then runs on all cores too (docs/benchmarks).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import TypeVar

from threadpoolctl import ThreadpoolController

T = TypeVar("T")


def cores() -> int:
    """Processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class Threads:
    """`count` threads; with one of them, tasks run in the caller's own and nothing is limited."""

    def __init__(self, count: int) -> None:
        self.count = count

    def __enter__(self) -> Threads:
        if self.count > 1:
            self._pool = ThreadPoolExecutor(self.count, thread_name_prefix="stack")
            self._limit = ThreadpoolController().limit(limits=1, user_api="blas")
            self._limit.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.count > 1:
            self._pool.shutdown(cancel_futures=True)
            self._limit.__exit__(kind, error, trace)

    def run(self, tasks: Sequence[Callable[[], T]]) -> list[T]:
        """Run the tasks; their results in the same order."""
        if self.count == 1:
            return [task() for task in tasks]
        return [future.result() for future in [self._pool.submit(task) for task in tasks]]
