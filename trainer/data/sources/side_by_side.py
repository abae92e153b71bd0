"""Matrices side by side as one, and some of the columns of a matrix."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from trainer.data.frame import Beside, Frame
from trainer.errors import DataError
from trainer.text.printable import show_path


def side_by_side(frames: Sequence[Frame]) -> Frame:
    """Matrices of the same rows as one frame, its columns called x0, x1 and so on, uncopied.

    Args:
        frames: each a matrix, without a target.

    Raises:
        DataError: rows that differ in number.
    """
    first, *others = frames
    for frame in others:
        if frame.rows != first.rows:
            raise DataError(
                f"{frame.where}: has {frame.rows} rows, and {first.where} has {first.rows};"
                " arrays side by side have the same number of rows"
            )
    if not others:
        return first
    parts = [frame.features for frame in frames if not isinstance(frame.features, tuple)]
    features = Beside(*parts)
    names = tuple(f"x{i}" for i in range(features.shape[1]))
    where = f"{first.where} beside {others[0].where}" if len(others) == 1 else ""
    where = where or f"{first.where} beside {len(others)} more"
    return replace(first, where=where, names=names, features=features)


def with_columns(frame: Frame, columns: str | None) -> Frame:
    """The frame with the columns of a slice such as `0:768`, by their names in the whole matrix.

    Args:
        frame: a matrix.
        columns: None for all of them.

    Raises:
        DataError: there are none, or the slice goes beyond the matrix.
    """
    if columns is None:
        return frame
    assert not isinstance(frame.features, tuple)
    width = frame.features.shape[1]
    start, stop = bounds(columns, width)
    if not start < stop <= width:
        raise DataError(
            f"{frame.where}: has {width} columns, of which {columns} are none or go beyond them;"
            f" a slice from 0 to {width} is right, such as 0:{width}"
        )
    names = frame.names[start:stop]
    if isinstance(frame.features, Beside):
        return replace(frame, names=names, features=frame.features.of_columns(start, stop))
    assert isinstance(frame.features, np.ndarray)
    return replace(frame, names=names, features=frame.features[:, start:stop])


def bounds(columns: str, width: int) -> tuple[int, int]:
    """First column of a slice and the one after its last, of a matrix so wide."""
    start, _, stop = columns.partition(":")
    return int(start or 0), int(stop or width)


def to_predict(frame: Frame, columns: str | None, count: int) -> Frame:
    """The columns that a model was trained on, of a whole matrix or of one that has no others.

    Args:
        frame: a matrix whose rows are to be predicted.
        columns: the slice that the model was trained on.
        count: of its columns.

    Raises:
        DataError: see `with_columns`.
    """
    if columns is None or isinstance(frame.features, tuple):
        return frame
    width = frame.features.shape[1]
    return frame if width == count < bounds(columns, width)[1] else with_columns(frame, columns)


def listed(path: str) -> list[str]:
    """The paths of `[a.npy, b.npy]`; none where this is a path itself.

    Raises:
        DataError: not all of them are .npy files.
    """
    if not (path.startswith("[") and path.endswith("]")) or os.path.exists(path):
        return []
    names = [name.strip().strip("'\"") for name in path[1:-1].split(",")]
    if not all(name.lower().endswith(".npy") for name in names):
        raise DataError(f"{show_path(path)}: .npy files are read side by side; name such files")
    return names
