"""From a source of the spec, or a pair of arrays, to a `Frame`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from trainer.catalog import BUNDLED, MODELS, SOURCES
from trainer.data.encode.encoder import Encoder
from trainer.data.encode.known_targets import known_targets
from trainer.data.frame import Frame, Labels, Like
from trainer.data.rows import Array, IntArray
from trainer.data.sources import libsvm, npy
from trainer.data.sources.arrays import (
    array_frame,
    check_width,
    with_group,
    with_known_target,
    with_known_weight,
    with_target,
)
from trainer.data.sources.column_roles import Roles
from trainer.data.sources.csv_options import CsvOptions
from trainer.data.sources.digest import Digest
from trainer.data.sources.host import check_dense, host_array, is_table
from trainer.data.sources.safetensors import read_safetensors, safetensors_names
from trainer.data.sources.shards import (
    files_of,
    one_column,
    read_shards,
    shards_of,
    stacked,
    with_targets_alike,
)
from trainer.data.sources.side_by_side import (
    listed,
    side_by_side,
    to_predict,
    with_columns,
)
from trainer.data.sources.synthetic import synthetic_frame
from trainer.data.sources.target_names import target_columns
from trainer.errors import DataError
from trainer.text.labels import label_text, nfc
from trainer.text.printable import quote, show_path

_FOLDER = Path(__file__).parents[1] / "bundled"


def read_source(
    source: Any, model: str, like: Like | None, digest: Digest, separate: bool = False
) -> Frame:
    """Read one source.

    Args:
        source: a bundled name or one of the spec's source blocks.
        model: says whether a single target is a number or a label.
        like: the training source's columns, None for the training source itself: there alone
            groups are read.
        digest: takes the bytes read.
        separate: whether each of several targets in a table is read as one alone would be.

    Raises:
        DataError: whatever is wrong with the files.
    """
    if isinstance(source, str):
        return _read_bundled(source, model, like, digest)
    group = getattr(source, "group", None) if like is None else None

    def read(one: Any, group: str | None, like: Like | None) -> Frame:
        reader = READERS[one.form]
        if separate and reader is _of_table:
            return _of_table(one, group, model, like, digest, separate=True)
        return reader(one, group, model, like, digest)

    def read_group(one: Any) -> Array:
        if one.form in _ARCHIVES:
            return _ARCHIVES[one.form].read(getattr(one, one.form), [one.group])[one.group]
        with digest.reading(one.group):
            return npy.read_npy(one.group)

    shards = shards_of(source)
    if len(shards) == 1:
        return read(shards[0], group, like)
    with digest.one_source(len(shards)):
        if group is None or hasattr(source, "drop"):
            return read_shards(shards, group, like, read)
        frame = read_shards(shards, None, like, read)
        groups = np.concatenate([read_group(one) for one in shards])
    where = f"{show_path(shards[0].group)} and {len(shards) - 1} more"
    return with_group(frame, groups, where)


def read_beside(source: Any, name: str) -> tuple[Labels | Array, str]:
    """A column of a training source that is no feature, and what messages call it.

    Args:
        source: as in `read_source`.
        name: of a column of a table, or of an array of an archive.

    Raises:
        DataError: there is none, or the source has no columns of that kind.
    """
    form = "" if isinstance(source, str) else source.form
    if form in _ARCHIVES:
        parts = []
        for one in shards_of(source):
            path = getattr(one, form)
            parts.append(_ARCHIVES[form].read(path, [name])[name])
        return np.concatenate(parts), f"{show_path(path)}: {name}"
    if form != "table":
        what = quote(source) if isinstance(source, str) else f"a source of {form}"
        raise DataError(
            f"repeat.folds: {what} has no column {quote(name)} beside its features; a file is"
            " right: npy: fold.npy"
        )
    shards = shards_of(source)
    _check_roles(source, name)

    def read(one: Any, group: str | None, like: Like | None) -> Frame:
        return _of_table(one, group, "linear", like, Digest(), dates=True)

    targetless = [one.model_copy(update={"target": ()}) for one in shards]
    try:
        found = one_column(targetless, name, read)
    except DataError as error:
        raise DataError(str(error).replace(": columns: ", ": repeat.folds: ", 1)) from None
    return found, f"{show_path(shards[0].table)}: column {quote(name)}"


def _check_roles(source: Any, name: str) -> None:
    """Refuse a column that has another role already."""
    roles = {
        "target": source.target_names,
        "columns": source.columns or (),
        "categorical": source.categorical,
        "weight": (source.weight,),
    }
    for role, names in roles.items():
        if name in names:
            cure = (
                "another column is" if role in ("target", "weight") else "take it out there, it is"
            )
            raise DataError(
                f"{show_path(shards_of(source)[0].table)}: repeat.folds: {quote(name)} is listed in"
                f" {role} too; {cure} right"
            )


class _Archive(NamedTuple):
    """How the files of one kind are read."""

    names: Callable[[str], list[str]]
    """Of the arrays in the file of a path."""
    read: Callable[[str, list[str]], dict[str, Array]]
    """Some of them, of a path and their names."""


_ARCHIVES = {
    "npz": _Archive(npy.npz_names, npy.read_npz),
    "safetensors": _Archive(safetensors_names, read_safetensors),
}
"""By the form of the source."""


Reader = Callable[[Any, str | None, str, Like | None, Digest], Frame]


def _of_table(
    source: Any,
    group: str | None,
    model: str,
    like: Like | None,
    digest: Digest,
    *,
    separate: bool = False,
    dates: bool = False,
) -> Frame:
    from trainer.data.sources import tables

    options, chosen = _csv_options(source), (source.columns, source.drop, source.categorical)
    with digest.reading(source.table):
        target = target_columns(
            source.target_names,
            lambda: tables.column_names(source.table, options),
            {*source.drop, source.weight, source.group},
            show_path(source.table),
        )
        roles = Roles(target, *chosen, source.weight, group, separate, dates)
        return tables.read_table(
            source.table, roles, labels=has_labels(model), like=like, options=options
        )


def _csv_options(source: Any) -> CsvOptions:
    """What a table source of the spec says of how its text is written."""
    words = source.na_values
    return CsvOptions(
        source.separator,
        source.decimal,
        source.thousands,
        source.header == "first",
        None if words is None else tuple(w if isinstance(w, str) else label_text(w) for w in words),
        source.encoding,
        None if source.quote == "none" else source.quote,
    )


def _of_npy(source: Any, group: str | None, model: str, like: Like | None, digest: Digest) -> Frame:
    parts = (source.npy, source.target, source.weight)
    with digest.reading(*parts, group, part=source.columns or ""):
        frame = _read_npy(*parts, labels=has_labels(model))
        if group is not None:
            frame = with_group(frame, npy.read_npy(group), show_path(group))
    return _as_wide(with_columns(frame, source.columns), like)


def _of_arrays_side_by_side(
    source: Any, group: str | None, model: str, like: Like | None, digest: Digest
) -> Frame:
    frames = []
    with digest.one_source(len(source.features)):
        for path in source.features:
            with digest.reading(path, part=source.columns or ""):
                frames.append(array_frame(npy.read_npy(path), None, None, where=show_path(path)))
        with digest.reading(source.target, source.weight, group):
            frame = with_target(
                side_by_side(frames),
                npy.read_npy(source.target),
                None if source.weight is None else npy.read_npy(source.weight),
                target_where=show_path(source.target),
                weight_where=show_path(source.weight or ""),
                labels=has_labels(model),
            )
            if group is not None:
                frame = with_group(frame, npy.read_npy(group), show_path(group))
    return _as_wide(with_columns(frame, source.columns), like)


def _of_archive(
    source: Any, group: str | None, model: str, like: Like | None, digest: Digest
) -> Frame:
    path, archive = getattr(source, source.form), _ARCHIVES[source.form]
    names = (source.features, source.target, source.weight)
    with digest.reading(path, part=f"{source.features} {source.columns or ''}".strip()):
        frame = _read_archive(archive, path, *names, labels=has_labels(model))
        if group is not None:
            values = archive.read(path, [group])[group]
            frame = with_group(frame, values, f"{show_path(path)}: {group}")
    return _as_wide(with_columns(frame, source.columns), like)


def _of_libsvm(
    source: Any, group: str | None, model: str, like: Like | None, digest: Digest
) -> Frame:
    with digest.reading(source.libsvm):
        return libsvm.read_libsvm(source.libsvm, labels=has_labels(model), like=like)


def _of_synthetic(
    source: Any, group: str | None, model: str, like: Like | None, digest: Digest
) -> Frame:
    made = source.synthetic
    frame = synthetic_frame(
        made.rows, made.columns, made.outputs, made.seed, model=model, where="synthetic"
    )
    digest.text(f"{model} {made.model_dump_json()}")
    return _as_wide(frame, like)


READERS: dict[str, Reader] = {
    "table": _of_table,
    "npy": _of_npy,
    "npz": _of_archive,
    "safetensors": _of_archive,
    "libsvm": _of_libsvm,
    "synthetic": _of_synthetic,
    "features": _of_arrays_side_by_side,
}
"""By the source's form: `(source, group, model, like, digest)` -> its rows."""


