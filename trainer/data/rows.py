"""Rows as training and evaluation see them: encoded, scaled, weighted.

N rows, D features, C outputs.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

FloatArray: TypeAlias = NDArray[np.floating[Any]]
IntArray: TypeAlias = NDArray[np.int64]
Array: TypeAlias = NDArray[Any]
Label: TypeAlias = bool | int | str


class Coarse(NamedTuple):
    """A column that a precision has few steps for.

    Attributes:
        name: of the column.
        is_target: else it is a feature.
        size: of its largest value.
        spread: its largest value minus its least.
        precision: that has few steps.
        as_read: whether the source has the values in it, or they were read in it: then no setting
            of a run brings the digits back.
    """

    name: str
    is_target: bool
    size: float
    spread: float
    precision: str
    as_read: bool


@dataclass(frozen=True)
class Rows:
    """The rows of one split."""

    name: str
    """"train", "val", "test", or a test source's own name."""
    X: FloatArray
    """(N, D) of the run's precision, C-contiguous, scaled."""
    y: Array
    """(N, C): numbers in float64, labels and shares of X's dtype; with an output a class (N,) int64
    codes into the classes."""
    weight: NDArray[np.float64]
    """(N,): the source's `weight` column, ones without one. Class weights are not in it."""
    index: IntArray
    """(N,): the row of its source, from 0, ascending."""
    group: IntArray | None = None
    """(N,): codes of the groups that rows are drawn by; None where the source has none."""
    of_present: bool = False
    """Whether only classes that these rows have may be predicted for them."""
    metric: str | None = None
    """The one that their result begins with; None for the model's own."""

    @property
    def present(self) -> NDArray[np.bool_]:
        """(C,): which classes a row has, where there is an output a class; up to the last one."""
        if self.y.ndim == 1:
            return np.bincount(self.y, minlength=1) > 0
        return np.asarray((self.y > 0).any(axis=0), dtype=np.bool_)

    def __len__(self) -> int:
        return len(self.index)

    def of_target(self, c: int) -> Rows:
        """The same rows with column c of the targets (N, C) alone."""
        return replace(self, y=self.y[:, c : c + 1])
