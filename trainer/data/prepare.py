"""From a spec to the rows of every split: read, part, encode, scale."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from trainer.data.encoder import Encoder
from trainer.data.fit import fit_encoder
from trainer.data.frame import Frame, Labels, chunks, read_weight
from trainer.data.gather import read_files, read_passed
from trainer.data.hints import quote
from trainer.data.rows import IntArray, Prepared, Rows, label_text, row_weights
from trainer.data.split import split
from trainer.data.summary import Held, summarize
from trainer.data.targets import fit_target, missing_targets, scaled_target
from trainer.errors import DataError

if TYPE_CHECKING:
    from trainer.spec.schema import Spec


def prepare(spec: Spec, arrays: Mapping[str, Any] | None = None) -> Prepared:
    """Read, split, encode and scale the rows of a run.

    Classes are those of the whole training source; categories, fill-in values, means and σ those
    of its training rows alone.

    Args:
        spec: the run.
        arrays: rows passed in from Python in place of the spec's sources: {"train": (X, y),
            "val": (X, y), "test": (X, y) or {name: (X, y)}, "weight": (N,) of train}.
            Without "val" there is no validation.

    Raises:
        DataError: anything wrong with the data, in one line.
    """
    sources = read_files(spec) if arrays is None else read_passed(arrays, spec.model)
    frame, missing = sources.train, spec.data.missing
    usable = _usable_rows(frame, missing)
    target = fit_target(frame, spec.model, usable)
    parts = split(
        len(usable),
        sources.val_fraction,
        sources.test_fraction,
        seed=spec.data.seed,
        codes=_stratify_codes(spec, frame, usable, target.kind),
        where=frame.where,
    )
    train_rows, val_rows, test_rows = (usable[part] for part in parts)
    if spec.data.scale_target == "standard":
        target = scaled_target(target, frame, train_rows)
    encoder = fit_encoder(
        frame,
        train_rows,
        target,
        scale=spec.data.scale,
        impute=missing == "mean",
        max_categories=spec.data.max_categories,
        keys=sources.keys,
    )
    wanted = [("train", frame, train_rows), ("val", frame, val_rows), ("test", frame, test_rows)]
    wanted += [(name, f, _usable_rows(f, missing)) for name, f in sources.held.items()]
    held = [
        _encoded(encoder, name, f, rows, np.dtype(spec.precision))
        for name, f, rows in wanted
        if len(rows)
    ]
    splits = {part.rows.name: part.rows for part in held}
    train, val = splits.pop("train"), splits.pop("val", None)
    _check_training(train, encoder, spec.class_weight, frame)
    return Prepared(
        train=train,
        val=val,
        tests=tuple(splits.values()),
        encoder=encoder,
        digest=sources.digest,
        summary=summarize(encoder, held),
    )


def _usable_rows(frame: Frame, missing: str) -> IntArray:
    """Rows that are kept, ascending: all, or under `missing: drop` those without a gap."""
    lost = missing_targets(frame)
    if missing != "drop":
        if lost.any():
            row = int(np.flatnonzero(lost)[0])
            raise DataError(
                f"{frame.target_where}: {frame.place(row)}, target {_target_name(frame)}: is"
                " missing or NaN; give a value, or set data.missing to drop"
            )
        return np.arange(frame.rows)
    kept = np.flatnonzero(~(lost | _missing_features(frame)))
    if not len(kept):
        raise DataError(
            f"{frame.where}: every row has a missing value, so data.missing: drop leaves none;"
            " leave out the columns that are empty"
        )
    return kept


def _target_name(frame: Frame) -> str:
    return ", ".join(repr(name) for name in frame.target_names[:3])


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


def _stratify_codes(
    spec: Spec, frame: Frame, rows: IntArray, kind: str
) -> NDArray[np.int32] | None:
    if spec.data.stratify is True and kind != "labels":
        raise DataError(
            f"{frame.target_where}: data.stratify: true needs one label a row; auto is right"
        )
    if spec.data.stratify is False or not isinstance(frame.target, Labels):
        return None
    return frame.target.codes[rows]


def _encoded(
    encoder: Encoder, name: str, frame: Frame, rows: IntArray, dtype: np.dtype[Any]
) -> Held:
    y = encoder.target.encode(frame, rows, dtype)
    weight = read_weight(frame, rows, name)
    encoded = encoder.transform(frame, dtype, rows)
    return Held(frame, Rows(name, encoded.X, y, weight, rows.astype(np.int64)), encoded)


def _check_training(train: Rows, encoder: Encoder, class_weight: Any, frame: Frame) -> None:
    """Refuse what only shows in the training rows: one class alone, class weights without use."""
    weight = row_weights(train.y, train.weight, class_weight, encoder.classes)
    if encoder.target.kind == "labels":
        used = np.unique(train.y[weight > 0])
        if len(used) == 1:
            assert encoder.classes is not None
            label = label_text(encoder.classes[int(used[0])])
            raise DataError(
                f"{frame.target_where}: every training row with a weight has the label"
                f" {quote(label)}; two classes or more are needed: `stratify: auto`,"
                " more rows or other weights"
            )
