"""Coordinates of columns whose rows are their own, on features that all columns share.

A column's weights W are those of its own standardised features (x − μ)/σ. Within a solver they are
those of (x − m)/σ, with m the mean by the column's weights where there is a bias, which takes up
the rest; else m = μ. One guess of a Hessian serves all: principal axes of the shared rows, whatever
columns there are.

Shapes: N rows, D features, r directions, C outputs, K columns.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from trainer.solvers.basis import CHUNK, MOST_DIRECTIONS, OwnBasis
from trainer.train.batches import RowSet

if TYPE_CHECKING:
    from trainer.device import Device

Array = Any
_EPS = float(np.finfo(np.float64).eps)
_CONSTANT = 64 * _EPS  # of a feature's squares about the pooled mean: spread below it is rounding
_LEAST = 1e-6  # of the largest: spreads of the guess are no smaller


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
    pooled = xp.sum(X, axis=0)[:, None, None] / len(X)  # (D, 1, 1)
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