def _as_wide(frame: Frame, like: Like | None) -> Frame:
    if like is not None:
        check_width(frame, like)
    return frame


def has_labels(model: str) -> bool:
    """Whether a model's target of one column is labels rather than a number."""
    return MODELS[model].has_classes


def features_frame(X: Any, like: Like | None, where: str) -> Frame:
    """A frame without a target, of a matrix or a table in memory.

    Raises:
        DataError: columns that do not match `like`, and as the readers.
    """
    check_dense(X, where)
    _check_named_rows(X, like, where)
    if is_table(X):
        # with Arrow, which arrays do without
        from trainer.data.sources import python_tables, tables

        table = python_tables.arrow_table(X, where)
        return tables.table_frame(table, Roles(), labels=False, like=like, where=where)
    frame = array_frame(host_array(X, where), None, None, where=where)
    if like is not None:
        check_width(frame, like)
    return frame


def _check_named_rows(X: Any, like: Like | None, where: str) -> None:
    """Refuse rows as dicts, as they come from JSON, and one of a pandas table."""
    names = getattr(X, "index", None) if hasattr(X, "to_frame") else None
    if names is not None and like is not None and set(like.names) <= set(map(str, names)):
        raise DataError(f"{where}: is one row as a Series; a table of it is right: X.to_frame().T")
    if isinstance(X, Mapping) and X and all(isinstance(v, str | float | int) for v in X.values()):
        name, value = next(iter(X.items()))
        raise DataError(
            f"{where}: has a value a name; a list a name is right, of one row"
            f" {{{name!r}: [{value!r}], …}}"
        )
    if isinstance(X, list | tuple) and X and isinstance(X[0], Mapping):
        raise DataError(
            f"{where}: is a list of rows by name; a table is right: pyarrow.Table.from_pylist(X)"
        )


