"""What single calls cost: the host's time of a call, the device's, its bandwidth and arithmetic."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.gpu.bench import Bench
from trainer.streams import shuffle

_ROWS = 11_000_000
_SIZE = 8192  # of square products
_COPIED = 2**30  # bytes
_NODES = 1000
_NOTHING = 'extern "C" __global__ void nothing() {}'


def primitives(bench: Bench) -> None:
    """Time them, each for itself: what raises costs its own line alone."""
    parts = _calls, _products, _copies, _orders, _launches
    for part in parts:
        with bench.attempt(part.__name__.strip("_")):
            part(bench)


def _calls(bench: Bench) -> None:
    """Calls so small that they are all overhead."""
    xp = bench.xp
    a, b = xp.ones((16, 64), np.float32), xp.ones((16, 64), np.float32)
    out = xp.empty((16, 64), np.float32)
    square, into = xp.ones((16, 16), np.float32), xp.empty((16, 16), np.float32)
    many, several = xp.ones((64, 16, 16), np.float32), xp.empty((64, 16, 16), np.float32)
    rows, places = xp.ones((4096, 784), np.float32), xp.arange(256)
    taken = xp.empty((256, 784), np.float32)
    calls: dict[str, Callable[[], object]] = {
        "a ufunc": lambda: xp.add(a, b, out=out),
        "a ufunc that allocates": lambda: xp.add(a, b),
        "a product": lambda: xp.matmul(square, square, out=into),
        "a batched product": lambda: xp.matmul(many, many, out=several),
        "a view": lambda: a[3:],
        "a sum": lambda: xp.sum(a, axis=0),
        "256 rows of 784 taken": lambda: bench.device.take_rows(rows, places, taken),
        "a number fetched": lambda: bench.device.to_host(a[0, :1]),
    }
    for name, call in calls.items():
        with bench.attempt(name):
            host, all_ = bench.seconds(call)
            bench.value(f"{name}, on the host", 1e6 * host, "µs")
            bench.value(f"{name}, to its end", 1e6 * all_, "µs")


def _products(bench: Bench) -> None:
    """Large products, and the two of a step."""
    n = 64 if bench.tiny else _SIZE
    for name, precision, tf32 in (
        ("float32", np.float32, False),
        ("TF32", np.float32, True),
        ("float64", np.float64, False),
    ):
        with bench.attempt(f"{n} x {n} x {n}, {name}"), _allowing_tf32(bench, tf32):
            _product(bench, f"{n} x {n} x {n}, {name}", (n, n, n), precision, False)
            for K in (1, 64, 1024):
                wide = 10 * K
                shape = (8, 16, wide) if bench.tiny else (256, 784, wide)
                _product(bench, f"X·W of a step, K = {K}, {name}", shape, precision, False)
                _product(bench, f"Xᵀ·dz of a step, K = {K}, {name}", shape, precision, True)


class _allowing_tf32:
    """Within, CuPy's products of float32 may be in TF32."""

    def __init__(self, bench: Bench, wanted: bool) -> None:
        self._wanted, self._linalg = wanted and not bench.tiny, None
        if self._wanted:
            from cupy._core import _routines_linalg

            self._linalg = _routines_linalg

    def __enter__(self) -> None:
        linalg: Any = self._linalg
        if self._wanted:
            self._before = linalg.get_compute_type(np.dtype(np.float32))
            linalg.set_compute_type(np.dtype(np.float32), linalg.COMPUTE_TYPE_TF32)

    def __exit__(self, *_: object) -> None:
        linalg: Any = self._linalg
        if self._wanted:
            linalg.set_compute_type(np.dtype(np.float32), self._before)


def _product(
    bench: Bench, name: str, shape: tuple[int, int, int], dtype: Any, turned: bool
) -> None:
    n, m, k = shape
    draw = np.random.default_rng(0)
    put = bench.device.to_device
    a = put(draw.standard_normal((n, m), dtype=np.float32), dtype)
    b = put(draw.standard_normal((n, k) if turned else (m, k), dtype=np.float32), dtype)
    out = bench.xp.empty((m, k) if turned else (n, k), dtype)
    left = a.T if turned else a
    _, each = bench.seconds(lambda: bench.device.matmul(left, b, out=out))
    bench.value(name, 2.0 * n * m * k / each / 1e12, "TFLOP/s", f"{1e6 * each:.1f} µs")


def _copies(bench: Bench) -> None:
    """Bandwidth: on the device, to it and back."""
    size = 2**16 if bench.tiny else _COPIED
    there = bench.xp.ones(size // 4, np.float32)
    other = bench.xp.empty(size // 4, np.float32)
    _, each = bench.seconds(lambda: bench.xp.copyto(other, there))
    bench.value("a copy on the device, read and written", 2 * size / each / 1e9, "GB/s")
    _, each = bench.seconds(lambda: bench.xp.add(there, other, out=other))
    bench.value("a sum of two arrays, read and written", 3 * size / each / 1e9, "GB/s")
    host = np.ones((size // 400, 100), np.float32)
    start = time.perf_counter()
    put = bench.device.to_device(host)
    bench.wait()
    bench.value("rows to the device", host.nbytes / (time.perf_counter() - start) / 1e9, "GB/s")
    start = time.perf_counter()
    bench.device.to_host(put)
    bench.value("rows to the host", host.nbytes / (time.perf_counter() - start) / 1e9, "GB/s")


def _orders(bench: Bench) -> None:
    """The order of an epoch, on the device and on the host: the same integers."""
    n = 10_000 if bench.tiny else _ROWS
    start = time.perf_counter()
    known = shuffle(1, 2, n)
    bench.value(f"an order of {n:,} rows by the host", 1e3 * (time.perf_counter() - start), "ms")
    _, each = bench.seconds(lambda: shuffle(1, 2, n, bench.xp))
    bench.value(f"an order of {n:,} rows by the device", 1e3 * each, "ms")
    found = bench.device.to_host(shuffle(1, 2, n, bench.xp))
    bench.check(f"an order of {n:,} rows: the same integers", bool((found == known).all()))


def _launches(bench: Bench) -> None:
    """A kernel that does nothing: launched, and as a node of a graph."""
    xp = bench.xp
    if not hasattr(xp, "RawKernel") or not hasattr(xp.cuda, "Stream"):
        bench.note("a launch, and a node of a graph", "the double has neither")
        return
    nothing = xp.RawKernel(_NOTHING, "nothing")
    host, all_ = bench.seconds(lambda: nothing((1,), (32,), ()))
    bench.value("a launch of our own kernel, on the host", 1e6 * host, "µs")
    bench.value("a launch of our own kernel, to its end", 1e6 * all_, "µs")
    stream = xp.cuda.Stream(non_blocking=True)
    with stream:
        nothing((1,), (32,), ())
        stream.synchronize()
        stream.begin_capture()
        for _ in range(_NODES):
            nothing((1,), (32,), ())
        graph = stream.end_capture()
        _, each = bench.seconds(lambda: graph.launch(stream))
    bench.value("a node of a graph", 1e6 * each / _NODES, "µs", f"of {_NODES:,} that do nothing")
