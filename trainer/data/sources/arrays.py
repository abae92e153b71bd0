"""Frames from arrays: .npy, .npz, what Python passes in, and synthetic rows."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from trainer.data.frame import Frame, Like, group_labels, labels_of
from trainer.data.rows import Array
from trainer.data.sources.dtypes import KINDS, dtype_words, is_missing
from trainer.errors import DataError


def array_frame(
    X: Array,
    target: Array | None,
    weight: Array | None,
    *,
    where: str,
    target_where: str = "",
    weight_where: str = "",
    target_name: str = "y",
    labels: bool = False,
) -> Frame:
    """A frame of a matrix; its columns are called x0, x1 and so on.

    Args:
        X: (N, D) numbers or booleans.
        target: (N,) or (N, C).
        weight: (N,).
        where: what messages call X.
        target_where: what they call the target.
        weight_where: what they call the weights.
        target_name: name of a single target; several are called y0, y1, …
        labels: whether a target of one column is labels rather than a number.

    Raises:
        DataError: a shape or a dtype that does not fit, no rows, rows that differ in number.
    """
    X = _as_numbers(X)
    _check_matrix(X, where)
    frame = Frame(where, tuple(f"x{i}" for i in range(X.shape[1])), X, len(X))
    return with_target(
        frame,
        target,
        weight,
        target_where=target_where,
        weight_where=weight_where,
        target_name=target_name,
        labels=labels,
    )


def with_target(
    frame: Frame,
    target: Array | None,
    weight: Array | None,
    *,
    target_where: str,
    weight_where: str,
    target_name: str = "y",
    labels: bool = False,
) -> Frame:
    """The frame with a target and a weight of as many rows.

    Raises:
        DataError: as `array_frame`.
    """
    read: Any = None
    names: tuple[str, ...] = ()
    if target is not None:
        _check_rows(target, target_where, frame)
        if target.ndim == 2 and target.shape[1] == 1:
            target = target[:, 0]
        if target.ndim == 1 and labels:
            read, names = labels_of(target, target_where, frame.place), (target_name,)
        else:
            read = _numbers_target(target, target_where)
            C = read.shape[1]
            names = (target_name,) if C == 1 else tuple(f"{target_name}{i}" for i in range(C))
    if weight is not None:
        _check_rows(weight, weight_where, frame)
        weight = weight[:, 0] if weight.ndim == 2 and weight.shape[1] == 1 else weight
        if weight.ndim != 1 or weight.dtype.kind not in "biuf":
            raise DataError(
                f"{weight_where}: {_shape(weight)}; weights are one number a row: shape"
                f" ({frame.rows},)"
            )
    return replace(
        frame,
        target=read,
        target_names=names,
        target_named=False,
        target_where=target_where,
        weight=weight,
        weight_where=weight_where,
    )


def with_known_target(
    frame: Frame, read: Callable[[], Array], where: str, name: str, *, labels: bool
) -> Frame:
    """The frame to be predicted with a target as far as it is one; what is not is told.

    Args:
        frame: without a target.
        read: reads the array.
        where: what messages call it.
        name: of the array.
        labels: as in `array_frame`.
    """
    try:
        target = read()
        if target.dtype.kind == "f" and labels and target.size == len(target):
            target = np.where(np.isfinite(target) & (np.floor(target) == target), target, np.nan)
        elif target.dtype.kind in "US" and not labels:
            target = np.array([_number(cell) for cell in target.ravel()]).reshape(target.shape)
        return with_target(
            frame,
            target,
            None,
            target_where=where,
            weight_where="",
            target_name=name,
            labels=labels,
        )
    except DataError as error:
        why = str(error).removeprefix(f"{where}: ").split(";")[0]
        return replace(frame, remarks=(*frame.remarks, f"the target {name!r} is not read: {why}"))


def with_known_weight(frame: Frame, read: Callable[[], Array]) -> Frame:
    """The frame to be predicted with a weight a row, NaN where it is none."""
    weight = np.full(frame.rows, np.nan)
    with contextlib.suppress(DataError):
        found = read()
        if found.shape == weight.shape and found.dtype.kind in "biuf":
            weight = found
    return replace(frame, weight=weight)


def _number(cell: str | bytes) -> float:
    try:
        return float(cell)
    except ValueError:
        return np.nan


def with_group(frame: Frame, group: Array, where: str) -> Frame:
    """The frame with the group of each row.

    Raises:
        DataError: another shape than (rows,), or no kind of group.
    """
    group = group_array(group, where, frame, "groups")
    found = group_labels(group, where, frame.place)
    return replace(frame, group=found.codes, group_values=found.values, group_where=where)


def group_array(values: Array, where: str, frame: Frame, what: str = "values") -> Array:
    """An array of one value a row, (N,).

    Raises:
        DataError: another shape.
    """
    _check_rows(values, where, frame)
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.ndim != 1:
        raise DataError(f"{where}: {_shape(values)}; {what} are one a row: shape ({frame.rows},)")
    return values


def check_width(frame: Frame, like: Like) -> None:
    """Refuse a matrix whose columns do not match the training source's by position.

    Raises:
        DataError: another number of columns, or a training source with text columns.
    """
    if like.text:
        raise DataError(
            f"{frame.where}: is a matrix without text, and the training source has the text"
            f" column {sorted(like.text)[0]!r}; give a table"
        )
    if len(frame.names) != len(like.names):
        raise DataError(
            f"{frame.where}: has {len(frame.names)} columns, the training source has"
            f" {len(like.names)}; both must have the same"
        )


def _check_matrix(X: Array, where: str) -> None:
    if X.dtype.kind in KINDS:
        raise DataError(
            f"{where}: holds {dtype_words(X.dtype)}; features are numbers: floats, integers or"
            " booleans"
        )
    if X.ndim != 2:
        flat = f"; reshape it to ({X.shape[0]}, {X[0].size})" if X.ndim > 2 and len(X) else ""
        row_or_column = ""
        if X.ndim == 1:
            n = X.shape[0]
            row_or_column = (
                f": one row of {n} columns is np.reshape(X, (1, {n})), one column of {n} rows is"
                f" np.reshape(X, ({n}, 1))"
            )
        raise DataError(
            f"{where}: {_shape(X)}; features have shape (rows, columns){flat}{row_or_column}"
        )
    if X.shape[0] == 0:
        raise DataError(f"{where}: {_shape(X)}: has no rows; at least one is needed")
    if X.shape[1] == 0:
        raise DataError(f"{where}: {_shape(X)}: has no columns; at least one is needed")


def _check_rows(array: Array, where: str, frame: Frame) -> None:
    if array.ndim == 0 or len(array) != frame.rows:
        raise DataError(
            f"{where}: {_shape(array)}, and {frame.where} has {frame.rows} rows;"
            " both must have the same number of rows"
        )


def _as_numbers(array: Array) -> Array:
    """Booleans of which some are missing as 0, 1 and NaN; anything else as it is."""
    if array.dtype.kind != "O":
        return array
    present = [member for member in array.reshape(-1).tolist() if not is_missing(member)]
    if not all(isinstance(member, bool | np.bool_) for member in present):
        return array
    numbers = [np.nan if is_missing(member) else float(member) for member in array.reshape(-1)]
    return np.asarray(numbers).reshape(array.shape)


def _numbers_target(target: Array, where: str) -> Array:
    if target.ndim > 2 or (target.ndim == 2 and target.shape[1] == 0):
        raise DataError(f"{where}: {_shape(target)}; a target has shape (N,) or (N, C)")
    target = _as_numbers(target)
    if target.dtype.kind in KINDS:
        hint = (
            "numbers are right here; `model: logistic` or `softmax` take labels"
            if target.ndim == 1
            else f"{target.shape[1]} columns must be numbers; labels are one column, shape (N,)"
        )
        raise DataError(f"{where}: holds {dtype_words(target.dtype)}; {hint}")
    return target if target.ndim == 2 else target[:, None]


def _shape(array: Array) -> str:
    return f"shape {array.shape} of {array.dtype}"
