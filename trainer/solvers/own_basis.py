"""Coordinates of columns whose rows are their own, on features that all columns share.

A column's weights W are those of its own standardised features (x − μ)/σ. Within a solver they are
those of (x − m)/σ, with m the mean by the column's weights where there is a bias, which takes up
the rest; else m = μ. One guess of a Hessian serves all: principal axes of the shared rows, whatever
columns there are.

Shapes: N rows, D features, r directions, C outputs, K columns.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from trainer.solvers.basis import CHUNK, MOST_DIRECTIONS, Basis
from trainer.train.batches import RowSet

if TYPE_CHECKING:
    from trainer.device import Device

Array = Any
Numbers = np.ndarray[Any, np.dtype[np.float64]]
Indices = np.ndarray[Any, np.dtype[np.int64]]
_EPS = float(np.finfo(np.float64).eps)
_CONSTANT = 64 * _EPS  # of a feature's squares about the pooled mean: spread below it is rounding
_LEAST = 1e-6  # of the largest: spreads of the guess are no smaller


class OwnBasis(NamedTuple):
    """`trainer.solvers.basis.Basis` of columns whose rows differ.

    Attributes:
        offset: (D, 1, K) m.
        inverse: (D, 1, K) 1/σ, and 0 where a feature is constant in a column's rows.
        mean: (D, 1, K) of the columns' own features: (m − μ)/σ.
        own_spread: (K,) Σ_i p_i·‖(x_i − m)/σ‖².
        own_sizes: (D, K) the roots of the features' weighted mean squares.
        which: (K,) which columns have the same of all of these, by number, on the host.
        directions: (D, r) orthonormal columns, or None for the features themselves.
        spectrum: (r,) what is guessed of the Gram matrix along them.
    """

    offset: Array
    inverse: Array
    mean: Array
    own_spread: Array
    own_sizes: Array
    which: Indices
    directions: Array | None
    spectrum: Array
    dropped: int = 0
    rotated: bool = False
    whole: bool = False
    centred: bool = False
    is_own: bool = True

    def take(self, columns: Any) -> OwnBasis:
        """That of some of the columns."""
        names = "offset", "inverse", "mean", "own_spread", "own_sizes", "which"
        return self._replace(**{name: getattr(self, name)[..., columns] for name in names})

    @property
    def spread(self) -> Array:
        """(K,) the sum of the true spectrum."""
        return self.own_spread

    @property
    def means(self) -> Array:
        """(D, 1, K) the mean that a column's own features are taken from."""
        return self.mean

    def sizes(self, xp: Any) -> Array:
        """(D,) the roots of the features' weighted mean squares about their means, of column 0."""
        return self.own_sizes[:, 0]

    def weights(self, xp: Any, inner: Array) -> Array:
        """(D, C, K) weights of inner ones (r, C, K)."""
        return Basis.weights(self, xp, inner)  # type: ignore[arg-type]

    def inner(self, xp: Any, weights: Array) -> Array:
        """(r, C, K) of weights (D, C, K)."""
        return Basis.inner(self, xp, weights)  # type: ignore[arg-type]

    def shift(self, xp: Any, weights: Array) -> Array:
        """mean·W (C, K): what the bias of the centred rows is larger by than the bias."""
        return (self.mean * weights).sum(axis=0)

    def largest_shift(self, xp: Any, weights: Array) -> Array:
        """(C, K) how large the terms of shifts are, of |weights| (D, C, K)."""
        size = xp.absolute(self.mean) + xp.absolute(self.offset) * self.inverse
        return (size * weights).sum(axis=0)

    def of_rows(self, xp: Any, inner: Array) -> Array:
        """Weights (D, C, K) of the shared rows as they are stored."""
        return self.weights(xp, inner) * self.inverse

    def stored_shift(self, xp: Any, stored: Array) -> Array:
        """m·W (C, K) of weights of stored rows."""
        return (self.offset * stored).sum(axis=0)

    def turn_gradient(self, gradient: Array, of_bias: Array) -> None:
        """Turn a gradient (D, C, K) by weights of stored rows into the columns' own, in place."""
        gradient -= self.offset * of_bias
        gradient *= self.inverse

    def of_one(self, column: int) -> Basis:
        """The basis of a column, which turns shared rows into its own."""
        mean, inverse = self.offset[:, 0, column], self.inverse[:, 0, column]
        turned = self.directions is not None
        return Basis(
            mean, self.directions, self.spectrum, 0, not turned, False, centred=False, scale=inverse
        )


