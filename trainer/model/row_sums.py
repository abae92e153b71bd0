"""Weighted sums over rows, by weights that columns share or have of their own."""

from __future__ import annotations

from typing import Any

Array = Any


def weighted_sums(device: Any, weights: Array, values: Array, ones: Array, out: Array) -> None:
    """Write Σ_rows weights·values of each column: values (B, K) -> out (1, K).

    Args:
        device: whose product it is.
        weights: (1, B) of all columns, or (K, B).
        values: (B, K).
        ones: (1, B or more).
        out: (1, K).
    """
    if len(weights) > 1:
        values, weights = weights.T * values, ones[:, : len(values)]
    device.matmul(weights, values, out=out)
