"""Steps a second of 60,000 x 784, ten classes, in stacks of 1 to 1,024 columns."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from benchmarks.gpu.bench import Bench
from benchmarks.gpu.stacks import advance, compiled, row_set, rows_of, stack_of, start
from trainer.config import load_spec
from trainer.errors import TrainerError
from trainer.train.batches import RowSet
from trainer.train.stack import Stack

ROWS, FEATURES, OUTPUTS, BATCH = 60_000, 784, 10, 256
COLUMNS = 1, 16, 64, 256, 1024
_SECONDS = 0.6  # of a measurement, about
_RUNS = 5


def steps(bench: Bench) -> None:
    """Time whole stretches with their log fetched: by our kernels and by functions, logged or not.

    Where a run may be in TF32 that is timed too, from the config on.
    """
    n, features, columns = (512, 12, COLUMNS[:2]) if bench.tiny else (ROWS, FEATURES, COLUMNS)
    X, y = rows_of(n, features, OUTPUTS)
    rows = row_set(bench.device, X, y, OUTPUTS)
    for K in columns:
        for way, wanted in (("by kernels", True), ("by functions", False)):
            for log, every in (("logged", 1), ("not logged", 1 << 20)):
                name = f"K = {K}, {way}, {log}"
                if bench.left() < 3:
                    bench.check(name, False, "no time was left")
                    continue
                with bench.attempt(name), compiled(wanted):
                    _time(bench, name, _stack(bench, rows, K, every))
    _tf32(bench)


def _stack(bench: Bench, rows: RowSet, K: int, every: int) -> Stack:
    batch = 64 if bench.tiny else BATCH
    lr = np.geomspace(0.005, 0.1, K)
    return stack_of(bench.device, rows, OUTPUTS, lr, batch=batch, every=every)


def _time(bench: Bench, name: str, stack: Stack) -> None:
    """Note the median of some runs of whole epochs or parts of one, and their spread."""
    state = start(stack)
    count = min(stack.steps_per_epoch, 64)
    _, each = bench.seconds(lambda: advance(stack, state, count), 0.1)
    count = 2 if bench.tiny else max(8, int(_SECONDS / _RUNS / (each / count)))
    runs = range(2 if bench.tiny else _RUNS)
    found = [bench.once(lambda: advance(stack, state, count)) / count for _ in runs]
    words = f"{1e6 * min(found):.1f} to {1e6 * max(found):.1f}, {count} steps a run"
    bench.value(name, 1e6 * float(np.median(found)), "µs a step", words)


def _tf32(bench: Bench) -> None:
    """The same where the schema knows `precision: tf32`, as a whole run."""
    made = {"synthetic": {"rows": 512, "columns": 12, "outputs": 3}}
    tree: dict[str, Any] = {"model": "softmax", "data": {"train": made}, "precision": "tf32"}
    try:
        load_spec(tree)
    except TrainerError:
        bench.note("TF32", "no precision of a run: not measured")
        return
    from benchmarks.gpu.right import weights

    rows, columns = (256, 12) if bench.tiny else (ROWS, FEATURES)
    made["synthetic"] |= {"rows": rows, "columns": columns, "outputs": OUTPUTS}
    for K in COLUMNS[:1] if bench.tiny else COLUMNS:
        with bench.attempt(f"K = {K}, a run of TF32 beside one of float32"):
            ends = {}
            for precision in ("float32", "tf32"):
                run = {**tree, "precision": precision, "sweep": _sweep(K)}
                run["optimizer"] = {"name": "sgd", "lr": 0.05, "batch_size": BATCH, "epochs": 2}
                weights(run, bench.device)
                begun = time.perf_counter()
                ends[precision] = weights(run, bench.device)
                words = "two epochs, with data and evaluations"
                seconds = time.perf_counter() - begun
                bench.value(f"K = {K}, a run of {precision}", seconds, "s", words)
            known = ends["float32"]
            off = float(abs(ends["tf32"] - known).max() / abs(known).max())
            bench.value(f"K = {K}, TF32 beside float32", off, "of max|W| apart")


def _sweep(K: int) -> dict[str, Any]:
    return {"parameters": {"penalty.l2": np.geomspace(1e-6, 1e-2, K).tolist()}}
