"""Row numbers: of the plain run's splits, of one repeat; and how many of each class there are."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from trainer.data.rows import IntArray
from trainer.text.labels import label_text
from trainer.text.printable import quote

if TYPE_CHECKING:
    from trainer.data.encode.targets import Target
    from trainer.data.frame import Frame


@dataclass(frozen=True, eq=False)
class RowSplit:
    """The rows of one repeat, as ascending row numbers."""

    name: str
    """`fold 2 of 5`, `fold 2 of 5, time 3`, `draw 4`, `group Paris`; empty in a plain run."""
    train: IntArray
    """Of the training source."""
    val: IntArray | None
    """Of the training source; None: val is what a plain run has."""
    key: Hashable
    """Equal for equal rows, among specs of one data block and model."""
    drawn: IntArray | None = None
    """Where val is a source of its own and `val_k` draws from it: rows of that source."""
    common: IntArray | None = None
    """The training rows of all targets, where each has its own: what encoders have in common."""
    common_counts: IntArray | None = None
    """How often each of these was drawn; None: once."""
    counts: IntArray | None = None
    """How often each row of train was drawn, which its weight is multiplied by; None: once."""
    value: str | None = None
    """Of a fold that the data name: what they call it."""
    time: int = 0
    """Of `repeat.times`, from 0: each time holds out each row once at most."""
    redraw: Callable[[], RowSplit] | None = None
    """Draws the rows, where a run has too many such sets to hold them; else None."""

    def whole(self) -> RowSplit:
        """The same with its rows."""
        return self if self.redraw is None else self.redraw()


@dataclass(frozen=True, eq=False)
class Holdout:
    """Ascending rows of the training source: those of each split, each row once."""

    usable: IntArray
    train: IntArray
    val: IntArray
    """Empty where val is none or a source of its own."""
    test: IntArray
    """The same."""
    target: Target
    """Not scaled; classes are those of all usable rows."""
    codes: NDArray[np.int32] | None
    """(rows of the source,) class codes where splits are stratified."""


def class_codes(frame: Frame, target: Target, rows: IntArray) -> IntArray:
    """(n,) codes into the target's classes of some rows.

    Raises:
        DataError: a label that is no class.
    """
    codes: IntArray = target.encode(frame, rows, np.dtype(np.float64)).reshape(-1).astype(np.int64)
    return codes


def scarcest(codes: IntArray, target: Target, *, absent: bool = True) -> tuple[str, int]:
    """The class that fewest of these codes have: its label, quoted, and their number.

    Args:
        codes: (n,) into the target's classes.
        target: with classes.
        absent: whether a class that no code has counts.
    """
    assert target.classes is not None
    counts = np.bincount(codes, minlength=len(target.classes))
    code = int(counts.argmin() if absent else np.where(counts, counts, len(codes) + 1).argmin())
    return quote(label_text(target.classes[code])), int(counts[code])


def counted(number: int, of: str) -> str:
    """`1 row`, `2 rows`."""
    return f"{number} {of}{'s' * (number != 1)}"
