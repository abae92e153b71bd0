"""Taking up the folder of a run whose process has ended, at its last whole checkpoint."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeGuard

from trainer.catalog.records import LONGEST
from trainer.errors import DiskError, RunFolderError
from trainer.runs import checkpoint, liveness, step_log
from trainer.runs.history_log import HistoryLog, has_whole_rows
from trainer.runs.manifest import Manifest
from trainer.runs.names import (
    CHECKPOINTS,
    CONFIG,
    GRADIENTS,
    HISTORY,
    LOG,
    MANIFEST,
    OF_AN_END,
    OVER,
    STEP_IN_FULL,
    STEPS,
    STEPS_STREAM,
)
from trainer.runs.reader import RunReader
from trainer.runs.step_log import StepLog
from trainer.text.atomic import disk_error, left_over
from trainer.text.saved import Saved
from trainer.text.system import Lock
from trainer.text.windows import quoted

_GROWING = (LOG, STEPS_STREAM, HISTORY)
_FOLDERS = (CHECKPOINTS, os.path.dirname(GRADIENTS))
FOLDER = "folder"  # the key under which a checkpoint has what is the folder's own


class Held(NamedTuple):
    """A run that no other process can go on with, of whose folder nothing has been changed.

    Attributes:
        path: of the folder, absolute.
        lock: of run.log.
        saved: what its last whole checkpoint has; None without one.
        told: sentences on what was found, without full stops.
    """

    path: Path
    lock: Lock
    saved: Saved | None
    told: tuple[str, ...]


class Resumed(NamedTuple):
    """What a run goes on with.

    Attributes:
        held: the lock of run.log.
        manifest: its status is running again.
        steps: what was appended after the checkpoint is cut off.
        history: likewise.
        saved: what the checkpoint has; None where the run starts over.
        told: sentences on what was found, without full stops.
    """

    held: Lock
    manifest: Manifest
    steps: StepLog
    history: HistoryLog
    saved: Saved | None
    told: tuple[str, ...]


@contextlib.contextmanager
def hold(path: Path) -> Iterator[Held]:
    """Hold a run whose process has ended, and read what it goes on from; what raises lets it go.

    Args:
        path: of its folder, absolute.

    Raises:
        RunFolderError: it is no run folder, its run goes on or is over, nothing was trained, or
            it leads out of the folder.
        DiskError: the disk refused.
    """
    reader = RunReader(path)
    _check_places(path)
    lock = liveness.hold_again(path, reader.manifest())
    try:
        fields = reader.manifest()  # which cannot change any more
        _check(path, fields)
        saved, told = checkpoint.read_last(path, lambda saved: _fault(path, saved))
        if why := liveness.doubt(lock, fields):
            told.append(f"{path}: {why}")
        yield Held(path, lock, saved, tuple(told))
    except BaseException:
        lock.release()
        raise


def own_record(path: Path, manifest: Manifest, steps: int, history: int) -> Saved:
    """What a checkpoint has of the folder itself, for `take_up`: offsets, and what else grows."""
    return {
        "steps": steps,
        "history": history,
        "gradients": sorted(_steps_in_full(path)),
        "seconds": manifest.seconds,
        "warning": manifest.warning,
    }


def _steps_in_full(path: Path) -> list[str]:
    """The names of the files in gradients/."""
    place = (path / GRADIENTS).parent
    names = os.listdir(place) if place.is_dir() else ()
    return [name for name in names if STEP_IN_FULL.fullmatch(name)]


def take_up(run: Held) -> Resumed:
    """Take up a run: from here on it is this process's, and its folder is changed.

    Raises:
        DiskError: the disk refused.
    """
    path, saved = run.path, run.saved
    own: dict[str, Any] = {} if saved is None else saved.pop(FOLDER)
    try:
        before = own.get("seconds", 0.0), own.get("warning", "")
        manifest = Manifest.reopen(path / MANIFEST, *before)
        (path / STEPS).unlink(missing_ok=True)  # the stream goes on
        for place in (path, (path / GRADIENTS).parent):
            for name in os.listdir(place) if place.is_dir() else ():
                if left_over(name):
                    _remove_file(place / name)
        # they are written again, by other names where memory cuts a stack, or does not this time
        for name in set(_steps_in_full(path)) - set(own.get("gradients", ())):
            _remove_file((path / GRADIENTS).with_name(name))
    except OSError as error:
        raise disk_error(path / STEPS, error) from error
    if saved is None:
        steps, history = StepLog(path / STEPS_STREAM), HistoryLog(path / HISTORY)
    else:
        steps = StepLog.reopen(path / STEPS_STREAM, own["steps"])
        history = HistoryLog.reopen(path / HISTORY, own["history"])
    with contextlib.suppress(DiskError):
        _end_line(path / LOG)  # a kill may have torn it
    return Resumed(run.lock, manifest, steps, history, saved, run.told)


def _remove_file(path: Path) -> None:
    if not stat.S_ISDIR(os.lstat(path).st_mode):
        path.unlink()


def _check_places(path: Path) -> None:
    """Check that what is written to in place is the folder's own: a link would lead out of it.

    And that no folder stands where a file is to come.

    Raises:
        RunFolderError: somebody has put a link there, or a pipe, or the like.
    """
    for name in (*_GROWING, *_FOLDERS, STEPS, *OF_AN_END):
        with contextlib.suppress(FileNotFoundError):
            if why := _misplaced(name, os.lstat(path / name).st_mode):
                raise RunFolderError(f"{path / name}: {why}")


def _misplaced(name: str, mode: int) -> str | None:
    """Why what is there cannot be the file or folder of this name; None if it can."""
    in_place = name in _GROWING or name in _FOLDERS  # what else there is makes way for a new file
    if in_place and stat.S_ISLNK(mode):
        return "a link; a run goes on in files of its own: put there what it leads to, or remove it"
    if stat.S_ISDIR(mode):
        return None if name in _FOLDERS else "is a folder; remove it"
    if in_place and not stat.S_ISREG(mode):
        return "is no regular file; remove it"
    return "is no folder; remove it" if name == CHECKPOINTS else None


def _check(path: Path, fields: Mapping[str, Any]) -> None:
    """Check that a run has begun and is not over."""
    status, trained = fields["status"], fields.get("trained")
    if status in OVER:
        raise RunFolderError(f"{path}: the run is over ({status}); there is nothing to resume")
    if trained in OVER:
        raise RunFolderError(
            f"{path}: the run was trained to its end ({trained}), and failed after it;"
            f" `stacked-trainer report {quoted(str(path))}` draws its page"
        )
    config = path / CONFIG
    if os.path.lexists(config) and not config.is_file():
        what = "is no regular file" if config.exists() else "is a link to nothing"
        raise RunFolderError(f"{config}: {what}; put the run's own back")
    if not config.is_file():
        raise RunFolderError(
            f"{path}: nothing was trained there, and it has no {CONFIG};"
            f" `stacked-trainer run CONFIG --out {quoted(str(path))}` takes the folder"
        )


def _fault(path: Path, saved: Saved) -> str | None:
    """Why the folder's logs cannot be gone on with from a checkpoint; None if they can."""
    own = saved.get(FOLDER)
    if not isinstance(own, dict):
        return "it does not tell of steps and history"
    steps, history, seconds = own.get("steps"), own.get("history"), own.get("seconds")
    if not (_is_offset(steps) and _is_offset(history)):
        return "it does not tell of steps and history"
    if type(seconds) is not float or not 0 <= seconds <= LONGEST:
        return "it does not tell of the time"
    gradients = own.get("gradients", [])
    if not (isinstance(gradients, list) and all(isinstance(name, str) for name in gradients)):
        return "it does not tell of gradients"
    if not isinstance(own.get("warning", ""), str):
        return "it does not tell of warnings"
    if not step_log.has_whole(path / STEPS_STREAM, steps):
        return f"{STEPS_STREAM} lacks steps that were there"
    if not has_whole_rows(path / HISTORY, history):
        return f"{HISTORY} lacks rows that were there"
    return None


def _end_line(path: Path) -> None:
    """End the last line of a text file, if it has no end.

    Raises:
        DiskError: the disk refused.
    """
    try:
        with open(path, "r+b") as file:
            if file.seek(0, os.SEEK_END):
                file.seek(-1, os.SEEK_END)
                if file.read() != b"\n":
                    file.write(b"\n")
    except OSError as error:
        raise disk_error(path, error) from error


def _is_offset(value: object) -> TypeGuard[int]:
    return type(value) is int and value >= 0


Earlier = dict[Path, tuple[int, int]]


def files_of_an_end(path: Path) -> Earlier:
    """The files of an end that a folder has, by what changes when one is written anew."""
    found: Earlier = {}
    for name in OF_AN_END:
        with contextlib.suppress(OSError):
            now = os.stat(path / name)
            found[path / name] = now.st_ino, now.st_mtime_ns
    return found


def remove_unchanged(earlier: Earlier) -> None:
    """Remove files of an earlier end that this one has not written: they are not of this run."""
    for path, before in earlier.items():
        with contextlib.suppress(OSError):
            now = os.stat(path)
            if (now.st_ino, now.st_mtime_ns) == before:
                path.unlink()
