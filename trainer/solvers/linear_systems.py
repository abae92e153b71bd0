"""Many systems of linear equations at once, as a GPU takes them.

Shapes: n systems of m unknowns each.
"""

from __future__ import annotations

from typing import Any

Array = Any
_TOGETHER = 256  # unknowns up to which CuPy solves many systems at once; else one after another


def solved(xp: Any, a: Array, b: Array) -> Array:
    """The x (n, m, s) of a·x = b for positive definite a (n, m, m) and b (n, m, s).

    Of large ones some unknowns are eliminated at a time, by the Schur complement (Golub & Van Loan
    2013, §3.2). Of a singular one NumPy raises, and a GPU makes numbers that are not finite.
    """
    m, sides = _TOGETHER, b.shape[2]
    if a.shape[1] <= m:
        return xp.linalg.solve(a, b)
    beside, below = a[:, :m, m:], a[:, m:, :m]
    first = xp.linalg.solve(a[:, :m, :m], xp.concatenate([beside, b[:, :m]], axis=2))
    through, alone = first[:, :, :-sides], first[:, :, -sides:]
    rest = solved(xp, a[:, m:, m:] - below @ through, b[:, m:] - below @ alone)
    return xp.concatenate([alone - through @ rest, rest], axis=1)
