"""Limited-memory BFGS of K columns: the two-loop recursion with a history a column.

A round gives every column one pair (s, y), or none where its point was not accepted: then the pair
is zero and 1/(sᵀy) is 0, which the recursion passes over. So all columns write to the same slot and
no column's arithmetic depends on another's.

Shapes: P parameters an output, C outputs, K columns, m pairs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Array = Any


def dot(xp: Any, a: Array, b: Array) -> Array:
    """(K,) the inner products of the columns of two arrays (P, C, K)."""
    return xp.einsum("pck,pck->k", a, b)


def direction(
    xp: Any,
    gradient: Array,
    apply: Callable[[Array], Array],
    s: Array,
    y: Array,
    rho: Array,
    newest: int,
    count: int,
) -> Array:
    """−H·g by the two-loop recursion.

    q = g; newest to oldest: α_i = ρ_i·s_iᵀq, q −= α_i·y_i; q = H₀·q; oldest to newest:
    β = ρ_i·y_iᵀq, q += (α_i − β)·s_i (Nocedal & Wright 2006, algorithm 7.4).

    Args:
        xp: NumPy or CuPy.
        gradient: (P, C, K).
        apply: q (P, C, K) -> H₀·q.
        s: (m, P, C, K) differences of points.
        y: (m, P, C, K) differences of their gradients.
        rho: (m, K) 1/(sᵀy), 0 for a pair that does not count.
        newest: the number of the pair written last; its slot is the rest by m.
        count: how many pairs there are, at most m.
    """
    q = gradient.copy()
    order = [(newest - i) % len(rho) for i in range(count)]
    alphas = []
    for i in order:
        alpha = rho[i] * dot(xp, s[i], q)  # (K,)
        q -= alpha * y[i]
        alphas.append(alpha)
    q = apply(q)
    for i, alpha in zip(reversed(order), reversed(alphas), strict=True):
        beta = rho[i] * dot(xp, y[i], q)  # (K,)
        q += (alpha - beta) * s[i]
    return -q
