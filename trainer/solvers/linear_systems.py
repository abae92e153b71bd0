"""Many systems of linear equations at once, as a GPU takes them.

Shapes: n systems of m unknowns each.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from trainer.machine.interrupted import ShouldStop, ask, never

Array = Any
_TOGETHER = 256  # unknowns up to which CuPy solves many systems at once; else one after another
_SAME = 1e-8  # of the largest element: a product of factors that is farther off is none


def solved(xp: Any, a: Array, b: Array, should_stop: ShouldStop = never) -> Array:
    """The x (n, m, s) of a·x = b for positive definite a (n, m, m) and b (n, m, s).

    Of large ones some unknowns are eliminated at a time, by the Schur complement (Golub & Van Loan
    2013, §3.2). Of a singular one there are numbers that are not finite.

    Raises:
        Interrupted: `should_stop()`, asked before some are eliminated.
    """
    ask(should_stop)
    m, sides = _TOGETHER, b.shape[2]
    if a.shape[1] <= m:
        return _solved_together(xp, a, b)
    beside, below = a[:, :m, m:], a[:, m:, :m]
    first = _solved_together(xp, a[:, :m, :m], xp.concatenate([beside, b[:, :m]], axis=2))
    through, alone = first[:, :, :-sides], first[:, :, -sides:]
    rest = solved(xp, a[:, m:, m:] - below @ through, b[:, m:] - below @ alone, should_stop)
    return xp.concatenate([alone - through @ rest, rest], axis=1)


def _solved_together(xp: Any, a: Array, b: Array) -> Array:
    try:
        return xp.linalg.solve(a, b)
    except np.linalg.LinAlgError:  # which NumPy says of all where one is singular
        if len(a) == 1:
            return xp.full(b.shape, np.nan)
        one_by_one = [slice(i, i + 1) for i in range(len(a))]
        return xp.concatenate([_solved_together(xp, a[i], b[i]) for i in one_by_one])


def are_definite(xp: Any, a: Array) -> Array:
    """(n,) whether symmetric matrices (n, m, m) are positive definite, by Cholesky's factors.

    Where one is not, NumPy raises without saying which; CuPy says nothing and leaves it unfinished.
    """
    try:
        triangle = xp.linalg.cholesky(a)
    except np.linalg.LinAlgError:
        if len(a) == 1:
            return xp.zeros(1, bool)
        return xp.concatenate([are_definite(xp, a[i : i + 1]) for i in range(len(a))])
    off = xp.absolute(triangle @ triangle.transpose(0, 2, 1) - a).max(axis=(1, 2))
    pivots = triangle.reshape(len(a), -1)[:, :: a.shape[1] + 1]
    return (pivots > 0).all(axis=1) & (off <= _SAME * xp.absolute(a).max(axis=(1, 2)))