def read_for_predict(
    path: str, encoder: Encoder, model: str, *, with_target: bool = True
) -> tuple[Frame, IntArray, Array]:
    """Read a file whose rows are to be predicted: columns by name, of an .npy by position.

    What the target's column holds is never a fault: rows that cannot be scored are told.

    Args:
        path: a .csv, .csv.gz, .tsv, .parquet, .npy, .npz or .safetensors file, or a pattern of
            several; or LIBSVM text if the model was trained on such: there, whatever ends otherwise
            is taken for it.
        encoder: the fitted model's.
        model: its name.
        with_target: whether to look for a target.

    Returns:
        The frame, with what is to be said of it; the (n,) rows that can be scored, none where the
        file has no target; and their targets as `Target.encode` gives them, float64.

    Raises:
        DataError: whatever is wrong with the file.
    """
    labels = has_labels(model)
    if names := listed(path):
        parts = [array_frame(npy.read_npy(one), None, None, where=show_path(one)) for one in names]
        frame = _to_predict(side_by_side(parts), encoder)
        known = known_targets(encoder.target, frame)
        return replace(frame, remarks=(*known.remarks, *frame.remarks)), known.rows, known.y
    frames = [_predict_frame(one, encoder, with_target, labels=labels) for one in files_of(path)]
    frame = stacked(with_targets_alike(frames, labels=encoder.target.kind == "labels"))
    known = known_targets(encoder.target, frame)
    return replace(frame, remarks=(*known.remarks, *frame.remarks)), known.rows, known.y


