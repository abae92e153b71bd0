"""JAX: K fits at once by vmap over a jitted scan; K = 1 is one jitted scan."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.problems import MOMENTUM, Array, Problem


class Scan:
    """`jit(vmap(scan))` over the steps of all fits."""

    def __init__(self, problem: Problem, lr: Array, l2: Array) -> None:
        self.lr, self.l2 = jnp.asarray(lr), jnp.asarray(l2)
        self.X, self.order = jnp.asarray(problem.X), jnp.asarray(problem.order())
        C, D = problem.outputs, problem.X.shape[1]
        self.y = jnp.asarray(problem.y if C > 1 else problem.y[:, None].astype("f4"))

        def objective(params: Any, X: Any, y: Any, l2: Any) -> Any:
            W, b = params
            z = X @ W + b
            if C > 1:
                log_p = jax.nn.log_softmax(z)
                data = -jnp.take_along_axis(log_p, y[:, None], axis=1).mean()
            else:
                data = (jax.nn.softplus(z) - y * z).mean()
            return data + l2 / 2 * (W * W).sum()

        def fit(lr: Any, l2: Any, X: Any, y: Any, order: Any) -> Any:
            zeros = (jnp.zeros((D, C)), jnp.zeros(C))

            def step(carry: Any, rows: Any) -> Any:
                params, velocity = carry
                grads = jax.grad(objective)(params, X[rows], y[rows], l2)
                velocity = jax.tree.map(lambda v, g: MOMENTUM * v + g, velocity, grads)
                params = jax.tree.map(lambda p, v: p - lr * v, params, velocity)
                return (params, velocity), None

            (params, _), _ = jax.lax.scan(step, (zeros, zeros), order)
            return params

        many = jax.vmap(fit, in_axes=(0, 0, None, None, None), out_axes=(2, 1))
        self.fit = jax.jit(many)

    def run(self) -> Array:
        """Train all from zero; return the weights (D, C, K)."""
        return np.asarray(self.fit(self.lr, self.l2, self.X, self.y, self.order)[0])


class Loop(Scan):
    """The same jitted scan, one fit after another."""

    def run(self) -> Array:
        """Train all from zero; return the weights (D, C, K)."""
        fits = [
            self.fit(self.lr[k : k + 1], self.l2[k : k + 1], self.X, self.y, self.order)
            for k in range(len(self.lr))
        ]
        return np.concatenate([np.asarray(weights) for weights, _ in fits], axis=2)
