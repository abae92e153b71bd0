"""Long curves in few points, without hiding anything that they do: extremes and gaps are kept."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.floating[Any]]

MOST_POINTS = 2000
_NOISY = 0.15  # of the changes of direction that a curve could have; white noise has two thirds


def thin(x: NDArray[Any], y: Numbers, most: int = MOST_POINTS) -> tuple[NDArray[Any], Numbers]:
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
    kept = [np.array([0, n - 1])]
    for values in (np.where(finite, y, np.inf), np.where(finite, -y, np.inf), finite):
        padded = np.full(len(starts) * length, np.inf)
        padded[:n] = values  # the lowest of each row: lowest, highest, a gap (False) if it has one
        kept.append(starts + padded.reshape(-1, length).argmin(axis=1))
    index = np.unique(np.concatenate(kept))
    return x[index], y[index]


def smooth(y: Numbers) -> Numbers:
    """Moving mean over about a fortieth of the curve; gaps stay gaps.

    It is centred, so it does not lag behind as an exponential one does; narrower at the start,
    where a curve is steep, and of the last values alone at the end.
    """
    n = len(y)
    half = max(n // 80, 2)
    finite = np.isfinite(y)
    total = np.concatenate([[0.0], np.cumsum(np.where(finite, y, 0.0), dtype=np.float64)])
    count = np.concatenate([[0], np.cumsum(finite)])
    middle = np.arange(n)
    reach = np.minimum(half, middle)
    low, high = middle - reach, np.minimum(middle + reach + 1, n)
    with np.errstate(invalid="ignore"):
        mean: Numbers = (total[high] - total[low]) / (count[high] - count[low])
    return np.where(finite, mean, np.nan)


def noisy(y: Numbers) -> bool:
    """Whether a curve turns so often that a smoothed line beside it helps."""
    changes = np.sign(np.diff(y[np.isfinite(y)]))
    changes = changes[changes != 0]
    return len(changes) >= 30 and float(np.mean(changes[1:] != changes[:-1])) > _NOISY


def spans_decades(*curves: Numbers) -> bool:
    """Whether a log scale helps: all values are above 0 and they span a factor of 30 or more."""
    values = np.concatenate([np.ravel(curve) for curve in curves] or [np.empty(0)])
    values = values[np.isfinite(values)]
    return bool(values.size and values.min() > 0 and values.max() >= 30 * values.min())
