"""Stacks of an optimizer's steps for the parts: shapes, columns, what their steps take."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import Any

import numpy as np

from benchmarks.gpu.bench import Bench
from trainer.device import Device
from trainer.machine.threads import one_thread_a_product
from trainer.model import MODELS
from trainer.optim.schedules import LrSchedule
from trainer.train.batches import RowSet
from trainer.train.stack import FirstOrderState, Settings, Stack

Array = np.ndarray[Any, Any]
_HYPER = {"momentum": 0.9, "beta1": 0.9, "beta2": 0.999, "eps": 1e-8, "weight_decay": 0.0}
_GRAPHS, _TWIN = "STACKED_TRAINER_GRAPHS", "STACKED_TRAINER_COMPILED"
WAYS = {
    "by graphs": {},
    "by kernels": {_GRAPHS: "0"},
    "by functions": {_TWIN: "0"},
}
"""How steps are taken: CUDA graphs of many, our own kernels one by one, function by function."""


def rows_of(n: int, features: int, outputs: int, dtype: Any = np.float32) -> tuple[Array, Array]:
    """Gaussian rows (n, D) and class codes (n,), or 0 and 1 (n, 1) for one output."""
    draw = np.random.default_rng(0)
    X = draw.standard_normal((n, features), dtype=np.float32)
    z = X @ draw.standard_normal((features, outputs), dtype=np.float32)
    y = z.argmax(axis=1) if outputs > 1 else (z > 0).astype(dtype)
    return np.asarray(X, dtype), y


def row_set(device: Device, X: Array, y: Array, outputs: int) -> RowSet:
    """Rows on the device, each with the same weight."""
    even = np.full(len(X), 1.0 / len(X))
    return RowSet(device, X, y, even, even, outputs)


def stack_of(
    device: Device,
    rows: RowSet,
    outputs: int,
    lr: Any,
    *,
    batch: int | None = 256,
    optimizer: str = "sgd",
    l1: float = 0.0,
    steps: int = 1 << 20,
    every: int = 1,
    tf32: bool = False,
) -> Stack:
    """A stack of a column a learning rate; of one output logistic, else softmax."""
    rates = np.asarray(lr, float)
    K = len(rates)
    all_steps, none = np.full(K, float(steps)), np.zeros(K)
    schedule = LrSchedule(
        name="constant",
        lr=rates,
        steps=all_steps,
        warmup=none,
        final=none,
        gamma=np.ones(K),
        milestones=np.zeros(0),
        length=all_steps,
    )
    hyper = {name: np.full(K, value) for name, value in _HYPER.items()}
    hyper |= {"l2": np.full(K, 1e-4), "l1": np.full(K, l1)}
    model = MODELS["softmax" if outputs > 1 else "logistic", "auto"]
    more: dict[str, Any] = {"tf32": True} if tf32 else {}
    settings = Settings(optimizer, schedule, hyper, True, batch, 0, every, **more)
    return Stack(device, model, rows, outputs, settings)


def start(stack: Stack) -> FirstOrderState:
    """The state at weights that are 0."""
    return stack.start(np.zeros(stack.shape), np.zeros(stack.shape[1:]))


@one_thread_a_product()
def advance(stack: Stack, state: FirstOrderState, steps: int) -> None:
    """Take steps, fetching their log stretch by stretch."""
    until = state.step + steps
    while state.step < until:
        stack.advance(state, until)


def ways(device: Device) -> list[str]:
    """Those of `WAYS` that a device has."""
    graphs = getattr(device, "products", None) is not None
    return [way for way in WAYS if graphs or way != "by graphs"]


def has_tf32(device: Device) -> bool:
    """Whether stacks can be told to multiply in TF32, and the device does."""
    return "tf32" in Settings.__dataclass_fields__ and bool(getattr(device, "tf32", False))


def check_graphs(bench: Bench) -> None:
    """Note whether all steps "by graphs" so far were: what cannot be captured goes one by one."""
    products = getattr(bench.device, "products", None)
    if products is None:
        why = getattr(bench.device, "no_graphs", "") or "steps are launched one by one"
        bench.note("CUDA graphs", f"none: {why}")
        return
    bench.check("CUDA graphs of steps", not products.failed, products.failed)


@contextlib.contextmanager
def taken(way: str) -> Iterator[None]:
    """Within, stacks are made that take their steps in one of `WAYS`."""
    names = (_GRAPHS, _TWIN)
    before = {name: os.environ.pop(name) for name in names if name in os.environ}
    os.environ.update(WAYS[way])
    try:
        yield
    finally:
        for name in names:
            os.environ.pop(name, None)
        os.environ.update(before)


class Columns:
    """Stacks of one width on the same rows, of which single columns are compared to the bit.

    Args:
        device: where.
        precision: of rows and weights.
        K: columns.
        outputs: of each.
        tiny: few rows and steps.
    """

    def __init__(self, device: Device, precision: str, K: int, outputs: int, tiny: bool) -> None:
        self._device, self._outputs, self._steps = device, outputs, 4 if tiny else 40
        n, features = (128, 7) if tiny else (4_096, 784)
        X, y = rows_of(n, features, outputs, np.dtype(precision))
        self._rows = row_set(device, X, y, outputs)
        self._lr = np.geomspace(0.003, 0.3, K)
        self._batch = 32 if tiny else 256
        self._known = self._trained(self._lr)

    def _trained(self, lr: Array) -> Array:
        stack = stack_of(self._device, self._rows, self._outputs, lr, batch=self._batch)
        state = start(stack)
        advance(stack, state, self._steps)
        found: Array = self._device.to_host(state.weights)
        return found

    def again(self) -> bool:
        """Whether a second training ends with the same bits."""
        return _same(self._trained(self._lr), self._known)

    def beside_others(self) -> bool:
        """Whether a column keeps its bits where all others have other settings, some absurd."""
        others = np.full(len(self._lr), 1e9)
        others[::3] = 0.01
        for k in {0, len(self._lr) // 2, len(self._lr) - 1}:
            lr = others.copy()
            lr[k] = self._lr[k]
            if not _same(self._trained(lr)[..., k], self._known[..., k]):
                return False
        return True

    def moved(self) -> bool:
        """Whether columns keep their bits where they stand in the reverse order."""
        return _same(self._trained(self._lr[::-1])[..., ::-1], self._known)


def _same(a: Array, b: Array) -> bool:
    return a.tobytes() == b.tobytes()
