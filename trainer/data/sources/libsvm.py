"""LIBSVM text (`label index:value ...`, also called SVMlight) to a dense matrix.

A line is a row: its label, then the values that are not 0, indices rising. Indices count from 1, or
from 0 where a 0 occurs in the training file; a column is called by its index as written, `x7`, so
that files that start at another index cannot be mixed up. `#` starts a comment, empty lines do not
count. Format: https://www.csie.ntu.edu.tw/~cjlin/libsvm/faq.html#f307.

A block of whole lines is read at once by NumPy; one that this finds odd is read again line by line,
only to say what is wrong with it.
"""

from __future__ import annotations

import bz2
import gzip
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainer.catalog import SOURCES
from trainer.data.allocate import allocate
from trainer.data.frame import Frame, Like
from trainer.data.rows import FloatArray, IntArray
from trainer.data.sources.arrays import with_known_target, with_target
from trainer.errors import DataError
from trainer.machine.memory import available_memory
from trainer.text.numbers import counted, shown_size
from trainer.text.paths import readable_file
from trainer.text.printable import error_text, quote, show_path

SUFFIXES = SOURCES["libsvm"].suffixes

_BLOCK = 1 << 21  # bytes
_LONGEST_LINE = 1 << 26
_LARGEST_LABEL = 2**53 - 1
_MOST_DIGITS = 18  # of an index: what an int64 always holds
_COMMENT = re.compile(rb"#[^\n]*")
_FIRST = re.compile(rb"^([ \t]*)([^ \t\r\n]+)", re.M)
_TOKEN = re.compile(rb"[^ \t\r\n]+")
_NUMBER = re.compile(rb"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?|[+-]?(inf(inity)?|nan)", re.I)
_IS_BLANK = np.zeros(256, dtype=bool)
_IS_BLANK[list(b" \t\r\n")] = True
_UNPACKING_ERRORS = (OSError, EOFError, ValueError, zlib.error)
_NEWLINE, _PLUS, _MINUS, _COLON = 10, 43, 45, 58


@dataclass(frozen=True)
class _Rows:
    """n rows with m values that are written, of some whole lines."""

    label: NDArray[np.float64]
    """(n,)."""
    line: IntArray
    """(n,): the line of the file a row stands on, from 1."""
    row: IntArray
    """(m,): which of the n rows a value belongs to."""
    index: IntArray
    """(m,): as written, rising in each row."""
    value: NDArray[np.float64]
    """(m,)."""


def read_libsvm(
    path: str, *, labels: bool, like: Like | None = None, to_predict: bool = False
) -> Frame:
    """Read a file of LIBSVM text, also .gz or .bz2, to a dense frame of float64.

    Args:
        path: of the file.
        labels: whether the first number of a line is a label rather than a number to predict.
        like: the training source's columns. An index that a row leaves out is 0 there, an index
            that the training source does not have is a fault.
        to_predict: whether the rows are to be predicted: then a label may be anything, or left out,
            and values of indices above those of the training source are passed over, and told.

    Raises:
        DataError: a line that is none, or a dense matrix of over half of the memory there is.
    """
    file_path = readable_file(path, "a file of LIBSVM text")
    where = show_path(file_path)
    known = None if like is None else _known(like, where)
    lowest, highest = known or (1, 0)
    blocks, rows = [], 0
    passed_over = 0
    for block in _parsed_blocks(file_path, where, to_predict):
        if to_predict and (block.index > highest).any():
            passed_over += int((block.index > highest).sum())
            block = _up_to(block, highest)
        if block.index.size:
            if known is not None:
                _check_known(block, lowest, highest, where)
            lowest = min(lowest, int(block.index.min()))
            highest = max(highest, int(block.index.max()))
        blocks.append(block)
        rows += len(block.label)
        _check_size(rows, highest + 1 - lowest, where)
    if not rows:
        raise DataError(f"{where}: has no rows; a row is LABEL INDEX:VALUE ...")
    if highest < lowest:
        raise DataError(f"{where}: has labels and no values; a row is LABEL INDEX:VALUE ...")
    label = np.concatenate([block.label for block in blocks])
    line = np.concatenate([block.line for block in blocks])
    X = _dense(blocks, rows, lowest, highest, where)

    def place(row: int) -> str:
        return f"row {row} (line {line[row]})"

    large = np.flatnonzero(np.isfinite(label) & (np.abs(label) > _LARGEST_LABEL))
    if labels and large.size and not to_predict:
        row = int(large[0])
        raise DataError(
            f"{where}: {place(row)}: the label {label[row]:.0f} is too large to tell from its"
            " neighbours; whole numbers up to 2^53 are labels"
        )
    names = tuple(f"x{index}" for index in range(lowest, highest + 1))
    frame = Frame(where, names, X, rows, place=place)
    if passed_over:
        what = f"{counted(passed_over, 'value')} of indices above {highest}, which training did not"
        frame = replace(frame, remarks=(f"{what} have, did not count",))
    if to_predict:
        label = np.where(np.abs(label) > _LARGEST_LABEL, np.nan, label) if labels else label
        return with_known_target(frame, lambda: label, where, "y", labels=labels)
    return with_target(frame, label, None, target_where=where, weight_where="", labels=labels)


