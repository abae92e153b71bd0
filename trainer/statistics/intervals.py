"""Percentile intervals of resampled numbers (Efron 1979; Efron and Tibshirani 1993, chapter 13)."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

Numbers = np.ndarray[Any, np.dtype[np.float64]]

FEWEST_UNITS = 10
"""Rows or groups to draw from: of fewer, draws repeat a handful of sets, and intervals are far too
short (Cameron, Gelbach and Miller 2008 for groups)."""
_IN_A_TAIL = 2.5  # draws: with fewer an end of an interval is the extreme of a few numbers


class Interval(NamedTuple):
    """The middle share of what draws gave.

    Attributes:
        low, high: its ends.
        undefined: draws that have no value, such as those with one class alone.
    """

    low: float
    high: float
    undefined: int = 0


def percentile_interval(values: Numbers, level: float) -> Interval | None:
    """The interval of numbers (R,), NaN left out and counted; None where it has no finite ends.

    Args:
        values: a metric, or a difference of two, of each draw.
        level: the share that lies within, such as 0.95.
    """
    known = values[~np.isnan(values)]
    if not len(known):
        return None
    known.sort()
    with np.errstate(invalid="ignore"):  # between infinite ones
        low, high = (_quantile(known, share) for share in ((1 - level) / 2, (1 + level) / 2))
    if not (math.isfinite(low) and math.isfinite(high)):
        return None
    return Interval(low, high, len(values) - len(known))


def _quantile(values: Numbers, share: float) -> float:
    """That of sorted numbers, between two of them in a line: np.quantile without numpy.ma."""
    place = share * (len(values) - 1)
    below = math.floor(place)
    low, high = values[below], values[min(below + 1, len(values) - 1)]
    part, apart = place - below, high - low
    # from the nearer end, as NumPy goes
    return float(high - apart * (1 - part) if part >= 0.5 else low + apart * part)


def fewest_resamples(level: float) -> int:
    """How many draws an interval takes to be of use: 100 for 95 %."""
    return math.ceil(round(2 * _IN_A_TAIL / (1 - level), 6))
