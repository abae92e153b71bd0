"""The rows of one repeat, and how many of each class there are."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from trainer.data.encode.targets import Target
from trainer.data.frame import Frame
from trainer.data.rows import IntArray
from trainer.data.sources.read import Source
from trainer.data.splits.holdout import hold_out
from trainer.text.labels import label_text
from trainer.text.printable import quote

if TYPE_CHECKING:
    from trainer.config.schema.spec import Spec


@dataclass(frozen=True, eq=False)
class RowSplit:
    """The rows of one repeat, as ascending row numbers."""

    name: str
    """`fold 2 of 5`, `fold 2 of 5, time 3`, `draw 4`; empty in a plain run."""
    train: IntArray
    """Of the training source."""
    val: IntArray | None
    """Of the training source; None: val is what a plain run has."""
    key: Hashable
    """Equal for equal rows, among specs of one data block and model."""
    drawn: IntArray | None = None
    """Where val is a source of its own and `val_k` draws from it: rows of that source."""


def plain_split(source: Source, spec: Spec) -> RowSplit:
    """The one part of a run without folds and draws.

    Raises:
        DataError: as `hold_out`.
    """
    return RowSplit("", hold_out(source, spec).train, None, ("plain",))


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
