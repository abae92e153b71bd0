"""l1·‖W‖₁ in a line search: within one orthant it is linear.

A point's orthant has the signs of its weights, and at a zero the sign that descent would give it;
steps end where they would leave it, which makes zeros exact (orthant-wise methods: Andrew & Gao
2007; with second derivatives: Byrd, Chin, Nocedal & Oztoprak 2016).

Shapes: W and dJ/dW (r, C, K), l1 (K,). C is the axis of outputs.
"""

from __future__ import annotations

from typing import Any

import numpy as np

Array = Any
_EPS = float(np.finfo(np.float64).eps)


def orthant(xp: Any, weights: Array, gradient: Array, l1: Array) -> Array:
    """Signs −1, 0, 1 (r, C, K): 0 where a zero weight stays one, as |dJ/dw| <= l1."""
    leaves = (weights == 0) & (xp.absolute(gradient) > l1)
    return xp.where(leaves, -xp.sign(gradient), xp.sign(weights))


def pseudo_gradient(xp: Any, weights: Array, gradient: Array, l1: Array) -> Array:
    """The subgradient of J of least norm: dJ/dW + l1·sign, or what of it exceeds l1 at a zero."""
    sign = xp.sign(weights)
    beyond = xp.sign(gradient) * xp.maximum(xp.absolute(gradient) - l1, 0)
    return xp.where(weights == 0, beyond, gradient + l1 * sign)


def project(xp: Any, weights: Array, signs: Array) -> Array:
    """Set to 0 what has left the orthant."""
    return xp.where(weights * signs > 0, weights, 0.0)


def common_shift(xp: Any, weights: Array, l1: Array) -> Array:
    """What softmax's weights (r, C, K) of a feature may all be lowered by, (r, 1, K).

    It changes no output, and without l2 it may leave ‖W‖₁ as it is too: anywhere between the two
    middle weights of an even C; of an odd C there is one. Of these points, which are all minima,
    the one of least ‖W‖² is what a vanishing l2 would choose. Without l1 nothing else decides.
    """
    C = weights.shape[1]
    mean = weights.sum(axis=1, keepdims=True) / C
    ordered = xp.sort(weights, axis=1)
    low, high = ordered[:, (C - 1) // 2, None], ordered[:, C // 2, None]  # (r, 1, K)
    middle = xp.minimum(xp.maximum(mean, low), high) if C % 2 == 0 else xp.zeros_like(mean)
    found = xp.where(l1 > 0, middle, mean)
    rounding = _EPS * xp.absolute(weights).max(axis=1, keepdims=True)  # zeros stay zeros
    return xp.where(xp.absolute(found) > rounding, found, 0.0)
