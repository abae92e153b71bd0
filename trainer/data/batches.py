"""Orders that are the same on every machine, device and NumPy version.

An order depends on (seed, stream) alone. NumPy promises no fixed stream for Generator's methods
(NEP 19), so the bits here come from splitmix64 (Steele, Lea, Flood 2014, "Fast splittable
pseudorandom number generators"), integer arithmetic only.
"""

from __future__ import annotations

import numpy as np

from trainer.data.rows import IntArray
from trainer.streams import random_bits

SPLIT = (1 << 64) - 1
"""The stream of the train/val/test split: no epoch ever has this number."""


def shuffle(seed: int, epoch: int, n: int) -> IntArray:
    """Order in which an epoch visits n rows.

    Sorts the high bits of 64 random ones over the row number in the low bits: one sort of uint64,
    no argsort. Rows whose high bits agree keep their order (at ten million rows one pair in 10^7).

    Args:
        seed: any integer; taken modulo 2^64.
        epoch: from 0; or another stream's number, such as `SPLIT`.
        n: number of rows.

    Returns:
        (n,) int64, a permutation of 0 … n − 1.
    """
    row_bits = max(n - 1, 0).bit_length()
    keys = random_bits(seed, epoch, 0, n)
    row_mask = np.uint64((1 << row_bits) - 1)
    keys &= ~row_mask
    keys |= np.arange(n, dtype=np.uint64)
    keys.sort()
    keys &= row_mask
    return keys.view(np.int64)