def _known(like: Like, where: str) -> tuple[int, int]:
    """First and last index of the training source."""
    if not like.indexed:
        raise DataError(
            f"{where}: is LIBSVM text, and the training source is not, so that an index says"
            " nothing about its columns; give a file of the training source's kind"
        )
    return int(like.names[0][1:]), int(like.names[-1][1:])


def _up_to(block: _Rows, highest: int) -> _Rows:
    """The rows without their values of larger indices."""
    kept = block.index <= highest
    return replace(block, row=block.row[kept], index=block.index[kept], value=block.value[kept])


def _check_known(block: _Rows, lowest: int, highest: int, where: str) -> None:
    odd = np.flatnonzero((block.index < lowest) | (block.index > highest))
    if odd.size:
        index, line = block.index[odd[0]], block.line[block.row[odd[0]]]
        cure = (
            f"write {index}:0 in a training row, where it is 0 in all of them, or leave it out here"
            if index > highest
            else f"add 1 to each index here, if it is the same column that is {lowest} there"
        )
        raise DataError(
            f"{where}: line {line}: the training source has no index {index}, only {lowest} to"
            f" {highest}; {cure}"
        )


def _check_size(rows: int, columns: int, where: str) -> None:
    size, limit = 8 * rows * columns, available_memory() // 2
    if size > limit:
        raise DataError(
            f"{where}: its first {rows:,} rows of {columns:,} columns take {shown_size(size)} as a"
            f" dense matrix, more than {shown_size(limit)}, half of the memory there is; fewer"
            " rows or columns are right"
        )


def _dense(blocks: list[_Rows], rows: int, lowest: int, highest: int, where: str) -> FloatArray:
    """Fill the matrix, emptying `blocks`: its values go as the matrix's pages come."""
    X = allocate((rows, highest + 1 - lowest), np.dtype(np.float64), where, zeros=True)
    blocks.reverse()
    start = 0
    while blocks:
        block = blocks.pop()
        X[start + block.row, block.index - lowest] = block.value
        start += len(block.label)
    return X


def _parsed_blocks(path: Path, where: str, to_predict: bool) -> Iterator[_Rows]:
    lines = 0
    for text in _whole_lines(path, where):
        block = _parsed(text, lines)
        if block is None and to_predict:
            block = _parsed(_FIRST.sub(_with_label, text), lines)
        if block is None:
            raise DataError(f"{where}: {_fault(text, lines)}")
        yield block
        lines += text.count(b"\n")


def _with_label(first: re.Match[bytes]) -> bytes:
    """The first word of a line, NaN for a label where it is none."""
    blank, word = first.groups()
    if b":" in word:
        return blank + b"nan " + word
    is_row_of_csv = b"," in word and first.string[first.end() : first.end() + 1] in b"\r\n"
    return blank + (word if _NUMBER.fullmatch(word) or is_row_of_csv else b"nan")


def _whole_lines(path: Path, where: str) -> Iterator[bytes]:
    """The file in blocks that end where a line does, without a byte order mark and comments."""
    rest = b""
    try:
        with _open(path) as file:
            part = file.read(_BLOCK).removeprefix(b"\xef\xbb\xbf")
            while part:
                part = rest + part
                cut = part.rfind(b"\n") + 1
                if len(part) - cut > _LONGEST_LINE:
                    raise DataError(
                        f"{where}: has a line of over {shown_size(_LONGEST_LINE)}; a row is"
                        " LABEL INDEX:VALUE ... on a line of its own"
                    )
                if cut:
                    yield _COMMENT.sub(b"", part[:cut])
                rest = part[cut:]
                part = file.read(_BLOCK)
    except _UNPACKING_ERRORS as error:
        raise DataError(
            f"{where}: cannot be read ({error_text(error)}); write the file again"
        ) from None
    if rest:
        yield _COMMENT.sub(b"", rest)


def _open(path: Path) -> Any:
    suffix = path.suffix.lower()
    if suffix == ".gz":
        return gzip.open(path)
    return bz2.open(path) if suffix == ".bz2" else path.open("rb")


# ---------------------------------------------------------------- a block at once


