"""Where a path of l1 begins: the least strength at which all weights are 0."""

from __future__ import annotations

from typing import Any

import numpy as np

from trainer.model.models import Model, Scratch

Numbers = np.ndarray[Any, np.dtype[np.float64]]
_ROWS = 65_536  # of a chunk
_ROUNDING = 64 * float(np.finfo(np.float64).eps)


def lambda_max(model: Model, X: Any, y: Any, p: Numbers, bias: bool, far: Numbers) -> float:
    """The largest |∂J/∂w| at W = 0, the bias at its best; 0 where all are rounding.

    Friedman, Hastie & Tibshirani 2010, §2.5, for any of the models.

    Args:
        model: the row of the model table.
        X: (N, D) training rows on the host.
        y: (N, C) targets.
        p: (N,) row weights that sum to 1.
        bias: whether there is one.
        far: (D,) |mean|/scale of the features before they were scaled: digits lost in x − mean.
    """
    N, outputs = y.shape
    start = _at_best(model, y, p, bias)
    slope, rounding = np.zeros((X.shape[1], outputs)), np.zeros(X.shape[1])
    eps = np.finfo(X.dtype).eps
    for first in range(0, N, _ROWS):
        part = slice(first, first + _ROWS)
        target = y[part, :, None]
        off = start[None, :, None] - target  # (n, C, 1)
        dz = model.dz(np, off, target, np.empty_like(off), Scratch.of(np, len(off), outputs))
        rows = X[part].astype(np.float64)  # (n, D)
        slope += rows.T @ (dz[:, :, 0] * p[part, None])  # (D, C)
        size = p[part] * np.abs(dz[:, :, 0]).max(axis=1)  # (n,)
        rounding += eps * (size @ np.abs(rows))  # of X itself
        rounding += _ROUNDING * (np.abs(y).max() * (p[part] @ np.abs(rows)) + far * size.sum())
    largest = np.abs(slope).max(axis=1)  # (D,)
    return 0.0 if (largest <= rounding).all() else float(largest.max())


def _at_best(model: Model, y: Any, p: Numbers, bias: bool) -> Numbers:
    """ŷ (C,) at W = 0: with the bias at its best the mean of y, whatever the model."""
    if bias:
        mean: Numbers = p @ y
        return mean
    outputs = y.shape[1]
    z, predicted = np.zeros((1, outputs, 1)), np.empty((1, outputs, 1))
    model.activation(np, z, predicted, Scratch.of(np, 1, outputs))
    return predicted[0, :, 0]
