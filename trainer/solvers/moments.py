"""Sums of squares of many linear models on the same rows, from second moments of the rows.

About a model near the fit, with residuals e by weights p, another with weights Δ and a bias β more
has, for features without their mean and S = Xᵀdiag(p)X,

    Σ p·(y − ŷ)² = Σ p·e² − 2·Δ·Xᵀ(p·e) − 2·β·Σ p·e + Δ·S·Δ + β²·Σ p.

So no residual is a small difference of large sums, as Σ y² − 2·w·Xᵀy + w·XᵀX·w has it, except
where the other model fits the rows much better; such columns are told (Chan, Golub & LeVeque 1983
have the same of variances).

Shapes: N rows, D features or directions, C outputs, K columns.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from trainer.solvers.basis import CHUNK, Basis
from trainer.solvers.problem import EPS, Problem

if TYPE_CHECKING:
    from trainer.device import Device

Array = Any
_DIGITS = 1e-12  # of a sum: what rounding may take of it
_ROUNDED = 4 * EPS  # of a sum's terms
_RIDGE = 1e-7  # of the largest λ: the penalty of the model near the fit
_FEWEST = 64  # columns and outputs from which on moments are worth it
_BLOCK = 1 << 17  # numbers of the columns that go by at once


class Moments(NamedTuple):
    """What there is to know of rows.

    Attributes:
        weights: (D, C) of the model near the fit, and its bias (C,).
        bias: see there.
        mean: (D,) of the features by p; None: they have none.
        gram: S (D, D), or its diagonal (D,) where it has no more.
        slope: Xᵀ(p·e) (D, C).
        offset: Σ p·e (C,).
        squares: Σ p·e² (C,).
        total: Σ p, ().
        error: (), how far S may be from `gram`, as ‖·‖ of the difference.
    """

    weights: Array
    bias: Array
    mean: Array | None
    gram: Array
    slope: Array
    offset: Array
    squares: Array
    total: Array
    error: Array | float = 0.0


class Sums(NamedTuple):
    """Of K columns.

    Attributes:
        squares: Σ p·(y − ŷ)² (C, K).
        doubtful: (K,) whether rounding may have taken more of them than it would have of a sum over
            the rows.
    """

    squares: Array
    doubtful: Array


def are_worth(outputs: int, columns: int, features: int = 0) -> bool:
    """Whether moments take less than passes over the rows; with those of `features` made for it."""
    return outputs * columns >= max(_FEWEST, features)


def training_moments(device: Device, basis: Basis, X: Array, y: Array, p: Array) -> Moments | None:
    """The moments of training rows in the coordinates of a basis that knows their truth, else None.

    Args:
        device: where they are.
        basis: of the rows.
        X: (N, D) without their mean, not turned.
        y: (N, C).
        p: (N,).
    """
    if basis.truth is None or basis.directions is None or basis.rotated:
        return None
    spectrum, error = basis.truth
    Q = basis.directions
    total = p.sum()
    bias = p @ y / total if basis.has_mean else device.xp.zeros(y.shape[1])
    along = Q.T @ (X.T @ (p[:, None] * (y - bias)))  # (r, C)
    weights = along / (spectrum + _RIDGE * spectrum[-1])[:, None]
    e = y - bias - X @ (Q @ weights)  # (N, C)
    weighted = p[:, None] * e
    slope, squares = Q.T @ (X.T @ weighted), (weighted * e).sum(axis=0)
    offset = weighted.sum(axis=0)
    return Moments(weights, bias, None, spectrum, slope, offset, squares, total, error)


def moments_about(
    device: Device, X: Array, y: Array, p: Array, weights: Array, bias: Array
) -> Moments:
    """The moments of any rows (N, D) about a model of weights (D, C) and bias (C,); y (N, C)."""
    xp, (N, D) = device.xp, X.shape
    size = max(1, device.at_once(8 * CHUNK) // (8 * max(1, D)))
    parts = [slice(start, start + size) for start in range(0, N, size)]
    total = p.sum()
    mean = sum(p[part] @ xp.asarray(X[part], dtype=np.float64) for part in parts) / total
    gram, slope = xp.zeros((D, D)), xp.zeros((D, y.shape[1]))
    offset, squares = xp.zeros((2, y.shape[1]))
    for part in parts:
        x = xp.asarray(X[part], dtype=np.float64)
        e = y[part] - bias - x @ weights  # (b, C)
        x = x - mean
        gram += device.gram(x, p[part])
        weighted = p[part][:, None] * e
        slope += x.T @ weighted
        offset += weighted.sum(axis=0)
        squares += (weighted * e).sum(axis=0)
    return Moments(weights, bias, mean, gram, slope, offset, squares, total)


def sums_of(
    device: Device, of: Moments, weights: Array, bias: Array, gradient: Array | None = None
) -> Sums:
    """Sums of squares of K models, some columns at a time.

    Args:
        device: where they are.
        of: the rows' moments.
        weights: (D, C, K).
        bias: (C, K), of the rows' own mean where `of.mean` is None.
        gradient: (D, C, K) ← S·Δ − Xᵀ(p·e), half the slope of the sum; None: not asked for.
    """
    xp, (D, C, K) = device.xp, weights.shape
    size = max(1, device.at_once(8 * _BLOCK) // (8 * max(1, D * C)))
    squares, doubtful = xp.empty((C, K)), xp.empty(K, bool)
    for start in range(0, K, size):
        at = slice(start, min(start + size, K))
        out = None if gradient is None else gradient[:, :, at]
        found = _sums(device, of, weights[:, :, at], bias[:, at], out)
        squares[:, at], doubtful[at] = found
    return Sums(squares, doubtful)


def _sums(device: Device, of: Moments, weights: Array, bias: Array, gradient: Array | None) -> Sums:
    """`sums_of` of columns that go by at once."""
    xp, diagonal = device.xp, of.gram.ndim == 1
    delta = weights - of.weights[:, :, None]  # (D, C, k)
    shift = bias - of.bias[:, None]  # (C, k)
    if of.mean is not None:
        shift = shift + _along(of.mean[:, None], delta)
    own = of.gram if diagonal else xp.diagonal(of.gram)  # (D,)
    squared = delta * delta
    spread = _along(own[:, None], squared)  # (C, k)
    if diagonal:
        turned, curved = None if gradient is None else own[:, None, None] * delta, spread
    else:
        turned = (of.gram @ delta.reshape(len(delta), -1)).reshape(delta.shape)
        curved = _along(None, delta * turned)
    sloped, moved = _along(of.slope, delta), of.total * shift * shift
    off = shift * of.offset[:, None]
    squares = of.squares[:, None] - 2 * sloped - 2 * off + curved + moved
    size = of.squares[:, None] + 2 * xp.absolute(sloped) + 2 * xp.absolute(off) + spread + moved
    lost = _ROUNDED * size
    if diagonal:  # of a difference that has no direction: a share of its norm is along any
        lost = lost + 2 / np.sqrt(len(delta)) * of.error * _along(None, squared)
    if gradient is not None:
        assert turned is not None
        xp.subtract(turned, of.slope[:, :, None], out=gradient)
    return Sums(squares, ~(lost.sum(axis=0) <= _DIGITS * squares.sum(axis=0)))


def _along(a: Array | None, b: Array) -> Array:
    """Σ_d a·b (C, k) of a (D, 1|C) and b (D, C, k); None stands for ones."""
    D, C, k = b.shape
    if a is None:
        return b.sum(axis=0)
    if a.shape[1] == 1:
        return (a.T @ b.reshape(D, C * k)).reshape(C, k)
    return (a[:, :, None] * b).sum(axis=0)


def held_squares(
    device: Device, of: Moments, rows: tuple[Array, Array, Array], weights: Array, bias: Array
) -> Array:
    """Σ p·(y − ŷ)² (C, K) by moments, and by the rows themselves where these would lose digits.

    Args:
        device: where they are.
        of: the rows' moments.
        rows: X (N, D), y (N, C) and p (N,).
        weights: (D, C, K).
        bias: (C, K).
    """
    squares, doubtful = sums_of(device, of, weights, bias)
    where = np.flatnonzero(device.to_host(doubtful))  # device -> host
    if len(where):
        at = device.to_device(where)
        some = (device.xp.take(one, at, axis=-1) for one in (weights, bias))
        squares[:, at] = _by_rows(device, *rows, *some)
    return squares


def _by_rows(device: Device, X: Array, y: Array, p: Array, weights: Array, bias: Array) -> Array:
    """Σ p·(y − ŷ)² (C, K) over rows (N, D), some of them at a time."""
    xp, (D, C, K) = device.xp, weights.shape
    total, flat = xp.zeros((C, K)), weights.reshape(D, C * K)
    size = max(1, device.at_once(8 * CHUNK) // (8 * max(D, C * K)))
    for start in range(0, len(X), size):
        part = slice(start, start + size)
        e = device.product(xp.asarray(X[part], dtype=np.float64), flat).reshape(-1, C, K)
        e += bias - y[part][:, :, None]
        e *= e
        total += (p[part] @ e.reshape(len(e), -1)).reshape(C, K)
    return total


def held_sums(
    problem: Problem, of: Moments | None, X: Array, y: Array, p: Array
) -> Callable[[Array, Array], Array] | None:
    """What makes `held_squares` of a stack's weights and biases; None where the rows are needed.

    Args:
        problem: the stack's columns.
        of: the moments of their training rows; None: these are passed over.
        X: (N, D) held rows.
        y: (N, C).
        p: (N,).
    """
    device = problem.device
    if of is None or not are_worth(problem.outputs, problem.shape[2], problem.features):
        return None
    weights = problem.basis.weights(device.xp, of.weights[:, :, None])
    bias = of.bias[:, None] - problem.basis.shift(device.xp, weights) if problem.bias else None
    near = weights[:, :, 0], of.bias if bias is None else bias[:, 0]
    rows = X, y, p
    return partial(held_squares, device, moments_about(device, *rows, *near), rows)
