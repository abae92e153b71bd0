"""Fitting an `Encoder` to training rows: categories, fill-in values, mean and σ."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from trainer.data.column_faults import ColumnFault
from trainer.data.encode.encoder import Encoder, take
from trainer.data.encode.targets import Target, Weight, mean_of, out_of_range
from trainer.data.frame import Beside, Frame, Labels, Stacked, chunks
from trainer.data.rows import Array
from trainer.errors import DataError
from trainer.text.labels import label_text
from trainer.text.printable import quote

_TIE = 1e-12  # of a sum of weights: what rounding may make of equal ones


def fit_encoder(
    frame: Frame,
    rows: Array,
    target: Target,
    *,
    weight: Weight,
    scale: str,
    impute: bool,
    max_categories: int,
    keys: Mapping[str, str],
    common: tuple[Array, Weight] | None = None,
) -> Encoder:
    """Learn categories, fill-in values, mean and scale from training rows.

    Args:
        frame: the training source.
        rows: (n,) its training rows, ascending.
        target: how its target is encoded.
        weight: (n,) theirs, above 0: a row of weight 2 is the row twice; None where all are alike.
        scale: none, standard or unit.
        impute: whether missing values are filled in.
        max_categories: most categories of a text column.
        keys: names to read another file by.
        common: rows whose categories and fill-ins are taken, which encoders for other targets have
            in common, and their weights; None: `rows`, `weight`.

    Raises:
        DataError: too many categories, a column without any value, and as `Encoder.transform`.
    """
    shared, own = (rows, weight) if common is None else common
    categories = {
        name: _categories(frame, column, name, shared) for name, column in _text_columns(frame)
    }
    _check_columns(frame, categories, max_categories)
    D = len(frame.names) + sum(len(values) - 1 for values in categories.values())
    encoder = Encoder(
        frame.names, categories, scale == "unit", np.zeros(D), np.ones(D), (), target, keys
    )
    _check_features(frame, encoder)
    if impute:
        encoder = replace(encoder, impute=_fill_ins(frame, shared, own))
    if scale == "standard":
        mean, sigma = _statistics(encoder, frame, rows, weight)
        encoder = replace(encoder, mean=mean, scale=sigma)
    return encoder


def _text_columns(frame: Frame) -> list[tuple[str, Labels]]:
    if not isinstance(frame.features, tuple):
        return []
    pairs = zip(frame.names, frame.features, strict=True)
    return [(name, column) for name, column in pairs if isinstance(column, Labels)]


def _categories(frame: Frame, column: Labels, name: str, rows: Array) -> tuple[str, ...]:
    codes = column.codes[rows]
    # not np.unique, which imports numpy.ma
    present = np.flatnonzero(np.bincount(codes[codes >= 0], minlength=len(column.values)))
    return tuple(label_text(column.values[code]) for code in present)


def _check_columns(frame: Frame, categories: Mapping[str, tuple[str, ...]], most: int) -> None:
    """Refuse columns that cannot be features as they are, all at once."""
    faults = {fault.name: fault for fault in frame.choice.faults}
    for name, values in categories.items():
        if len(values) > most and name not in faults:
            what = f"has {len(values)} categories, more than data.max_categories: {most}"
            faults[name] = ColumnFault(name, what, is_category=False, other="raise the limit")
    if faults:
        ordered = [faults[name] for name in frame.names if name in faults]
        from trainer.data.encode.column_error import column_error

        raise column_error(frame.where, frame.place, frame.choice, ordered)
    for name, values in categories.items():
        if not values:
            raise _empty(frame, name)


def _check_features(frame: Frame, encoder: Encoder) -> None:
    """Refuse two features of one name: the column `a=b`, and the value b of the column a."""
    first: dict[str, str] = {}
    for name in encoder.columns:
        for category in encoder.categories.get(name, (None,)):
            feature = name if category is None else f"{name}={category}"
            told = f"column {quote(name)}"
            if category is not None:
                told = f"the value {quote(category)} of {told}"
            if feature in first:
                raise DataError(
                    f"{frame.where}: {first[feature]} and {told} make two features called"
                    f" {quote(feature)}; rename a column"
                )
            first[feature] = told


def _fill_ins(frame: Frame, rows: Array, weight: Weight) -> tuple[float | str, ...]:
    """Mean of the numbers there are; of text the most frequent, the first among equals."""
    if not isinstance(frame.features, tuple):
        return _matrix_means(frame, frame.features, rows, weight)
    values: list[float | str] = []
    for name, column in zip(frame.names, frame.features, strict=True):
        if isinstance(column, Labels):
            codes = column.codes[rows]
            known = codes >= 0
            own = None if weight is None else weight[known]
            counts = np.bincount(codes[known], own, minlength=len(column.values))
            most = np.flatnonzero(counts >= counts.max() * (1 - _TIE))[0]
            values.append(label_text(column.values[int(most)]))
            continue
        numbers = column[rows].astype(np.float64)
        known = ~np.isnan(numbers)
        if not known.any():
            raise _empty(frame, name)
        numbers, own = numbers[known], None if weight is None else weight[known]
        values.append(float(mean_of(numbers, own)) if np.isfinite(numbers).all() else 0.0)
    return tuple(values)


def _matrix_means(
    frame: Frame, matrix: Array | Stacked | Beside, rows: Array, weight: Weight
) -> tuple[float | str, ...]:
    D = matrix.shape[1]
    sums, counts = np.zeros(D), np.zeros(D)
    for part in chunks(len(rows), D):
        block = matrix[take(rows[part])].astype(np.float64)
        present = np.isfinite(block)
        if weight is None:
            sums += block.sum(axis=0, where=present)
            counts += present.sum(axis=0)
        else:
            sums += weight[part] @ np.where(present, block, 0.0)
            counts += weight[part] @ present
    if (counts == 0).any():
        raise _empty(frame, frame.names[int(np.flatnonzero(counts == 0)[0])])
    means: list[float | str] = (sums / counts).tolist()
    return tuple(means)


def _statistics(
    encoder: Encoder, frame: Frame, rows: Array, weight: Weight
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and σ (ddof 0), (D,) each: 0 and 1 for one-hot columns, scale 1 for constant ones.

    One pass, chunks merged by Chan, Golub, LeVeque 1983: as accurate as two passes.
    """
    D = len(encoder.features)
    mean, squares, count = np.zeros(D), np.zeros(D), 0.0
    low, high = np.full(D, np.inf), np.full(D, -np.inf)
    with np.errstate(over="ignore", invalid="ignore"):
        for part, block, _ in encoder.blocks(frame, rows):
            own = None if weight is None else weight[part]
            n = float(len(block)) if own is None else own.sum()
            np.minimum(low, block.min(axis=0), out=low)
            np.maximum(high, block.max(axis=0), out=high)
            block_mean = mean_of(block, own)
            block -= block_mean
            shift = block_mean - mean
            if own is not None:
                block *= np.sqrt(own)[:, None]
            squares += np.einsum("nd,nd->d", block, block) + shift**2 * (count * n / (count + n))
            mean += shift * (n / (count + n))
            count += n
        sigma = np.sqrt(squares / count)
    constant = low == high
    mean, sigma = np.where(constant, low, mean), np.where(constant, 1.0, sigma)
    bad = ~(np.isfinite(mean) & np.isfinite(sigma) & (sigma > 0))
    if bad.any():
        raise out_of_range(frame.where, encoder.features[int(np.flatnonzero(bad)[0])])
    one_hot = np.array(
        [
            name in encoder.categories
            for name in encoder.columns
            for _ in encoder.categories.get(name, ("",))
        ]
    )
    mean[one_hot], sigma[one_hot] = 0.0, 1.0
    return mean, sigma


def _empty(frame: Frame, name: str) -> DataError:
    cure = "leave it out with `drop`" if frame.choice.has_keys else "leave it out"
    return DataError(f"{frame.where}: column {quote(name)}: no training row has a value; {cure}")
