"""Random bits that are the same on every machine, device and NumPy version.

They depend on (seed, stream) alone. NumPy promises no fixed stream for Generator's methods
(NEP 19), so they come from splitmix64 (Steele, Lea, Flood 2014, "Fast splittable pseudorandom
number generators"), integer arithmetic only.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

_MASK = (1 << 64) - 1
_GOLDEN = 0x9E3779B97F4A7C15
_FACTORS = (0xBF58476D1CE4E5B9, 0x94D049BB133111EB)


def random_bits(seed: int, stream: int, start: int, stop: int) -> NDArray[np.uint64]:
    """Elements start … stop − 1 of the random stream (seed, stream): (stop − start,) uint64."""
    state = (_mix_one(_mix_one(seed & _MASK) ^ (stream & _MASK)) + _GOLDEN) & _MASK
    z = np.arange(start, stop, dtype=np.uint64)
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


def _mix_one(value: int) -> int:
    """splitmix64's output function of one Python integer."""
    z = (value + _GOLDEN) & _MASK
    z = ((z ^ (z >> 30)) * _FACTORS[0]) & _MASK
    z = ((z ^ (z >> 27)) * _FACTORS[1]) & _MASK
    return z ^ (z >> 31)
