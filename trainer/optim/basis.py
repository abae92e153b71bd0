"""Coordinates in which features are uncorrelated: one factorisation serves every penalty.

With rows weighted by p and centred, X = X_c·Q has the Gram matrix Xᵀdiag(p)X = diag(λ), so that
the Hessian of a squared loss with penalty l2 is diag(λ + l2) for every l2 at once (Hoerl & Kennard
1970; the trick of RidgeCV and of big_vision's few-shot probe), and a good guess of any other
loss's. Q is orthonormal: ‖W‖² and all gradient norms are what they were. Directions without any
rows in them (constant or dependent features, fewer rows than features) are left out: W stays 0
there, which is the optimum for l2 > 0 and the one of least norm for l2 = 0.

Shapes: N rows, D features, r <= D directions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

Array = Any
MOST_DIRECTIONS = 2048  # a factorisation of more costs more than it saves
_CONSTANT = 16 * float(np.finfo(np.float64).eps)  # of a feature's size
_WELL_CONDITIONED = 1e-10  # of λmin/λmax: below it XᵀX has lost what X knows


@dataclass(frozen=True)
class Basis:
    """New coordinates for weights (D, …): W = directions·W', b = b' − mean·W.

    Attributes:
        mean: (D,) the weighted mean that X was centred by; zeros without a bias.
        directions: (D, r) orthonormal columns, or None for the features themselves.
        spectrum: (r,) Σ_i p_i·x_ij² in these coordinates.
        dropped: how many directions have no rows in them.
    """

    mean: Array
    directions: Array | None
    spectrum: Array
    dropped: int

    def weights(self, xp: Any, inner: Array) -> Array:
        """(D, C, K) weights of inner ones (r, C, K)."""
        if self.directions is None:
            return inner.copy()
        flat = inner.reshape(inner.shape[0], -1)
        return (self.directions @ flat).reshape(-1, *inner.shape[1:])

    def inner(self, xp: Any, weights: Array) -> Array:
        """(r, C, K) of weights (D, C, K): what of them lies in the directions."""
        if self.directions is None:
            return weights.copy()
        flat = weights.reshape(weights.shape[0], -1)
        return (self.directions.T @ flat).reshape(-1, *weights.shape[1:])

    def shift(self, xp: Any, weights: Array) -> Array:
        """mean·W (C, K): what the bias of the centred rows is larger by than the bias."""
        flat = weights.reshape(weights.shape[0], -1)
        return (self.mean[None, :] @ flat).reshape(weights.shape[1:])


def uncorrelated(
    xp: Any, X: Array, p: Array, bias: bool, most: int | None = MOST_DIRECTIONS
) -> tuple[Basis, Array]:
    """Turn rows into coordinates without correlation.

    Args:
        xp: NumPy or CuPy.
        X: (N, D) of float64; overwritten.
        p: (N,) row weights that sum to 1.
        bias: whether there is a bias, which takes up the mean.
        most: directions from which on the features stay as they are; None for any number.

    Returns:
        The basis and the rows in it, (N, r).
    """
    mean = _centre(xp, X, p, bias)
    if most is not None and min(X.shape) > most:
        return Basis(mean, None, _spectrum(xp, X, p), 0), X
    directions = _directions(xp, X, p)
    turned = X @ directions  # (N, r)
    dropped = X.shape[1] - directions.shape[1]
    return Basis(mean, directions, _spectrum(xp, turned, p), dropped), turned


def as_they_are(xp: Any, X: Array, p: Array, bias: bool) -> tuple[Basis, Array]:
    """The features themselves, centred: for penalties that depend on the coordinates, as l1 does.

    Args and returns as `uncorrelated`, r = D.
    """
    mean = _centre(xp, X, p, bias)
    return Basis(mean, None, _spectrum(xp, X, p), 0), X


def _centre(xp: Any, X: Array, p: Array, bias: bool) -> Array:
    """Subtract the weighted mean in place; what rounding leaves of a constant becomes 0."""
    if not bias:
        return xp.zeros(X.shape[1])
    size = xp.absolute(X).max(axis=0)  # (D,)
    mean = p @ X
    X -= mean
    rest = p @ X  # of a mean large beside its deviations
    X -= rest
    X *= xp.absolute(X).max(axis=0) > _CONSTANT * size
    return mean + rest


def _spectrum(xp: Any, X: Array, p: Array) -> Array:
    return xp.einsum("nd,nd,n->d", X, X, p)


def _directions(xp: Any, X: Array, p: Array) -> Array:
    """(D, r) the right singular vectors of √p·X whose singular values are not 0."""
    n, D = X.shape
    root = X * xp.sqrt(p)[:, None]  # (N, D)
    if n > D:
        values, vectors = xp.linalg.eigh(root.T @ root)
        largest = float(values[-1])
        empty = int((values <= _WELL_CONDITIONED * largest).sum())  # the first, if any
        least = n * np.finfo(np.float64).eps * largest**0.5
        if not empty or float(xp.absolute(root @ vectors[:, :empty]).max()) * n**0.5 <= least:
            return xp.ascontiguousarray(vectors[:, empty:])
        _, singular, right = xp.linalg.svd(xp.linalg.qr(root, mode="r"))
        vectors = right.T
    else:
        left, triangle = xp.linalg.qr(root.T)  # (D, N) · (N, N)
        turn, singular, _ = xp.linalg.svd(triangle)
        vectors = left @ turn
    least = max(n, D) * np.finfo(np.float64).eps * float(singular[0]) if len(singular) else 0.0
    rank = int((singular > least).sum())
    return xp.ascontiguousarray(vectors[:, :rank])
