"""Targets: numbers, labels, several labels a row, or a distribution a row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from trainer.catalog import MODELS, Kind
from trainer.data.frame import Frame, Labels
from trainer.data.rows import Array, FloatArray, Label
from trainer.errors import DataError
from trainer.text.labels import label_positions, label_text
from trainer.text.printable import quote

Weight: TypeAlias = NDArray[np.float64] | None
"""(n,) of some rows, above 0: a row of weight 2 is the row twice; None where all are alike."""
_SHOWN = 5
_FAR = 16  # times σ: nearer to 0 rounding to float32 moves a target by less than a millionth of σ


@dataclass(frozen=True)
class Target:
    """How targets are encoded; the same for every split."""

    kind: Kind
    model: str
    columns: tuple[str, ...]
    """Names of the target columns in a table."""
    outputs: tuple[str, ...]
    """Names of the C outputs."""
    classes: tuple[Label, ...] | None
    """Labels as written: sorted, but that of two the positive one is the second; None for numbers
    and several labels a row."""
    mean: NDArray[np.float64]
    """(C,): predictions are ŷ · scale + mean. 0 and 1, but for `scale_target: standard` and for
    targets far from 0, which are centred."""
    scale: NDArray[np.float64]
    """(C,)."""
    pairs: tuple[tuple[Label, Label], ...] | None = None
    """Of separate targets that are labels the two classes of each, the positive one second."""
    separate: bool = False
    """Whether each output is a problem of its own, whose rows are those that have its label."""

    def alone(self, c: int) -> Target:
        """Output c as the one target of a model."""
        if not self.separate:
            return self
        names = (self.columns[c],), (self.outputs[c],)
        ends = self.mean[c : c + 1], self.scale[c : c + 1]
        if self.pairs is None:
            return Target(self.kind, self.model, *names, None, *ends)
        return Target("labels", self.model, *names, self.pairs[c], *ends)

    @property
    def is_coded(self) -> bool:
        """Whether an encoded target is one class number a row, for an output a class."""
        return self.kind == "labels" and MODELS[self.model].output_a_class

    @property
    def numbers(self) -> NDArray[np.float64] | None:
        """(C,): the classes of an output a class as numbers; None where they are none."""
        values = self.classes if MODELS[self.model].output_a_class else None
        if values is None or any(isinstance(one, str | bool) for one in values):
            return None
        return np.array(values, np.float64)

    def encode(self, frame: Frame, rows: Array, dtype: np.dtype[Any]) -> Array:
        """Targets of some rows.

        Args:
            frame: a source with a target, checked against this one.
            rows: (n,) row numbers.
            dtype: of the run's precision.

        Returns:
            (n, C): numbers in float64, so that metrics are of the true ones, all else in dtype; of
            labels with an output a class (n,) int64 codes.

        Raises:
            DataError: a label that is no class, a number that is none or does not fit.
        """
        if self.kind == "labels":
            codes = self._codes(frame, rows)
            return codes if self.is_coded else codes[:, None].astype(dtype)
        values = read_numbers(frame, rows)
        if values.shape[1] != len(self.outputs):
            raise DataError(
                f"{frame.target_where}: has {values.shape[1]} target columns, the training source"
                f" has {len(self.outputs)}; both must have the same"
            )
        _check_values(frame, rows, values, self)
        if self.kind == "distribution":
            values /= values.sum(axis=1, keepdims=True)  # rounding in the file, not in the loss
        with np.errstate(over="ignore"):
            values -= self.mean
            values /= self.scale
            encoded: Array = values.astype(dtype)
        _check_fits(frame, rows, encoded)
        return values if self.kind == "numbers" else encoded

    def _codes(self, frame: Frame, rows: Array) -> NDArray[np.int64]:
        assert self.classes is not None
        if not isinstance(frame.target, Labels):
            raise DataError(
                f"{frame.target_where}: has {len(frame.target_names)} target columns, the training"
                " source one of labels; both must have the same"
            )
        position = label_positions(self.classes)
        renumbered = np.array(
            [position.get(label_text(label), -2) for label in frame.target.values] + [-1],
            dtype=np.int64,
        )
        codes = renumbered[frame.target.codes[rows]]
        if (codes == -2).any():
            row = int(rows[np.flatnonzero(codes == -2)[0]])
            label = label_text(frame.target.values[frame.target.codes[row]])
            raise DataError(
                f"{frame.target_where}: {frame.place(row)}: the label {quote(label)} does not occur"
                f" in the training source; its classes are {_listed(self.classes)}"
            )
        return codes


def fit_target(frame: Frame, model: str, rows: Array) -> Target:
    """The kind of target a source holds, for this model; classes are those of all its rows.

    Args:
        frame: the training source.
        model: a row of the catalog.
        rows: (n,) its usable rows, before any are set apart.

    Raises:
        DataError: a target that does not fit the model; the message says which model it fits.
    """
    if frame.target is None:
        raise DataError(f"{frame.where}: has no target; name one under data.train.target")
    if isinstance(frame.target, Labels):
        # not np.unique, which imports numpy.ma
        present = np.flatnonzero(np.bincount(frame.target.codes[rows] + 1)) - 1
        classes = tuple(frame.target.values[code] for code in present)
        _check_classes(classes, model, frame)
        outputs = (
            tuple(label_text(label) for label in classes)
            if MODELS[model].output_a_class
            else frame.target_names
        )
        return _plain("labels", model, frame.target_names, outputs, classes)
    C = frame.target.shape[1]
    kind = MODELS[model].several
    if kind != "distribution":
        return _plain(kind, model, frame.target_names, frame.target_names, None)
    classes = frame.target_names if frame.target_named else tuple(range(C))
    outputs = tuple(label_text(label) for label in classes)
    return _plain(kind, model, frame.target_names, outputs, classes)


def several_targets(frame: Frame, model: str) -> Target:
    """The targets of a source before their values are looked at, each to be a problem of its own.

    Raises:
        DataError: there is none.
    """
    if frame.target is None:
        raise DataError(f"{frame.where}: has no target; name one under data.train.target")
    names = frame.target_names
    return replace(_plain(MODELS[model].several, model, names, names, None), separate=True)


def scaled_target(target: Target, frame: Frame, rows: Array, weight: Weight) -> Target:
    """The target with mean and σ (ddof 0, float64) of these rows; a constant has scale 1.

    Args:
        target: of numbers.
        frame: the training source.
        rows: (n,) its training rows.
        weight: (n,) theirs; None where all are alike.

    Raises:
        DataError: a number that is none, or numbers without a standard deviation in float64.
    """
    values = read_numbers(frame, rows)
    _check_values(frame, rows, values, target)
    constant, mean, scale = _mean_and_sigma(values, weight)
    mean, scale = np.where(constant, values[0], mean), np.where(constant, 1.0, scale)
    bad = ~(np.isfinite(mean) & np.isfinite(scale) & (scale > 0))
    if bad.any():
        raise out_of_range(frame.target_where, frame.target_names[int(np.flatnonzero(bad)[0])])
    return replace(target, mean=mean, scale=scale)


def centred_target(
    target: Target, frame: Frame, rows: Array, weight: Weight, dtype: np.dtype[Any]
) -> Target:
    """The target with its mean taken out where it is far from 0, for what the spread is.

    Rounded to dtype as they are, such numbers lose the digits in which they differ. The bias is
    never penalised and takes the mean up, so that J is the same. The mean is rounded to dtype: a
    bias of its size is exact there, and so is y − mean in float64.

    Args:
        target: of numbers, for a model whose score is the prediction, with a bias.
        frame: the training source.
        rows: (n,) its training rows.
        weight: (n,) theirs; None where all are alike.
        dtype: of the run's precision.

    Raises:
        DataError: a number that is none.
    """
    values = read_numbers(frame, rows)
    _check_values(frame, rows, values, target)
    constant, mean, sigma = _mean_and_sigma(values, weight)
    with np.errstate(over="ignore"):
        centre = mean.astype(dtype).astype(np.float64)
    told = ~constant & np.isfinite(centre) & (sigma > 0)  # σ may be 0 by underflow
    far = told & (np.abs(mean) > _FAR * sigma)
    return replace(target, mean=np.where(far, centre, 0.0))


def _mean_and_sigma(
    values: NDArray[np.float64], weight: Weight
) -> tuple[NDArray[np.bool_], NDArray[np.float64], NDArray[np.float64]]:
    """Of each column of values (n, C): whether it is constant, its mean, its σ (ddof 0)."""
    constant = values.max(axis=0) == values.min(axis=0)
    with np.errstate(over="ignore", invalid="ignore"):
        mean = mean_of(values, weight)
        sigma = np.sqrt(mean_of((values - mean) ** 2, weight))
    return constant, mean, sigma


def mean_of(values: FloatArray, weight: Weight) -> NDArray[np.float64]:
    """The mean of values (n, ...) over the first axis, weighted by (n,) if there are weights."""
    found = values.mean(axis=0) if weight is None else weight @ values / weight.sum()
    return np.asarray(found, dtype=np.float64)


def out_of_range(where: str, name: str) -> DataError:
    """The fault of a column whose squared deviations overflow, or all underflow to 0."""
    return DataError(
        f"{where}: column {quote(name)}: its values are too large or too small for a standard"
        " deviation in float64; other units are right"
    )


def tolerance(frame: Frame) -> float:
    """How far from 1 a row of class probabilities may sum, by how they are stored."""
    coarse = isinstance(frame.target, np.ndarray) and frame.target.dtype.itemsize == 2
    return 2e-3 if coarse else 1e-4


def missing_targets(frame: Frame) -> NDArray[np.bool_]:
    """(N,): where a row has no target, or part of it is missing."""
    if isinstance(frame.target, Labels):
        return frame.target.codes < 0
    if frame.target is None:
        return np.zeros(frame.rows, dtype=bool)
    if frame.target.dtype.kind != "f":
        return np.zeros(frame.rows, dtype=bool)
    return np.asarray(np.isnan(frame.target).any(axis=1), dtype=np.bool_)


def read_numbers(frame: Frame, rows: Array) -> NDArray[np.float64]:
    """(n, C) float64 of the rows, from a file perhaps."""
    if not isinstance(frame.target, np.ndarray):
        raise DataError(
            f"{frame.target_where}: holds labels, the training source numbers;"
            " both must hold the same"
        )
    return frame.target[rows].astype(np.float64)


def _plain(
    kind: Kind,
    model: str,
    columns: tuple[str, ...],
    outputs: tuple[str, ...],
    classes: tuple[Label, ...] | None,
) -> Target:
    C = len(outputs)
    return Target(kind, model, columns, outputs, classes, np.zeros(C), np.ones(C))


def _check_classes(classes: Sequence[Label], model: str, frame: Frame) -> None:
    place = f"{frame.target_where}: target {quote(frame.target_names[0])}"
    if len(classes) == 1:
        rows = "row" if frame.weight is None else "row with a weight"
        raise DataError(
            f"{place}: every {rows} has the label {quote(label_text(classes[0]))}; two classes or"
            " more are needed to learn from"
        )
    most = MODELS[model].most_classes
    if most is not None and len(classes) > most:
        numbers = not isinstance(classes[0], str) and len(classes) > 20
        raise DataError(
            f"{place}: has {len(classes)} classes ({_listed(classes)}); logistic takes two,"
            f" `model: softmax` takes more{', `model: linear` predicts numbers' * numbers}"
        )


def _check_values(frame: Frame, rows: Array, values: FloatArray, target: Target) -> None:
    """Refuse what is no number, too low, no 0 or 1, no distribution: with its row and column."""
    kind, facts = target.kind, MODELS[target.model]
    bad = ~np.isfinite(values)
    if bad.any():
        place, value = _first(frame, rows, values, bad)
        raise DataError(f"{place}: the target is {value:g}; a finite number is right")
    if facts.lowest is not None and (values < facts.lowest).any():
        place, value = _first(frame, rows, values, values < facts.lowest)
        raise DataError(
            f"{place}: the target is {value:g}; {target.model} takes {facts.targets},"
            f" {facts.lowest:g} or more"
        )
    if kind == "multilabel":
        bad = (values != 0) & (values != 1)
        if bad.any():
            place, value = _first(frame, rows, values, bad)
            raise DataError(
                f"{place}: {value:g} in a target of several labels; 0 or 1 is right"
                " (`model: linear` predicts numbers)"
            )
    if kind == "distribution":
        bad = values < 0
        if bad.any():
            place, value = _first(frame, rows, values, bad)
            raise DataError(
                f"{place}: {value:g} in a row of class probabilities; 0 or more is right"
            )
        sums = values.sum(axis=1)
        off = np.flatnonzero(np.abs(sums - 1) > tolerance(frame))
        if off.size:
            row = int(rows[off[0]])
            raise DataError(
                f"{frame.target_where}: {frame.place(row)}: its {values.shape[1]} class"
                f" probabilities sum to {sums[off[0]]:.6g}; 1 is right"
                " (or one column of labels, shape (N,))"
            )


def _check_fits(frame: Frame, rows: Array, encoded: Array) -> None:
    bad = ~np.isfinite(encoded)
    if bad.any():
        place, _ = _first(frame, rows, encoded, bad)
        raise DataError(
            f"{place}: the target is too large for {encoded.dtype};"
            " `precision: float64` or `scale_target: standard` is right"
        )


def _first(frame: Frame, rows: Array, values: Array, bad: Array) -> tuple[str, float]:
    i, c = (int(k) for k in np.argwhere(bad)[0])
    name = frame.target_names[c]
    return (
        f"{frame.target_where}: {frame.place(int(rows[i]))}, column {quote(name)}",
        float(values[i, c]),
    )


def _listed(classes: Sequence[Label]) -> str:
    shown = ", ".join(_shown(label) for label in classes[:_SHOWN])
    return f"{shown}, …" if len(classes) > _SHOWN else shown


def _shown(label: Label) -> str:
    text = label_text(label)
    return text if text.isprintable() and 0 < len(text) <= 40 else quote(text)
