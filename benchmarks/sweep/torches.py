"""PyTorch: a loop of fits, and all fits of a fold at once by torch.func.vmap."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch.nn import functional

from benchmarks.sgd import torches
from benchmarks.shared.problems import Array
from benchmarks.sweep.cases import Case
from benchmarks.sweep.work import Work

_ROWS = 1000  # scored at a time


class Loop:
    """One fit after another, fold by fold."""

    def __init__(self, case: Case, work: Work) -> None:
        self.case, self.work = work.of(case), work

    def run(self) -> Array:
        """Mean val loss of each trial, (K,)."""
        case, work = self.case, self.work
        scores = []
        for train, val in case.splits:
            eager = torches.Eager(case.problem(train), len(work.lr))
            X, y = torches.tensors(case.problem(val))
            pairs = zip(work.lr.tolist(), work.l2.tolist(), strict=True)
            fits = (eager.fit(lr, l2) for lr, l2 in pairs)
            scores.append([float(torches.loss(torch.addmm(b, X, W), y)) for W, b in fits])
        return np.asarray(np.mean(scores, axis=0))


class Vmap:
    """All trials of a fold at once, fold by fold."""

    def __init__(self, case: Case, work: Work) -> None:
        self.case, self.work = work.of(case), work

    def run(self) -> Array:
        """Mean val loss of each trial, (K,)."""
        case, work = self.case, self.work
        lr, l2 = work.lr.astype("f4"), work.l2.astype("f4")
        scores = []
        for train, val in case.splits:
            stack = torches.Vmap(case.problem(train), len(lr))
            stack.lr, stack.l2 = torch.from_numpy(lr), torch.from_numpy(l2)
            W, b = stack.fit()
            X, y = torches.tensors(case.problem(val))
            total = torch.zeros(len(lr))
            for rows in torch.arange(len(X)).split(_ROWS):
                total += _losses(X[rows], y[rows], W, b)
            scores.append((total / len(X)).numpy())
        return np.asarray(np.mean(scores, axis=0))


def _losses(X: Any, y: Any, W: Any, b: Any) -> Any:
    """Loss summed over rows, (K,)."""
    z = X @ W + b[:, None]  # (K, n, C)
    if y.ndim == 1:
        many = y.expand(len(W), -1)
        return functional.cross_entropy(z.transpose(1, 2), many, reduction="none").sum(1)
    loss = functional.binary_cross_entropy_with_logits(z, y.expand_as(z), reduction="none")
    return loss.sum((1, 2))
