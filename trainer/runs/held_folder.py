"""A run folder that is written to, wherever it is moved meanwhile."""

from __future__ import annotations

import os
import weakref
from pathlib import Path

from trainer.text import posix


class HeldFolder:
    """A folder that is known by a descriptor where the system has such, by its path elsewhere."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = posix.hold(path)
        if self._descriptor is not None:
            weakref.finalize(self, os.close, self._descriptor)

    @property
    def path(self) -> Path:
        """Where it is now; of a folder that is gone, where it was."""
        if self._descriptor is not None and not posix.is_held(self._descriptor, self._path):
            found = posix.where(self._descriptor)
            if found is not None and posix.is_held(self._descriptor, found):
                self._path = found
        return self._path
