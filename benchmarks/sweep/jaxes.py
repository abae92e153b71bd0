"""JAX: all trials of a fold at once by vmap over a jitted scan, fold by fold."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.sgd import jaxes
from benchmarks.shared.problems import Array
from benchmarks.sweep.cases import Case
from benchmarks.sweep.work import Work


class Scan:
    """Compiled once for all folds and all runs; nothing is logged."""

    def __init__(self, case: Case, work: Work) -> None:
        self.case, self.work = work.of(case), work
        first = self.case.problem(self.case.splits[0][0])
        self.scan = jaxes.Scan(first, len(work.lr), log=False)
        self.lr, self.l2 = jnp.asarray(work.lr, "f4"), jnp.asarray(work.l2, "f4")
        self.losses = jax.jit(_losses)

    def run(self) -> Array:
        """Mean val loss of each trial, (K,)."""
        order, scores = jnp.asarray(self.case.order), []
        for train, val in self.case.splits:
            X, y = self._rows(train)
            (W, b), _ = self.scan.fit(self.lr, self.l2, X, y, order)
            X, y = self._rows(val)
            n = next(n for n in range(min(1000, len(X)), 0, -1) if len(X) % n == 0)
            blocks = X.reshape(-1, n, X.shape[1]), y.reshape(-1, n, y.shape[1])
            scores.append(np.asarray(self.losses(*blocks, W, b)) / len(X))
        return np.asarray(np.mean(scores, axis=0))

    def _rows(self, rows: Array) -> tuple[Any, Any]:
        X = jnp.asarray(self.case.X[rows])
        return X, jaxes.targets(self.case.y[rows], self.case.outputs)


def _losses(X: Any, y: Any, W: Any, b: Any) -> Any:
    """Loss summed over rows, (K,), block by block of rows."""

    def block(total: Any, rows: Any) -> Any:
        X, y = rows
        z = jnp.einsum("nd,dck->nck", X, W) + b
        y = y[:, :, None]
        several = z.shape[1] > 1
        loss = -y * jax.nn.log_softmax(z, axis=1) if several else jax.nn.softplus(z) - y * z
        return total + loss.sum((0, 1)), None

    return jax.lax.scan(block, jnp.zeros(W.shape[2]), (X, y))[0]