def own_basis(
    device: Device, rows: RowSet, bias: bool, turn: bool, columns: int
) -> tuple[OwnBasis, RowSet]:
    """Find the coordinates of columns whose rows or statistics differ, and their rows in float64.

    Args:
        device: where the rows are.
        rows: of K columns.
        bias: whether there is a bias.
        turn: whether a guess of a Hessian is wanted that knows of correlations.
        columns: K.
    """
    xp, X = device.xp, device.xp.asarray(rows.X, dtype=np.float64)
    scaling = rows.scaling
    zeros = np.zeros(columns, np.int64)
    share = zeros if rows.share_of is None else rows.share_of
    scaled = zeros if scaling is None else scaling.which
    which = np.unique(np.stack([share, scaled]), axis=1, return_inverse=True)[1]
    wide, at = rows.rotated(device, X, None, None), device.to_device(share)
    pooled = X.mean(axis=0)[:, None, None]  # (D, 1, 1)
    found = _moments(device, X, pooled[:, 0, 0], wide.q[:, 0])  # (D, V) each
    mean, squares = (xp.take(one, at, axis=1)[:, None] for one in found)  # (D, 1, K)
    total = xp.take(wide.q[:, 0].sum(axis=0), at)
    if scaling is None:
        mu, inverse = xp.zeros(mean.shape), xp.ones(mean.shape)
    else:
        own = scaling.widened(xp, np.float64)
        mu, inverse = own.mean, own.inverse
    about = mean / total if bias else mu - pooled  # from the pooled mean
    spread = squares - 2 * about * mean + about * about * total
    if scaling is None and bias:
        inverse = xp.where(spread > _CONSTANT * squares, inverse, 0.0)
    spread = xp.maximum(spread, 0) * inverse * inverse  # (D, 1, K)
    offset = about + pooled
    directions, spectrum = _axes(device, X, turn)
    return OwnBasis(
        offset, inverse, (offset - mu) * inverse, spread.sum(axis=(0, 1)), xp.sqrt(spread[:, 0]),
        which.reshape(-1), directions, spectrum, rotated=directions is None,
    ), wide  # fmt: skip


def _moments(device: Device, X: Array, pooled: Array, q: Array) -> tuple[Array, Array]:
    """Σ q·x and Σ q·x² (D, V) of rows (N, D) about a pooled mean (D,), by weights (N, V)."""
    xp, (N, D) = device.xp, X.shape
    mean, squares = xp.zeros((2, D, q.shape[1]))
    size = max(1, device.at_once(8 * CHUNK) // (8 * max(1, D)))
    for start in range(0, N, size):
        x, w = X[start : start + size] - pooled, q[start : start + size]
        mean += x.T @ w
        x *= x
        squares += x.T @ w
    return mean, squares


def _axes(device: Device, X: Array, turn: bool) -> tuple[Array | None, Array]:
    """Principal axes (D, r) of all rows, each alike, and their spectrum (r,), as a guess."""
    xp, (N, D) = device.xp, X.shape
    even = xp.full(N, 1 / N)
    mean = even @ X
    if not turn or min(N, D) > MOST_DIRECTIONS:
        return None, xp.maximum(even @ (X * X) - mean * mean, _EPS)
    gram = device.gram(X, even) - mean[:, None] * mean
    found, directions = xp.linalg.eigh(gram)
    return directions, xp.maximum(found, _LEAST * found.max())
