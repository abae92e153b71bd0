"""Draw pages and write them: report.html into a run folder, compare.html anywhere."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from trainer.errors import UserError
from trainer.report.run_data import ConfigReader
from trainer.runs.page import write_page
from trainer.runs.reader import RunReader
from trainer.text.atomic import write_atomic
from trainer.text.paths import named_file


def draw_report(folder: str | os.PathLike[str], configs: ConfigReader) -> bytes:
    """The page of a run folder, from that folder alone.

    Raises:
        RunFolderError: there is no such folder, or it is not a run folder.
    """
    from trainer.report.page import run_page
    from trainer.report.read_run import read_run_data

    return run_page(read_run_data(folder, configs))


def write_report(folder: str | os.PathLike[str], configs: ConfigReader) -> Path:
    """Draw report.html into a run folder, from that folder alone.

    Args:
        folder: a run folder: finished, diverged, interrupted or still running.
        configs: reads its config.yaml.

    Returns:
        The path of the page.

    Raises:
        RunFolderError: there is no such folder, or it is not a run folder.
        DiskError: the disk refused.
    """
    return write_page(RunReader(folder).path, draw_report(folder, configs))


def write_compare(
    folders: Sequence[str | os.PathLike[str]],
    out: str | os.PathLike[str],
    configs: ConfigReader,
) -> Path:
    """Draw several runs on one page: what differs, their metrics, their curves.

    Args:
        folders: two run folders or more.
        out: the file to write.
        configs: reads their config.yaml.

    Returns:
        The absolute path of the page.

    Raises:
        RunFolderError: one of them is not a run folder.
        UserError: fewer than two folders, or `out` is a folder or in none.
        DiskError: the disk refused.
    """
    from trainer.report.compare import compare_page
    from trainer.report.read_run import read_run_data

    if len(folders) < 2:
        raise UserError("compare: one run; two run folders or more are right")
    path = named_file(out, "compare.html")
    write_atomic(path, compare_page([read_run_data(folder, configs) for folder in folders]))
    return path
