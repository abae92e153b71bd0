"""The minimiser of a quadratic with an l1 penalty, by guesses of its signs.

    q(x) = ½·xᵀMx − cᵀx + Σ_j l1_j·|x_j|

Given which elements are not 0 and their signs, the rest is one linear system; the elements that
come out with another sign leave, those whose slope exceeds l1_j enter, and when there are none of
either the guess was right and x is exact. It is Newton's method on the optimality conditions
(Hintermüller, Ito & Kunisch 2003), and from the signs of a near problem takes two or three systems.

Shapes: n elements of one column.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

Array = Any
_GUESSES = 60
_ALL_AT_ONCE = 10  # guesses after which only the worst element changes: no guess comes twice
_STAGE = 0.6  # of a penalty to the next
_SWEEPS = 200
_RIDGE = 4 * float(np.finfo(np.float64).eps)  # of the largest curvature, an element
_ROUNDING = 64 * float(np.finfo(np.float64).eps)  # of l1: no slope is known better


class Minimum(NamedTuple):
    """What was found.

    Attributes:
        x: (n,) the point; right if `exact`.
        signs: (n,) −1, 0, 1 of its elements, as guessed last.
        exact: whether the guess was right.
    """

    x: Array
    signs: Array
    exact: bool


def minimize(xp: Any, M: Array, c: Array, l1: Array, signs: Array) -> Minimum:
    """Minimise q from a guess of signs.

    Args:
        xp: NumPy or CuPy.
        M: (n, n) symmetric, positive semidefinite.
        c: (n,).
        l1: (n,); where it is 0 an element is free.
        signs: (n,) −1, 0 or 1.
    """
    free = l1 == 0
    signs = signs.copy()
    x = xp.zeros_like(c)
    largest = float(xp.diagonal(M).max()) if len(c) else 0.0
    ridge = _RIDGE * len(c) * largest + float(np.finfo(np.float64).tiny)
    for guess in range(_GUESSES):
        active = xp.flatnonzero(free | (signs != 0))
        x[:] = 0
        if len(active):
            part = M[active[:, None], active]
            part[xp.arange(len(active)), xp.arange(len(active))] += ridge
            x[active] = xp.linalg.solve(part, (c - l1 * signs)[active])
        slope = M[:, active] @ x[active] - c  # (n,)
        leaves = xp.where(free | (signs == 0), 0.0, -x * signs)
        enters = xp.where(free | (signs != 0), 0.0, xp.absolute(slope) - l1 * (1 + _ROUNDING))
        wrong = xp.maximum(xp.where(leaves >= 0, leaves, 0.0) * (signs != 0), 0.0)
        out, into = (signs != 0) & ~free & (x * signs <= 0), enters > 0
        if not bool(out.any()) and not bool(into.any()):
            return Minimum(x, signs, exact=True)
        if guess >= _ALL_AT_ONCE:
            score = xp.where(out, 1 + wrong, xp.where(into, enters / l1.max(), 0.0))
            worst = xp.arange(len(c)) == int(score.argmax())
            out, into = out & worst, into & worst
        signs[out] = 0
        signs[into] = -xp.sign(slope[into])
    return Minimum(x, signs, exact=False)


def minimize_from_afar(xp: Any, M: Array, c: Array, l1: Array, start: Array) -> Minimum:
    """Minimise q by way of stronger penalties, each from the signs of the one before.

    Where that fails too (systems that are singular, as with one column twice) by coordinate
    descent, which lowers q whatever M is (Friedman, Hastie & Tibshirani 2010, §2).

    Args:
        xp: NumPy or CuPy.
        M: as in `minimize`.
        c: as in `minimize`.
        l1: as in `minimize`.
        start: (n,) a point to descend from.
    """
    found = Minimum(start, xp.zeros_like(c), exact=False)
    penalised = l1 > 0
    factor = float((xp.absolute(c) * penalised).max() / l1.max()) if bool(penalised.any()) else 1.0
    while factor > 1:
        factor = max(factor * _STAGE, 1.0)
        found = minimize(xp, M, c, factor * l1, found.signs)
    return found if found.exact else _descend(xp, M, c, l1, start)


def _descend(xp: Any, M: Array, c: Array, l1: Array, start: Array) -> Minimum:
    """Some rounds of coordinate descent from a point."""
    x = start.copy()
    slope = M @ x - c  # (n,)
    diagonal = xp.diagonal(M)
    moves = [j for j, curvature in enumerate(diagonal.tolist()) if curvature > 0]
    largest = float(diagonal.max())
    for _ in range(_SWEEPS):
        farthest = 0.0
        for j in moves:
            curvature, before = float(diagonal[j]), float(x[j])
            aim = before - float(slope[j]) / curvature
            limit = float(l1[j]) / curvature
            after = np.sign(aim) * max(abs(aim) - limit, 0.0)
            if after != before:
                x[j] = after
                slope += (after - before) * M[:, j]
                farthest = max(farthest, abs(after - before) * (curvature * largest) ** 0.5)
        if farthest <= _ROUNDING * float(xp.absolute(c).max()):
            break
    return Minimum(x, xp.sign(x), exact=False)
