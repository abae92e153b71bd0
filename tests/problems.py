"""Random problems of every kind for solvers, and slow references for them.

A problem has N rows, D features, C outputs and row weights; J is written out here a second time, in
the plainest form, for one column.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit

MODELS = ("linear", "logistic", "softmax")
SHAPES = ((60, 5), (40, 12), (12, 30), (150, 3))
FORMS = ("plain", "ill", "collinear", "separable", "badly scaled")
PENALTIES = ((1e-2, 0.0), (1e-6, 0.0), (0.0, 1e-2), (1e-3, 2e-2))


def log_sum_exp(z: np.ndarray) -> np.ndarray:
    """log Σ e^z over the columns, (N, 1); SciPy's takes ten times as long for a few rows."""
    most = z.max(axis=1, keepdims=True)
    return most + np.log(np.exp(z - most).sum(axis=1, keepdims=True))


def softmax(z: np.ndarray) -> np.ndarray:
    """Shares (N, C) that sum to 1."""
    return np.exp(z - log_sum_exp(z))


_PREDICTED = {"linear": lambda z: z, "logistic": expit, "softmax": softmax, "poisson": np.exp}


@dataclass(frozen=True)
class Problem:
    """X (N, D), y (N, C) of numbers, p (N,) weights that sum to 1."""

    name: str
    model: str
    X: np.ndarray
    y: np.ndarray
    p: np.ndarray
    l2: float
    l1: float
    bias: bool

    @property
    def outputs(self) -> int:
        return self.y.shape[1]

    def value(self, w: np.ndarray, b: np.ndarray) -> float:
        """J at weights (D, C) and bias (C,)."""
        z = self.X @ w + b
        if self.model == "linear":
            loss = 0.5 * ((z - self.y) ** 2).sum(axis=1)
        elif self.model == "logistic":
            loss = (np.logaddexp(0, z) - self.y * z).sum(axis=1)
        elif self.model == "poisson":
            loss = (np.exp(z) - self.y * z).sum(axis=1)
        else:
            loss = log_sum_exp(z)[:, 0] - (self.y * z).sum(axis=1)
        return float(self.p @ loss + 0.5 * self.l2 * (w**2).sum() + self.l1 * np.abs(w).sum())

    def slopes(self, w: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The smooth part's gradient: (D, C) and (C,)."""
        z = self.X @ w + b
        error = (_PREDICTED[self.model](z) - self.y) * self.p[:, None]
        return self.X.T @ error + self.l2 * w, error.sum(axis=0) * self.bias

    def steepest(self, w: np.ndarray, b: np.ndarray) -> float:
        """The largest element of the subgradient of least norm."""
        g, gb = self.slopes(w, b)
        at_zero = np.maximum(np.abs(g) - self.l1, 0)
        moved = np.abs(g + self.l1 * np.sign(w))
        return float(max(np.where(w == 0, at_zero, moved).max(), np.abs(gb).max()))

    def curvature(self, w: np.ndarray, b: np.ndarray) -> np.ndarray:
        """The Hessian of the smooth part by weights and biases, ((D + 1)·C, (D + 1)·C)."""
        z, C = self.X @ w + b, self.outputs
        X = np.hstack([self.X, np.full((len(z), 1), float(self.bias))])
        H = np.zeros((X.shape[1], C, X.shape[1], C))
        share = softmax(z)
        for a, c in product(range(C), range(C)):
            if self.model == "softmax":
                v = share[:, a] * ((a == c) - share[:, c])
            elif a != c:
                continue
            else:
                v = (
                    expit(z[:, a]) * expit(-z[:, a])
                    if self.model == "logistic"
                    else np.ones(len(z))
                )
            H[:, a, :, c] = X.T @ (X * (self.p * v)[:, None])
            if a == c:
                H[range(len(w)), a, range(len(w)), a] += self.l2
        return H.reshape(X.shape[1] * C, -1)


def problems(count: int, seed: int = 0) -> list[Problem]:
    """`count` problems, the kinds in turn."""
    rng = np.random.default_rng(seed)
    kinds = list(product(MODELS, SHAPES, FORMS, PENALTIES))
    order = rng.permutation(len(kinds))
    return [_problem(rng, *kinds[order[i % len(kinds)]]) for i in range(count)]


def _problem(rng, model, shape, form, penalty) -> Problem:
    n, d = shape
    X = rng.standard_normal((n, d))
    if form == "ill":  # singular values down to 1e-8 of the largest
        U, _, V = np.linalg.svd(X, full_matrices=False)
        X = U @ np.diag(np.logspace(0, -8, min(n, d))) @ V * np.sqrt(n)
    if form == "collinear":  # a constant, a pair of one-hot columns, one column twice
        X[:, 0] = 3.0
        X[:, 1] = rng.integers(0, 2, n)
        X[:, 2] = 1 - X[:, 1]
        X = np.hstack([X, X[:, -1:]])
    if form == "badly scaled":
        X = X * np.logspace(-3, 3, d)
    outputs = {"linear": int(rng.integers(1, 3)), "logistic": int(rng.integers(1, 3)), "softmax": 3}
    C = outputs[model]
    scale = 20.0 if form == "separable" else 1.0
    z = scale * X / (X.std(axis=0) + (X.std(axis=0) == 0)) @ rng.standard_normal((X.shape[1], C))
    z = z / np.sqrt(d)
    noise = 0.0 if form == "separable" else 1.0
    if model == "linear":
        y = z + noise * rng.standard_normal(z.shape)
    elif model == "logistic":
        y = (z + noise * rng.logistic(size=z.shape) > 0).astype(float)
        y[0], y[1] = 0.0, 1.0
    else:
        y = np.eye(C)[(z + noise * rng.gumbel(size=z.shape)).argmax(axis=1)]
        y[:3] = np.eye(3)
    p = rng.uniform(0.2, 2, n) if rng.random() < 0.5 else np.ones(n)
    l2, l1 = penalty
    bias = bool(rng.random() < 0.8)
    name = f"{model} {shape} {form} l2={l2:g} l1={l1:g}" + ("" if bias else " no bias")
    return Problem(name, model, X, y, p / p.sum(), l2, l1, bias)


def reference(problem: Problem) -> tuple[np.ndarray, np.ndarray]:
    """Weights (D, C) and bias (C,) near the optimum, by SciPy's L-BFGS-B on w = u − v."""
    D, C = problem.X.shape[1], problem.outputs
    split = problem.l1 > 0
    count = D * C

    def parts(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        w = x[:count] - x[count : 2 * count] if split else x[:count]
        return w.reshape(D, C), x[-C:] * problem.bias

    def objective(x: np.ndarray) -> tuple[float, np.ndarray]:
        w, b = parts(x)
        g, gb = problem.slopes(w, b)
        value = problem.value(w, b) - problem.l1 * np.abs(w).sum()
        if split:
            value += problem.l1 * x[: 2 * count].sum()
            slope = [g.ravel() + problem.l1, -g.ravel() + problem.l1, gb]
        else:
            slope = [g.ravel(), gb]
        return value, np.concatenate(slope)

    size = (2 if split else 1) * count + C
    bounds = [(0, None)] * (2 * count) + [(None, None)] * C if split else None
    options = {"maxiter": 20_000, "maxfun": 100_000, "ftol": 1e-16, "gtol": 1e-12, "maxcor": 30}
    x = np.zeros(size)
    for _ in range(3):  # again from where it stopped, with a new history
        x = minimize(objective, x, jac=True, bounds=bounds, method="L-BFGS-B", options=options).x
    return parts(x)
