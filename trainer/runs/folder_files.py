"""The files of a run's end, in a folder that may be moved meanwhile, fill up, or refuse them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

from trainer.errors import DiskError
from trainer.runs.held_folder import HeldFolder
from trainer.runs.names import CHECKPOINTS, LOG, MANIFEST
from trainer.runs.refusals import Refusals, Write
from trainer.runs.reserve import Reserve
from trainer.text.atomic import disk_error, write_atomic

_OWN = 1 << 16  # bytes that a file takes besides its own: the last block, its entry, the metadata


class FolderFiles:
    """Writer of files that the folder has in the end, or another folder.

    Attributes:
        refusals: what the folder refused and has not taken since.
    """

    def __init__(self, path: Path) -> None:
        self.refusals = Refusals()
        self._held, self._reserve = HeldFolder(path), Reserve()
        self._ends, self._on_the_way = False, 0

    @property
    def path(self) -> Path:
        """The folder's path: where it is now, if it was moved."""
        return self._held.path

    @contextlib.contextmanager
    def spared(self, part: str, then: str | None = None) -> Iterator[None]:
        """Turn a DiskError of the block into a warning; see `RunWriter.spared`."""
        try:
            yield
        except DiskError as error:
            again = "it is tried again" if part in (LOG, MANIFEST) else None
            self.refusals.tell_once(part, error, then or again)

    def reserve(self, size: int, on_the_way: int = 0) -> str | None:
        """Keep room of the disk for the end of the run; a sentence where the disk has less.

        Args:
            size: bytes of what is written at the end.
            on_the_way: bytes of what is put `on_the_way`.
        """
        whole = size + on_the_way
        if not self._reserve.take(self.path, whole):
            return None
        self._on_the_way = min(on_the_way, max(self._reserve.held - size, 0))
        if self._reserve.held >= whole:
            return None
        return (
            f"{self.path}: its disk has less room than the model, the tables and the page may take,"
            f" {-(-whole // 2**20):,} MiB; free some space"
        )

    @property
    def has_room(self) -> bool:
        """Whether room is kept."""
        return self._reserve.held > 0

    def begin_end(self) -> None:
        """Say that the files that room is kept for are written from now on."""
        self._ends = True
        self._reserve.give(_OWN)  # for run.log and the manifest

    def put(self, name: str, write: Write, size: int = 0, movable: bool = True) -> None:
        """Write a file into the folder; where it is refused it waits for `try_again`.

        Args:
            name: of the file.
            write: writes it, into the folder that it is given.
            size: its bytes, which are given back to the disk before.
            movable: whether another folder may have it.

        Raises:
            DiskError: the disk refused.
        """
        if self._ends:
            self._reserve.give(size + _OWN)
        try:
            write(self.path)
        except DiskError as error:
            self.refusals.note(name, error, write, write if movable else None)
            raise
        self.refusals.settle(name)

    def put_bytes(self, name: str, data: bytes) -> None:
        """Write a file of these bytes, as `put` does."""
        self.put(name, lambda folder: write_atomic(folder / name, data), len(data))

    def put_on_the_way(self, name: str, data: bytes) -> None:
        """Write a file in a folder of the folder before the run ends, as `put` does."""

        def write(folder: Path) -> None:
            path = folder / name
            try:
                path.parent.mkdir(exist_ok=True)
            except OSError as error:
                raise disk_error(path.parent, error) from error
            write_atomic(path, data)

        given = min(len(data) + 4096, self._on_the_way)
        self._on_the_way -= given
        self._reserve.give(given)
        try:
            write(self.path)
        except DiskError as error:
            self.refusals.note(name, error, write, write, len(data))
            raise

    def try_again(self, log: Callable[[], None]) -> None:
        """Write what was refused: here, and what is refused again into another folder.

        Args:
            log: writes what waits for run.log. The manifest is written anyway, as the run ends,
                of which no checkpoint is wanted any more.
        """
        self.refusals.retry(self.path)
        for name in (MANIFEST, CHECKPOINTS):
            self.refusals.settle(name)
        with contextlib.suppress(DiskError):
            log()
            self.refusals.settle(LOG)
        self.refusals.put_elsewhere(self.path)

    def release(self) -> None:
        """Give back to the disk what is kept for the end."""
        self._reserve.release()
