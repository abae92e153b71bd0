"""How curved the data term is: what bounds the learning rate of gradient descent."""

from __future__ import annotations

from typing import Any

import numpy as np

Numbers = np.ndarray[Any, np.dtype[np.float64]]
_CHUNK = 65_536


def largest_curvature(X: Any, p: Numbers, bias: bool, bound: float, iterations: int = 50) -> float:
    """Bound the largest eigenvalue of the data term's Hessian: bound · λmax([X 1]ᵀ diag(p) [X 1]).

    By power iteration in float64, which nears λmax from below. It is the Hessian's own for the
    linear model; for the others an upper bound over all weights (Böhning 1992 for softmax).

    Args:
        X: (N, D) training rows on the host.
        p: (N,) row weights that sum to 1.
        bias: whether a column of ones stands beside X.
        bound: the largest second derivative of the loss by z (`Model.curvature`).
        iterations: of the power method.
    """
    v = np.cos(np.arange(1.0, X.shape[1] + 2))  # ones would miss what a pair of columns cancels
    v[-1] *= bias
    largest = 0.0
    for _ in range(iterations):
        v /= np.linalg.norm(v)
        product = np.zeros_like(v)
        for start in range(0, len(X), _CHUNK):
            rows = np.asarray(X[start : start + _CHUNK], dtype=np.float64)  # (n, D)
            scores = (rows @ v[:-1] + v[-1]) * p[start : start + _CHUNK]  # (n,)
            product[:-1] += scores @ rows
            product[-1] += scores.sum() * bias
        largest = float(np.linalg.norm(product))
        if largest == 0.0:
            break
        v = product
    return bound * largest
