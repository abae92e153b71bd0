"""Rows of a frame: those of a split, of one repeat."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from trainer.data.frame import Frame, read_weight
from trainer.data.rows import IntArray
from trainer.data.sources.source import Source
from trainer.data.splits.holdout import hold_out, usable
from trainer.data.splits.row_split import RowSplit

if TYPE_CHECKING:
    from trainer.config.schema.spec import Spec


class SplitRows(NamedTuple):
    """Some rows of a frame, (n,) ascending, and how often each counts; None: once."""

    name: str
    frame: Frame
    rows: IntArray
    counts: IntArray | None = None

    @property
    def weight(self) -> NDArray[np.float64]:
        """(n,): the source's weights, times the counts."""
        weight = read_weight(self.frame, self.rows, self.name)
        return weight if self.counts is None else weight * self.counts


def held_out(source: Source, spec: Spec, part: RowSplit) -> SplitRows | None:
    """The validation rows of one repeat."""
    if part.val is not None:
        return SplitRows("val", source.frame, part.val)
    if part.drawn is not None:
        return SplitRows("val", source.held["val"], part.drawn)
    if "val" in source.held:
        return whole_source("val", source, spec)
    rows = hold_out(source, spec).val
    return SplitRows("val", source.frame, rows) if len(rows) else None


def whole_source(name: str, source: Source, spec: Spec) -> SplitRows:
    """The usable rows of a source that is a split of its own."""
    frame = source.held[name]
    return SplitRows(name, frame, usable(source, frame, spec.data.missing, spec.targets))
