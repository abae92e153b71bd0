"""Resamples of the training rows: as many drawn with replacement, those not drawn held out.

Efron 1979, "Bootstrap methods: another look at the jackknife". A resample is the rows that were
drawn at all, in their order, and how often each was: its weight times that. About 63 % of the rows
are drawn, so that what is measured on the others is of a model of fewer rows: pessimistic.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from trainer.data.rows import IntArray
from trainer.data.sources.source import Source
from trainer.data.splits.holdout import no_val_beside
from trainer.data.splits.row_split import RowSplit
from trainer.errors import DataError
from trainer.streams import BOOTSTRAPS, draws

if TYPE_CHECKING:
    from trainer.config.schema.spec import Spec


def resample_splits(source: Source, spec: Spec, resamples: int) -> Iterator[RowSplit]:
    """Resamples by the run's seed and their number; of whole groups where there are groups.

    Raises:
        DataError: one row or one group, which leaves nothing to hold out; a val of its own.
    """
    rows, frame = no_val_beside(source, spec, "resamples").train, source.frame
    groups, units = None, len(rows)
    if frame.group is not None:
        groups = np.unique(frame.group[rows], return_inverse=True)[1].reshape(-1)
        units = int(groups.max()) + 1
    if units < 2:
        where, what = (frame.where, "row") if groups is None else (frame.group_where, "group")
        raise DataError(
            f"{where}: repeat.bootstrap: one training {what} is drawn each time, so that none is"
            f" left to hold out; two {what}s or more are right"
        )
    for number in range(resamples):
        redraw = partial(_resample, rows, groups, units, spec.seed, number)
        none = rows[:0]
        key = ("resample", spec.seed, number)
        yield RowSplit(f"resample {number + 1}", none, none, key, redraw=redraw)


def _resample(
    rows: IntArray, groups: IntArray | None, units: int, seed: int, number: int
) -> RowSplit:
    drawn = np.bincount(draws(seed, BOOTSTRAPS + number, units, units), minlength=units)
    counts = drawn if groups is None else drawn[groups]  # (n,)
    is_drawn = counts > 0
    return RowSplit(
        f"resample {number + 1}",
        rows[is_drawn],
        rows[~is_drawn],
        ("resample", seed, number),
        counts=counts[is_drawn],
    )
