"""run.log while a run goes on: lines that a full disk refuses wait for their turn."""

from __future__ import annotations

import contextlib
import os
from datetime import datetime
from pathlib import Path

from trainer.text.atomic import disk_error, utf8


class RunLog:
    """Writer of run.log: lines that the disk refuses wait, and go out with the next.

    Attributes:
        waits: whether there are such lines.
    """

    def __init__(self) -> None:
        self._lines: list[str] = []

    @property
    def waits(self) -> bool:
        """Whether lines have not reached the file."""
        return bool(self._lines)

    def append(self, path: Path, text: str) -> None:
        """Add lines with the time before each, and write what waits.

        Raises:
            DiskError: the disk refused.
        """
        stamp = datetime.now().isoformat(" ", "milliseconds")
        self._lines += [f"{stamp}  {line}\n" for line in text.splitlines() or [""]]
        self.flush(path)

    def flush(self, path: Path) -> None:
        """Write what waits at the end of a file.

        Raises:
            DiskError: the disk refused; what waits still waits.
        """
        size = None
        try:
            with open(path, "ab") as file:
                size = file.tell()
                file.write(utf8("".join(self._lines)))
        except OSError as error:
            if size is not None:  # no half line
                with contextlib.suppress(OSError):
                    os.truncate(path, size)
            raise disk_error(path, error) from error
        self._lines = []
