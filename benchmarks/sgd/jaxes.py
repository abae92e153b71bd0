"""JAX: K fits at once, a jitted scan over the steps, by vmap or stacked by hand.

Gradients are written out, and under vmap sums are products with ones: XLA makes quicker code of
both than of jax.grad and sums. A run shuffles once an epoch, by the same order as ours, and where
it logs it returns the five numbers of every step that ours does: loss, error_rms, error_max,
dz_rms, grad_norm.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.shared.problems import MOMENTUM, Array, Problem, settings


class Scan:
    """`jit(vmap(scan))` of one fit.

    Args:
        problem: the rows.
        K: fits.
        log: whether the five numbers of every step are returned.
    """

    def __init__(self, problem: Problem, K: int, log: bool = True) -> None:
        self.problem = problem
        self.lr, self.l2 = (jnp.asarray(values) for values in settings(K))
        self.X, self.y = jnp.asarray(problem.X), targets(problem.y, problem.outputs)
        self.fit = jax.jit(self._all(int(problem.X.shape[1]), problem.outputs, K, log))

    def _all(self, D: int, C: int, K: int, log: bool) -> Any:
        def fit(lr: Any, l2: Any, X: Any, y: Any, order: Any) -> Any:
            return _scan(_one(l2, C), (D, C), lr, X, y, order, log)

        return jax.vmap(fit, in_axes=(0, 0, None, None, None), out_axes=((2, 1), 1))

    def run(self) -> Array:
        """Train all from zero; return the weights (D, C, K)."""
        order = jnp.asarray(self.problem.order())
        (W, _), logged = self.fit(self.lr, self.l2, self.X, self.y, order)
        for values in logged:
            np.asarray(values)  # (S, K), on the host
        return np.asarray(W)


class ByHand(Scan):
    """`jit(scan)` over W (D, C·K): one matrix product for all fits, as ours."""

    def _all(self, D: int, C: int, K: int, log: bool) -> Any:
        def fit(lr: Any, l2: Any, X: Any, y: Any, order: Any) -> Any:
            errors = _many(jnp.tile(l2, C), C, K)
            (W, b), logged = _scan(errors, (D, C * K), jnp.tile(lr, C), X, y, order, log)
            return (W.reshape(D, C, K), b.reshape(C, K)), logged

        return fit


def targets(y: Array, C: int) -> Any:
    """One-hot rows (N, C), or (N, 1) of 0 and 1."""
    return jnp.asarray(np.eye(C, dtype="f4")[y] if C > 1 else y[:, None].astype("f4"))


def _scan(
    errors: Any, shape: tuple[int, int], lr: Any, X: Any, y: Any, order: Any, log: bool
) -> Any:
    """SGD with momentum from zero over the batches of an order (S, B)."""
    zeros = (jnp.zeros(shape), jnp.zeros(shape[1]))

    def step(carry: Any, rows: Any) -> Any:
        params, velocity = carry
        grads, logged = errors(*params, X[rows], y[rows])
        velocity = jax.tree.map(lambda v, g: MOMENTUM * v + g, velocity, grads)
        params = jax.tree.map(lambda p, v: p - lr * v, params, velocity)
        return (params, velocity), logged if log else ()

    (params, _), logged = jax.lax.scan(step, (zeros, zeros), order)
    return params, logged


def _one(l2: Any, C: int) -> Any:
    """Gradients and the five numbers of one fit, W (D, C)."""

    def errors(W: Any, b: Any, X: Any, y: Any) -> Any:
        error, loss = _errors(X @ W + b, y, C)
        ones, e = jnp.ones(len(X)), error.reshape(-1)
        dz = error / len(X)
        G = X.T @ dz + l2 * W
        g = G.reshape(-1)
        rms, norm = jnp.sqrt(e @ e / e.size), jnp.sqrt(g @ g)
        return (G, ones @ dz), (ones @ loss / len(X), rms, abs(error).max(0).max(), rms, norm)

    return errors


def _many(l2: Any, C: int, K: int) -> Any:
    """The same of K fits, W (D, C·K)."""

    def errors(W: Any, b: Any, X: Any, y: Any) -> Any:
        B, D = X.shape
        error, loss = _errors((X @ W + b).reshape(B, C, K), y[:, :, None], C)
        dz = error.reshape(B, C * K) / B
        G = X.T @ dz + l2 * W
        rms = jnp.sqrt((error * error).mean((0, 1)))
        norm = jnp.sqrt((G * G).reshape(D, C, K).sum((0, 1)))
        return (G, dz.sum(0)), (loss.mean(0), rms, abs(error).max((0, 1)), rms, norm)

    return errors


def _errors(z: Any, y: Any, C: int) -> Any:
    """ŷ − y and each row's loss, of scores (B, C, …)."""
    if C == 1:
        return jax.nn.sigmoid(z) - y, (jax.nn.softplus(z) - y * z).sum(1)
    shifted = z - z.max(1, keepdims=True)
    e = jnp.exp(shifted)
    total = e.sum(1, keepdims=True)
    return e / total - y, jnp.log(total[:, 0]) - (y * shifted).sum(1)
