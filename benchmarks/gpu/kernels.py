"""Our own kernels at six shapes beside the same steps function by function; a step as a graph."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.gpu.bench import Bench
from benchmarks.gpu.stacks import advance, compiled, row_set, rows_of, stack_of, start
from trainer.train.stack import Stack

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
_REPLAYS = 200


def kernels(bench: Bench) -> None:
    """Compare weights and times of both; capture a step."""
    for shape in SHAPES:
        if bench.tiny:
            shape = tuple(max(1, size // 32) for size in shape)  # type: ignore[assignment]
        name = "{} x {} x {}, K = {}".format(*shape)
        for precision, close in CLOSE.items():
            with bench.attempt(f"{name}, {precision}"):
                _compare(bench, f"{name}, {precision}", shape, precision, close)
    _capture(bench)


def _compare(
    bench: Bench, name: str, shape: tuple[int, int, int, int], precision: str, close: float
) -> None:
    batch, features, outputs, K = shape
    X, y = rows_of(4 * batch, features, outputs, np.dtype(precision))
    rows = row_set(bench.device, X, y, outputs)
    found: dict[str, Any] = {}
    for way, wanted in (("by kernels", True), ("by functions", False)):
        with compiled(wanted):
            stack = stack_of(bench.device, rows, outputs, np.geomspace(0.01, 0.1, K), batch=batch)
        state = start(stack)
        advance(stack, state, 2 if bench.tiny else _STEPS)
        found[way] = bench.device.to_host(state.weights)
        _, each = bench.seconds(lambda s=stack, t=state: advance(s, t, 8))  # type: ignore[misc]
        bench.value(f"{name}, {way}", 1e6 * each / 8, "µs a step")
    kernels_, functions = found.values()
    off = float(abs(kernels_ - functions).max() / abs(functions).max())
    bench.check(name, off <= close, f"{off:.0e} of max|W| apart, {close:.0e} at most")


def _capture(bench: Bench) -> None:
    """Capture steps as graphs: what cannot be captured waits, or copies, or is refused by CuPy."""
    if not hasattr(bench.xp.cuda, "Stream"):
        bench.note("a step as a graph", "the double has no streams")
        return
    X, y = rows_of(1024, 784, 10)
    stack = stack_of(bench.device, row_set(bench.device, X, y, 10), 10, np.full(64, 0.05))
    with bench.attempt("the two kernels of a step as a graph"):
        _replay(bench, "the two kernels of a step as a graph", stack, products=False)
    try:
        _replay(bench, "a whole step as a graph", stack, products=True)
    except Exception as error:  # of CuPy, which may refuse cuBLAS in a capture
        bench.note("a whole step as a graph", f"{type(error).__name__}: {error}"[:200])


def _replay(bench: Bench, name: str, stack: Stack, products: bool) -> None:
    """Capture a step of a stack, with its products or without, and time its replays."""
    xp, stream = bench.xp, bench.xp.cuda.Stream(non_blocking=True)
    state = start(stack)
    with stream:
        advance(stack, state, 2)  # all that is made at first use
        part, halves = stack.batches.parts(2)[0], stack._halves
        stream.synchronize()
        stream.begin_capture()
        try:
            if products:
                stack._step(state, 2, 1, True, None)
            else:
                halves.errors(part, 1, True, stack._grad, None)
                halves.move(1, True, None)
        finally:
            graph = stream.end_capture()
        _, each = bench.seconds(lambda: graph.launch(stream))
        many = [bench.seconds(lambda: graph.launch(stream))[1] for _ in range(3)]
    bench.value(name, 1e6 * min([each, *many]), "µs a replay", f"on {xp.__name__}")
