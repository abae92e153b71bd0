"""Long curves in few points, without hiding anything that they do: extremes and gaps are kept."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.floating[Any]]

MOST_POINTS = 2000
_NOISY = 0.15  # of the changes of direction that a curve could have; white noise has two thirds


def downsample(
    x: NDArray[Any], y: Numbers, most: int = MOST_POINTS
) -> tuple[NDArray[Any], Numbers]:
    """At most `most` points of a curve: of each stretch its lowest, its highest and one gap.

    Args:
        x: (n,) positions.
        y: (n,) values; NaN and infinity are gaps.
        most: 8 or more.

    Returns:
        x and y at the indices kept, in order; the first and the last point are among them.
    """
    n = len(y)
    if n <= most:
        return x, y
    length = -(-n // ((most - 2) // 3))  # of a stretch: three points of each, and both ends
    starts = np.arange(0, n, length)
    finite = np.isfinite(y)
    kept = np.zeros(n, bool)
    kept[[0, n - 1]] = True
    for values in (np.where(finite, y, np.inf), np.where(finite, -y, np.inf), finite):
        padded = np.full(len(starts) * length, np.inf)
        padded[:n] = values  # the lowest of each row: lowest, highest, a gap (False) if it has one
        kept[starts + padded.reshape(-1, length).argmin(axis=1)] = True
    index = np.flatnonzero(kept)
    return x[index], y[index]


def smooth(y: Numbers) -> Numbers:
    """Moving mean over about a fortieth of the curve; gaps stay gaps.

    It is centred, so it does not lag behind as an exponential one does; narrower at the start,
    where a curve is steep, and of the last values alone at the end.
    """
    n = len(y)
    half = max(n // 80, 2)
    finite = np.isfinite(y)
    middle = np.arange(n)
    low = middle - np.minimum(half, middle)
    high = np.minimum(2 * middle - low + 1, n)
    count = np.concatenate([[0], np.cumsum(finite)])
    share = np.where(finite, y, 0.0) / (2 * half + 1)  # so that no sum overflows
    with np.errstate(divide="ignore", invalid="ignore"):
        mean: Numbers = _sums(share, low, high) * ((2 * half + 1) / (count[high] - count[low]))
    return np.where(finite, mean, np.nan)


def _sums(y: Numbers, low: NDArray[Any], high: NDArray[Any]) -> Numbers:
    """Σ y[low:high] for each pair, from no value outside: a spike far off takes no digits away."""
    total = np.zeros(len(low))
    at, width, sums = low.copy(), 1, y  # sums[i]: of y[i : i + width]
    while (left := high - at).any():
        odd = (left & width) > 0
        total[odd] += sums[at[odd]]
        at[odd] += width
        sums, width = sums[:-width] + sums[width:], 2 * width
    return total


def noisy(y: Numbers) -> bool:
    """Whether a curve turns so often that a smoothed line beside it helps."""
    y = y[np.isfinite(y)]
    before, after = y[:-1], y[1:]
    rises = (after > before)[after != before]
    return len(rises) >= 30 and float(np.mean(rises[1:] != rises[:-1])) > _NOISY


def spans_decades(*curves: Numbers) -> bool:
    """Whether a log scale helps: all values are above 0 and they span a factor of 30 or more."""
    values = np.concatenate([np.ravel(curve) for curve in curves] or [np.empty(0)])
    values = values[np.isfinite(values)]
    if not values.size:
        return False
    least, most = float(values.min()), float(values.max())
    return least > 0 and most >= 30 * least
