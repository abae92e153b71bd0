"""Two problems that fill a GPU: many rows of few features, and many outputs of many columns."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from benchmarks.gpu.bench import Bench
from benchmarks.gpu.stacks import row_set, stack_of, start
from benchmarks.shared.processes import Contender, processes, stored
from benchmarks.shared.worker import ABSENT
from trainer.config import load_spec
from trainer.machine.threads import one_thread_a_product
from trainer.model.arithmetic import default_errstate
from trainer.sweep.sweep import set_up

HIGGS = 11_000_000, 28
IMAGENET = 1_280_000, 768, 1000
_PENALTIES = 96
_BLOCK = 1 << 16  # rows that one thread draws at once
_PEER_ROWS = 1_000_000  # whose pickle a process can be given

Array = np.ndarray[Any, Any]


def drawn(rows: int, features: int, classes: int) -> tuple[Array, Array]:
    """Gaussian rows (N, D) float32, by some threads, and classes (N,) that depend on them."""
    X = np.empty((rows, features), np.float32)
    y = np.empty(rows, np.int64)
    W = np.random.default_rng(1).standard_normal((features, classes), dtype=np.float32)

    def fill(at: int) -> None:
        part = slice(at, min(at + _BLOCK, rows))
        draw = np.random.default_rng((2, at))
        draw.standard_normal(out=X[part], dtype=np.float32)
        noise = draw.standard_normal((part.stop - at, 1), dtype=np.float32)
        y[part] = (X[part] @ W + noise * np.arange(classes) / classes).argmax(axis=1)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(fill, range(0, rows, _BLOCK)))
    return X, y


@default_errstate
def higgs(bench: Bench) -> None:
    """Full-batch steps and rounds of L-BFGS of a logistic regression, and cuML's fit of a part."""
    rows, features = (4_096, 28) if bench.tiny else HIGGS
    begun = time.perf_counter()
    X, y = drawn(rows, features, 2)
    bench.value("drawn on the host", time.perf_counter() - begun, "s")
    with bench.attempt("steps of the full batch"):
        seconds = bench.once(lambda: row_set(bench.device, X, y[:, None].astype(np.float32), 1))
        bench.value("rows to the device", seconds, "s", f"{X.nbytes / 1e9:.2f} GB")
        there = row_set(bench.device, X, y[:, None].astype(np.float32), 1)
        for K in (1, 3) if bench.tiny else (1, 64):
            stack = stack_of(bench.device, there, 1, np.geomspace(0.01, 0.1, K), batch=None)
            state = start(stack)
            with one_thread_a_product():
                stack.advance(state, 1)
                taken = bench.once(lambda s=stack, t=state: s.advance(t, 9))  # type: ignore[misc]
            each = taken / (state.step - 1)
            bench.value(f"K = {K}, a step of the full batch", 1e3 * each, "ms")
            del stack, state
        del there
    for K in (1, 3) if bench.tiny else (1, 64):
        with bench.attempt(f"K = {K}, rounds of L-BFGS"):
            _rounds(bench, f"K = {K}", X, y, "logistic", np.geomspace(1e-6, 1e-2, K), 5)
    _cuml(bench, X, y)


@default_errstate
def imagenet(bench: Bench) -> None:
    """Passes over the rows in float64 for 96 penalties at once, and what memory they take."""
    rows, features, classes = (2_048, 16, 10) if bench.tiny else IMAGENET
    K = 4 if bench.tiny else _PENALTIES
    begun = time.perf_counter()
    X, y = drawn(rows, features, classes)
    bench.value("drawn on the host", time.perf_counter() - begun, "s")
    _rounds(bench, f"K = {K}", X, y, "softmax", np.geomspace(1e-6, 1e2, K), 2)


def _rounds(bench: Bench, name: str, X: Array, y: Array, model: str, l2: Array, count: int) -> None:
    """Set up a solver's stack as a run does, and take rounds of it."""
    data = {"train": "arrays", "val": "none", "scale": "none"}
    tree = {"model": model, "data": data, "optimizer": {"name": "lbfgs", "tol": 1e-14}}
    tree["sweep"] = {"parameters": {"penalty.l2": [float(one) for one in l2]}}
    with bench.device.enough_memory(), one_thread_a_product():
        begun = time.perf_counter()
        sweep = set_up(load_spec(tree), {"train": (X, y)}, bench.device)
        bench.value(f"{name}, the data set up", time.perf_counter() - begun, "s")
        stack = sweep.first.stack(slice(None))
        made: list[Any] = []
        zeros = np.zeros(stack.shape), np.zeros(stack.shape[1:])
        seconds = bench.once(lambda: made.append(stack.start(*zeros)))
        bench.value(f"{name}, the solver's start", seconds, "s")
        (state,) = made
        for number in range(count):
            seconds = bench.once(lambda: stack.advance(state, state.step + 1))
            bench.value(f"{name}, round {number + 1}", seconds, "s")
    _memory(bench, name)


def _memory(bench: Bench, name: str) -> None:
    pool = bench.xp.get_default_memory_pool()
    words = f"{pool.used_bytes() / 1e9:.2f} GB of it in use"
    bench.value(f"{name}, memory that the pool has taken", pool.total_bytes() / 1e9, "GB", words)


def _cuml(bench: Bench, X: Array, y: Array) -> None:
    """A fit of cuML's beside ours of the same rows, from the host's arrays to the optimum."""
    n = min(len(X), _PEER_ROWS)
    data = X[:n], y[:n].astype(np.float32)
    l2 = 1e-4
    who = Contender("cuML", "benchmarks.gpu.contenders:CuMl", {"C": 1 / (l2 * n)})
    name = f"a fit of {n:,} rows, cuML"
    with stored(data) as path, processes([who], path) as (process,):
        words = process.make(max(1.0, min(30.0, bench.left() - 2))).words
        if words.endswith(ABSENT):
            bench.note(name, words)
            return
        replies = [process.call("run", limit=max(1.0, min(20.0, bench.left() - 1))) for _ in "12"]
    if words or replies[1].words:
        bench.check(name, False, words or replies[1].words)
        return
    bench.value(name, replies[1].wall, "s", "its second")
    known = replies[1].value
    fits: list[Callable[[], Array]] = [lambda: _ours(bench, X[:n], y[:n], l2)] * 2
    found = [fit() for fit in fits[:1]]
    bench.value(
        f"a fit of {n:,} rows, ours", bench.once(fits[1]), "s", "its second, data set up anew"
    )
    off = float(abs(found[0] - known).max() / abs(known).max())
    bench.check(f"{name}: weights", off < 1e-2, f"{off:.0e} of max|W| from ours")


def _ours(bench: Bench, X: Array, y: Array, l2: float) -> Array:
    from trainer.sweep.sweep import train
    from trainer.workflow.recorder import NullObserver

    data = {"train": "arrays", "val": "none", "scale": "none"}
    tree = {"model": "logistic", "data": data, "penalty": {"l2": l2}, "optimizer": {"name": "auto"}}
    with one_thread_a_product():
        sweep = set_up(load_spec(tree), {"train": (X, y)}, bench.device)
        train(sweep, NullObserver(lambda: None))
    found = sweep.jobs[0].training.result.weights
    assert found is not None
    return np.asarray(found)[:, 0, 0]
