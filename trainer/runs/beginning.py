"""Making the folder of a new run, and taking it."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import NamedTuple

from trainer.errors import DiskError
from trainer.model import compiled
from trainer.runs.liveness import hold_new
from trainer.runs.location import default_folder, named_folder
from trainer.runs.manifest import Manifest
from trainer.runs.names import LOG, MANIFEST, STEPS_STREAM
from trainer.runs.provenance import git_commit, machine_facts, versions
from trainer.runs.step_log import StepLog
from trainer.text.system import Lock


class Begun(NamedTuple):
    """What a run begins with.

    Attributes:
        path: of the folder, absolute.
        manifest: says which run it is.
        steps: none yet.
        held: the lock of run.log.
    """

    path: Path
    manifest: Manifest
    steps: StepLog
    held: Lock


def libraries() -> dict[str, str]:
    """The versions that a manifest tells, of the steps compiled from C too."""
    return versions() | {"compiled_step": compiled.version()}


def begin(name: str, out: str | os.PathLike[str] | None = None) -> Begun:
    """Make the folder of a new run, and take it: no other run can.

    Args:
        name: the run's name.
        out: exactly this folder; None for the default one of that name.

    Raises:
        RunFolderError: `out` is a file or not empty, or no folder can have that name.
        DiskError: the disk refused.
    """
    path = default_folder(name) if out is None else named_folder(out)
    manifest = Manifest(path / MANIFEST)
    held = hold_new(path)  # whoever holds the log has the folder
    try:
        manifest.start(name, versions=libraries(), machine=machine_facts(), **git_commit())
        return Begun(path, manifest, StepLog(path / STEPS_STREAM), held)
    except DiskError:  # an empty folder can be named again, once there is room
        held.release()  # Windows removes no open file
        with contextlib.suppress(OSError):
            for made in (MANIFEST, LOG):
                (path / made).unlink(missing_ok=True)
        raise
