"""Every stream of random bits and its number, the same on every machine, device and NumPy version.

Bits depend on seed, stream and place alone. NumPy promises no fixed stream for Generator's methods
(NEP 19), so they come from splitmix64 (Steele, Lea, Flood 2014, "Fast splittable pseudorandom
number generators"), integer arithmetic only. A stream is a number below 2^64; epochs count up from
0, and the streams below lie where no epoch comes.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

IntArray: TypeAlias = NDArray[np.int64]

SPLIT = (1 << 64) - 1
"""The train/val/test split, of `data.seed`."""

INIT = (1 << 64) - 2
"""First weights, of a trial's `seed`."""

RANDOM_SEARCH = (1 << 64) - 3
"""The draws of random search, of `seed`."""

FOLDS = 0xFD << 56
"""Of `data.seed`: plus the number of the time, from 0."""

DRAWS = 0xFC << 56
"""Few-shot draws, of `seed`: plus the number of the draw, from 0."""

VAL_DRAWS = 0xFB << 56
"""The same, for the rows of val."""

RESAMPLES = 0xF6 << 56
"""Rows drawn for intervals, of `seed`: the draws one after another."""

RESAMPLED_REPEATS = 0xF5 << 56
"""The same, of repeats."""

INNER_FOLDS = 0xE9 << 56
"""Of `data.seed`: of all training rows; plus 1 and the number of the repeat, from 0, of its."""

BOOTSTRAPS = 0xFA << 56
"""Of `seed`: plus the number of the resample, from 0."""

PERMUTATIONS = 0xEF << 56
"""Labels that move, of `seed`: plus the number of the permutation, from 0."""

VAL_PERMUTATIONS = 0xEE << 56
"""The same, for a val of its own."""

_MASK = (1 << 64) - 1
_GOLDEN = 0x9E3779B97F4A7C15
_FACTORS = (0xBF58476D1CE4E5B9, 0x94D049BB133111EB)


def random_bits(seed: int, stream: int, start: int, stop: int, xp: Any = np) -> NDArray[np.uint64]:
    """Elements start … stop − 1 of the random stream (seed, stream): (stop − start,) uint64."""
    state = (_mix_one(_mix_one(seed & _MASK) ^ (stream & _MASK)) + _GOLDEN) & _MASK
    z: NDArray[np.uint64] = xp.arange(start, stop, dtype=np.uint64)
    z *= np.uint64(_GOLDEN)
    z += np.uint64(state)
    z ^= z >> np.uint64(30)
    z *= np.uint64(_FACTORS[0])
    z ^= z >> np.uint64(27)
    z *= np.uint64(_FACTORS[1])
    z ^= z >> np.uint64(31)
    return z


def uniform(seed: int, stream: int, start: int, stop: int) -> NDArray[np.floating[Any]]:
    """The same elements as float64 in (0, 1), never an end: the middles of 2^52 equal cells."""
    cells = random_bits(seed, stream, start, stop) >> np.uint64(12)
    return (cells.astype(np.float64) + 0.5) * 2.0**-52


def draws(seed: int, stream: int, count: int, n: int) -> IntArray:
    """So many draws of 0 … n − 1 with replacement: (count,) int64.

    The high half of 64 random bits times n, by its high half: to 2^-32 · n all are as likely.

    Args:
        seed: any integer; taken modulo 2^64.
        stream: a stream's number, such as `RESAMPLES`.
        count: how many.
        n: below 2^32.
    """
    high = random_bits(seed, stream, 0, count) >> np.uint64(32)
    return ((high * np.uint64(n)) >> np.uint64(32)).view(np.int64)


def _mix_one(value: int) -> int:
    """splitmix64's output function of one Python integer."""
    z = (value + _GOLDEN) & _MASK
    z = ((z ^ (z >> 30)) * _FACTORS[0]) & _MASK
    z = ((z ^ (z >> 27)) * _FACTORS[1]) & _MASK
    return z ^ (z >> 31)


def shuffle(seed: int, epoch: int, n: int, xp: Any = np) -> IntArray:
    """Order in which an epoch visits n rows.

    Sorts the high bits of 64 random ones over the row number in the low bits. Rows whose high bits
    agree keep their order (at ten million rows one pair in 10^7).

    Args:
        seed: any integer; taken modulo 2^64.
        epoch: from 0; or another stream's number, such as `SPLIT`.
        n: number of rows.
        xp: the array module that makes it: NumPy or CuPy, the same integers.

    Returns:
        (n,) int64, a permutation of 0 … n − 1.
    """
    row_bits = max(n - 1, 0).bit_length()
    keys = random_bits(seed, epoch, 0, n, xp)
    row_mask = np.uint64((1 << row_bits) - 1)
    keys &= ~row_mask
    keys |= xp.arange(n, dtype=np.uint64)
    if xp is np:  # first by the highest bits, by radix; what is nearly sorted is merged soon
        keys = keys[(keys >> np.uint64(48)).astype(np.uint16).argsort(kind="stable")]
        keys.sort(kind="stable")
    else:
        keys.sort()
    keys &= row_mask
    return keys.view(np.int64)
