"""Room of the disk that is kept for the end of a run: others that fill the disk cannot take it."""

from __future__ import annotations

import contextlib
import os
import tempfile
import weakref
from pathlib import Path
from typing import IO

from trainer.text import posix

_LEAST = 1 << 20  # bytes; with less there is nothing to keep
_OWN = 1 << 16  # bytes that a file takes besides its own: the last block, its entry, the metadata


class Reserve:
    """A file without a name, whose blocks are given back as the files they are for are written.

    It goes with the process, however that ends, and nobody who lists the folder sees it.

    Attributes:
        held: bytes it keeps now.
    """

    def __init__(self) -> None:
        self.held = 0
        self._file: IO[bytes] | None = None

    def take(self, folder: Path, size: int) -> bool:
        """Keep `size` bytes of the disk of a folder, or what there is; whether that can be done.

        Where the disk has less, `held` says how much it is.
        """
        try:
            file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115
        except OSError:
            return False
        weakref.finalize(self, file.close)
        self._file = file
        while size >= _LEAST:
            try:
                if not posix.allocate(file.fileno(), size):
                    return False
                self.held = size
                break
            except OSError:  # of which a part may have been taken
                os.ftruncate(file.fileno(), 0)
                size //= 2
        return True

    def give(self, size: int, least: int = 0) -> None:
        """Free the room of a file of `size` bytes that is about to be written.

        Args:
            size: of the file.
            least: bytes to keep whatever the file takes.
        """
        left = min(max(self.held - size - _OWN, least), self.held)
        if self._file is None or left == self.held:
            return
        with contextlib.suppress(OSError):
            os.ftruncate(self._file.fileno(), left)
            self.held = left

    def release(self) -> None:
        """Free all of it."""
        if self._file is not None:
            self._file.close()
        self._file, self.held = None, 0
