"""What tells the inner folds of nested cross-validation apart."""

from __future__ import annotations

from typing import NamedTuple

FINAL = -1
"""The repeat of inner folds of all training rows, by which the final setting is chosen."""


class Inner(NamedTuple):
    """An inner fold.

    Attributes:
        repeat: whose training rows it is of; `FINAL`: of all.
        fold: which of them, from 0.
    """

    repeat: int
    fold: int
