"""Rows drawn with replacement, as how often each was drawn (Efron 1979)."""

from __future__ import annotations

from typing import Any

import numpy as np

from trainer.streams import RESAMPLED_REPEATS, RESAMPLES, random_bits

Numbers = np.ndarray[Any, np.dtype[np.float64]]
Places = np.ndarray[Any, np.dtype[np.int64]]

_HALF, _LOW = np.uint64(32), np.uint64((1 << 32) - 1)
MOST_UNITS = 1 << 31
"""What 32 random bits choose among with a bias below one in two."""


def row_draws(seed: int, units: int, start: int, stop: int) -> Numbers:
    """How often each of so many rows, or groups, is drawn in draws start … stop − 1.

    Args:
        seed: of the stream; a draw depends on it, on its own number and on `units` alone.
        units: what is drawn, and as often: (stop − start, units), each row sums to it.
        start: number of the first draw.
        stop: number behind the last.
    """
    return _draws(seed, RESAMPLES, units, start, stop)


def repeat_draws(seed: int, repeats: int, start: int, stop: int) -> Numbers:
    """The same of repeats, by a stream of their own."""
    return _draws(seed, RESAMPLED_REPEATS, repeats, start, stop)


def _draws(seed: int, stream: int, units: int, start: int, stop: int) -> Numbers:
    if not 0 < units < MOST_UNITS:
        raise ValueError(f"{units} units to draw from; 1 to {MOST_UNITS - 1} are right")
    draws, words = stop - start, -(-units // 2)  # two choices of 32 bits a word
    bits = random_bits(seed, stream, start * words, stop * words).reshape(draws, words)
    chosen = np.empty((draws, 2, words), np.uint64)
    np.right_shift(bits, _HALF, out=chosen[:, 0])
    np.bitwise_and(bits, _LOW, out=chosen[:, 1])
    chosen *= np.uint64(units)
    chosen >>= _HALF  # below `units`
    places = chosen.view(np.int64).reshape(draws, 2 * words)[:, :units]
    counts = np.empty((draws, units))
    for draw, own in enumerate(places):  # the counts of one stay in the cache
        counts[draw] = np.bincount(own, minlength=units)
    return counts


def units_of(*labels: Places) -> tuple[list[Places], int]:
    """Numbers from 0 of what rows are drawn as, alike in all parts, and how many there are.

    Args:
        labels: of each part's rows (N,): equal ones are drawn together.
    """
    joined = np.concatenate(labels)
    codes = np.empty(len(joined), np.int64)
    # not np.unique, which imports numpy.ma: 25 ms of every run
    order = np.argsort(joined, kind="stable")
    ordered = joined[order]
    codes[order] = np.cumsum(np.concatenate([[0], ordered[1:] != ordered[:-1]])[: len(joined)])
    ends = np.cumsum([len(part) for part in labels])[:-1]
    return np.split(codes, ends), int(codes.max(initial=-1)) + 1
