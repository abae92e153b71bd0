"""Files whose rows are to be predicted: as the model's own source was read, or by position."""

from __future__ import annotations

from dataclasses import replace

from trainer.catalog import SOURCES
from trainer.data.encode.encoder import Encoder
from trainer.data.encode.known_targets import known_targets
from trainer.data.frame import Frame
from trainer.data.rows import Array, IntArray
from trainer.data.sources import libsvm, npy
from trainer.data.sources.arrays import (
    array_frame,
    check_width,
    with_known_target,
    with_known_weight,
)
from trainer.data.sources.column_roles import Roles
from trainer.data.sources.csv_options import CsvOptions
from trainer.data.sources.registry import ARCHIVES, Archive, has_labels, read_archive
from trainer.data.sources.shards import files_of, stacked, with_targets_alike
from trainer.data.sources.side_by_side import listed, side_by_side, to_predict
from trainer.text.labels import nfc
from trainer.text.printable import quote, show_path


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
    archive: Archive, path: str, encoder: Encoder, with_target: bool, *, labels: bool
) -> Frame:
    names = archive.names(path)
    features = encoder.keys.get("features", "X")
    if features not in names and len(names) == 1:
        features = names[0]
    frame = read_archive(archive, path, features, None, None, labels=labels)
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


def _archive_of(path: str) -> Archive | None:
    """How a file with this name is read; None for one that is no archive."""
    for form, archive in ARCHIVES.items():
        if path.lower().endswith(SOURCES[form].suffixes):
            return archive
    return None
