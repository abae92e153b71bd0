"""Checkpoints: what a run goes on from after its process has ended, in any way.

Each is a pair of files: `checkpoint/<n>.safetensors` has the arrays, `checkpoint/<n>.json` comes
last, as the mark of commit, and has the rest, the names of the arrays and the sha256 of their file.
The last two pairs are kept, so that one that the disk has damaged is not the only one.

What is saved is a nested dict with str keys. Its leaves are NumPy arrays and what JSON has: str,
int, bool, None, float (NaN and infinities too) and lists of them; all come back to the bit.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError, safe_open

from trainer.errors import RunFolderError
from trainer.machine.memory import memory_limit
from trainer.runs.names import CHECKPOINTS
from trainer.text.atomic import disk_error, left_over, replacing, sync_folder, utf8, write_atomic
from trainer.text.regular_file import open_regular
from trainer.text.saved import Saved

Arrays = dict[str, npt.NDArray[Any]]
VERSION = 1  # of the form of these files
KEPT = 2  # pairs
_TEXT_SHARE = 32  # bytes that an object of Python may take for one of its text
_ARRAYS, _MARK = ".safetensors", ".json"
_FILE = re.compile(r"([0-9]{1,18})\.(?:safetensors|json)", re.ASCII)
_TYPES = {
    np.dtype(kind): word
    for word, kind in {
        "BOOL": "?", "U8": "u1", "I8": "i1", "U16": "u2", "I16": "i2", "U32": "u4", "I32": "i4",
        "U64": "u8", "I64": "i8", "F16": "f2", "F32": "f4", "F64": "f8",
    }.items()
}  # fmt: skip


class _Unusable(Exception):
    """Why one checkpoint cannot be gone on from."""


def write(folder: Path, saved: Saved) -> None:
    """Write a checkpoint, then remove all but the last two; the arrays are not copied in memory.

    Args:
        folder: the run folder.
        saved: what is to be read back.

    Raises:
        DiskError: the disk refused; the checkpoints before are still there.
        TypeError: a leaf is of another kind.
    """
    arrays: Arrays = {}
    rest = _take_apart(saved, (), arrays)
    place = folder / CHECKPOINTS
    try:
        place.mkdir(exist_ok=True)
        sync_folder(folder)  # of which it is an entry
        number = max(_numbers(place), default=0) + 1
    except OSError as error:
        raise disk_error(place, error) from error
    path, mark = place / f"{number}{_ARRAYS}", place / f"{number}{_MARK}"
    try:
        with replacing(path) as beside:
            sha256 = _write_arrays(beside, arrays)
        record = _record({"arrays": list(arrays), "sha256": sha256, "saved": rest})
        write_atomic(mark, utf8(json.dumps(record)))
    except BaseException:
        for half in (mark, path):
            with contextlib.suppress(OSError):
                half.unlink()
        raise
    _keep_last(place)


def read_last(
    folder: Path, fault: Callable[[Saved], str | None] = lambda saved: None
) -> tuple[Saved | None, list[str]]:
    """Read the last checkpoint that is whole.

    Args:
        folder: the run folder.
        fault: says why what was read cannot be gone on from; None if it can.

    Returns:
        What was saved, None without a whole checkpoint; and a sentence, without a full stop, on
        each that had to be passed over.

    Raises:
        RunFolderError: a checkpoint may not be read, or another version of the trainer wrote it.
    """
    place = folder / CHECKPOINTS
    told: list[str] = []
    try:
        numbers = sorted(_numbers(place, _MARK), reverse=True)
    except (FileNotFoundError, NotADirectoryError):
        return None, told
    except OSError as error:
        raise _unreadable(place, error) from error
    for index, number in enumerate(numbers):
        try:
            saved = _read(place, number)
            if why := fault(saved):
                raise _Unusable(why)
        except _Unusable as error:
            last = index + 1 == len(numbers)
            instead = "there is none before it" if last else "the one before it is tried"
            told.append(f"{place / str(number)}{_MARK}: no checkpoint: {error}; {instead}")
        else:
            return saved, told
    return None, told


def remove(folder: Path) -> None:
    """Remove all checkpoints of a run that is over; what the disk refuses to remove stays."""
    place = folder / CHECKPOINTS
    with contextlib.suppress(OSError):
        for name in _names(place):
            os.unlink(place / name)
        place.rmdir()


# Writing


def _take_apart(node: Saved, keys: tuple[str, ...], arrays: Arrays) -> Saved:
    """`node` without its arrays, which are added to `arrays` by their flat names."""
    rest: Saved = {}
    for key, value in node.items():
        if not isinstance(key, str):
            raise TypeError(
                f"{_flat(keys) or 'what is saved'} has the key {key!r}, which is no str"
            )
        inner = (*keys, key)
        if isinstance(value, dict):
            rest[key] = _take_apart(value, inner, arrays)
        elif isinstance(value, np.ndarray):
            if value.dtype.newbyteorder("=") not in _TYPES:
                raise TypeError(f"{_flat(inner)}: arrays of {value.dtype} are not saved")
            arrays[_flat(inner)] = value
        else:
            rest[key] = _plain(value, inner)
    if "__metadata__" in arrays:
        raise TypeError("an array named __metadata__ has no place in a safetensors file")
    return rest


def _plain(value: Any, keys: tuple[str, ...]) -> Any:
    """A leaf as it is, if it comes back from JSON the same: a tuple would be a list."""
    if value is None or type(value) in (bool, int, float, str):
        return value
    if type(value) is list:
        return [_plain(item, keys) for item in value]
    if type(value) is dict and all(type(key) is str for key in value):  # in a list
        return {key: _plain(item, keys) for key, item in value.items()}
    raise TypeError(f"{_flat(keys)}: a {type(value).__name__} is not saved")


def _flat(keys: tuple[str, ...]) -> str:
    """One name of nested keys; dots within keys are escaped, so that no two are alike."""
    return ".".join(key.replace("%", "%25").replace(".", "%2E") for key in keys)


def _keys(name: str) -> list[str]:
    """The keys of a flat name."""
    return [key.replace("%2E", ".").replace("%25", "%") for key in name.split(".")]


def _write_arrays(path: Path, arrays: Arrays) -> str:
    """Write a safetensors file, one array after another; return its sha256.

    The library's own writer holds all arrays a second time, as bytes.
    """
    ordered = sorted(arrays.items(), key=lambda pair: (-pair[1].itemsize, pair[0]))  # aligned
    header, end = {}, 0
    for name, array in ordered:
        begin, end = end, end + array.nbytes
        header[name] = {
            "dtype": _TYPES[array.dtype.newbyteorder("=")],
            "shape": list(array.shape),
            "data_offsets": [begin, end],
        }
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    digest = hashlib.sha256()
    with open(path, "wb") as file:

        def put(part: bytes | memoryview) -> None:
            file.write(part)
            digest.update(part)

        put(len(text).to_bytes(8, "little") + text)
        for _, array in ordered:
            put(_bytes(array))
    return digest.hexdigest()


def _bytes(array: npt.NDArray[Any]) -> memoryview:
    """The bytes of an array, row by row, little end first: a view of most."""
    whole = np.asarray(array, array.dtype.newbyteorder("<"), order="C")
    return whole.reshape(-1).view(np.uint8).data


def _record(content: dict[str, Any]) -> dict[str, Any]:
    return {"format_version": VERSION, "digest": _digest(content), **content}


def _digest(content: dict[str, Any]) -> str:
    """Of the JSON itself: a digit that the disk has changed would be read as another number."""
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def _keep_last(place: Path) -> None:
    """Remove all pairs but the last two, and what writes that were killed have left."""
    with contextlib.suppress(OSError):
        kept = sorted(_numbers(place, _MARK))[-KEPT:]
        for name in sorted(_names(place)):  # 1.json before 1.safetensors: no half looks whole
            known = _FILE.fullmatch(name)
            if known is None or int(known[1]) not in kept:
                os.unlink(place / name)


def _names(place: Path) -> Iterator[str]:
    """Files of checkpoints, and of those that a kill has left half-written."""
    names = os.listdir(place)
    return (name for name in names if _FILE.fullmatch(left_over(name) or name))


def _numbers(place: Path, ending: str = "") -> set[int]:
    found = (_FILE.fullmatch(name) for name in os.listdir(place) if name.endswith(ending))
    return {int(name[1]) for name in found if name is not None}


# Reading: the files may be damaged, or somebody's work


def _read(place: Path, number: int) -> Saved:
    path = place / f"{number}{_MARK}"
    with _opened(path, memory_limit() // _TEXT_SHARE) as file:
        text = file.read()
    try:
        record = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _Unusable("it is no whole JSON") from error
    if not isinstance(record, dict) or type(record.get("format_version")) is not int:
        raise _Unusable("it is no record of one")
    if record["format_version"] != VERSION:
        raise RunFolderError(
            f"{path}: of format {record['format_version']}, and this version of the trainer reads"
            f" {VERSION}; go on with the version that wrote it (manifest.json names it)"
        )
    content = {key: record[key] for key in record if key not in ("format_version", "digest")}
    with contextlib.suppress(RecursionError):  # of what is nested as no record of ours is
        if record.get("digest") == _digest(content):
            return _whole(path, content)
    raise _Unusable("it is not as it was written")


def _whole(path: Path, content: dict[str, Any]) -> Saved:
    """What was saved, by what the JSON has, with its arrays."""
    names, sha256, saved = (content.get(key) for key in ("arrays", "sha256", "saved"))
    if not (isinstance(names, list) and all(isinstance(name, str) for name in names)):
        raise _Unusable("its arrays have no names")
    if not isinstance(saved, dict):
        raise _Unusable("it has nothing saved")
    arrays = _read_arrays(path.with_suffix(_ARRAYS), sha256)
    if arrays.keys() != set(names):
        raise _Unusable(f"{path.stem}{_ARRAYS} has other arrays than it names")
    for name in names:  # in the order that they were saved in
        _put(saved, name, arrays[name])
    return saved


def _put(saved: Saved, name: str, array: npt.NDArray[Any]) -> None:
    """Put an array where its flat name says."""
    *above, last = _keys(name)
    node: Any = saved
    for key in above:
        node = node.setdefault(key, {}) if isinstance(node, dict) else None
    if not isinstance(node, dict) or last in node:
        raise _Unusable(f"the place of {name!r} is taken")
    node[last] = array


def _read_arrays(path: Path, sha256: Any) -> Arrays:
    with _opened(path, memory_limit()) as file:
        if hashlib.file_digest(file, "sha256").hexdigest() != sha256:
            raise _Unusable(f"{path.name} is not as it was written")
    try:
        with safe_open(path, framework="np") as file:
            names = list(file.keys())
            kinds = {file.get_slice(name).get_dtype() for name in names}
            if other := sorted(kinds - set(_TYPES.values())):
                raise _Unusable(f"{path.name} has arrays of {other[0]}")
            return {name: _own(file.get_tensor(name)) for name in names}
    except (SafetensorError, OSError, ValueError) as error:
        raise _Unusable(f"{path.name} holds no arrays") from error


def _own(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """An array that can be written to, whatever the library hands out."""
    return array if array.flags.writeable else array.copy()


@contextlib.contextmanager
def _opened(path: Path, most: int) -> Iterator[Any]:
    """A file open for reading; it is damaged if it is gone, none, too large or cannot be read."""
    try:
        with open_regular(path) as file:
            if os.fstat(file.fileno()).st_size > most:
                raise _Unusable(f"{path.name} has more bytes than the memory has room for")
            yield file
    except (FileNotFoundError, IsADirectoryError) as error:
        raise _Unusable(f"{path.name} is not there") from error
    except PermissionError as error:
        raise _unreadable(path, error) from error
    except OSError as error:
        why = "is no file" if error.errno == errno.EINVAL else "cannot be read"
        raise _Unusable(f"{path.name} {why}") from error


def _unreadable(path: Path, error: OSError) -> RunFolderError:
    return RunFolderError(f"{path}: cannot read: {os.strerror(error.errno or 0)}")
