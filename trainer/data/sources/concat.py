"""Two sources as one, for the refit on train and val: rows of the second follow the first's."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from trainer.data.frame import ColumnData, Frame, Labels, Stacked
from trainer.data.rows import Array
from trainer.errors import DataError
from trainer.text.labels import label_positions, label_text


def concat(first: Frame, second: Frame) -> Frame:
    """The rows of both; matrices stay where they are, perhaps in their files.

    Args:
        first: the training source.
        second: a source read to match it.

    Raises:
        DataError: targets that differ in kind or number.
    """

    def place(row: int) -> str:
        if row < first.rows:
            return first.place(row)
        return f"{second.place(row - first.rows)} of {second.where}"

    return replace(
        first,
        features=_features(first, second),
        rows=first.rows + second.rows,
        target=_target(first, second),
        weight=_weight(first, second),
        group=None,
        place=place,
    )


def _features(first: Frame, second: Frame) -> Array | Stacked | tuple[ColumnData, ...]:
    if isinstance(first.features, np.ndarray) and isinstance(second.features, np.ndarray):
        return Stacked(first.features, second.features)
    pairs = zip(_columns(first), _columns(second), strict=True)
    return tuple(_column(above, below) for above, below in pairs)


def _columns(frame: Frame) -> tuple[ColumnData, ...]:
    """The columns of a frame; a matrix in files may match a table of numbers."""
    if isinstance(frame.features, tuple):
        return frame.features
    whole = frame.features[:]
    return tuple(whole[:, d] for d in range(whole.shape[1]))


def _column(above: ColumnData, below: ColumnData) -> ColumnData:
    if isinstance(above, Labels) and isinstance(below, Labels):
        return _labels(above, below)
    assert not isinstance(above, Labels)
    assert not isinstance(below, Labels)
    return np.concatenate([above, below])


def _labels(above: Labels, below: Labels) -> Labels:
    """Sorted values of both; those that are written alike are one, as the first has it."""
    known = label_positions(above.values)
    alike = [known.get(label_text(value)) for value in below.values]
    own = [value for value, i in zip(below.values, alike, strict=True) if i is None]
    values = sorted([*above.values, *own], key=lambda v: (isinstance(v, str), v))
    position = {label_text(value): code for code, value in enumerate(values)}
    first = [position[label_text(value)] for value in above.values]
    second = [
        position[label_text(value)] if i is None else first[i]
        for value, i in zip(below.values, alike, strict=True)
    ]
    codes = [
        np.array([*renumbered, -1], dtype=np.int32)[part.codes]  # code −1 reads the last: missing
        for renumbered, part in ((first, above), (second, below))
    ]
    return Labels(tuple(values), np.concatenate(codes))


def _target(first: Frame, second: Frame) -> Array | Labels | None:
    if isinstance(first.target, Labels) and isinstance(second.target, Labels):
        return _labels(first.target, second.target)
    if (
        isinstance(first.target, np.ndarray)
        and isinstance(second.target, np.ndarray)
        and first.target.shape[1] == second.target.shape[1]
    ):
        return np.concatenate([first.target, second.target])
    raise DataError(
        f"{second.target_where}: its target is of another kind or width than the training"
        " source's; both must have the same"
    )


def _weight(first: Frame, second: Frame) -> Array | None:
    """Weights of both, 1 for the rows of one that has none."""
    if first.weight is None and second.weight is None:
        return None
    parts = [np.ones(f.rows) if f.weight is None else f.weight for f in (first, second)]
    return np.concatenate(parts)
