"""The penalty l2/2·‖W‖² + l1·‖W‖₁ of the objective, for K columns. The bias is never penalised."""

from __future__ import annotations

from typing import Any

import numpy as np

Array = Any
Numbers = np.ndarray[Any, np.dtype[np.float64]]


def elastic_net(a: Numbers | float, l1_ratio: Numbers | float) -> tuple[Numbers, Numbers]:
    """Split a strength into (l2, l1) = ((1 − l1_ratio)·a, l1_ratio·a).

    Zou & Hastie 2005 in glmnet's and scikit-learn's ElasticNet parametrisation.
    """
    return np.asarray((1 - l1_ratio) * a), np.asarray(l1_ratio * a)


def from_inverse_c(
    C: Numbers | float, l1_ratio: Numbers | float, weight_sum: float
) -> tuple[Numbers, Numbers]:
    """(l2, l1) of scikit-learn's C: C·Σ s·loss + ½‖W‖² is J times C·S, so a = 1/(C·S).

    `weight_sum` is S, the sum of the raw row weights of the training rows (N without weights).
    """
    with np.errstate(over="ignore"):  # C·S past float64: a is 0, as near as it can be
        a = 1.0 / (np.asarray(C) * weight_sum)
    return elastic_net(np.minimum(a, np.finfo(np.float64).max), l1_ratio)  # 0 · inf is NaN


def add_l2_gradient(xp: Any, grad: Array, weights: Array, l2: Array, free: Array) -> None:
    """Add l2 ⊙ W to dJ/dW (D, C·K); l2 is (C·K,), `free` (D, C·K) is overwritten."""
    xp.multiply(weights, l2, out=free)
    grad += free


def soft_threshold(xp: Any, weights: Array, threshold: Array, removed: Array) -> None:
    """Move W towards 0 by at most `threshold`: the proximal operator of threshold·‖W‖₁.

    W ← sign(W)·max(|W| − threshold, 0), with exact zeros; `removed` receives what was taken away.
    A threshold of 0 leaves W bit for bit (Parikh & Boyd 2014, §6.5.2).
    """
    xp.absolute(weights, out=removed)
    xp.minimum(removed, threshold, out=removed)
    xp.copysign(removed, weights, out=removed)
    weights -= removed
