"""JAX: all trials of a fold at once by vmap over a jitted scan, fold by fold."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import jaxes
from benchmarks.problems import Array
from benchmarks.sweep.work import Work


class Scan:
    """Compiled once for all folds and all runs."""

    def __init__(self, work: Work) -> None:
        self.work = work
        case = work.case
        lr, l2 = work.lr.astype("f4"), work.l2.astype("f4")
        self.scan = jaxes.Scan(case.problem(case.splits[0][0]), lr, l2)
        self.losses = jax.jit(_losses)

    def run(self) -> Array:
        """Mean val loss of each trial, (K,)."""
        scan, scores = self.scan, []
        for train, val in self.work.case.splits:
            X, y = self._rows(train)
            W, b = scan.fit(scan.lr, scan.l2, X, y, scan.order)
            X, y = self._rows(val)
            n = next(n for n in range(min(1000, len(X)), 0, -1) if len(X) % n == 0)
            blocks = X.reshape(-1, n, X.shape[1]), y.reshape(-1, n, *y.shape[1:])
            scores.append(np.asarray(self.losses(*blocks, W, b)) / len(X))
        return np.asarray(np.mean(scores, axis=0))

    def _rows(self, rows: Array) -> tuple[Any, Any]:
        case = self.work.case
        y = case.y[rows] if case.outputs > 1 else case.y[rows, None].astype("f4")
        return jnp.asarray(case.X[rows]), jnp.asarray(y)


def _losses(X: Any, y: Any, W: Any, b: Any) -> Any:
    """Loss summed over rows, (K,), block by block of rows."""

    def block(total: Any, rows: Any) -> Any:
        X, y = rows
        z = jnp.einsum("nd,dck->nck", X, W) + b
        if y.ndim == 1:
            loss = -jnp.take_along_axis(jax.nn.log_softmax(z, axis=1), y[:, None, None], axis=1)
        else:
            loss = jax.nn.softplus(z) - y[:, :, None] * z
        return total + loss.sum((0, 1)), None

    return jax.lax.scan(block, jnp.zeros(W.shape[2]), (X, y))[0]
