"""Several sources as one: rows of each follow those of the one before.

For the refit on train and val, and for shards of one source.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate

import numpy as np

from trainer.data.frame import (
    Beside,
    ColumnData,
    Frame,
    Labels,
    Stacked,
    column_labels,
    positions,
)
from trainer.data.rows import Array, Label
from trainer.errors import DataError
from trainer.text.labels import label_positions, label_text


def concat(first: Frame, *others: Frame) -> Frame:
    """The rows of all; matrices stay where they are, perhaps in their files.

    Args:
        first: the training source, or the first shard.
        others: sources read to match it.

    Raises:
        DataError: targets that differ in kind or number.
    """
    frames = (first, *others)
    starts = [0, *accumulate(frame.rows for frame in frames)]

    def place(row: int) -> str:
        i = bisect_right(starts, row) - 1
        shown = frames[i].place(row - starts[i])
        return f"{shown} of {frames[i].where}" if i else shown

    target, target_values = _targets(frames)
    return replace(
        first,
        features=_features(frames),
        rows=starts[-1],
        target=target,
        target_values=target_values,
        weight=_weight(frames),
        group=None,
        place=place,
    )


def _features(frames: tuple[Frame, ...]) -> Array | Stacked | Beside | tuple[ColumnData, ...]:
    matrices = [frame.features for frame in frames if not isinstance(frame.features, tuple)]
    if len(matrices) == len(frames):
        return Stacked(*matrices)
    return tuple(map(_column, *map(_columns, frames)))


def _columns(frame: Frame) -> tuple[ColumnData, ...]:
    """The columns of a frame; a matrix in files may match a table of numbers."""
    if isinstance(frame.features, tuple):
        return frame.features
    whole = frame.features[:]
    return tuple(whole[:, d] for d in range(whole.shape[1]))


def _column(*parts: ColumnData) -> ColumnData:
    labels = [part for part in parts if isinstance(part, Labels)]
    if labels:
        assert len(labels) == len(parts)
        return merged_labels(labels)
    return np.concatenate([part for part in parts if isinstance(part, np.ndarray)])


def merged_labels(parts: Sequence[Labels]) -> Labels:
    """Sorted values of all; those that are written alike are one, as the first has it."""
    values: list[Label] = []
    places: list[list[int]] = []
    for part in parts:
        known = label_positions(values)
        at = [known.get(label_text(value)) for value in part.values]
        own = [value for value, i in zip(part.values, at, strict=True) if i is None]
        new = iter(range(len(values), len(values) + len(own)))
        places.append([next(new) if i is None else i for i in at])
        values += own
    order = sorted(range(len(values)), key=lambda i: (isinstance(values[i], str), values[i]))
    rank = np.argsort(order)
    codes = [
        np.array([*rank[at], -1], dtype=np.int32)[part.codes]  # code −1 reads the last: missing
        for part, at in zip(parts, places, strict=True)
    ]
    return Labels(tuple(values[i] for i in order), np.concatenate(codes))


def _targets(
    frames: tuple[Frame, ...],
) -> tuple[Array | Labels | None, tuple[tuple[Label, ...], ...]]:
    """The target of all, and of several columns of labels the values of all."""
    target = _target(frames)
    if not any(frame.target_values for frame in frames):
        return target, ()
    several = range(len(frames[0].target_values))
    return positions([merged_labels([column_labels(f, c) for f in frames]) for c in several])


def _target(frames: tuple[Frame, ...]) -> Array | Labels | None:
    first = frames[0].target
    for frame in frames[1:]:
        if not is_like(first, frame.target):
            raise DataError(
                f"{frame.target_where or frame.where}: its target is of another kind or width than"
                " the training source's; both must have the same"
            )
    targets = [frame.target for frame in frames]
    if isinstance(first, Labels):
        return merged_labels([target for target in targets if isinstance(target, Labels)])
    numbers = [target for target in targets if isinstance(target, np.ndarray)]
    return np.concatenate(numbers) if numbers else None


def is_like(first: Array | Labels | None, other: Array | Labels | None) -> bool:
    """Whether two targets are of one kind and as many columns."""
    if isinstance(first, np.ndarray) and isinstance(other, np.ndarray):
        return first.shape[1:] == other.shape[1:]
    return type(first) is type(other)


def _weight(frames: tuple[Frame, ...]) -> Array | None:
    """Weights of all, 1 for the rows of one that has none."""
    if all(frame.weight is None for frame in frames):
        return None
    parts = [np.ones(f.rows) if f.weight is None else f.weight for f in frames]
    return np.concatenate(parts)
