"""Standard input as a file: `-` on the command line, in place of a path."""

from __future__ import annotations

import contextlib
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from trainer.data.encode.encoder import Encoder
from trainer.errors import DataError
from trainer.text.printable import show_path
from trainer.text.program import PROGRAM

SIGN = "-"
_WANTED = f"CSV text with a header line, as in `cat new.csv | {PROGRAM} predict RUN -`"
_BINARY = {b"PAR1": ".parquet", b"\x93NUM": ".npy", b"PK\x03\x04": ".npz"}
"""{first bytes of a file: how its name would end}."""
_LENGTH = 8  # bytes before the header of .safetensors, which say its length


@contextlib.contextmanager
def as_file(data: str, encoder: Encoder) -> Iterator[str]:
    """The path of a file; for `-` of a copy of standard input, as long as the block lasts.

    Its faults are those of standard input. What its first bytes do not tell is text as the model
    was trained on: CSV, or LIBSVM.

    Raises:
        DataError: standard input is a terminal, closed or empty.
    """
    if data != SIGN:
        yield data
        return
    if sys.stdin is None or sys.stdin.closed:
        raise DataError(f"standard input: is closed; {_WANTED} is right")
    if sys.stdin.isatty():
        raise DataError(f"standard input: is a terminal; {_WANTED}, or the path of a file is right")
    with tempfile.TemporaryDirectory(prefix="trainer-") as folder:
        path = _copied(Path(folder), encoder)
        try:
            yield str(path)
        except DataError as error:
            raise DataError(str(error).replace(show_path(path), "standard input")) from None


def _copied(folder: Path, encoder: Encoder) -> Path:
    stream = sys.stdin.buffer
    begin = stream.read(1 << 16)
    if not begin.strip():
        raise DataError(f"standard input: is empty; {_WANTED} is right")
    path = folder / f"standard-input{_ending(begin, encoder)}"
    with path.open("wb") as file:
        file.write(begin)
        shutil.copyfileobj(stream, file)
    return path


def _ending(begin: bytes, encoder: Encoder) -> str:
    if begin[:4] in _BINARY:
        return _BINARY[begin[:4]]
    if begin[_LENGTH : _LENGTH + 1] == b"{" and b"\0" in begin[:_LENGTH]:
        return ".safetensors"
    packed = ".gz" if begin[:2] == b"\x1f\x8b" else ""
    if begin[8:9] == b"{" and begin[4:8] == bytes(4):  # the length of a header, and the header
        return ".safetensors"
    first = begin.strip().splitlines()[0]
    if encoder.like.indexed and (packed or b":" in first or b"," not in first):
        return ".svm" + packed
    has_tabs = b"\t" in first and b"," not in first
    return (".tsv" if has_tabs and not packed else ".csv") + packed
