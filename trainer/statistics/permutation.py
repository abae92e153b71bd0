"""p-values of permutation tests (Ojala and Garriga 2010; Phipson and Smyth 2010 for the 1)."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

Numbers = np.ndarray[Any, np.dtype[np.float64]]

FEWEST_PERMUTATIONS = 19
"""Of fewer, no score can have a p-value of 0.05 or less."""
_TIED = 1e-9  # of a score: nearer ones are ties, however rounded


class PValue(NamedTuple):
    """How often chance is as good.

    Attributes:
        p_value: (1 + as_good)/(1 + n).
        as_good: permutations of n that are as good or better, ties among them.
        undefined: those of these that have no score, which cannot speak against chance.
    """

    p_value: float
    as_good: int
    undefined: int


def p_value(score: float, null: Numbers, minimize: bool) -> PValue:
    """The p-value of a score among those of permutations (n,), NaN where one has none.

    The labels as they are count as one permutation, or else p could be 0 and would be too small
    on average (Phipson and Smyth 2010).
    """
    undefined = np.isnan(null)
    if math.isnan(score):
        return PValue(1.0, len(null), int(undefined.sum()))
    behind = (null - score) if minimize else (score - null)
    as_good = undefined | (behind <= _TIED * abs(score)) | (null == score)
    count = int(as_good.sum())
    return PValue((1 + count) / (1 + len(null)), count, int(undefined.sum()))
