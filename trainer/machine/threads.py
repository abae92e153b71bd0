"""Threads of the matrix library: one a product; and our own, which share work out by rows.

OpenBLAS's threads wait for each other many times within a product, spinning. Where another process
has one of the cores, a step of small products takes up to 28 times as long (docs/benchmarks), and
an idle thread goes on spinning after a product. So a run multiplies on one thread, and uses more
cores for whole stacks, for passes over many rows and for large products, in parts that wait for
each other only at the end.

What the user has set is kept to: OPENBLAS_NUM_THREADS, MKL_NUM_THREADS, OMP_NUM_THREADS or
threadpoolctl's limits say how many cores a run may use, and are in force again when it has ended.
macOS's Accelerate cannot be told; its threads do not spin.
"""

from __future__ import annotations

import contextlib
import math
import os
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextvars import copy_context
from typing import TYPE_CHECKING, Any, TypeVar

from threadpoolctl import ThreadpoolController

from trainer.machine.groups import processor_limits
from trainer.machine.interrupted import Interrupted, ShouldStop, leave_to_itself
from trainer.machine.memory import psutil

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

T = TypeVar("T")
_ASKS_ALL = ("openblas", "mkl")  # take all cores unless told otherwise; BLIS takes one
_LOOK = 0.05  # seconds between two looks whether to stop


class _Shared:
    """What all runs of this process share.

    Attributes:
        runs: how many are in `one_thread_a_product`.
        limited: libraries with the number of threads that each had before.
        cores: that they may use; None while nobody has asked.
        loaded: the libraries found last, and how many modules had been imported by then.
        pool: our own threads, once a run has used them.
    """

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.runs = 0
        self.limited: list[tuple[Any, int]] = []
        self.cores: int | None = None
        self.loaded: tuple[int, list[Any]] = 0, []
        self.pool: ThreadPoolExecutor | None = None

    def forked(self) -> None:
        """Forget a parent's lock and threads, which a child process does not have."""
        self.lock, self.pool = threading.Lock(), None


_shared = _Shared()
_thread = threading.local()  # `.ours`: whether it is one of a pool's, all of whose cores are busy
if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_shared.forked)


@contextlib.contextmanager
def one_thread_a_product() -> Iterator[None]:
    """Let the matrix library use one thread; when the last of these blocks is left, as before."""
    libraries = _libraries()
    own = [(one, one.num_threads) for one in libraries if _is_per_thread(one)]
    with _shared.lock:
        _shared.runs += 1
        if _shared.runs == 1:
            _shared.limited = [(one, one.num_threads) for one in libraries]
            _set(_shared.limited, 1)
    _set(own, 1)
    try:
        yield
    finally:
        pool = None
        with _shared.lock:
            _shared.runs -= 1
            if _shared.runs == 0:
                pool, _shared.pool, _shared.cores = _shared.pool, None, None
                _give_back([pair for pair in _shared.limited if not _is_per_thread(pair[0])])
                _shared.limited = []
        _give_back(own)
        if pool is not None:
            pool.shutdown(cancel_futures=True)


def _libraries() -> list[Any]:
    """Of the matrix libraries that are loaded, those whose threads can be told."""
    modules, found = _shared.loaded
    if modules != len(sys.modules):  # a library comes with a module; to look takes milliseconds
        modules = len(sys.modules)
        found = ThreadpoolController().select(user_api="blas").lib_controllers
        _shared.loaded = modules, found
    return [one for one in found if one.num_threads is not None]


def told_libraries() -> list[dict[str, Any]]:
    """The matrix libraries: `name`, `version`, `kernels` (of which processor), `threads` now."""
    return [
        {
            "name": one.internal_api,
            "version": one.version,
            "kernels": getattr(one, "architecture", None),
            "threads": one.num_threads,
        }
        for one in _libraries()
    ]


def _is_per_thread(library: Any) -> bool:
    """Whether a number of threads is that of the thread which sets it, not of the process."""
    return bool(library.internal_api == "openblas" and library.threading_layer == "openmp")


