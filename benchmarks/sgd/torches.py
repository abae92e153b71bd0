"""PyTorch: one model eagerly or compiled, K of them in a loop, K at once by torch.func.vmap.

Each takes a device, and on a GPU whether products may be in TF32.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch.nn import functional

from benchmarks.shared.problems import MOMENTUM, Array, Problem, settings


def tensors(problem: Problem, device: str = "cpu") -> tuple[Any, Any]:
    """Rows and targets."""
    y = torch.from_numpy(problem.y)
    if problem.outputs == 1:
        y = y[:, None].float()
    return torch.from_numpy(problem.X).to(device), y.to(device)


def order(problem: Problem, device: str) -> Any:
    """Rows of each step (S, B)."""
    return torch.from_numpy(problem.order()).to(device)


def allow_tf32(wanted: bool) -> None:
    """Have products of float32 on a GPU in TF32, or not."""
    torch.backends.cuda.matmul.allow_tf32 = wanted


def loss(z: Any, y: Any) -> Any:
    """Mean cross-entropy of the scores."""
    if y.ndim == 1:
        return functional.cross_entropy(z, y)
    return functional.binary_cross_entropy_with_logits(z, y)


class Eager:
    """K fits one after another with torch.optim.SGD; the bias has no weight decay."""

    compiled = False

    def __init__(
        self,
        problem: Problem,
        K: int,
        columns: Array | None = None,
        device: str = "cpu",
        tf32: bool = False,
    ) -> None:
        allow_tf32(tf32)
        self.problem, self.device = problem, device
        self.lr, self.l2 = (v if columns is None else v[columns] for v in settings(K))
        self.X, self.y = tensors(problem, device)
        self._forward = torch.compile(self._mean_loss) if self.compiled else self._mean_loss

    @staticmethod
    def _mean_loss(X: Any, y: Any, W: Any, b: Any) -> Any:
        return loss(torch.addmm(b, X, W), y)

    def run(self) -> Array:
        """Train all from zero; return the weights (D, C, K)."""
        fits = zip(self.lr.tolist(), self.l2.tolist(), strict=True)
        return np.stack([self.fit(lr, l2)[0].cpu().numpy() for lr, l2 in fits], axis=2)

    def fit(self, lr: float, l2: float) -> tuple[Any, Any]:
        """Train one from zero; return its weights (D, C) and bias (C,)."""
        D, C = self.problem.X.shape[1], self.problem.outputs
        own = {"device": self.device, "requires_grad": True}
        W, b = torch.zeros(D, C, **own), torch.zeros(C, **own)
        groups = [{"params": [W], "weight_decay": l2}, {"params": [b]}]
        optimizer = torch.optim.SGD(groups, lr=lr, momentum=MOMENTUM)
        for rows in order(self.problem, self.device):
            optimizer.zero_grad()
            self._forward(self.X[rows], self.y[rows], W, b).backward()
            optimizer.step()
        return W.detach(), b.detach()


class Compiled(Eager):
    """The same with the forward pass compiled by torch.compile."""

    compiled = True


class Vmap:
    """K fits at once: torch.func.grad of one model, vmapped over its weights and settings."""

    def __init__(self, problem: Problem, K: int, device: str = "cpu", tf32: bool = False) -> None:
        allow_tf32(tf32)
        self.problem, self.device = problem, device
        self.X, self.y = tensors(problem, device)
        self.lr, self.l2 = (torch.from_numpy(values).to(device) for values in settings(K))
        self.lr_W, self.lr_b = self.lr[:, None, None], self.lr[:, None]

        def objective(params: Any, X: Any, y: Any, l2: Any) -> Any:
            W, b = params
            return loss(torch.addmm(b, X, W), y) + l2 / 2 * (W * W).sum()

        self.grad = torch.func.vmap(torch.func.grad(objective), in_dims=(0, None, None, 0))

    def run(self) -> Array:
        """Train all from zero; return the weights (D, C, K)."""
        weights: Array = self.fit()[0].permute(1, 2, 0).cpu().numpy()
        return weights

    def fit(self) -> tuple[Any, Any]:
        """Train all from zero; return the weights (K, D, C) and the bias (K, C)."""
        arrays = self.zeros()
        for rows in order(self.problem, self.device):
            self.step(arrays, rows)
        return arrays[0], arrays[1]

    def zeros(self) -> tuple[Any, ...]:
        """Weights (K, D, C), bias (K, C) and their velocities."""
        K, D, C = len(self.lr), self.problem.X.shape[1], self.problem.outputs
        W, b = (torch.zeros(*shape, device=self.device) for shape in ((K, D, C), (K, C)))
        return W, b, torch.zeros_like(W), torch.zeros_like(b)

    def step(self, arrays: tuple[Any, ...], rows: Any) -> None:
        """One step of all, in place, on a batch of these rows."""
        W, b, V, v = arrays
        G, g = self.grad((W, b), self.X[rows], self.y[rows], self.l2)
        V.mul_(MOMENTUM).add_(G)
        v.mul_(MOMENTUM).add_(g)
        W.sub_(self.lr_W * V)
        b.sub_(self.lr_b * v)


class Graph(Vmap):
    """The same with a step captured as a CUDA graph, which finds its own batch; no step waits."""

    def __init__(self, problem: Problem, K: int, device: str = "cuda", tf32: bool = False) -> None:
        super().__init__(problem, K, device, tf32)
        self.arrays, self.order = self.zeros(), order(problem, device)
        self.at = torch.zeros(1, dtype=torch.int64, device=device)
        self._begin()
        self._replay = self._captured() if device != "cpu" else self._next

    def _begin(self) -> None:
        for one in (*self.arrays, self.at):
            one.zero_()

    def _next(self) -> None:
        """The step whose number is on the device."""
        self.step(self.arrays, self.order.index_select(0, self.at)[0])
        self.at.add_(1)

    def _captured(self) -> Any:
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):  # what is made at first use is made before
            for _ in range(3):
                self._next()
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            self._next()
        return graph.replay

    def fit(self) -> tuple[Any, Any]:
        """Train all from zero; return the weights (K, D, C) and the bias (K, C)."""
        self._begin()
        for _ in range(self.problem.steps):
            self._replay()
        return self.arrays[0], self.arrays[1]
