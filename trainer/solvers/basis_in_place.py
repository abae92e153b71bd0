"""A basis for rows that stay where they are: neither centred, nor turned, nor copied.

L-BFGS and Newton's method need a guess of the Gram matrix, no more, and some of the rows tell it:
sums over n rows stand off from their limits by a share of √(D/n). Its diagonal is that of all rows.
Where the sample is unlike the rest, as of sorted or periodic rows it may be, one pass shows it.
Means are taken out of scores and gradients: with x − μ for x the scores of weights W are
x·W − μ·W, and the gradient is Σ e·x − μ·Σ e.

Shapes: N rows, D features.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from trainer.solvers.basis import CHUNK, MOST_DIRECTIONS, SAFE, TALL, Basis

if TYPE_CHECKING:
    from trainer.device import Device

Array = Any
_EPS = float(np.finfo(np.float64).eps)
_FAR = 32  # times a feature's deviation: a mean beyond it costs scores more than five bits
_SAMPLED = 16  # rows a feature that tell a Gram matrix
_FEWEST = 4096  # of them
_UNLIKE = 16  # times the curvature that a sample tells: directions it did not know of are missed


def in_place(
    device: Device, X: Array, p: Array, bias: bool, least: float, turn: bool
) -> Basis | None:
    """Find a basis for rows as they are.

    Args:
        device: where the rows are.
        X: (N, D) of float64.
        p: (N,) row weights that sum to 1.
        bias: whether there is a bias, which takes up the mean.
        least: the smallest l2 there is.
        turn: whether the coordinates must be without correlation; else they are the features.

    Returns:
        None where rows are few for their features, far from 0 for their deviations, dependent, or
        unlike some of them: there the rows must be turned.
    """
    xp, (n, D) = device.xp, X.shape
    if n < TALL * D:
        return None
    mean, squares = _moments(device, X, p)
    mean = mean if bias else xp.zeros(D)
    spectrum = squares - mean * mean  # (D,)
    if bool((mean * mean > _FAR**2 * spectrum).any()):
        return None
    as_it_is = Basis(mean, None, spectrum, 0, whole=False, centred=not bias)
    if min(n, D) > MOST_DIRECTIONS:
        return as_it_is
    gram, seen = _gram(device, X, p, bias, spectrum)
    found, directions = _axes(xp, gram, turn)
    known = device.to_host(found)  # device -> host
    if not known[0] + least > SAFE * known[-1]:
        return None
    if not least and not bool(seen.all()):  # features that the sample lacks may be dependent
        return None
    if directions is None:
        return as_it_is
    found = xp.maximum(found - D * _EPS * known[-1], 0)
    if _every(X) > 1 and _share_of_all(X, p, mean, directions / xp.sqrt(found + least)) > _UNLIKE:
        return None
    return Basis(mean, directions, found, 0, rotated=False, whole=False, centred=not bias)


def _axes(xp: Any, gram: Array, turn: bool) -> tuple[Array, Array | None]:
    """The eigenvalues of a matrix, the smallest first; its eigenvectors where they are wanted."""
    if turn:
        found, directions = xp.linalg.eigh(gram)
        return found, directions
    return xp.linalg.eigvalsh(gram), None


def _moments(device: Device, X: Array, p: Array) -> tuple[Array, Array]:
    """Σ p·x and Σ p·x² (D,) each, in one pass."""
    tasks = [partial(_sums, device, X[part], p[part]) for part in device.row_parts(X)]
    first, *others = device.side_by_side(tasks)
    found = sum(others, first)  # (2, D)
    return found[0], found[1]


def _sums(device: Device, X: Array, p: Array) -> Array:
    """`_moments` of some rows (2, D), a chunk of them at a time."""
    xp, size = device.xp, max(1, device.at_once(8 * CHUNK) // (8 * X.shape[1]))
    total, square = xp.zeros((2, X.shape[1])), xp.empty((min(size, len(X)), X.shape[1]))
    for start in range(0, len(X), size):
        x, q = X[start : start + size], p[start : start + size]
        squares = xp.multiply(x, x, out=square[: len(x)])
        total[0] += q @ x
        total[1] += q @ squares
    return total


def _every(X: Array) -> int:
    """How many rows there are to one of the sample."""
    n, D = X.shape
    return int(max(1, n // max(_FEWEST, _SAMPLED * D)))


def _share_of_all(X: Array, p: Array, mean: Array, scaled: Array) -> float:
    """What all rows have of curvature along the sum of `scaled` directions (D, r): about 1 each.

    Scaled are they by the roots of what they have themselves, as some of the rows tell it.
    """
    along = scaled.sum(axis=1)  # (D,)
    scores = X @ along - mean @ along  # (N,)
    return float(p @ (scores * scores)) / int(scaled.shape[1])


def _gram(device: Device, X: Array, p: Array, bias: bool, spectrum: Array) -> tuple[Array, Array]:
    """The Gram matrix (D, D) of the centred features by some of the rows; its diagonal by all.

    And (D,) whether these rows tell of a feature more than that it is constant.
    """
    xp, D = device.xp, X.shape[1]
    x, q = X[:: _every(X)], p[:: _every(X)]
    total = q.sum()
    gram = device.gram(x, q)
    size = xp.diagonal(gram).copy()
    if bias:
        mean = q @ x
        gram -= mean[:, None] * mean / xp.where(total > 0, total, 1.0)
    found = xp.diagonal(gram)
    seen = found > SAFE * size  # below it is what rounding leaves of a constant
    scale = xp.sqrt(xp.where(seen, spectrum / xp.where(seen, found, 1.0), 0.0))
    gram = gram * (scale[:, None] * scale)
    diagonal = xp.arange(D)
    gram[diagonal, diagonal] = spectrum
    return gram, seen