def _set(libraries: Sequence[tuple[Any, int]], count: int) -> None:
    """Set the number of threads.

    Newer versions of threadpoolctl let one thread of a process alone do so, for good; runs in
    others would go unlimited, and could not give back what they limited.
    """
    for library, _ in libraries:
        getattr(library, "_real_set_num_threads", library.set_num_threads)(count)


def _give_back(libraries: Sequence[tuple[Any, int]]) -> None:
    """Give libraries their threads back, but for one that somebody else has told otherwise."""
    for library, before in libraries:
        if library.num_threads == 1:
            _set([(library, before)], before)


def cores() -> int:
    """Processors that this process may use: no more than its group may, nor than the user says.

    The user's word is the matrix library's number of threads outside of runs, however it was set.
    """
    with _shared.lock:
        if _shared.runs == 0:
            return _cores([(one, one.num_threads) for one in _libraries()])
        if _shared.cores is None:
            _shared.cores = _cores(_shared.limited)
        return _shared.cores


def _cores(libraries: Sequence[tuple[Any, int]]) -> int:
    wanted = [count for library, count in libraries if library.internal_api in _ASKS_ALL]
    quotas = [math.ceil(one) for one in processor_limits()]
    return min([_affinity(), *wanted, *quotas])


def _affinity() -> int:
    if hasattr(os, "sched_getaffinity"):  # Linux
        return len(os.sched_getaffinity(0))
    process = psutil().Process()
    if hasattr(process, "cpu_affinity"):  # not on macOS
        return len(process.cpu_affinity())
    return os.cpu_count() or 1


def make_pool(count: int) -> ThreadPoolExecutor:
    """Threads that work on stacks, each of which has one core."""
    from concurrent.futures import ThreadPoolExecutor

    def mark() -> None:
        _thread.ours = True
        _use_one_thread()

    return ThreadPoolExecutor(count, thread_name_prefix="trainer", initializer=mark)


def _use_one_thread() -> None:
    """Limit the thread that asks, where libraries limit each thread by itself."""
    _set([pair for pair in _shared.limited if _is_per_thread(pair[0])], 1)


def side_by_side(tasks: Sequence[Callable[[], T]]) -> list[T]:
    """Run tasks on the cores there are, within `one_thread_a_product`; their results in order.

    A thread of a pool runs them itself, one after another: the other cores have work.
    """
    pool = None if len(tasks) == 1 or getattr(_thread, "ours", False) else _pool()
    if pool is None:
        return [task() for task in tasks]
    # each in a copy of the caller's context, which says what NumPy warns of
    futures = [pool.submit(copy_context().run, task) for task in tasks]
    for future in futures:
        future.exception()  # waits: where one fails, none must go on writing to what they share
    return [future.result() for future in futures]


def abandonable(task: Callable[[], T], should_stop: ShouldStop) -> T:
    """Run a task that cannot ask whether to go on, such as a factorisation, beside one who does.

    Where the answer is yes the task is left to itself: it must write to nothing that others read.

    Raises:
        Interrupted: `should_stop()`.
    """
    found, failed, context = list[T](), list[BaseException](), copy_context()

    def work() -> None:
        _use_one_thread()
        try:
            found.append(context.run(task))
        except BaseException as error:  # the caller raises it
            failed.append(error)

    # of no pool, as the end of one waits for its threads
    thread = threading.Thread(target=work, name="trainer-abandonable", daemon=True)
    thread.start()
    while thread.is_alive():
        thread.join(_LOOK)
        if thread.is_alive() and should_stop():
            leave_to_itself(thread)
            raise Interrupted
    if failed:
        raise failed[0]
    return found[0]


def _pool() -> ThreadPoolExecutor | None:
    """The threads that runs share; None outside of runs, and where there is one core."""
    if _shared.runs == 0 or (count := cores()) == 1:
        return None
    with _shared.lock:
        if _shared.pool is None:
            _shared.pool = make_pool(count)
        return _shared.pool
