"""Steps a second of 60,000 x 784, ten classes, in stacks of 1 to 1,024 columns."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.gpu.bench import Bench
from benchmarks.gpu.stacks import (
    advance,
    check_graphs,
    has_tf32,
    row_set,
    rows_of,
    stack_of,
    start,
    taken,
    ways,
)
from trainer.train.batches import RowSet
from trainer.train.stack import Stack

ROWS, FEATURES, OUTPUTS, BATCH = 60_000, 784, 10, 256
COLUMNS = 1, 16, 64, 256, 1024
_SECONDS = 0.6  # of a measurement, about
_RUNS = 5
_FIRST = 40  # steps after which weights are compared
_SPARE = 3.0  # seconds without which nothing is timed any more


def steps(bench: Bench) -> None:
    """Time stretches with their log fetched: each way to take steps, logged or not, in TF32."""
    n, features, columns = (512, 12, COLUMNS[:2]) if bench.tiny else (ROWS, FEATURES, COLUMNS)
    X, y = rows_of(n, features, OUTPUTS)
    rows = row_set(bench.device, X, y, OUTPUTS)
    for K in columns:
        ends: dict[str, Any] = {}
        for name, way, every, tf32 in _cases(bench):
            with bench.attempt(f"K = {K}, {name}"), taken(way):
                if bench.left() < _SPARE:
                    raise TimeoutError("no time was left")
                stack = _stack(bench, rows, K, every, tf32)
                ends[name] = _time(bench, f"K = {K}, {name}", stack)
        _compare(bench, K, ends)
    check_graphs(bench)
    if not has_tf32(bench.device):
        bench.note("TF32", "stacks cannot be told to multiply in it, or this GPU does not")


def _cases(bench: Bench) -> list[tuple[str, str, int, bool]]:
    """Name, way, steps between full records, and whether in TF32."""
    found, never = [], 1 << 20
    for way in ways(bench.device):
        found += [(f"{way}, logged", way, 1, False), (f"{way}, not logged", way, never, False)]
    best = ways(bench.device)[0]
    if has_tf32(bench.device):
        found.append((f"{best}, logged, TF32", best, 1, True))
    return found


def _compare(bench: Bench, K: int, ends: dict[str, Any]) -> None:
    """How far weights in TF32 are from those in float32 after the same steps."""
    known = next((end for name, end in ends.items() if name.endswith(" logged")), None)
    in_tf32 = next((end for name, end in ends.items() if name.endswith("TF32")), None)
    if known is not None and in_tf32 is not None:
        off = float(abs(in_tf32 - known).max() / abs(known).max())
        bench.value(f"K = {K}, TF32 beside float32", off, "of max|W| apart")


def _stack(bench: Bench, rows: RowSet, K: int, every: int, tf32: bool) -> Stack:
    batch = 64 if bench.tiny else BATCH
    lr = np.geomspace(0.005, 0.1, K)
    return stack_of(bench.device, rows, OUTPUTS, lr, batch=batch, every=every, tf32=tf32)


def _time(bench: Bench, name: str, stack: Stack) -> Any:
    """Note the median of some runs and their spread; return weights after `_FIRST` steps."""
    state = start(stack)
    advance(stack, state, _FIRST)
    weights = bench.device.to_host(state.weights)
    count = min(stack.steps_per_epoch, 64)
    _, each = bench.seconds(lambda: advance(stack, state, count), 0.1)
    count = 2 if bench.tiny else max(8, int(_SECONDS / _RUNS / (each / count)))
    runs = range(2 if bench.tiny else _RUNS)
    found = [bench.once(lambda: advance(stack, state, count)) / count for _ in runs]
    words = f"{1e6 * min(found):.1f} to {1e6 * max(found):.1f}, {count} steps a run"
    bench.value(name, 1e6 * float(np.median(found)), "µs a step", words)
    return weights
