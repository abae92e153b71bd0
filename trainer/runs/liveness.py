"""Alive or dead: whether the process of a run still goes on, and the lock that tells so.

A run holds a lock of its run.log. The system takes it back when the process ends, in any way. Where
a file system has no locks, the manifest's process id tells, on the same start of the same machine.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from trainer.errors import RunFolderError
from trainer.runs.names import CONFIG, INPUT, LOG, MANIFEST, RUNNING, STEPS_STREAM
from trainer.text import system
from trainer.text.atomic import disk_error, left_over
from trainer.text.printable import quote

DIED = "killed"  # the status of a run whose process ended without writing another
CANNOT_TELL = "unknown"
_FIRST = (LOG, MANIFEST, STEPS_STREAM, INPUT)  # what a run writes before its config.yaml
_HALVES = (MANIFEST, INPUT, CONFIG)


def status(folder: Path, manifest: Mapping[str, Any]) -> str:
    """How a run stands: the manifest's word, unless the process died before it could change it.

    Args:
        folder: the run folder.
        manifest: the fields of its manifest.
    """
    told = str(manifest["status"])
    if told != RUNNING:
        return told
    return {True: RUNNING, False: DIED, None: CANNOT_TELL}[lives(folder, manifest)]


def lives(folder: Path, manifest: Mapping[str, Any]) -> bool | None:
    """Whether the process of a run goes on; None where that cannot be told."""
    locked = system.is_locked(folder / LOG)
    has_locked = "pid" in manifest  # earlier versions did not, and wrote none
    if locked or (locked is False and has_locked):
        return locked
    pid, boot, here = manifest.get("pid"), manifest.get("boot_id"), system.boot_id()
    if type(pid) is not int or pid <= 0 or manifest.get("host") != system.host():
        return None
    if boot is not None and here is not None and boot != here:
        return False  # the machine has been started anew
    found = system.process_lives(pid)
    return None if found and (boot is None or here is None) else found


def doubt(held: system.Lock, manifest: Mapping[str, Any]) -> str | None:
    """Why the process of a run whose log we hold may go on all the same; None if it cannot."""
    if manifest["status"] != RUNNING:
        return None
    if not held.works:
        return f"its disk has no locks, so that {process_text(manifest)} may still write to it"
    if manifest.get("host") != system.host():
        return (
            f"its run was {process_text(manifest)}, whose locks some network disks do not show"
            " here; it may still write to it"
        )
    return None


def process_text(manifest: Mapping[str, Any]) -> str:
    """Which process a run has: its number and machine."""
    pid, host = manifest.get("pid"), manifest.get("host")
    if pid is None or host is None:
        return "another process"
    return f"process {quote(pid)[1:-1]} on {quote(host)[1:-1]}"


def hold_new(path: Path) -> system.Lock:
    """Make run.log in the folder of a new run and lock it, which takes the folder.

    Raises:
        RunFolderError: another run has just taken it.
        DiskError: the disk refused.
    """
    fresh = True
    try:
        try:
            held = system.lock(path / LOG, new=True)
        except FileExistsError:  # of a run that was killed before it began, or of one that begins
            held, fresh = system.lock(path / LOG), False
        if held is not None and (held.works or not fresh) and not is_stillborn(path, held):
            held.release()
            held = None
        if held is not None:
            held.clear()
            for name in set(os.listdir(path)) - {LOG}:  # of a run that was killed
                os.unlink(path / name)
    except OSError as error:
        raise disk_error(path / LOG, error) from error
    if held is None:
        raise RunFolderError(f"{path}: another run has just taken it")
    return held


def hold_again(path: Path, manifest: Mapping[str, Any]) -> system.Lock:
    """Lock the run.log of a run whose process has ended.

    Raises:
        RunFolderError: the process goes on, or another is about to go on with the run.
        DiskError: the disk refused.
    """
    try:
        held = system.lock(path / LOG)
    except OSError as error:
        raise disk_error(path / LOG, error) from error
    if held is None or (not held.works and lives(path, manifest)):
        raise _goes_on(path, manifest)
    return held


def check_ended(path: Path, manifest: Mapping[str, Any]) -> None:
    """Check that the process of a run has ended, as far as that can be told without its lock.

    Raises:
        RunFolderError: it goes on.
    """
    if status(path, manifest) == RUNNING:
        raise _goes_on(path, manifest)


def _goes_on(path: Path, manifest: Mapping[str, Any]) -> RunFolderError:
    process = process_text(manifest)
    return RunFolderError(f"{path}: the run goes on in {process}; wait for its end, or end it")


def is_stillborn(path: Path, held: system.Lock | None = None) -> bool:
    """Whether a folder has only what a run left that was killed before its config.yaml was there.

    Args:
        path: of the folder, which holds something.
        held: the lock of its run.log, if that is ours.
    """
    names = os.listdir(path)
    if not all(name in _FIRST or left_over(name) in _HALVES for name in names):
        return False
    if not all(os.path.isfile(path / name) and not os.path.islink(path / name) for name in names):
        return False
    if STEPS_STREAM in names and os.path.getsize(path / STEPS_STREAM):
        return False
    locked = held is not None and held.works
    if MANIFEST not in names:
        empty = INPUT not in names and (LOG not in names or not os.path.getsize(path / LOG))
        return empty and (locked or LOG not in names or system.is_locked(path / LOG) is False)
    try:
        manifest = json.loads((path / MANIFEST).read_bytes())
    except (OSError, ValueError, RecursionError):
        return False
    ours = isinstance(manifest, dict) and manifest.get("status") == RUNNING and "pid" in manifest
    return ours and (locked or lives(path, manifest) is False)
