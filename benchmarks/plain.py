"""The loop that anyone would write in NumPy: one fit, `out=` where it helps, nothing logged."""

from __future__ import annotations

import numpy as np

from benchmarks.problems import MOMENTUM, Array, Problem


class Bare:
    """One fit of softmax or logistic regression by SGD with momentum."""

    def __init__(self, problem: Problem, lr: Array, l2: Array) -> None:
        assert len(lr) == 1
        self.problem, self.lr, self.l2 = problem, lr[0], l2[0]
        C = problem.outputs
        self.Y = (
            problem.y[:, None].astype(np.float32) if C == 1 else np.eye(C, dtype="f4")[problem.y]
        )

    def run(self) -> Array:
        """Train from zero; return the weights (D, C, 1)."""
        X, Y, C = self.problem.X, self.Y, self.problem.outputs
        D, B = X.shape[1], self.problem.batch
        W, b = np.zeros((D, C), np.float32), np.zeros(C, np.float32)
        V, v = np.zeros_like(W), np.zeros_like(b)
        Xb, Z, G = np.empty((B, D), "f4"), np.empty((B, C), "f4"), np.empty_like(W)
        for rows in self.problem.order():
            np.take(X, rows, axis=0, out=Xb, mode="clip")
            np.matmul(Xb, W, out=Z)
            Z += b
            if C == 1:
                np.negative(Z, out=Z)
                np.exp(Z, out=Z)
                Z += 1
                np.reciprocal(Z, out=Z)
            else:
                Z -= Z.max(axis=1, keepdims=True)
                np.exp(Z, out=Z)
                Z /= Z.sum(axis=1, keepdims=True)
            Z -= Y[rows]
            Z /= B
            np.matmul(Xb.T, Z, out=G)
            G += self.l2 * W
            V *= MOMENTUM
            V += G
            v *= MOMENTUM
            v += Z.sum(axis=0)
            W -= self.lr * V
            b -= self.lr * v
        return W[:, :, None]
