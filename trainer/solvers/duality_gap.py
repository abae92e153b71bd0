"""Duality gaps and strong convexity: upper bounds of J − J* from a point and its gradient.

Shapes: r weights an output, C outputs, K columns; every bound is as the slack, (K,) or (s, K).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from trainer.solvers.lbfgs import dot

Array = Any
_BLOCK = 1 << 15  # numbers


def quadratic_gap(xp: Any, gradient: Array, curvature: Array, slack: Array | float) -> Array:
    """Σ g²/(2·curvature), as J grows at least as a parabola of that curvature along each weight.

    Strong convexity (Nesterov 2004, theorem 2.1.10). Of a squared loss in coordinates without
    correlation the curvature is known whole, and the bound is J − J* itself.

    Args:
        xp: NumPy or CuPy.
        gradient: dJ/dW (r, C, K).
        curvature: (r, K) that of J at least; where it is 0 there is no bound.
        slack: by how much ‖dJ/dW‖ may differ at the bias's own optimum.
    """
    if len(gradient) == 0:  # no direction has any rows
        return xp.zeros(gradient.shape[-1])
    parts, least = [], curvature.min(axis=0)
    size = max(1, _BLOCK // gradient[..., 0].size) if xp is np else gradient.shape[-1]
    for start in range(0, gradient.shape[-1], size):  # some columns at a time stay in the cache
        at = slice(start, start + size)
        scaled = gradient[:, :, at] / xp.sqrt(curvature[:, at])[:, None, :]
        parts.append(dot(xp, scaled, scaled))
    squares = parts[0] if len(parts) == 1 else xp.concatenate(parts)
    norm = xp.sqrt(squares) + slack / xp.sqrt(least)
    return 0.5 * norm * norm


def sparse_gap(
    xp: Any, W: Array, gradient: Array, l2: Array, l1: Array, loss: Array, slack: Array | float
) -> Array:
    """The duality gap of J with l1, for dual points in line with ŷ − y.

    With v the data term's gradient, Fenchel's inequality gives for the point ŷ itself
        v·W + l1·‖W‖₁ + l2/2·‖W‖² + Σ max(|v| − l1, 0)²/(2·l2)
    and for y + s·(ŷ − y) with s = min(1, l1/max|v|), by the convexity of the conjugate,
        (1 − s)·loss + s·v·W + l1·‖W‖₁ + l2/2·‖W‖².
    The bound is the smaller one (the dual point as in gap safe rules: Ndiaye, Fercoq, Gramfort &
    Salmon 2017).

    Args:
        xp: NumPy or CuPy.
        W: (r, C, K).
        gradient: dJ/dW (r, C, K) of the smooth part.
        l2: (K,).
        l1: (K,).
        loss: (K,) the data term of J.
        slack: by how much ‖v‖ may differ at the bias's own optimum.
    """
    v = gradient - l2 * W
    size = xp.absolute(v)
    meets = dot(xp, v, W)
    squares = dot(xp, W, W)
    penalty = l1 * xp.absolute(W).sum(axis=(0, 1)) + 0.5 * l2 * squares
    norm = xp.sqrt(squares)
    over = xp.maximum(size - l1, 0)
    beyond = xp.sqrt(dot(xp, over, over)) + slack
    by_l2 = meets + penalty + xp.where(l2 > 0, 0.5 * beyond * beyond / l2, np.inf)
    largest = size.max(axis=(0, 1)) + slack
    s = xp.minimum(1.0, l1 / xp.maximum(largest, np.finfo(np.float64).tiny))
    by_l1 = (1 - s) * loss + s * meets + penalty
    return xp.maximum(xp.fmin(by_l2, by_l1), 0.0) + slack * norm
