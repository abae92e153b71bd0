"""Preparation of every split: from sources and row numbers to encoded and scaled rows.

One path for all: a plain run, a fold, a few-shot draw and a refit differ in row numbers only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from trainer.catalog import MODELS
from trainer.data.class_weights import row_weights
from trainer.data.encode.encoder import Encoded, Encoder
from trainer.data.encode.fit_encoder import fit_encoder
from trainer.data.encode.positive import with_positive
from trainer.data.encode.resolution import Extremes, centred_features, coarse_targets
from trainer.data.encode.targets import Target, Weight, centred_target, fit_target, scaled_target
from trainer.data.frame import Frame, read_weight, relative_weights, zero_weight
from trainer.data.prepared import Prepared
from trainer.data.rows import Array, FloatArray, IntArray, Rows
from trainer.data.sources.concat import concat
from trainer.data.sources.read import read
from trainer.data.sources.source import EncodedKey, Source
from trainer.data.splits.held import SplitRows, held_out, whole_source
from trainer.data.splits.holdout import hold_out, plain_split, usable
from trainer.data.splits.row_split import RowSplit
from trainer.data.summary import EncodedSplit, FoundColumns, LostRows, summarize
from trainer.errors import ColumnError, DataError
from trainer.text.labels import label_text
from trainer.text.printable import quote

if TYPE_CHECKING:
    from trainer.config.schema.spec import Spec


def prepare(spec: Spec, arrays: Mapping[str, Any] | None = None) -> Prepared:
    """Read, split, encode and scale the rows of a plain run.

    Classes are those of the whole training source; categories, fill-in values, means and σ those
    of its training rows alone.

    Args:
        spec: the run.
        arrays: rows passed in from Python in place of the spec's sources: {"train": (X, y),
            "val": (X, y), "test": (X, y) or {name: (X, y)}, "weight": (N,) and "group": (N,) of
            train; and under its name the column (N,) that `repeat.folds` is made by}. A fraction of
            the spec holds where there are no rows of that name.

    Raises:
        DataError: anything wrong with the data, in one line.
    """
    source = read(spec, arrays)
    return prepare_split(source, spec, plain_split(source, spec))


def prepare_split(source: Source, spec: Spec, part: RowSplit) -> Prepared:
    """Encode and scale the rows of one repeat, by statistics of its own training rows.

    Raises:
        DataError: anything wrong with the data, in one line; it names the repeat.
    """
    target, part = hold_out(source, spec).target, part.whole()
    train = SplitRows("train", source.frame, part.train, part.counts)
    val = held_out(source, spec, part)
    splits = [train, *([val] if val else []), *_tests(source, spec)]
    common = None
    if part.common is not None:
        common = SplitRows("train", source.frame, part.common, part.common_counts)
    try:
        return _prepared(source, spec, target, splits, common)
    except DataError as error:
        if not part.name or isinstance(error, ColumnError):  # columns are those of all parts
            raise
        raise DataError(f"{error} (in {part.name})") from None


def held_targets(source: Source, spec: Spec, part: RowSplit) -> tuple[Array, FloatArray] | None:
    """The targets (N, C) or codes (N,) of the validation rows of one repeat, and weights (N,).

    Unscaled; None without validation.

    Raises:
        DataError: as `prepare_split`.
    """
    val = held_out(source, spec, part.whole())
    if val is None:
        return None
    target = hold_out(source, spec).target
    y = target.encode(val.frame, val.rows, np.dtype(np.float64))
    return y, read_weight(val.frame, val.rows, val.name)


def prepare_refit(
    source: Source,
    spec: Spec,
    rows: Literal["train", "train+val"],
    common: IntArray | None = None,
) -> Prepared:
    """The rows of a refit, without validation.

    Args:
        source: what `read` returned.
        spec: the run.
        rows: "train": all that are for training in a plain run, with folds those that all folds
            are made of. "train+val": those of val too, a fraction's in their place, those of a
            source of its own behind.
        common: as in `RowSplit`, of the same numbers.

    Raises:
        DataError: anything wrong with the data, in one line.
    """
    holdout, frame = hold_out(source, spec), source.frame
    target, train = holdout.target, SplitRows("train", frame, holdout.train)
    if rows == "train+val" and len(holdout.val):
        train = SplitRows("train", frame, np.union1d(holdout.train, holdout.val))
    elif rows == "train+val" and "val" in source.held:
        own = whole_source("val", source, spec)
        joined = concat(frame, own.frame)
        below = frame.rows + own.rows
        train = SplitRows("train", joined, np.concatenate([holdout.train, below]))
        if not target.separate:
            target = fit_target(joined, spec.model, np.concatenate([holdout.usable, below]))
            target = with_positive(target, spec.data.positive, joined.target_where)
    shared = None if common is None else train._replace(rows=common)
    return _prepared(source, spec, target, [train, *_tests(source, spec)], shared)


def _tests(source: Source, spec: Spec) -> list[SplitRows]:
    holdout = hold_out(source, spec)
    own = [whole_source(name, source, spec) for name in source.held if name != "val"]
    return [SplitRows("test", source.frame, holdout.test), *own] if len(holdout.test) else own


def _prepared(
    source: Source,
    spec: Spec,
    target: Target,
    splits: Sequence[SplitRows],
    common: SplitRows | None = None,
) -> Prepared:
    """Fit the encoder to the first split, the training rows, and encode all."""
    _, frame, rows, _ = splits[0]
    weight = relative_weights(splits[0].weight)
    encoder = fit_encoder(
        frame,
        rows,
        _settled_target(spec, target, frame, rows, weight),
        weight=weight,
        scale=spec.data.scale,
        impute=spec.data.missing == "mean",
        max_categories=spec.data.max_categories,
        keys=source.keys,
        common=None if common is None else (common.rows, relative_weights(common.weight)),
    )
    encoder, held, found = _encoded_splits(source, spec, encoder, splits)
    by_name = {part.rows.name: part.rows for part in held}
    train, val = by_name.pop("train"), by_name.pop("val", None)
    _check_training(train, encoder, spec.class_weight, frame)
    return Prepared(
        train=train,
        val=val,
        tests=tuple(_as_asked(rows, spec) for rows in by_name.values()),
        encoder=encoder,
        hashed=source.hashed,
        summary=summarize(source, encoder, held, _lost(source, spec, splits), found),
    )


def _as_asked(rows: Rows, spec: Spec) -> Rows:
    """The rows of a test set with what the spec says of their scores."""
    named = spec.data.test if isinstance(spec.data.test, tuple) else ()
    for source in named:
        if source.name == rows.name:
            return replace(rows, of_present=source.classes == "present", metric=source.metric)
    return rows


def _settled_target(
    spec: Spec, target: Target, frame: Frame, rows: IntArray, weight: Weight
) -> Target:
    """The target scaled as the spec says, or centred where its model can do with it."""
    if spec.data.scale_target == "standard":
        return scaled_target(target, frame, rows, weight)
    if MODELS[target.model].scales_target and spec.bias:
        return centred_target(target, frame, rows, weight, np.dtype(spec.dtype))
    return target


def _encoded_splits(
    source: Source, spec: Spec, encoder: Encoder, splits: Sequence[SplitRows]
) -> tuple[Encoder, list[EncodedSplit], FoundColumns]:
    """All splits encoded, what encoded them, and the columns that vary little."""
    (_, frame, rows, _), dtype = splits[0], np.dtype(spec.dtype)
    first = _shared(source, spec, encoder, splits[0])
    centre = spec.bias and spec.data.scale == "none"
    ends = Extremes.told_by_some(first.rows.X, first.encoded.largest)
    centred, coarse = centred_features(encoder, frame, rows, ends, centre=centre)
    if centred is not encoder:
        del first  # its rows have lost what is to be kept
        first = _shared(source, spec, centred, splits[0])
        ends = Extremes.of(first.rows.X)
    if encoder.target.kind == "numbers":
        coarse = (*coarse_targets(encoder.target, frame, rows, dtype), *coarse)
    rest = [_shared(source, spec, centred, split) for split in splits[1:]]
    return centred, [first, *rest], FoundColumns(ends.constant(encoder), coarse)


def _lost(source: Source, spec: Spec, splits: Sequence[SplitRows]) -> LostRows:
    names = [split.name for split in splits]
    names += ["val"] * (splits[0].frame is not source.frame)  # val's rows are among train's
    frames = [source.frame, *(frame for name, frame in source.held.items() if name in names)]
    weightless = {f.where: int(zero_weight(f).sum()) for f in frames}
    kept = source.kept or {f.where: len(usable(source, f, spec.data.missing)) for f in frames}
    dropped = {f.where: f.rows - weightless[f.where] - kept[f.where] for f in frames}
    return LostRows(weightless, dropped)


def _shared(source: Source, spec: Spec, encoder: Encoder, split: SplitRows) -> EncodedSplit:
    """The split encoded; one copy for all repeats where nothing is learnt from training rows.

    So fifty draws that are not scaled share one copy of val and test.
    """
    dtype, target = np.dtype(spec.dtype), encoder.target
    learnt = spec.data.scale == "standard" or spec.data.scale_target == "standard"
    learnt = learnt or bool(encoder.mean.any() or target.mean.any())  # from centring
    if learnt or encoder.categories or encoder.impute:
        return _encoded(encoder, split, dtype)
    key = EncodedKey(
        split.name,
        id(split.frame),
        split.rows.tobytes() + (b"" if split.counts is None else split.counts.tobytes()),
        dtype,
        encoder.unit,
        encoder.target.classes,
    )
    rows = source.encoded.get(key)
    if rows is None:
        made = _encoded(encoder, split, dtype)
        source.encoded[key] = made.rows
        return made
    return EncodedSplit(rows, Encoded(rows.X, {}, 0))


def _encoded(encoder: Encoder, split: SplitRows, dtype: np.dtype[Any]) -> EncodedSplit:
    name, frame, rows, _ = split
    y = encoder.target.encode(frame, rows, dtype)
    encoded = encoder.transform(frame, dtype, rows)
    group = None if frame.group is None else frame.group[rows].astype(np.int64)
    y_rows = Rows(name, encoded.X, y, split.weight, rows.astype(np.int64), group)
    return EncodedSplit(y_rows, encoded)


def _check_training(train: Rows, encoder: Encoder, class_weight: Any, frame: Frame) -> None:
    """Refuse what only shows in the training rows: one class alone, class weights without use."""
    if encoder.target.separate:
        return  # what of a target is too little leaves it out
    weight = row_weights(train.y, train.weight, class_weight, encoder.classes)
    if encoder.target.kind == "labels":
        codes, counts = train.y.reshape(-1), weight > 0
        first = codes[counts.argmax()]
        if counts.any() and not ((codes != first) & counts).any():
            assert encoder.classes is not None
            label = label_text(encoder.classes[int(first)])
            raise DataError(
                f"{frame.target_where}: every training row with a weight has the label"
                f" {quote(label)}; two classes or more are needed: `stratify: auto`,"
                " more rows or other weights"
            )