def _parsed(block: bytes, lines_before: int) -> _Rows | None:
    """Read whole lines; None if anything about them is odd."""
    text = np.frombuffer(block, np.uint8)
    if text.size and text.max() > 127:
        return None
    starts, stops = _tokens(text)
    line = np.searchsorted(np.flatnonzero(text == _NEWLINE), starts)  # (tokens,) from 0
    is_label = np.ones(len(starts), dtype=bool)
    is_label[1:] = line[1:] != line[:-1]
    colons = np.flatnonzero(text == _COLON)
    pairs = ~is_label
    if (
        len(colons) != np.count_nonzero(pairs)
        or ((colons <= starts[pairs]) | (colons >= stops[pairs] - 1)).any()
    ):
        return None  # a label with a colon, a pair without one or with several
    row = (np.cumsum(is_label) - 1)[pairs]
    index = _whole_numbers(text, starts[pairs], colons)
    if index is None or ((row[1:] == row[:-1]) & (index[1:] <= index[:-1])).any():
        return None
    number_starts = starts.copy()
    number_starts[pairs] = colons + 1
    numbers = _numbers(text, number_starts, stops)
    if numbers is None:
        return None
    return _Rows(numbers[is_label], line[is_label] + lines_before + 1, row, index, numbers[pairs])


def _tokens(text: NDArray[np.uint8]) -> tuple[IntArray, IntArray]:
    """Where the words between blanks start and stop, (tokens,) each."""
    blank = np.ones(len(text) + 2, dtype=bool)
    np.take(_IS_BLANK, text, out=blank[1:-1])
    edges = np.flatnonzero(blank[1:] != blank[:-1])
    return edges[::2], edges[1::2]


def _whole_numbers(
    text: NDArray[np.uint8], starts: IntArray, stops: IntArray
) -> NDArray[np.int64] | None:
    """The digits from starts to stops as numbers; None if something else stands there."""
    most = int((stops - starts).max(initial=0))
    if most > _MOST_DIGITS:
        return None
    numbers = np.zeros(len(starts), dtype=np.int64)
    for place in range(most):  # of ones, tens and so on
        at = stops - 1 - place
        digit = text[np.maximum(at, 0)].astype(np.int64) - 48
        digit[at < starts] = 0
        if ((digit < 0) | (digit > 9)).any():
            return None
        numbers += digit * 10**place
    return numbers


def _numbers(
    text: NDArray[np.uint8], starts: IntArray, stops: IntArray
) -> NDArray[np.float64] | None:
    """The bytes from starts to stops as numbers, read by Arrow; None if some are none."""
    import pyarrow as pa

    after = text[np.minimum(starts + 1, len(text) - 1)] if len(text) else text
    signed = (text[starts] == _PLUS) & (after != _PLUS) & (after != _MINUS)
    starts = starts + (signed & (stops - starts > 1))  # Arrow of old does not take a plus
    inside = np.zeros(len(text) + 1, dtype=np.int8)
    inside[starts] = 1
    inside[stops] -= 1
    digits = text[np.cumsum(inside[:-1], dtype=np.int8).astype(bool)]
    offsets = np.zeros(len(starts) + 1, dtype=np.int32)
    np.cumsum(stops - starts, out=offsets[1:])
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(digits)]
    words = pa.Array.from_buffers(pa.string(), len(starts), buffers)
    try:
        numbers: NDArray[np.float64] = words.cast(pa.float64()).to_numpy()
    except pa.ArrowInvalid:
        return None
    return numbers


# ---------------------------------------------------------------- what is wrong with a block


def _fault(block: bytes, lines_before: int) -> str:
    """The first thing that is wrong in some lines, and what would be right."""
    if b"\0" in block:
        return "is no text, or UTF-16; save it as UTF-8 text"
    for number, line in enumerate(block.split(b"\n"), start=lines_before + 1):
        words = _TOKEN.findall(line)
        fault = _line_fault(words) if words else None
        if fault:
            return f"line {number}: {fault}"
    return f"the lines from {lines_before + 1} are no LIBSVM text; a row is LABEL INDEX:VALUE ..."


def _line_fault(words: list[bytes]) -> str | None:
    label = words[0]
    if b":" in label:
        return f"{_shown(label)} stands where the label should; a row is LABEL INDEX:VALUE ..."
    if not _NUMBER.fullmatch(label):
        if all(_NUMBER.fullmatch(part) for part in label.split(b",")):
            return (
                f"{_shown(label)} is several labels, and one is read here; for several, a table or"
                " an .npz archive with a column of 0 and 1 for each is right"
            )
        return f"the label {_shown(label)} is no number; labels here are numbers"
    last = -1
    for word in words[1:]:
        index, colon, value = word.partition(b":")
        if index == b"qid":
            return f"{_shown(word)} groups rows to be ranked, which no model here does; remove it"
        if not colon or not index or not value:
            return f"{_shown(word)} is not INDEX:VALUE"
        if not re.fullmatch(rb"\d+", index):
            return f"the index {_shown(index)} is no whole number from 1"
        if len(index) > _MOST_DIGITS:
            return f"the index {_shown(index)} is too large; indices count the columns from 1"
        if not _NUMBER.fullmatch(value):
            return f"the value {_shown(value)} of index {int(index)} is no number"
        if int(index) <= last:
            return f"index {int(index)} comes after {last}; indices must rise, each at most once"
        last = int(index)
    return None


def _shown(word: bytes) -> str:
    return quote(word[:200].decode("utf-8", "replace"))
