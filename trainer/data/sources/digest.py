"""The digest of a run's data: one sha256 over everything it read."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from trainer.data.frame import Frame, Labels, chunks
from trainer.data.rows import Array
from trainer.errors import DataError
from trainer.text.printable import show_path


class Digest:
    """sha256 over everything read, in the order it was read; a file read twice is hashed once.

    What is in memory is hashed when the digest is first asked for: its values must not change.
    """

    def __init__(self) -> None:
        self._total = hashlib.sha256()
        self._files: dict[str, bytes] = {}
        self._rows: list[bytes] = []
        self._waiting: list[Frame] = []  # not hashed yet

    @contextlib.contextmanager
    def reading(self, *paths: str | Path | None, part: str = "") -> Iterator[None]:
        """Take the bytes of the files that are read in this block; None stands for no file.

        Args:
            paths: of one source, that of the features first.
            part: what of the first file the features are.

        Raises:
            DataError: one is not what it was when the block began: whoever reads it again would
                train on other rows.
        """
        given = [path for path in paths if path is not None]
        before = [_state(path) for path in given]
        yield
        self._settle()
        for path, state in zip(given, before, strict=True):
            key = str(path)
            try:
                if key not in self._files:
                    with open(path, "rb") as file:
                        self._files[key] = hashlib.file_digest(file, "sha256").digest()
            except OSError:
                state = None
            if state is None or _state(path) != state:
                raise DataError(
                    f"{show_path(path)}: changed while it was read; run again once it is written"
                )
            self._total.update(self._files[key])
        self._rows.append(self._files[str(given[0])] + part.encode())

    @contextlib.contextmanager
    def one_source(self, shards: int) -> Iterator[None]:
        """Take the first so many readings of this block as the features of one source."""
        self._settle()
        before = len(self._rows)
        yield
        self._settle()
        self._rows[before:] = [b"".join(self._rows[before : before + shards])]

    def text(self, text: str) -> None:
        """Take a description that determines the rows."""
        self._settle()
        self._rows.append(hashlib.sha256(text.encode()).digest())
        self._total.update(self._rows[-1])

    def beside(self, array: Array) -> None:
        """Take values that are no features of any source."""
        self._settle()
        part = hashlib.sha256()
        _update(part, array if array.dtype.kind != "O" else array.astype(np.str_))
        self._total.update(part.digest())

    def frame(self, frame: Frame) -> None:
        """Take the values of a frame in memory."""
        self._waiting.append(frame)

    def _settle(self) -> None:
        """Hash the frames that wait."""
        waiting, self._waiting = self._waiting, []
        for frame in waiting:
            self._hash(frame)

    def _hash(self, frame: Frame) -> None:
        part = hashlib.sha256()
        columns = frame.features if isinstance(frame.features, tuple) else (frame.features,)
        for column in (*columns, frame.target, frame.weight, frame.group):
            if isinstance(column, Labels):
                part.update(repr(column.values).encode())
                _update(part, column.codes)
            elif column is not None:
                _update(part, column)
        self._rows.append(part.digest())
        self._total.update(self._rows[-1])

    def repeats_first(self) -> list[bool]:
        """Whether each source after the first has the very features of the first."""
        if len(self._rows) + len(self._waiting) == 1:
            return []
        self._settle()
        first, *others = self._rows
        return [rows == first for rows in others]

    def hexdigest(self) -> str:
        """64 hexadecimal digits."""
        self._settle()
        return self._total.hexdigest()


def _state(path: str | Path) -> tuple[int, int, int] | None:
    """What changes with a file's content; None without a file."""
    try:
        stat = os.stat(path)
    except (OSError, ValueError):
        return None
    return stat.st_ino, stat.st_size, stat.st_mtime_ns


def _update(digest: Any, array: Array) -> None:
    digest.update(f"{array.dtype.str} {array.shape}".encode())
    width = array[0].size if array.ndim > 1 and len(array) else 1
    for part in chunks(len(array), width):
        digest.update(np.ascontiguousarray(array[part]).tobytes())
