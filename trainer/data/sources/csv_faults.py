"""What is wrong with a CSV file, and on which line: read again by Python's csv module."""

from __future__ import annotations

import contextlib
import csv
import gzip
import io
import re
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np

from trainer.data.rows import IntArray
from trainer.data.sources.csv_options import CsvOptions
from trainer.errors import DataError
from trainer.text.printable import error_text, show_path

_BLANK = re.compile(r"\n\r?\n|\r\r")
_LONGEST_LINE = 1 << 28  # letters
csv.field_size_limit(max(csv.field_size_limit(), _LONGEST_LINE))  # 131,072, a long text has more
UNPACKING_ERRORS = (gzip.BadGzipFile, EOFError, zlib.error)


def open_text(path: Path, options: CsvOptions) -> IO[str]:
    """The text of a file, unpacked and decoded, line ends as they are."""
    return io.TextIOWrapper(_open_bytes(path), encoding=options.codec, newline="")


def lines(text: IO[str]) -> Iterator[str]:
    """The lines of a text.

    Raises:
        csv.Error: one is so long that the file is no table, or a packed one made to fill a memory.
    """
    while line := text.readline(_LONGEST_LINE):
        if len(line) == _LONGEST_LINE:
            raise csv.Error(f"a line of {_LONGEST_LINE:,} letters or more")
        yield line


def rows(text: Iterable[str], path: Path, options: CsvOptions, *, strict: bool = False) -> Any:
    """A csv.reader over the text of a file."""
    return csv.reader(
        text,
        delimiter=options.delimiter(path),
        quotechar=options.quote or None,
        quoting=csv.QUOTE_MINIMAL if options.quote else csv.QUOTE_NONE,
        strict=strict,
    )


def compression(path: Path) -> str | None:
    """What Arrow calls the compression of a file with such an ending."""
    return "gzip" if path.suffix.lower() == ".gz" else None


def line_of(path: Path, options: CsvOptions, row: int) -> int:
    """Line, from 1, on which a row (from 0, without the header) ends; see `_records`."""
    with open_text(path, options) as text:
        for number, line, _ in _records(text, path, options):
            if number == row:
                return line
    return 0


def blank_rows(path: Path, options: CsvOptions) -> IntArray:
    """Numbers of the rows that are blank lines, ascending.

    Of several columns those behind the last row are none: a file may end in blank lines. Of one
    column each may be a cell without a value.
    """
    blank, last, width = [], -1, 0
    try:
        with open_text(path, options) as text:
            for number, _, found in _records(text, path, options):
                width = width or len(found)
                if found:
                    last = number
                else:
                    blank.append(number)
    except csv.Error as error:
        raise unreadable(path, error) from None
    return np.array([row for row in blank if row < last or width == 1], dtype=np.int64)


def has_blank_lines(path: Path, options: CsvOptions) -> bool:
    """Whether there may be a blank line in a file, or in a cell of several lines; a quick look."""
    before = "\n"  # as if a line had ended before the first
    with open_text(path, options) as text:
        while part := text.read(1 << 20):
            if _BLANK.search(before + part):
                return True
            before = part[-2:]
    return False


def count_quotes(path: Path, options: CsvOptions, most: int) -> int:
    """How many quotes a file holds; without any, no cell goes on over several lines.

    Args:
        path: of the file.
        options: how it is written.
        most: bytes of its text, unpacked, for which there is memory.

    Raises:
        DataError: one is opened and never closed; damaged gzip; text larger than the memory.
    """
    if options.quote is None and compression(path) is None:
        return 0
    count, size, mark = 0, 0, (options.quote or "").encode()
    try:
        with _open_bytes(path) as file:
            while part := file.read(1 << 20):
                count += part.count(mark) if mark else 0
                size += len(part)
                if size > most:
                    raise DataError(
                        f"{show_path(path)}: is over {most:,} bytes of text, more than the"
                        " memory there is; fewer rows or columns are right"
                    )
    except (*UNPACKING_ERRORS, OSError) as error:
        raise unreadable(path, error) from None
    if count % 2:
        _check_quotes(path, options)
    return count


def diagnosed(path: Path, options: CsvOptions, cells: int, error: Exception) -> DataError:
    """The fault of a file that Arrow refused with this error; its rows should have `cells`."""
    try:
        with open_text(path, options) as text:
            for number, line, found in _records(lines(text), path, options):
                if found and len(found) != cells:
                    others = "the header" if options.header else "the first row"
                    return DataError(
                        f"{show_path(path)}: row {number} (line {line}): has {len(found)}"
                        f" cell{'s' * (len(found) != 1)}, {others} has {cells}; every row must"
                        f" have as many as {others}"
                    )
    except UnicodeError:
        return wrong_encoding(path, options)
    except (*UNPACKING_ERRORS, OSError, csv.Error) as other:
        return unreadable(path, other)
    return unreadable(path, error)


def wrong_encoding(path: Path, options: CsvOptions) -> DataError:
    """The fault of bytes that are no text in the encoding that was said."""
    named = "UTF-8" if options.codec == "utf-8-sig" else options.encoding
    cure = "save the file as UTF-8"
    if options.to_predict:
        cure = f"save the file in the training file's encoding, {named}"
    else:
        cure += ", or name its encoding, as in `encoding: cp1252`"
    with contextlib.suppress(*UNPACKING_ERRORS, UnicodeError), _open_bytes(path) as file:
        for line, content in enumerate(file, start=1):
            if line == 1 and content[:2] in (b"\xff\xfe", b"\xfe\xff"):
                right = cure if options.to_predict else "`encoding: utf-16` is right"
                return DataError(f"{show_path(path)}: is UTF-16 text; {right}")
            try:
                content.decode(options.codec)
            except UnicodeDecodeError as error:
                before = content[: error.start].decode(options.codec)
                cell = before.count(options.delimiter(path)) + 1
                return DataError(
                    f"{show_path(path)}: line {line}, cell {cell}: byte"
                    f" 0x{content[error.start]:02x} is not {named} text; {cure}"
                )
    return DataError(f"{show_path(path)}: is not {named} text; {cure}")


def unreadable(path: Path, error: Exception) -> DataError:
    """The fault of a file that is no text at all."""
    kind = "gzip-compressed " if compression(path) else ""
    return DataError(
        f"{show_path(path)}: is damaged or no {kind}text ({error_text(error)});"
        " write the file again"
    )


def _open_bytes(path: Path) -> Any:
    return gzip.open(path) if compression(path) else path.open("rb")


def _records(
    text: Iterable[str], path: Path, options: CsvOptions
) -> Iterator[tuple[int, int, list[str]]]:
    """(row, line, cells) of each record; the header is row −1.

    Blank lines count where rows are to be predicted, but not before the header; else nowhere.
    """
    reader = rows(text, path, options)
    number = -1 if options.header else 0
    for cells in reader:
        if cells or (options.to_predict and number >= 0):
            yield number, reader.line_num, cells
            number += 1


def _check_quotes(path: Path, options: CsvOptions) -> None:
    """An odd number of quotes is fine within cells (5"), not where one opens and never closes."""
    start, mark = 1, options.quote
    try:
        with open_text(path, options) as text:
            reader = rows(text, path, options, strict=True)
            for _ in reader:
                start = reader.line_num + 1
    except csv.Error as error:
        if "unexpected end of data" in str(error):
            raise DataError(
                f"{show_path(path)}: line {start}: a quote ({mark}) is opened and never closed;"
                f" close it, or write {mark}{mark} for a quote within quotes"
            ) from None
    except UnicodeError:
        raise wrong_encoding(path, options) from None
