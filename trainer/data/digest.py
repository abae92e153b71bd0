"""One sha256 over everything a run read."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np

from trainer.data.frame import Frame, Labels, chunks
from trainer.data.rows import Array


class Digest:
    """sha256 over everything read, in the order it was read; a file read twice is hashed once."""

    def __init__(self) -> None:
        self._total = hashlib.sha256()
        self._files: dict[str, bytes] = {}

    def file(self, path: str | Path) -> None:
        """Take the bytes of a file."""
        key = str(path)
        if key not in self._files:
            with open(path, "rb") as file:
                self._files[key] = hashlib.file_digest(file, "sha256").digest()
        self._total.update(self._files[key])

    def text(self, text: str) -> None:
        """Take a description that determines the rows."""
        self._total.update(hashlib.sha256(text.encode()).digest())

    def frame(self, frame: Frame) -> None:
        """Take the values of a frame in memory."""
        part = hashlib.sha256()
        columns = frame.features if isinstance(frame.features, tuple) else (frame.features,)
        for column in (*columns, frame.target, frame.weight):
            if isinstance(column, Labels):
                part.update(repr(column.values).encode())
                _update(part, column.codes)
            elif column is not None:
                _update(part, column)
        self._total.update(part.digest())

    def hexdigest(self) -> str:
        """64 hexadecimal digits."""
        return self._total.hexdigest()


def _update(digest: Any, array: Array) -> None:
    digest.update(f"{array.dtype.str} {array.shape}".encode())
    width = array[0].size if array.ndim > 1 and len(array) else 1
    for part in chunks(len(array), width):
        digest.update(np.ascontiguousarray(array[part]).tobytes())
