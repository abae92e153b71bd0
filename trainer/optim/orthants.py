"""l1·‖W‖₁ in a line search: within one orthant it is linear.

A point's orthant has the signs of its weights, and at a zero the sign that descent would give it;
steps end where they would leave it, which makes zeros exact (orthant-wise methods: Andrew & Gao
2007; with second derivatives: Byrd, Chin, Nocedal & Oztoprak 2016).

Shapes: W and dJ/dW (r, C, K), l1 (K,).
"""

from __future__ import annotations

from typing import Any

Array = Any


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
