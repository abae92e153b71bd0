"""The rows of a source that are kept: those with a weight and, by `data.missing`, complete."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from trainer.data.encode.targets import missing_targets
from trainer.data.frame import Frame, Labels, chunks, read_weight, zero_weight
from trainer.data.rows import IntArray
from trainer.errors import DataError
from trainer.text.printable import quote


def usable_rows(frame: Frame, missing: str, *, separate: bool = False) -> IntArray:
    """Rows that are kept, ascending: with a weight, under `missing: drop` those without a gap.

    Args:
        frame: a source.
        missing: `data.missing`.
        separate: whether each target is a problem of its own, for which its missing labels leave
            their rows out.

    Raises:
        DataError: a target or a group that is missing and not to be dropped; a weight that is
            negative, NaN or infinite; no row is left.
    """
    absent = zero_weight(frame)  # nothing of such a row counts, nor is it an error
    if absent.all():
        raise DataError(
            f"{frame.weight_where}: every row has weight 0; at least one must be above 0"
        )
    lost = np.zeros(frame.rows, dtype=bool) if separate else missing_targets(frame)
    if missing != "drop":
        rows = _with_weights(frame, np.flatnonzero(~absent))
        _check_complete(frame, lost & ~absent, absent)
        return rows
    lost = lost | _missing_features(frame)
    if frame.group is not None:
        lost |= frame.group < 0
    kept = np.flatnonzero(~lost & ~absent)
    if not len(kept):
        raise DataError(
            f"{frame.where}: every row has a missing value, so data.missing: drop leaves none;"
            " leave out the columns that are empty"
        )
    return _with_weights(frame, kept)


def _with_weights(frame: Frame, rows: IntArray) -> IntArray:
    """The rows, whose weights are weights."""
    read_weight(frame, rows, "")  # for its faults, before any other that comes of them
    return rows


def _check_complete(frame: Frame, lost: NDArray[np.bool_], absent: NDArray[np.bool_]) -> None:
    if lost.any():
        row = int(np.flatnonzero(lost)[0])
        names = ", ".join(map(quote, _missing_in(frame, row)[:3]))
        several = len(frame.target_names) > 1
        each = ", or targets to separate, for which such a row is left out" * several
        raise DataError(
            f"{frame.target_where}: {frame.place(row)}, target {names}: is"
            f" missing or NaN; give a value, or set data.missing to drop{each}"
        )
    homeless = ~absent & (frame.group < 0) if frame.group is not None else absent & False
    if homeless.any():
        row = int(np.flatnonzero(homeless)[0])
        column = f", column {quote(frame.group_name)}" if frame.group_name else ""
        raise DataError(
            f"{frame.group_where}: {frame.place(row)}{column}: the group is missing or NaN; give"
            " every row its group, or set data.missing to drop"
        )


def _missing_in(frame: Frame, row: int) -> list[str]:
    """The targets that a row does not have."""
    if not isinstance(frame.target, np.ndarray) or frame.target.dtype.kind != "f":
        return list(frame.target_names)
    gone = np.isnan(frame.target[row])
    return [name for name, is_gone in zip(frame.target_names, gone, strict=True) if is_gone]


def _missing_features(frame: Frame) -> NDArray[np.bool_]:
    missing = np.zeros(frame.rows, dtype=bool)
    if not isinstance(frame.features, tuple):
        if frame.features.dtype.kind == "f":
            for part in chunks(frame.rows, frame.features.shape[1]):
                missing[part] = np.isnan(frame.features[part]).any(axis=1)
        return missing
    for column in frame.features:
        if isinstance(column, Labels):
            missing |= column.codes < 0
        elif column.dtype.kind == "f":
            missing |= np.isnan(column)
    return missing
