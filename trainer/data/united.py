"""The rows of several repeats at once: each is encoded once, and every repeat has weights for them.

Nothing of the features is learnt from rows: means and deviations are the repeats' own, and so are
fill-ins and categories, wherefore data that have these are not united.

N rows of training, M held out, R repeats, D features.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from trainer.catalog import MODELS
from trainer.data.encode.encoder import Encoder
from trainer.data.frame import Frame, Labels, read_weight
from trainer.data.rows import IntArray, Rows
from trainer.data.sources.source import Source
from trainer.data.splits.held import held_out
from trainer.data.splits.holdout import hold_out
from trainer.data.splits.row_split import RowSplit

if TYPE_CHECKING:
    from trainer.config.schema.spec import Spec

Numbers = NDArray[np.float64]


class United(NamedTuple):
    """Rows of R repeats, not scaled.

    Attributes:
        train: (N,) all rows that one of them trains on; its X is in float64 where it is to be
            standardised.
        weights: (R, N) what each repeat makes of them: the `weight` column times how often a row
            was drawn, 0 where it is not the repeat's.
        val: (M,) all rows that one of them holds out, or None; the same object as `train` where
            these are the same rows.
        held: (R, M) the same of them; None where all repeats hold out the same.
    """

    train: Rows
    weights: Numbers
    val: Rows | None
    held: Numbers | None

    def of_target(self, c: int) -> United:
        """The same rows with column c of the targets alone."""
        val = None if self.val is None else self.val.of_target(c)
        return self._replace(train=self.train.of_target(c), val=val)


def why_not_united(source: Source, spec: Spec) -> str:
    """What in the data of a spec makes its repeats differ in more than weights; else nothing."""
    features = source.frame.features
    if isinstance(features, tuple) and any(isinstance(one, Labels) for one in features):
        return "categories are each row set's own"
    if spec.data.missing == "mean":
        return "fill-ins are each row set's own"
    if spec.data.scale == "none" and spec.bias:
        return "unscaled features may be centred by each row set"
    moved = spec.bias or spec.data.scale_target == "standard"
    if MODELS[spec.model].scales_target and moved:
        return "targets are centred or scaled by each row set"
    return ""


def unite(source: Source, spec: Spec, parts: Sequence[RowSplit]) -> United:
    """Encode the rows of repeats at once.

    Args:
        source: what `read` returned.
        spec: of a trial.
        parts: R repeats.

    Raises:
        DataError: anything wrong with the data, in one line.
    """
    trained, held = [], []
    for part in map(RowSplit.whole, parts):
        weight = read_weight(source.frame, part.train, "train")
        counts = 1.0 if part.counts is None else part.counts
        trained.append((part.train, weight * counts))
        if (val := held_out(source, spec, part)) is not None:
            frame = val.frame
            held.append((val.rows, val.weight))
    rows, weights = _together(trained)
    train = _encoded("train", source, spec, source.frame, rows)
    if not held:
        return United(train, weights, None, None)
    rows, each = _together(held)
    of_held = None if (each == each[0]).all() else each
    if frame is source.frame and np.array_equal(rows, train.index):
        return United(train, weights, replace(train, name="val"), of_held)
    return United(train, weights, _encoded("val", source, spec, frame, rows), of_held)


def _together(parts: Sequence[tuple[IntArray, Numbers]]) -> tuple[IntArray, Numbers]:
    """All rows of some parts, ascending, and (R, n) the weights that each has for them."""
    there = np.zeros(1 + max(int(rows.max(initial=0)) for rows, _ in parts), bool)
    for rows, _ in parts:
        there[rows] = True
    found = np.flatnonzero(there)
    weights = np.zeros((len(parts), len(found)))
    for of, (rows, weight) in zip(weights, parts, strict=True):
        of[np.searchsorted(found, rows)] = weight
    return found, weights


def _encoded(name: str, source: Source, spec: Spec, frame: Frame, rows: IntArray) -> Rows:
    """Rows of a frame with features as they are, or of length 1."""
    target, D = hold_out(source, spec).target, len(frame.names)
    unit, dtype = spec.data.scale == "unit", np.dtype(spec.dtype)
    encoder = Encoder(frame.names, {}, unit, np.zeros(D), np.ones(D), (), target, source.keys)
    wide = np.dtype(np.float64) if spec.data.scale == "standard" else dtype
    X = encoder.transform(frame, wide, rows).X
    y = target.encode(frame, rows, dtype)
    return Rows(name, X, y, read_weight(frame, rows, name), rows.astype(np.int64))
