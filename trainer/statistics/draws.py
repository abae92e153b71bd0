"""Rows drawn with replacement, as how often each was drawn (Efron 1979)."""

from __future__ import annotations

from typing import Any

import numpy as np

from trainer.streams import RESAMPLED_REPEATS, RESAMPLES, random_bits

Numbers = np.ndarray[Any, np.dtype[np.float64]]
Places = np.ndarray[Any, np.dtype[np.int64]]

_HALF = np.uint64(32)
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
    bits = random_bits(seed, stream, start * units, stop * units)
    chosen = ((bits >> _HALF) * np.uint64(units)) >> _HALF  # below `units`
    first = np.arange(stop - start, dtype=np.int64) * units
    places = chosen.astype(np.int64).reshape(stop - start, units) + first[:, None]
    counts = np.bincount(places.reshape(-1), minlength=(stop - start) * units)
    return counts.reshape(stop - start, units).astype(np.float64)


def units_of(*labels: Places) -> tuple[list[Places], int]:
    """Numbers from 0 of what rows are drawn as, alike in all parts, and how many there are.

    Args:
        labels: of each part's rows (N,): equal ones are drawn together.
    """
    found, codes = np.unique(np.concatenate(labels), return_inverse=True)
    ends = np.cumsum([len(part) for part in labels])[:-1]
    return np.split(codes.reshape(-1).astype(np.int64), ends), len(found)
