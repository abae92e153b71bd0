"""The homotopy (LARS) path: minimisers of a quadratic with l1, for falling strengths in one go.

    q(x) = c·x + ½·xᵀ·H·x + λ·Σ_j |x_j|

As λ falls the minimiser moves along lines, x_A = u − λ·v for the elements A that are not 0, until
one of them is, or the slope of another reaches λ. Such a corner costs one row and column of the
inverse of H_AA, and all strengths between two corners are on one line (Osborne, Presnell & Turlach
2000; Efron, Hastie, Johnstone & Tibshirani 2004, §3.1). Corners are one after the other and each
is little work, so all of it is on the host.

Shapes: n elements, a of them in A, k strengths.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from trainer.machine.interrupted import ShouldStop, ask, never
from trainer.solvers.orthants import pseudo_gradient

Numbers = np.ndarray[Any, np.dtype[np.float64]]
Flags = np.ndarray[Any, np.dtype[np.bool_]]
Indices = np.ndarray[Any, np.dtype[np.int64]]
MOST = 1024  # elements: with more, corners may cost more than the systems that they spare
CORNERS = 8  # an element, at most
_ASTRAY = 1e-8  # of the largest slope at 0, each by the root of its element's curvature
_LEFT = 1e-9  # of an element's curvature that those in A must leave
_ROUNDING = 256 * float(np.finfo(np.float64).eps)
_SAME = 1e-9  # relative: a corner so near the last is the one just passed


class _Active:
    """The elements A, the inverse of H_AA, and their rows of H."""

    def __init__(self, H: Numbers, free: Flags) -> None:
        n = len(H)
        self._H, self._order, self._count = H, np.zeros(n, np.int64), 0
        self._inverse, self._rows = np.zeros((n, n)), np.zeros((n, n))
        self._scratch = np.empty(n * n)
        for j in np.flatnonzero(free):
            self.add(int(j))

    @property
    def elements(self) -> Indices:
        """(a,) their numbers, in the order of `inverse` and `rows`."""
        return self._order[: self._count]

    @property
    def inverse(self) -> Numbers:
        """(a, a) of H_AA."""
        return self._inverse[: self._count, : self._count]

    @property
    def rows(self) -> Numbers:
        """(a, n) of H."""
        return self._rows[: self._count]

    def add(self, j: int) -> bool:
        """Let j in: the inverse of a matrix of blocks, the last of which is a number.

        Returns whether it could be: j must have something that those before it do not.
        """
        a, inverse, row = self._count, self.inverse, self._H[j]
        beside = row[self.elements]  # (a,)
        through = inverse @ beside
        left = row[j] - beside @ through
        if not left > _LEFT * row[j]:
            return False
        inverse += self._outer(through, through / left)
        self._inverse[a, :a] = self._inverse[:a, a] = -through / left
        self._inverse[a, a] = 1 / left
        self._rows[a], self._order[a] = row, j
        self._count += 1
        return True

    def _outer(self, a: Numbers, b: Numbers) -> Numbers:
        """a·bᵀ, in memory that the next one overwrites."""
        out = self._scratch[: len(a) * len(b)].reshape(len(a), len(b))
        return np.multiply(a[:, None], b, out=out)

    def remove(self, j: int) -> None:
        """Take j out; the last takes its place."""
        i, last = int(np.flatnonzero(self.elements == j)[0]), self._count - 1
        gone = self.inverse[i] / np.sqrt(self.inverse[i, i])  # (a,)
        inverse = self.inverse
        inverse -= self._outer(gone, gone)
        inverse[i], self._rows[i], self._order[i] = (
            inverse[last], self._rows[last], self._order[last]
        )  # fmt: skip
        inverse[:, i] = inverse[:, last]
        self._count = last


def follow_path(
    H: Numbers,
    c: Numbers,
    free: Flags,
    strengths: Numbers,
    should_stop: ShouldStop = never,
) -> Numbers | None:
    """The minimisers for some strengths of l1.

    Args:
        H: (n, n) symmetric, positive definite.
        c: (n,) the slope of the quadratic at 0.
        free: (n,) which elements have no l1.
        strengths: (k,) of λ >= 0, in falling order.
        should_stop: asked at every corner.

    Returns:
        (n, k); None where an element depends on others or rounding has led it astray: there are
        more than 8 corners an element, or a point is no minimum.

    Raises:
        Interrupted: `should_stop()`.
    """
    n, found, reached = len(c), np.zeros((len(c), len(strengths))), 0
    active, signs, now, gone = _Active(H, free), np.zeros(n), np.inf, -1
    for _ in range(CORNERS * n + 1):
        ask(should_stop)
        A, inverse, rows = active.elements, active.inverse, active.rows
        u, v = -inverse @ c[A], inverse @ signs[A]  # (a,)
        steady, falling = c + u @ rows, v @ rows  # (n,): slopes are steady − λ·falling
        at = _corners(free, A, signs, u, v, steady, falling, now)
        if gone >= 0 and at[gone] > (1 - _SAME) * now:
            at[gone] = 0  # it has just left A: its line has this corner and no other
        corner = int(at.argmax())
        until = float(at[corner])
        count = int((strengths[reached:] >= until).sum())
        if count:  # what many corners have left of rounding is in no result
            u -= inverse @ steady[A]
            v -= inverse @ (falling[A] - signs[A])
            x = u[:, None] - strengths[reached : reached + count] * v[:, None]  # (a, count)
            size = np.abs(u)[:, None]  # of which x is the rest: at a corner rounding
            ahead, always = x * signs[A][:, None], free[A][:, None]
            kept = always | (ahead > _ROUNDING * size)
            found[A, reached : reached + count] = np.where(kept, x, 0.0)
            reached += count
        if reached == len(strengths):
            return found if are_least(H, c, free, strengths, found) else None
        now, gone = until, -1
        if signs[corner]:
            active.remove(corner)
            signs[corner], gone = 0, corner
        else:
            signs[corner] = -np.sign(steady[corner] - until * falling[corner])
            if not active.add(corner):
                return None
    return None


def _corners(
    free: Flags,
    A: Indices,
    signs: Numbers,
    u: Numbers,
    v: Numbers,
    steady: Numbers,
    falling: Numbers,
    now: float,
) -> Numbers:
    """(n,) the strength up to `now` at which an element leaves 0 or comes to it, or 0.

    Several may have the same one, which by rounding is above `now` for those whose turn comes last.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        # a slope is λ with the sign of `steady`: with the other it was before, or will never be
        at = np.abs(steady) / (1 + np.where(steady < 0, -falling, falling))
        at[A] = np.where(signs[A] * v < 0, u / v, 0.0)  # those on their way to 0
    at[free] = 0
    return np.where((at > 0) & np.isfinite(at), np.minimum(at, now), 0.0)


def are_least(H: Numbers, c: Numbers, free: Flags, strengths: Numbers, x: Numbers) -> bool:
    """Whether points (n, k) are minima, by their subgradients."""
    own, slopes = np.where(free[:, None], 0.0, strengths), c[:, None] + H @ x  # (n, k)
    off = np.abs(pseudo_gradient(np, x, slopes, own))
    size = np.sqrt(np.maximum(np.diagonal(H), 0.0))  # 0 for what is constant, whose slope is too
    with np.errstate(divide="ignore", invalid="ignore"):
        largest = np.nanmax(np.abs(c) / size, initial=0.0)
    return bool((off <= _ASTRAY * largest * size[:, None]).all())
