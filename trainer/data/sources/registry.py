"""From a source of the spec, or a pair of arrays, to a `Frame`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from trainer.catalog import BUNDLED, MODELS
from trainer.data.frame import Frame, Labels, Like
from trainer.data.rows import Array
from trainer.data.sources import libsvm, npy
from trainer.data.sources.arrays import (
    array_frame,
    check_width,
    with_group,
    with_target,
)
from trainer.data.sources.column_roles import Roles
from trainer.data.sources.csv_options import CsvOptions
from trainer.data.sources.digest import Digest
from trainer.data.sources.host import check_dense, host_array, is_table
from trainer.data.sources.safetensors import read_safetensors, safetensors_names
from trainer.data.sources.shards import (
    one_column,
    read_shards,
    shards_of,
)
from trainer.data.sources.side_by_side import (
    side_by_side,
    with_columns,
)
from trainer.data.sources.synthetic import synthetic_frame
from trainer.data.sources.target_names import target_columns
from trainer.errors import DataError
from trainer.text.labels import label_text
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
        if one.form in ARCHIVES:
            return ARCHIVES[one.form].read(getattr(one, one.form), [one.group])[one.group]
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
    if form in ARCHIVES:
        parts = []
        for one in shards_of(source):
            path = getattr(one, form)
            parts.append(ARCHIVES[form].read(path, [name])[name])
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


class Archive(NamedTuple):
    """How the files of one kind are read."""

    names: Callable[[str], list[str]]
    """Of the arrays in the file of a path."""
    read: Callable[[str, list[str]], dict[str, Array]]
    """Some of them, of a path and their names."""


ARCHIVES = {
    "npz": Archive(npy.npz_names, npy.read_npz),
    "safetensors": Archive(safetensors_names, read_safetensors),
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
    path, archive = getattr(source, source.form), ARCHIVES[source.form]
    names = (source.features, source.target, source.weight)
    with digest.reading(path, part=f"{source.features} {source.columns or ''}".strip()):
        frame = read_archive(archive, path, *names, labels=has_labels(model))
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


def read_archive(
    archive: Archive,
    path: str,
    features: str,
    target: str | None,
    weight: str | None,
    *,
    labels: bool,
) -> Frame:
    """Read features, and a target and weights where they are named, from an archive of arrays."""
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
