"""Rows that are timed, the order of their batches, and K learning rates and penalties."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from trainer.streams import shuffle

Array = np.ndarray[Any, Any]
MOMENTUM = 0.9


@dataclass(frozen=True)
class Problem:
    """One timed problem.

    Attributes:
        name: as the table calls it.
        model: "softmax" or "logistic".
        X: (N, D) float32.
        y: (N,) int64 class codes; 0 and 1 for logistic.
        outputs: C.
        batch: rows of a batch.
        steps: steps that are timed; whole batches only.
    """

    name: str
    model: str
    X: Array
    y: Array
    outputs: int
    batch: int
    steps: int

    def order(self) -> Array:
        """Rows of each step, (steps, batch): the order that every contender follows."""
        per_epoch = len(self.X) // self.batch
        epochs = -(-self.steps // per_epoch)
        whole = [shuffle(0, e, len(self.X))[: per_epoch * self.batch] for e in range(epochs)]
        return np.concatenate(whole).reshape(-1, self.batch)[: self.steps]


def settings(K: int) -> tuple[Array, Array]:
    """K learning rates and K penalties l2, (K,) float32 each: one plain pair, or a spread."""
    if K == 1:
        return np.array([0.05], np.float32), np.array([1e-4], np.float32)
    lr = np.geomspace(0.005, 0.1, K)
    l2 = np.geomspace(1e-6, 1e-2, K)[np.argsort(shuffle(1, 0, K))]
    return lr.astype(np.float32), l2.astype(np.float32)


def synthetic(name: str, rows: int, columns: int, outputs: int, batch: int, steps: int) -> Problem:
    """Gaussian rows with noisy linear labels."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((rows, columns), dtype=np.float32)
    z = X @ rng.standard_normal((columns, outputs), dtype=np.float32) / np.sqrt(columns)
    z += rng.standard_normal(z.shape, dtype=np.float32)
    model = "logistic" if outputs == 1 else "softmax"
    y = (z[:, 0] > 0).astype(np.int64) if outputs == 1 else z.argmax(axis=1)
    return Problem(name, model, X, y, outputs, batch, steps)
