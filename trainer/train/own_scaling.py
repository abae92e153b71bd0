"""Standardisation of each column by its own rows, on features that all columns share.

X is shifted and scaled once by pooled statistics, in float64, so that no digits are lost far from
0. In its units a column's rows have means μ and deviations σ, and the weights W of its own
standardised features give scores and gradients of

    z = X·(W/σ) + b − (μ/σ)·W        dJ/dW = (Xᵀe − μ·Σe)/σ

A feature that is constant in a column's rows has σ = 1, as everywhere, and is exactly 0 there: its
weight is in no score of training, and its slope is 0.

Letters: N rows, D features, C outputs, S statistics, K columns.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from trainer.device import Device

Array = Any
Numbers = np.ndarray[Any, np.dtype[np.float64]]
Indices = np.ndarray[Any, np.dtype[np.int64]]
_FAR = 16.0  # squares about a mean that lies this near to the centre lose a digit at most
_CHUNK = 1 << 20  # numbers of the rows in float64 at once


class Statistics(NamedTuple):
    """Means and deviations of some row sets.

    Attributes:
        mean: (S, D).
        scale: (S, D) σ, 1 where a feature is constant.
        constant: (S, D) whether it is.
    """

    mean: Numbers
    scale: Numbers
    constant: np.ndarray[Any, np.dtype[np.bool_]]

    def within(self, mean: Numbers, scale: Numbers) -> Statistics:
        """The same in the units of features that were shifted by `mean` and divided by `scale`."""
        return Statistics((self.mean - mean) / scale, self.scale / scale, self.constant)


def statistics(X: Array, weights: Numbers) -> Statistics:
    """The statistics of row sets, in float64 and in two passes: of rows whose weight is above 0.

    Args:
        X: (N, D), on the host; what is not finite is in nobody's rows.
        weights: (S, N).
    """
    S, (N, D) = len(weights), X.shape
    size = max(1, _CHUNK // max(1, D))
    totals = np.zeros((S, 1))
    # by a power of 2, so that no sum overflows and no weight has few digits
    shift = -np.frexp(weights.max(axis=1))[1][:, None]
    mean, squares = np.zeros((S, D)), np.zeros((S, D))
    low, high = np.full((S, D), np.inf), np.full((S, D), -np.inf)
    for start in range(0, N, size):
        x, w = _finite(X[start : start + size]), np.ldexp(weights[:, start : start + size], shift)
        totals += w.sum(axis=1, keepdims=True)
        mean += w @ x
        for s in range(S):
            own = x[w[s] > 0]
            np.minimum(low[s], own.min(axis=0, initial=np.inf), out=low[s])
            np.maximum(high[s], own.max(axis=0, initial=-np.inf), out=high[s])
    mean /= totals
    centre = mean.mean(axis=0)
    for start in range(0, N, size):
        x, w = _finite(X[start : start + size]), np.ldexp(weights[:, start : start + size], shift)
        squares += w @ (x - centre) ** 2
    off = totals * (mean - centre) ** 2
    squares -= off
    for s in np.flatnonzero(
        (squares < _FAR * off).any(axis=1)
    ).tolist():  # whose digits that has cost
        squares[s] = 0
        for start in range(0, N, size):
            x = _finite(X[start : start + size])
            w = np.ldexp(weights[s, start : start + size], shift[s])
            squares[s] += w @ (x - mean[s]) ** 2
    constant = low == high
    sigma = np.sqrt(squares / totals)
    return Statistics(
        np.where(constant, low, mean), np.where(constant | (sigma == 0), 1.0, sigma), constant
    )


def _finite(x: Array) -> Numbers:
    return np.nan_to_num(np.asarray(x, np.float64), nan=0.0, posinf=0.0, neginf=0.0)


class SharedFeatures(NamedTuple):
    """Features for all columns, and the statistics of row sets in their units.

    Attributes:
        X: (N, D) = (the features − mean)/scale, in the precision asked for.
        mean: (D,) of all rows, pooled.
        scale: (D,).
        own: of the row sets.
    """

    X: Array
    mean: Numbers
    scale: Numbers
    own: Statistics


def share_features(X: Array, weights: Numbers, dtype: Any) -> SharedFeatures:
    """Shift and scale features once by the pooled statistics of all row sets' rows.

    Args:
        X: (N, D) as they are, on the host, in the most digits that there are.
        weights: (S, N) row weights of the row sets.
        dtype: of the shared features.
    """
    pooled = statistics(X, (weights != 0).any(axis=0)[None].astype(np.float64))
    mean, scale = pooled.mean[0], pooled.scale[0]
    shared = scaled_alike(X, mean, scale, dtype)
    return SharedFeatures(shared, mean, scale, statistics(X, weights).within(mean, scale))


def scaled_alike(X: Array, mean: Numbers, scale: Numbers, dtype: Any) -> Array:
    """Features (N, D) less `mean` (D,) over `scale` (D,), in float64 and then in a precision."""
    shared, size = np.empty(X.shape, dtype), max(1, _CHUNK // max(1, X.shape[1]))
    for start in range(0, len(X), size):
        part = slice(start, start + size)
        shared[part] = (np.asarray(X[part], np.float64) - mean) / scale
    return shared


@dataclass(frozen=True)
class OwnScaling:
    """The statistics of K columns, on a device.

    Attributes:
        mean: (D, 1, K) μ.
        inverse: (D, 1, K) 1/σ, and 0 where a feature is constant.
        whole: (D, 1, K) 1/σ, for rows of others, in which it may not be.
        which: (K,) which of S statistics each column has, on the host.
    """

    mean: Array
    inverse: Array
    whole: Array
    which: Indices

    @classmethod
    def of(cls, device: Device, own: Statistics, which: Indices, dtype: Any) -> OwnScaling:
        """The statistics of columns that have those of numbers `which` (K,)."""

        def put(table: Numbers) -> Array:
            return device.to_device(np.ascontiguousarray(table[which].T)[:, None], dtype)

        inverse = 1 / own.scale
        return cls(put(own.mean), put(np.where(own.constant, 0.0, inverse)), put(inverse), which)

    def take(self, columns: Any, device: Device) -> OwnScaling:
        """Those of some of the columns."""
        at = device.to_device(np.arange(len(self.which))[columns])
        arrays = self.mean, self.inverse, self.whole
        mean, inverse, whole = (device.xp.take(one, at, axis=2) for one in arrays)
        return OwnScaling(mean, inverse, whole, self.which[columns])

    def widened(self, xp: Any, dtype: Any) -> OwnScaling:
        """The same in another precision."""
        arrays = {
            n: xp.asarray(getattr(self, n), dtype=dtype) for n in ("mean", "inverse", "whole")
        }
        return replace(self, **arrays)

    def write_shared(self, xp: Any, parameters: Array, out: Array, free: Array) -> None:
        """Write the weights and bias of the shared features.

        Args:
            xp: the array module.
            parameters: (D + 1, C, K), W and below it b.
            out: (D + 1, C, K) ← W/σ, b − (μ/σ)·W.
            free: (D + 1, C, K), overwritten.
        """
        xp.multiply(parameters[:-1], self.inverse, out=out[:-1])
        xp.multiply(out[:-1], self.mean, out=free[:-1])
        xp.sum(free[:-1], axis=0, out=free[-1])
        xp.subtract(parameters[-1], free[-1], out=out[-1])

    def turn_gradient(self, xp: Any, gradient: Array, free: Array) -> None:
        """Turn a gradient by the shared features' weights and Σe below it into the columns' own.

        Args:
            xp: the array module.
            gradient: (D + 1, C, K).
            free: (D + 1, C, K), overwritten.
        """
        xp.multiply(self.mean, gradient[-1], out=free[:-1])
        gradient[:-1] -= free[:-1]
        gradient[:-1] *= self.inverse

    def of_held(self, weights: Array, bias: Array) -> tuple[Array, Array]:
        """Weights (D, C, K) and bias (C, K) for the shared features of any rows."""
        shared = weights * self.whole
        return shared, bias - (shared * self.mean).sum(axis=0)
