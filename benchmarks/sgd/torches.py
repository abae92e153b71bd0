"""PyTorch: one model eagerly or compiled, K of them in a loop, K at once by torch.func.vmap."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch.nn import functional

from benchmarks.shared.problems import MOMENTUM, Array, Problem, settings


def tensors(problem: Problem) -> tuple[Any, Any]:
    """Rows and targets."""
    y = torch.from_numpy(problem.y)
    if problem.outputs == 1:
        y = y[:, None].float()
    return torch.from_numpy(problem.X), y


def loss(z: Any, y: Any) -> Any:
    """Mean cross-entropy of the scores."""
    if y.ndim == 1:
        return functional.cross_entropy(z, y)
    return functional.binary_cross_entropy_with_logits(z, y)


class Eager:
    """K fits one after another with torch.optim.SGD; the bias has no weight decay."""

    compiled = False

    def __init__(self, problem: Problem, K: int, columns: Array | None = None) -> None:
        self.problem = problem
        self.lr, self.l2 = (v if columns is None else v[columns] for v in settings(K))
        self.X, self.y = tensors(problem)
        self._forward = torch.compile(self._mean_loss) if self.compiled else self._mean_loss

    @staticmethod
    def _mean_loss(X: Any, y: Any, W: Any, b: Any) -> Any:
        return loss(torch.addmm(b, X, W), y)

    def run(self) -> Array:
        """Train all from zero; return the weights (D, C, K)."""
        fits = zip(self.lr.tolist(), self.l2.tolist(), strict=True)
        return np.stack([self.fit(lr, l2)[0].numpy() for lr, l2 in fits], axis=2)

    def fit(self, lr: float, l2: float) -> tuple[Any, Any]:
        """Train one from zero; return its weights (D, C) and bias (C,)."""
        D, C = self.problem.X.shape[1], self.problem.outputs
        W, b = torch.zeros(D, C, requires_grad=True), torch.zeros(C, requires_grad=True)
        groups = [{"params": [W], "weight_decay": l2}, {"params": [b]}]
        optimizer = torch.optim.SGD(groups, lr=lr, momentum=MOMENTUM)
        for rows in torch.from_numpy(self.problem.order()):
            optimizer.zero_grad()
            self._forward(self.X[rows], self.y[rows], W, b).backward()
            optimizer.step()
        return W.detach(), b.detach()


class Compiled(Eager):
    """The same with the forward pass compiled by torch.compile."""

    compiled = True


class Vmap:
    """K fits at once: torch.func.grad of one model, vmapped over its weights and settings."""

    def __init__(self, problem: Problem, K: int) -> None:
        self.problem = problem
        self.X, self.y = tensors(problem)
        self.lr, self.l2 = (torch.from_numpy(values) for values in settings(K))

        def objective(params: Any, X: Any, y: Any, l2: Any) -> Any:
            W, b = params
            return loss(torch.addmm(b, X, W), y) + l2 / 2 * (W * W).sum()

        self.grad = torch.func.vmap(torch.func.grad(objective), in_dims=(0, None, None, 0))

    def run(self) -> Array:
        """Train all from zero; return the weights (D, C, K)."""
        weights: Array = self.fit()[0].permute(1, 2, 0).numpy()
        return weights

    def fit(self) -> tuple[Any, Any]:
        """Train all from zero; return the weights (K, D, C) and the bias (K, C)."""
        K, D, C = len(self.lr), self.problem.X.shape[1], self.problem.outputs
        W, b = torch.zeros(K, D, C), torch.zeros(K, C)
        V, v = torch.zeros_like(W), torch.zeros_like(b)
        lr_W, lr_b = self.lr[:, None, None], self.lr[:, None]
        for rows in torch.from_numpy(self.problem.order()):
            G, g = self.grad((W, b), self.X[rows], self.y[rows], self.l2)
            V.mul_(MOMENTUM).add_(G)
            v.mul_(MOMENTUM).add_(g)
            W.sub_(lr_W * V)
            b.sub_(lr_b * v)
        return W, b
