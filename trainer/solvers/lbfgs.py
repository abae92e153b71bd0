"""L-BFGS's two-loop recursion for K columns, each with a history of its own (Nocedal 1980).

A round gives every column one pair (s, y), or none where its point was not accepted: then the pair
is zero and 1/(sᵀy) is 0, which the recursion passes over. So all columns write to the same slot and
no column's arithmetic depends on another's.

Shapes: P parameters an output, C outputs, K columns, m pairs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

Array = Any


def dot(xp: Any, a: Array, b: Array) -> Array:
    """(K,) the inner products of the columns of two arrays (P, C, K)."""
    if xp is np:  # in one pass
        return np.einsum("pck,pck->k", a, b)
    products = (a * b).reshape(-1, a.shape[-1])  # CuPy's einsum would transpose both
    return (xp.ones((1, len(products))) @ products)[0]


def direct(
    xp: Any,
    q: Array,
    scale: Array,
    s: Array,
    y: Array,
    rho: Array,
    order: Sequence[int],
    free: Array,
) -> None:
    """Write −H·q into q by the two-loop recursion, for gradients q.

    Newest to oldest: α_i = ρ_i·s_iᵀq, q −= α_i·y_i; q = H₀·q; oldest to newest: β = ρ_i·y_iᵀq,
    q += (α_i − β)·s_i (Nocedal & Wright 2006, algorithm 7.4).

    Args:
        xp: NumPy or CuPy.
        q: (P, C, K).
        scale: (P, C, K) or what can be broadcast to it, H₀.
        s: (m, P, C, K) differences of points.
        y: (m, P, C, K) differences of their gradients.
        rho: (m, K) 1/(sᵀy), 0 for a pair that does not count.
        order: the slots of the pairs there are, the newest first.
        free: (P, C, K), overwritten.
    """
    alphas = []
    for i in order:
        alpha = rho[i] * dot(xp, s[i], q)  # (K,)
        xp.multiply(alpha, y[i], out=free)
        q -= free
        alphas.append(alpha)
    q *= scale
    for i, alpha in zip(reversed(order), reversed(alphas), strict=True):
        beta = rho[i] * dot(xp, y[i], q)  # (K,)
        xp.multiply(alpha - beta, s[i], out=free)
        q += free
    xp.negative(q, out=q)