def _predict_frame(path: str, encoder: Encoder, with_target: bool, *, labels: bool) -> Frame:
    name = path.lower()
    if name.endswith(".npy"):
        frame = array_frame(npy.read_npy(path), None, None, where=show_path(path))
        return _to_predict(frame, encoder)
    if (archive := _archive_of(path)) is not None:
        return _predict_archive(archive, path, encoder, with_target, labels=labels)
    of_indices = encoder.like.indexed and not name.endswith(SOURCES["table"].suffixes)
    if of_indices or name.removesuffix(".gz").removesuffix(".bz2").endswith(libsvm.SUFFIXES):
        frame = libsvm.read_libsvm(path, labels=labels, like=encoder.like, to_predict=True)
        return frame if with_target else replace(frame, target=None)
    from trainer.data.sources import tables

    target = tuple(map(nfc, encoder.target.columns))
    weight = nfc(encoder.keys.get("weight", "")) or None
    options = replace(
        CsvOptions.from_keys(encoder.keys),
        optional=(target, (*target, weight or "")),
        to_predict=True,
    )
    names = tables.column_names(path, options)
    there = with_target and set(target) <= set(names)
    left_out = () if there else target  # of a table whose columns are taken in their order
    roles = Roles(
        target if there else (),
        drop=left_out,
        weight=weight if weight in names else None,
        separate=encoder.target.separate,
    )
    frame = tables.read_table(path, roles, labels=labels, like=encoder.like, options=options)
    absent = [name for name in (*target, weight) if name and name not in names]
    if not with_target or not absent or set(target) <= set(absent):
        return frame
    said = f"there is no {', '.join(map(quote, absent[:3]))}"
    said += ", so that each row counts once" if there else ", so that nothing is scored"
    return replace(frame, remarks=(*frame.remarks, said))


def _predict_archive(
    archive: _Archive, path: str, encoder: Encoder, with_target: bool, *, labels: bool
) -> Frame:
    names = archive.names(path)
    features = encoder.keys.get("features", "X")
    if features not in names and len(names) == 1:
        features = names[0]
    frame = _read_archive(archive, path, features, None, None, labels=labels)
    frame = _to_predict(frame, encoder)
    target, weight = encoder.keys.get("target", "y"), encoder.keys.get("weight", "")
    if not with_target or target not in names:
        return frame

    def read(name: str) -> Array:
        return archive.read(path, [name])[name]

    where = f"{show_path(path)}: {target}"
    frame = with_known_target(frame, lambda: read(target), where, target, labels=labels)
    return with_known_weight(frame, lambda: read(weight)) if weight in names else frame


def _to_predict(frame: Frame, encoder: Encoder) -> Frame:
    """The columns of a matrix that are the model's."""
    frame = to_predict(frame, encoder.keys.get("columns"), len(encoder.columns))
    check_width(frame, encoder.like)
    return frame


def _archive_of(path: str) -> _Archive | None:
    """How a file with this name is read; None for one that is no archive."""
    for form, archive in _ARCHIVES.items():
        if path.lower().endswith(SOURCES[form].suffixes):
            return archive
    return None


def _read_bundled(name: str, model: str, like: Like | None, digest: Digest) -> Frame:
    from trainer.data.sources import tables

    if name not in BUNDLED:
        raise DataError(
            f"data.train: {name!r} has no rows of its own; pass data={{'train': (X, y)}} to"
            " trainer.run"
            if name == "arrays"
            else f"data: there is no bundled {name!r}; {', '.join(BUNDLED)} are"
        )
    target, suits = BUNDLED[name]
    if not has_labels(suits) and has_labels(model) and MODELS[model].most_classes is None:
        raise DataError(f"{name}: its target, {target}, is a number; `model: {suits}` is right")
    path = _FOLDER / f"{name}.parquet"
    roles = Roles(target=(target,))
    with digest.reading(path):
        return tables.read_table(str(path), roles, labels=has_labels(model), like=like, where=name)


def _read_npy(x_path: str, y_path: str, weight_path: str | None, *, labels: bool) -> Frame:
    return array_frame(
        npy.read_npy(x_path),
        npy.read_npy(y_path),
        None if weight_path is None else npy.read_npy(weight_path),
        where=show_path(x_path),
        target_where=show_path(y_path),
        weight_where=show_path(weight_path or ""),
        labels=labels,
    )


def _read_archive(
    archive: _Archive,
    path: str,
    features: str,
    target: str | None,
    weight: str | None,
    *,
    labels: bool,
) -> Frame:
    names = [name for name in (features, target, weight) if name]
    arrays = archive.read(path, names)
    where = show_path(path)
    return array_frame(
        arrays[features],
        arrays[target] if target else None,
        arrays[weight] if weight else None,
        where=f"{where}: {features}",
        target_where=f"{where}: {target}",
        weight_where=f"{where}: {weight}",
        target_name=target or "y",
        labels=labels,
    )
