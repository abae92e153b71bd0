"""Several files of one kind as one source: shards of rows, listed or named by a pattern."""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from trainer.catalog import SOURCES
from trainer.data.allocate import allocate
from trainer.data.frame import Frame, Labels, Like
from trainer.data.rows import Array
from trainer.data.sources.concat import concat, is_like, merged_labels
from trainer.errors import DataError
from trainer.text.labels import label_text
from trainer.text.printable import show_path

Read = Callable[[Any, str | None, Like | None], Frame]
"""Of a source of one file, the key of its groups, and the columns to match."""


def shards_of(source: Any) -> list[Any]:
    """The sources of one file each that a source of several files stands for; of one file, it.

    Raises:
        DataError: no file fits a pattern, one is listed twice, or keys differ in their number.
    """
    if SOURCES[source.form].listed:
        return [source]
    paths = {key: getattr(source, key) for key in SOURCES[source.form].paths}
    files = {key: files_of(value) for key, value in paths.items() if value is not None}
    counts = {key: len(names) for key, names in files.items()}
    for key, count in counts.items():
        if count != counts[source.form]:
            raise DataError(
                f"{source.form}: {counts[source.form]} files, and {count} of {key}; one of each is"
                " right"
            )
    several = zip(*files.values(), strict=True)
    return [source.model_copy(update=dict(zip(files, one, strict=True))) for one in several] or [
        source
    ]


def files_of(paths: str | Sequence[str]) -> list[str]:
    """The files of a path, a pattern or a list of them; those of a pattern in sorted order.

    Raises:
        DataError: no file fits a pattern, or one is there twice.
    """
    if isinstance(paths, str):
        return _matches(paths)
    found = [name for path in paths for name in _matches(path)]
    for i, name in enumerate(found):
        if name in found[:i]:
            raise DataError(f"{show_path(name)}: is listed twice; its rows would count twice")
    return found


def _matches(path: str) -> list[str]:
    if not glob.has_magic(path) or os.path.exists(path):
        return [path]
    # A folder may be called [1] itself: a pattern begins behind the folders that are there.
    folder = Path(os.path.abspath(path))
    rest: list[str] = []
    while not folder.is_dir():
        rest.insert(0, folder.name)
        folder = folder.parent
    pattern = os.path.join(glob.escape(str(folder)), *rest)
    found = sorted(name for name in glob.glob(pattern, recursive=True) if os.path.isfile(name))
    if not found:
        raise DataError(
            f"{show_path(path)}: no file in {show_path(folder)} fits this pattern; name files"
        )
    return found


def read_shards(shards: Sequence[Any], group: str | None, like: Like | None, read: Read) -> Frame:
    """The rows of all shards, read one after another to match the first.

    Args:
        shards: sources of one file each.
        group: the column of the groups; None where there is none, or to read none.
        like: the training source's columns, None for the training source itself.
        read: reads one of them.

    Raises:
        DataError: whatever is wrong with a file, which the message names; shards that differ.
    """
    frames: list[Frame] = []
    indexed = SOURCES[shards[0].form].indexed
    for shard in shards:
        frames.append(read(_without_group(shard), None, like))
        if like is None and not indexed:
            like = Like(frames[0].names, frames[0].text, whole=True)
    whole = stacked(_of_one_width(frames) if like is None else frames)
    return whole if group is None else _with_groups(whole, shards, group, read)


def _of_one_width(frames: Sequence[Frame]) -> list[Frame]:
    """Frames whose columns are called by an index, which is 0 where a file does not have it."""
    low = min(int(frame.names[0][1:]) for frame in frames)
    high = max(int(frame.names[-1][1:]) for frame in frames)
    names = tuple(f"x{index}" for index in range(low, high + 1))
    widened = []
    for frame in frames:
        if frame.names == names:
            widened.append(frame)
            continue
        X = allocate((frame.rows, len(names)), np.dtype(np.float64), frame.where, zeros=True)
        start = int(frame.names[0][1:]) - low
        X[:, start : start + len(frame.names)] = np.asarray(frame.features)
        widened.append(replace(frame, names=names, features=X))
    return widened


def stacked(frames: Sequence[Frame]) -> Frame:
    """Shards that have been read as one frame, which calls a row by its own file."""
    first, *others = frames
    if not others:
        return first
    whole = concat(*frames)
    target = whole.target
    if isinstance(target, Labels) and len({isinstance(v, str) for v in target.values}) > 1:
        texts = tuple(label_text(value) for value in target.values)  # as in one file of them all
        target = merged_labels([Labels(texts, target.codes)])

    def place(row: int) -> str:
        shown = whole.place(row)
        return shown if row >= first.rows else f"{shown} of {first.where}"

    more = f" and {len(frames) - 1} more"
    return replace(
        whole,
        where=f"{first.where}{more}",
        target=target,
        target_where=f"{first.target_where}{more}" if first.target_where else "",
        place=place,
        remarks=_remarks(frames),
    )


def _remarks(frames: Sequence[Frame]) -> tuple[str, ...]:
    """What is to be said of all shards once, of one with its name."""
    every = [said for said in frames[0].remarks if all(said in f.remarks for f in frames)]
    own = (f"{f.where}: {said}" for f in frames for said in f.remarks if said not in every)
    return (*every, *own)


def with_targets_alike(frames: Sequence[Frame], *, labels: bool) -> list[Frame]:
    """Shards to be predicted, with missing targets in those that have none, or another kind.

    Args:
        frames: the shards.
        labels: whether the model's target is labels.
    """
    scored = [frame for frame in frames if frame.target is not None]
    if not scored:
        return list(frames)
    first = next((f for f in scored if isinstance(f.target, Labels) == labels), scored[0])
    found = []
    for frame in frames:
        if not is_like(first.target, frame.target):
            odd = "" if frame.target is None else "its target is of another kind than the others'"
            frame = replace(
                frame,
                target=_without_values(first.target, frame.rows),
                target_names=first.target_names,
                target_where=frame.where,
                remarks=(*frame.remarks, *([odd] if odd else [])),
            )
        found.append(frame)
    return found


def _without_values(target: Array | Labels | None, rows: int) -> Array | Labels:
    if isinstance(target, np.ndarray):
        return np.full((rows, target.shape[1]), np.nan)
    return Labels((), np.full(rows, -1, dtype=np.int32))


def _without_group(shard: Any) -> Any:
    """The source with its column of groups left out, which would be a feature without the key."""
    if getattr(shard, "group", None) is None or not hasattr(shard, "drop"):
        return shard
    left_out = (*shard.drop, shard.group) if shard.columns is None else shard.drop
    return shard.model_copy(update={"group": None, "drop": left_out})


def _with_groups(whole: Frame, shards: Sequence[Any], group: str, read: Read) -> Frame:
    """The frame with the groups of all shards, a column of which one may go through several."""
    found = one_column(shards, group, read)
    return replace(
        whole,
        group=found.codes,
        group_values=found.values,
        group_where=whole.where,
        group_name=group,
    )


def one_column(shards: Sequence[Any], name: str, read: Read) -> Labels:
    """One column of tables, as text.

    Raises:
        DataError: a table has none of that name.
    """
    alone = {"columns": (name,), "categorical": (name,), "drop": (), "weight": None}
    parts: list[Labels] = []
    for shard in shards:
        frame = read(shard.model_copy(update={**alone, "group": None}), None, None)
        assert isinstance(frame.features, tuple)
        parts += [column for column in frame.features if isinstance(column, Labels)]
    return parts[0] if len(parts) == 1 else merged_labels(parts)
