"""Our own kernels at six shapes, one by one and as CUDA graphs, beside steps by functions."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.gpu.bench import Bench
from benchmarks.gpu.stacks import (
    advance,
    check_graphs,
    row_set,
    rows_of,
    stack_of,
    start,
    taken,
    ways,
)

SHAPES = (  # rows of a batch, features, outputs, columns
    (256, 784, 10, 1),
    (256, 784, 10, 64),
    (256, 784, 10, 1024),
    (256, 28, 1, 64),
    (128, 64, 10, 256),
    (1024, 512, 100, 16),
)
CLOSE = {"float32": 5e-4, "float64": 1e-9}  # of max|W| after `_STEPS`
_STEPS = 20


def kernels(bench: Bench) -> None:
    """Compare weights and times of each way to take a step."""
    for shape in SHAPES:
        if bench.tiny:
            shape = tuple(max(1, size // 32) for size in shape)  # type: ignore[assignment]
        name = "{} x {} x {}, K = {}".format(*shape)
        for precision, close in CLOSE.items():
            with bench.attempt(f"{name}, {precision}"):
                _compare(bench, f"{name}, {precision}", shape, precision, close)
    check_graphs(bench)


def _compare(
    bench: Bench, name: str, shape: tuple[int, int, int, int], precision: str, close: float
) -> None:
    batch, features, outputs, K = shape
    X, y = rows_of(4 * batch, features, outputs, np.dtype(precision))
    rows = row_set(bench.device, X, y, outputs)
    found: dict[str, Any] = {}
    for way in ways(bench.device):
        with taken(way):
            stack = stack_of(bench.device, rows, outputs, np.geomspace(0.01, 0.1, K), batch=batch)
            state = start(stack)
            advance(stack, state, 6 if bench.tiny else _STEPS)
            found[way] = bench.device.to_host(state.weights)
            _, each = bench.seconds(lambda s=stack, t=state: advance(s, t, 8))  # type: ignore[misc]
        bench.value(f"{name}, {way}", 1e6 * each / 8, "µs a step")
    kernels_, functions = found["by kernels"], found["by functions"]
    off = float(abs(kernels_ - functions).max() / abs(functions).max())
    bench.check(name, off <= close, f"{off:.0e} of max|W| apart, {close:.0e} at most")
    if "by graphs" in found:
        same = found["by graphs"].tobytes() == kernels_.tobytes()
        bench.check(f"{name}: a graph changes no bit", same)
