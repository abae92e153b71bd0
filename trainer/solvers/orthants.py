"""OWL-QN's parts: orthants, in each of which l1·‖W‖₁ is linear (Andrew & Gao 2007).

A point's orthant has the signs of its weights, and at a zero the sign that descent would give it;
steps end where they would leave it, which makes zeros exact. Byrd, Chin, Nocedal & Oztoprak 2016
use the same with second derivatives. `common_shift` is about softmax, whose weights l1 ties down in
part alone.

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
    """The gauge shift (r, 1, K) that brings softmax's weights (r, C, K) to least ‖W‖².

    Lowering the weights of one feature by the same number in all classes changes no output (the
    gauge freedom of softmax). Without l1 the shift is their mean. With l1 only shifts that leave
    ‖W‖₁ are allowed: of an even C those between the two middle weights, of an odd C none. The
    result is the limit of the optimum as l2 goes to 0.
    """
    C = weights.shape[1]
    mean = weights.sum(axis=1, keepdims=True) / C
    ordered = xp.sort(weights, axis=1)
    low, high = ordered[:, (C - 1) // 2, None], ordered[:, C // 2, None]  # (r, 1, K)
    middle = xp.minimum(xp.maximum(mean, low), high) if C % 2 == 0 else xp.zeros_like(mean)
    found = xp.where(l1 > 0, middle, mean)
    rounding = _EPS * xp.absolute(weights).max(axis=1, keepdims=True)  # zeros stay zeros
    return xp.where(xp.absolute(found) > rounding, found, 0.0)
