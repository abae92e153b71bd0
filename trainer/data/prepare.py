"""From a spec to the rows of every split: read, part, encode, scale."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from trainer.data.arrays import check_keys
from trainer.data.encoder import Encoded, Encoder
from trainer.data.fit import constant_features, fit_encoder
from trainer.data.frame import Frame, Labels, Like, chunks
from trainer.data.hints import quote
from trainer.data.rows import IntArray, Prepared, Rows, Summary, label_text, row_weights
from trainer.data.sources import Digest, read_arrays, read_source, source_keys
from trainer.data.split import split
from trainer.data.targets import fit_target, missing_targets, scaled_target
from trainer.errors import DataError

if TYPE_CHECKING:
    from trainer.spec.schema import Spec


@dataclass(frozen=True)
class _Sources:
    """What was read: the training source, and those of splits that have their own."""

    train: Frame
    val: Frame | None
    tests: tuple[tuple[str, Frame], ...]
    val_fraction: float
    test_fraction: float
    keys: Mapping[str, str]
    digest: str


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
    sources = _read_files(spec) if arrays is None else _read_arrays(arrays, spec.model)
    frame = sources.train
    usable = _usable_rows(frame, spec.data.missing)
    target = fit_target(frame, spec.model, usable)
    codes = _stratify_codes(spec, frame, usable, target.kind)
    parts = split(
        len(usable),
        sources.val_fraction,
        sources.test_fraction,
        seed=spec.data.seed,
        codes=codes,
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
        impute=spec.data.missing == "mean",
        max_categories=spec.data.max_categories,
        keys=sources.keys,
    )
    wanted: list[tuple[str, Frame, IntArray]] = [("train", frame, train_rows)]
    if sources.val is not None:
        wanted.append(("val", sources.val, _usable_rows(sources.val, spec.data.missing)))
    elif len(val_rows):
        wanted.append(("val", frame, val_rows))
    if len(test_rows):
        wanted.append(("test", frame, test_rows))
    wanted += [(name, f, _usable_rows(f, spec.data.missing)) for name, f in sources.tests]
    dtype = np.dtype(spec.precision)
    encoded = [_rows(encoder, *each, dtype) for each in wanted]
    splits = [rows for rows, _ in encoded]
    _check_training(splits[0], encoder, spec.class_weight, frame)
    has_val = (
        len(splits) > 1
        and wanted[1][0] == "val"
        and (sources.val is not None or bool(len(val_rows)))
    )
    return Prepared(
        train=splits[0],
        val=splits[1] if has_val else None,
        tests=tuple(splits[2 if has_val else 1 :]),
        encoder=encoder,
        digest=sources.digest,
        summary=_summary(encoder, [f for _, f, _ in wanted], encoded),
    )


def _read_files(spec: Spec) -> _Sources:
    data, model, digest = spec.data, spec.model, Digest()
    train = read_source(data.train, model, None, digest)
    like = Like(train.names, train.text)

    def read(source: Any) -> Frame:
        return read_source(source, model, like, digest)

    val = None if data.val == "none" or isinstance(data.val, float) else read(data.val)
    tests: list[tuple[str, Frame]] = []
    if isinstance(data.test, Sequence) and not isinstance(data.test, str):
        tests = [(source.name, read(source)) for source in data.test]
    elif data.test != "none" and not isinstance(data.test, float):
        tests = [("test", read(data.test))]
    return _Sources(
        train,
        val,
        tuple(tests),
        data.val if isinstance(data.val, float) else 0.0,
        data.test if isinstance(data.test, float) else 0.0,
        source_keys(data.train),
        digest.hexdigest(),
    )


def _read_arrays(arrays: Mapping[str, Any], model: str) -> _Sources:
    check_keys(arrays)
    digest = Digest()
    train = read_arrays(arrays["train"], arrays.get("weight"), "'train'", model, None, digest)
    like = Like(train.names, train.text)
    val = arrays.get("val")
    test = arrays.get("test")
    pairs = {} if test is None else dict(test) if isinstance(test, Mapping) else {"test": test}
    tests = tuple(
        (
            str(name),
            read_arrays(
                pair,
                None,
                f"'test'][{name!r}" if pair is not test else "'test'",
                model,
                like,
                digest,
            ),
        )
        for name, pair in pairs.items()
    )
    val_frame = None if val is None else read_arrays(val, None, "'val'", model, like, digest)
    return _Sources(train, val_frame, tests, 0.0, 0.0, {}, digest.hexdigest())


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


def _rows(
    encoder: Encoder, name: str, frame: Frame, rows: IntArray, dtype: np.dtype[Any]
) -> tuple[Rows, Encoded]:
    y = encoder.target.encode(frame, rows, dtype)
    weight = _weights(frame, rows, name)
    encoded = encoder.transform(frame, dtype, rows)
    return Rows(name, encoded.X, y, weight, rows.astype(np.int64)), encoded


def _weights(frame: Frame, rows: IntArray, split_name: str) -> NDArray[np.float64]:
    if frame.weight is None:
        return np.ones(len(rows))
    weight = frame.weight[rows].astype(np.float64)
    bad = np.flatnonzero(~(np.isfinite(weight) & (weight >= 0)))
    if bad.size:
        row, value = int(rows[bad[0]]), weight[bad[0]]
        column = f", column {quote(frame.weight_name)}" if frame.weight_name else ""
        shown = "is missing or NaN" if np.isnan(value) else f"is {value:g}"
        raise DataError(
            f"{frame.weight_where}: {frame.place(row)}{column}: the weight {shown};"
            " a finite number from 0 up is right"
        )
    if not weight.any():
        raise DataError(
            f"{frame.weight_where}: every {split_name} row has weight 0;"
            " at least one must be above 0"
        )
    return weight


def _check_training(train: Rows, encoder: Encoder, class_weight: Any, frame: Frame) -> None:
    """Refuse what only shows in the training rows: one class alone, class weights without use."""
    weight = row_weights(train.y, train.weight, class_weight, encoder.classes)
    if encoder.target.kind == "labels":
        used = np.unique(train.y[weight > 0])
        if len(used) == 1:
            assert encoder.classes is not None
            label = label_text(encoder.classes[int(used[0])])
            raise DataError(
                f"{frame.target_where}: every training row with a weight has the label {label!r};"
                " two classes or more are needed: `stratify: auto`, more rows or other weights"
            )


def _summary(
    encoder: Encoder, frames: Sequence[Frame], encoded: Sequence[tuple[Rows, Encoded]]
) -> Summary:
    splits = [rows for rows, _ in encoded]
    classes = encoder.classes if encoder.target.kind == "labels" else None
    counts: dict[str, dict[str, int]] = {}
    if classes is not None:
        for rows in splits:
            number = np.bincount(rows.y.reshape(-1).astype(np.int64), minlength=len(classes))
            counts[rows.name] = {
                label_text(label): int(n) for label, n in zip(classes, number, strict=True)
            }
    lost = {id(frame): frame.rows for frame in frames}  # a file may be read as two sources
    for frame, rows in zip(frames, splits, strict=True):
        lost[id(frame)] -= len(rows)
    return Summary(
        source=frames[0].where,
        rows={rows.name: len(rows) for rows in splits},
        columns=len(encoder.columns),
        features=len(encoder.features),
        outputs=len(encoder.outputs) if classes is None or encoder.target.model == "softmax" else 1,
        class_counts=counts,
        expansions={name: len(values) for name, values in encoder.categories.items()},
        dropped={frame.where: lost[id(frame)] for frame in frames if lost[id(frame)]},
        imputed={rows.name: e.imputed for rows, e in encoded if e.imputed},
        unseen={rows.name: e.unseen for rows, e in encoded if e.unseen},
        constant=constant_features(encoder, splits[0].X),
    )
