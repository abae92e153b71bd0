"""Slow, obvious mathematics to test the package against: one column at a time, no `out=`."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np
from stacks import Problem


def prediction(model: str, z: np.ndarray) -> np.ndarray:
    """ŷ (N, C) of scores (N, C)."""
    if model == "linear":
        return z
    if model == "logistic":
        return 1 / (1 + np.exp(-z))
    if model == "poisson":
        return np.exp(z)
    return np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)


def row_losses(model: str, loss: str, z: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Losses (N,) of scores and targets (N, C), in extended precision where there is one."""
    z, y = z.astype(np.longdouble), y.astype(np.longdouble)
    if model == "linear" or loss == "squared_error":
        return ((prediction(model, z) - y) ** 2).sum(axis=1) / 2
    if model == "poisson":
        return (prediction(model, z) - y * z).sum(axis=1)
    if model == "logistic":
        return -np.log(prediction(model, np.where(y == 1, z, -z))).sum(axis=1)  # 1 − ŷ(z) = ŷ(−z)
    return -(y * np.log(prediction(model, z))).sum(axis=1)


def objective(
    problem: Problem,
    weights: np.ndarray,
    bias: np.ndarray,
    l2: float,
    rows: np.ndarray | None = None,
) -> float:
    """Data term of a batch, Σ (N/b)·p·loss, plus l2/2·‖W‖²; weights (D, C), bias (C,)."""
    rows = np.arange(len(problem.X)) if rows is None else rows
    z = problem.X[rows].astype(np.longdouble) @ weights + bias
    losses = row_losses(problem.model, problem.loss, z, problem.dense[rows])
    data = (len(problem.X) / len(rows)) * (problem.p[rows] * losses).sum()
    return data + l2 / 2 * (weights**2).sum()


def gradients(
    problem: Problem, weights: np.ndarray, bias: np.ndarray, l2: float, rows: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """(dJ/dW, dJ/db) of a batch by the chain rule, row by row."""
    grad_weights, grad_bias = l2 * weights, np.zeros_like(bias)
    for i in rows:
        z = problem.X[i] @ weights + bias
        target = problem.dense[i]
        predicted = prediction(problem.model, z[None])[0]
        dz = predicted - target
        if problem.model == "logistic" and problem.loss == "squared_error":
            dz = dz * predicted * (1 - predicted)
        dz = dz * problem.p[i] * len(problem.X) / len(rows)
        grad_weights = grad_weights + np.outer(problem.X[i], dz)
        grad_bias = grad_bias + dz
    return grad_weights, grad_bias


def central_differences(
    function: Callable[[np.ndarray], float], at: np.ndarray, h: float
) -> np.ndarray:
    """Gradient of a function of one array by (f(x + h) − f(x − h)) / 2h."""
    slope = np.empty(at.shape)
    for place in np.ndindex(*at.shape):
        up, down = at.copy(), at.copy()
        up[place] += h
        down[place] -= h
        slope[place] = (function(up) - function(down)) / (2 * h)
    return slope


def learning_rate(
    name: str, step: int, c: dict[str, float], milestones: tuple[float, ...]
) -> float:
    """The rate of one step (from 1) of one column, as the frameworks' documentation writes it."""
    if step > c["steps"]:
        return 0.0
    if step <= c["warmup"]:
        return c["lr"] * step / c["warmup"]
    done = step - 1
    if name == "cosine":  # CosineAnnealingLR with T_max, eta_min
        least, length = c["final"] * c["lr"], c["steps"] - c["warmup"]
        angle = math.pi * (done - c["warmup"]) / length
        return least + (c["lr"] - least) * (1 + math.cos(angle)) / 2
    if name == "step":  # MultiStepLR
        return c["lr"] * c["gamma"] ** sum(done >= milestone for milestone in milestones)
    return c["lr"]


def shrink(x: np.ndarray, threshold: np.ndarray | float) -> np.ndarray:
    """Soft thresholding."""
    return np.sign(x) * np.maximum(np.abs(x) - threshold, 0)


Moves = Iterator[np.ndarray]  # send (gradient, lr), get the parameter after the step


def torch_sgd(p: np.ndarray, c: dict[str, float], nesterov: bool) -> Moves:
    """torch.optim.SGD: buf = μ·buf + g; p −= lr·(g + μ·buf) with nesterov, else lr·buf."""
    buf = None
    while True:
        g, lr = yield p
        buf = g if buf is None else c["momentum"] * buf + g
        p = p - lr * (g + c["momentum"] * buf if nesterov else buf)


def torch_adam(p: np.ndarray, c: dict[str, float], decoupled: bool) -> Moves:
    """torch.optim.Adam and AdamW, as their documentation writes them."""
    m, v, t = np.zeros_like(p), np.zeros_like(p), 0
    while True:
        g, lr = yield p
        t += 1
        if decoupled:
            p = p - lr * c["weight_decay"] * p
        m = c["beta1"] * m + (1 - c["beta1"]) * g
        v = c["beta2"] * v + (1 - c["beta2"]) * g**2
        m_hat, v_hat = m / (1 - c["beta1"] ** t), v / (1 - c["beta2"] ** t)
        step = lr / (np.sqrt(v_hat) + c["eps"])
        p = shrink(p - step * m_hat, step * c["l1"])


def lars_of_moco(p: np.ndarray, c: dict[str, float], flag: bool) -> Moves:
    """LARS as MoCo v3 and MAE have it: buf = μ·buf + r·g, p −= lr·buf, r = η·‖p‖/‖g‖ of weights."""
    buf = np.zeros_like(p)
    while True:
        g, lr = yield p
        r, trust = 1.0, c["trust_coefficient"]
        lengths = np.sqrt((p**2).sum()), np.sqrt((g**2).sum())
        if trust is not None and min(lengths) > 0:
            r = trust * lengths[0] / lengths[1]
        buf = c["momentum"] * buf + r * g
        p = p - lr * buf


def ipiano(p: np.ndarray, c: dict[str, float], nesterov: bool) -> Moves:
    """Ochs et al. 2014: p⁺ = prox(p − lr·g + μ·(lr/lr_before)·(p − p_before))."""
    before, lr_before = p, None
    while True:
        g, lr = yield p
        ratio = 0.0 if lr_before is None else lr / lr_before
        after = shrink(p - lr * g + c["momentum"] * ratio * (p - before), lr * c["l1"])
        p, before, lr_before = after, p, lr


def fista(p: np.ndarray, c: dict[str, float], nesterov: bool) -> Moves:
    """Beck & Teboulle 2009 with a constant momentum and lr: p is the point extrapolated to."""
    x = p
    while True:
        g, lr = yield p
        after = shrink(p - lr * g, lr * c["l1"])
        p, x = after + c["momentum"] * (after - x), after
