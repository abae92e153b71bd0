"""Memory: whether it grows from run to run, and what a device that is full says."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator
from typing import Any

from benchmarks.gpu.bench import Bench, double
from benchmarks.gpu.right import weights
from trainer.device import Device
from trainer.errors import DeviceError

_RUNS = 8
_SMALL = 2**20  # bytes, in which the rows have no room


def memory(bench: Bench) -> None:
    """Train again and again; then with hardly any memory."""
    _growth(bench)
    _full(bench)


def _tree(bench: Bench, optimizer: str) -> dict[str, Any]:
    rows, columns = (256, 12) if bench.tiny else (60_000, 784)
    made = {"synthetic": {"rows": rows, "columns": columns, "outputs": 10}}
    keys: dict[str, Any] = {"name": optimizer}
    keys |= {"max_iter": 5} if optimizer == "lbfgs" else {"epochs": 1, "batch_size": 256}
    return {"model": "softmax", "data": {"train": made}, "optimizer": keys}


def _growth(bench: Bench) -> None:
    """What the pool has taken, and what of it is in use, after each of some equal runs."""
    pool = bench.xp.get_default_memory_pool()
    for optimizer in ("sgd", "lbfgs"):
        with bench.attempt(f"{optimizer}: runs one after another"):
            used, total, circles = [], [], []
            for _ in range(4 if bench.tiny else _RUNS):
                weights(_tree(bench, optimizer), bench.device)
                total.append(pool.total_bytes())
                circles.append(pool.used_bytes())
                gc.collect()
                used.append(pool.used_bytes())
            most = max(before - after for before, after in zip(circles, used, strict=True)) / 1e6
            bench.value(f"{optimizer}: what only the garbage collector gives back", most, "MB")
            bench.value(f"{optimizer}: the pool after a run", total[0] / 1e6, "MB")
            bench.value(f"{optimizer}: the pool after {len(total)} runs", total[-1] / 1e6, "MB")
            words = f"{used[1]:,} bytes in use after the second run, {used[-1]:,} after the last"
            bench.check(f"{optimizer}: nothing stays in use", used[-1] <= used[1], words)


def _full(bench: Bench) -> None:
    """A run that finds no room ends with one line that says so; the next one, with room, trains."""
    with bench.attempt("a device that is full"), _small(bench) as device:
        said = ""
        try:
            with device.enough_memory():
                weights(_tree(bench, "sgd"), device)
        except DeviceError as error:
            said = str(error)
        one_line = bool(said) and len(said.splitlines()) == 1
        bench.check("a device that is full: one line", one_line, said or "it trained all the same")
    with bench.attempt("a run after it"):
        weights(_tree(bench, "sgd"), bench.device)
        bench.check("a run after it", True)


@contextlib.contextmanager
def _small(bench: Bench) -> Iterator[Device]:
    """The device with hardly any memory."""
    if bench.tiny:
        yield double(2**12)
        return
    pool = bench.xp.get_default_memory_pool()
    pool.free_all_blocks()
    pool.set_limit(size=pool.total_bytes() + _SMALL)
    try:
        yield bench.device
    finally:
        pool.set_limit(size=0)
