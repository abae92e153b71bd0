"""Rows as training and evaluation see them: encoded, scaled, weighted.

N rows, D features, C outputs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

FloatArray: TypeAlias = NDArray[np.floating[Any]]
IntArray: TypeAlias = NDArray[np.int64]
Array: TypeAlias = NDArray[Any]
Label: TypeAlias = bool | int | str


@dataclass(frozen=True)
class Rows:
    """The rows of one split."""

    name: str
    """"train", "val", "test", or a test source's own name."""
    X: FloatArray
    """(N, D) of the run's precision, C-contiguous, scaled."""
    y: Array
    """(N, C) of the same dtype; with an output a class (N,) int64 codes into the classes."""
    weight: NDArray[np.float64]
    """(N,): the source's `weight` column, ones without one. Class weights are not in it."""
    index: IntArray
    """(N,): the row of its source, from 0, ascending."""

    def __len__(self) -> int:
        return len(self.index)
