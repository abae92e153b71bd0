"""The two classes of each of several targets that are labels, and their codes 0 and 1."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainer.data.frame import Frame, Labels, column_labels, labels_of
from trainer.data.rows import Array, FloatArray, IntArray, Label
from trainer.errors import DataError
from trainer.text.labels import label_positions, label_text
from trainer.text.printable import quote
from trainer.text.suggest import nearest_name

_WIDTH = 64  # columns that are looked at together


@dataclass(frozen=True)
class LabelPairs:
    """The classes of T targets.

    Attributes:
        classes: the two of each, the positive one second; of a target with a fault none that count.
        faults: {target: why it has not two classes}.
    """

    classes: tuple[tuple[Label, Label], ...]
    faults: Mapping[int, str]

    def encode(self, frame: Frame, *, strict: bool = True) -> FloatArray:
        """Codes (N, T) of a source's targets: 1 for the positive class, NaN where missing.

        Args:
            frame: the source.
            strict: whether a label that the training source does not have is an error; else it
                counts as missing.

        Raises:
            DataError: a label that the training source does not have.
        """
        codes = np.full((frame.rows, len(self.classes)), np.nan)
        for start in range(0, len(self.classes), _WIDTH):
            part = slice(start, start + _WIDTH)
            numbers = _numbers(frame, part)
            for t in range(*part.indices(len(self.classes))):
                if t in self.faults:
                    continue
                whole = None if numbers is None else numbers[:, t - start]
                codes[:, t] = self._column(frame, t, whole, strict)
        return codes

    def _column(self, frame: Frame, t: int, numbers: FloatArray | None, strict: bool) -> FloatArray:
        pair = self.classes[t]
        if numbers is not None and all(type(label) is int for label in pair):
            codes: FloatArray = (numbers == pair[1]).astype(np.float64)
            known = (codes == 1) | (numbers == pair[0])
            if not strict or (known | np.isnan(numbers)).all():
                codes[~known] = np.nan
                return codes
        found = labels_at(frame, t)
        position = label_positions(pair)
        texts = [label_text(value) for value in found.values]
        places = [position.get(text, -2) for text in texts]
        codes = np.array([*places, np.nan])[found.codes]  # code −1 reads the last: missing
        if not strict:
            codes[codes == -2] = np.nan
        if (codes == -2).any():
            row = int(np.flatnonzero(codes == -2)[0])
            label = texts[found.codes[row]]
            raise DataError(
                f"{frame.target_where}: {frame.place(row)}, target {quote(frame.target_names[t])}:"
                f" the label {quote(label)} does not occur in the training source; its classes are"
                f" {label_text(pair[0])}, {label_text(pair[1])}"
            )
        return codes


def label_pairs(frame: Frame, rows: IntArray, positive: Any) -> LabelPairs:
    """The two classes of each target of the training source.

    Args:
        frame: the training source.
        rows: (n,) its usable rows.
        positive: `data.positive`.

    Raises:
        DataError: a target with more than two classes, or without the positive one.
    """
    T = len(frame.target_names)
    classes: list[tuple[Label, Label]] = []
    faults: dict[int, str] = {}
    for start in range(0, T, _WIDTH):
        numbers = _numbers(frame, slice(start, start + _WIDTH), rows)
        quick = [None] * _WIDTH if numbers is None else _of_numbers(numbers)
        for t in range(start, min(start + _WIDTH, T)):
            found = quick[t - start]
            present = _present(frame, t, rows) if found is None else found
            if len(present) > 2:
                raise _too_many(frame, t, present)
            if len(present) < 2:
                faults[t] = "no row has a label" if not present else _alike(present[0])
                present = (0, 1)
            classes.append(_with_positive(present, positive, frame, t))
    return LabelPairs(tuple(classes), faults)


def _alike(label: Label) -> str:
    return f"every row has the label {quote(label_text(label))}; two classes are needed"


def _numbers(frame: Frame, columns: slice, rows: IntArray | None = None) -> FloatArray | None:
    """Some columns of numbers in float64, of some rows or all; None of labels with values."""
    if isinstance(frame.target, Labels) or frame.target is None or frame.target_values:
        return None
    part: Array = frame.target[:, columns] if rows is None else frame.target[rows, columns]
    numbers: FloatArray = np.asarray(part, np.float64)
    return numbers


def _of_numbers(values: FloatArray) -> list[tuple[Label, ...] | None]:
    """The classes of each column of whole numbers (n, T) with at most two; None of others."""
    known = ~np.isnan(values)
    low = np.where(known, values, np.inf).min(axis=0, initial=np.inf)
    high = np.where(known, values, -np.inf).max(axis=0, initial=-np.inf)
    few = (~known | (values == low) | (values == high)).all(axis=0)
    found: list[tuple[Label, ...] | None] = []
    for a, b, is_few in zip(low.tolist(), high.tolist(), few.tolist(), strict=True):
        if a > b:
            found.append(())
        elif is_few and float(a).is_integer() and float(b).is_integer():
            found.append(tuple(sorted({int(a), int(b)})))
        else:
            found.append(None)
    return found


def labels_at(frame: Frame, t: int) -> Labels:
    """Target t of a source as labels.

    Raises:
        DataError: numbers that are none.
    """
    if isinstance(frame.target, Labels):
        return frame.target
    if frame.target_values:
        return column_labels(frame, t)
    assert isinstance(frame.target, np.ndarray)
    where = f"{frame.target_where}: target {quote(frame.target_names[t])}"
    return labels_of(np.asarray(frame.target[:, t]), where, frame.place)


def _present(frame: Frame, t: int, rows: IntArray) -> tuple[Label, ...]:
    found = labels_at(frame, t)
    counts: NDArray[np.int64] = np.bincount(found.codes[rows] + 1, minlength=len(found.values) + 1)
    return tuple(found.values[i] for i in np.flatnonzero(counts[1:]).tolist())


def _too_many(frame: Frame, t: int, classes: tuple[Label, ...]) -> DataError:
    shown = ", ".join(label_text(label) for label in classes[:5]) + ", …" * (len(classes) > 5)
    return DataError(
        f"{frame.target_where}: target {quote(frame.target_names[t])}: has {len(classes)} classes"
        f" ({shown}); logistic takes two, `model: linear` predicts numbers"
    )


def _with_positive(
    classes: tuple[Label, ...], positive: Any, frame: Frame, t: int
) -> tuple[Label, Label]:
    negative, one = classes
    if positive == "auto":
        return negative, one
    written = label_text(positive)
    place = label_positions(classes).get(written)
    if place is None:
        texts = [label_text(label) for label in classes]
        raise DataError(
            f"data.positive: {quote(written)} is no class of the target"
            f" {quote(frame.target_names[t])}; {nearest_name(written, texts)}"
        )
    return (negative, one) if place == 1 else (one, negative)


def labels_of_codes(codes: NDArray[np.int64], pairs: Sequence[tuple[Label, Label]]) -> Array:
    """The labels (N, C) of codes 0 and 1, of each output its own; objects where types differ."""
    kinds = {type(label) for pair in pairs for label in pair}
    table = np.array(pairs, dtype=None if len(kinds) == 1 else object)  # (C, 2)
    labels: Array = table[np.arange(len(pairs)), codes]
    return labels
