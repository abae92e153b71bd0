"""The page of a run, in its folder."""

from __future__ import annotations

import os
from pathlib import Path

from trainer.errors import RunFolderError
from trainer.runs.names import REPORT
from trainer.text.atomic import write_atomic


def write_page(folder: Path, page: bytes) -> Path:
    """Write report.html into a run folder, of whatever status; its path.

    Raises:
        RunFolderError: a folder is in the page's way.
        DiskError: the disk refused.
    """
    path = folder / REPORT
    if os.path.isdir(path):
        raise RunFolderError(f"{path}: a folder is in the page's way; move it")
    write_atomic(path, page)
    return path
