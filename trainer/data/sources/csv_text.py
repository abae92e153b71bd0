"""CSV and TSV files as columns of text; whoever asks for numbers converts them.

Arrow's own guess of types looks at the first block only (whole numbers there, fractions later: it
fails) and its messages say neither row nor line, so here every cell stays text. What Arrow refuses
is read again by Python's csv module, which knows the line.
"""

from __future__ import annotations

import contextlib
import csv
import gzip
import io
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

from trainer.errors import DataError
from trainer.text.printable import error_text, show_path

_BLOCK = 1 << 24
_LARGEST_BLOCK = 1 << 30
_UNPACKING_ERRORS = (gzip.BadGzipFile, EOFError, zlib.error)


def delimiter_of(path: Path) -> str:
    """Tab for .tsv and .tsv.gz, else comma."""
    return "\t" if path.name.lower().endswith((".tsv", ".tsv.gz")) else ","


def read_header(path: Path) -> list[str]:
    """Names in the first line that is not blank.

    Raises:
        DataError: not UTF-8, not gzip under .gz, nothing but blank lines.
    """
    try:
        with _open(path) as text:
            for cells in csv.reader(text, delimiter=delimiter_of(path)):
                if cells:
                    return cells
    except UnicodeDecodeError:
        raise _encoding_fault(path) from None
    except (*_UNPACKING_ERRORS, OSError, csv.Error) as error:
        raise _unreadable(path, error) from None
    raise DataError(f"{show_path(path)}: is empty; a header line and at least one row are needed")


def read_text(path: Path, names: Sequence[str], wanted: Sequence[str]) -> Any:
    """The wanted columns as a pyarrow.Table of strings, "" where a cell is empty.

    Args:
        path: an existing file.
        names: all names of the header, without repetition.
        wanted: those to read.

    Raises:
        DataError: a row with more or fewer cells than the header, not UTF-8, a quote that is
            never closed, damaged gzip.
    """
    import pyarrow as pa
    from pyarrow import csv as arrow_csv

    quotes = _count_quotes(path)
    if quotes % 2:
        _check_quotes(path)
    position = {name: i for i, name in enumerate(names)}
    keys = [f"f{position[name]}" for name in wanted]  # Arrow's own names: no header to trip on
    convert = arrow_csv.ConvertOptions(
        column_types=dict.fromkeys(keys, pa.string()), include_columns=keys
    )
    parse = arrow_csv.ParseOptions(delimiter=delimiter_of(path), newlines_in_values=quotes > 0)
    for block_size in (_BLOCK, _LARGEST_BLOCK):
        read = arrow_csv.ReadOptions(autogenerate_column_names=True, block_size=block_size)
        try:
            with pa.input_stream(path, compression=_compression(path)) as stream:
                table = arrow_csv.read_csv(stream, read, parse, convert)
            return table.slice(1).rename_columns(list(wanted))
        except (pa.ArrowInvalid, OSError) as error:
            if "straddling" in str(error) and block_size == _BLOCK:
                continue
            raise _diagnosed(path, len(names), error) from None
    raise AssertionError("the last block size returns or raises")


def line_of(path: Path, row: int) -> int:
    """Line, from 1, on which a row (from 0, header and blank lines not counted) ends."""
    with _open(path) as text:
        for number, line, _ in _records(text, delimiter_of(path)):
            if number == row + 1:
                return line
    return 0


def _open(path: Path) -> IO[str]:
    return io.TextIOWrapper(_open_bytes(path), encoding="utf-8-sig", newline="")


def _open_bytes(path: Path) -> Any:
    return gzip.open(path) if _compression(path) else path.open("rb")


def _compression(path: Path) -> str | None:
    return "gzip" if path.suffix.lower() == ".gz" else None


def _records(text: IO[str], delimiter: str) -> Iterator[tuple[int, int, list[str]]]:
    """(number, line, cells) of each record that is not blank, the header being number 0."""
    reader = csv.reader(text, delimiter=delimiter)
    number = 0
    for cells in reader:
        if cells:
            yield number, reader.line_num, cells
            number += 1


def _count_quotes(path: Path) -> int:
    quotes = 0
    try:
        with _open_bytes(path) as file:
            while part := file.read(1 << 20):
                quotes += part.count(b'"')
    except (*_UNPACKING_ERRORS, OSError) as error:
        raise _unreadable(path, error) from None
    return quotes


def _check_quotes(path: Path) -> None:
    """An odd number of quotes is fine within cells (5"), not where one opens and never closes."""
    start = 1
    try:
        with _open(path) as text:
            reader = csv.reader(text, delimiter=delimiter_of(path), strict=True)
            for _ in reader:
                start = reader.line_num + 1
    except csv.Error as error:
        if "unexpected end of data" in str(error):
            raise DataError(
                f'{show_path(path)}: line {start}: a quote (") is opened and never closed; close'
                ' it, or write "" for a quote within quotes'
            ) from None
    except UnicodeDecodeError:
        raise _encoding_fault(path) from None


def _diagnosed(path: Path, cells: int, error: Exception) -> DataError:
    try:
        with _open(path) as text:
            for number, line, found in _records(text, delimiter_of(path)):
                if len(found) != cells:
                    return DataError(
                        f"{show_path(path)}: row {number - 1} (line {line}): has {len(found)}"
                        f" cell{'s' * (len(found) != 1)}, the header has {cells}; every row must"
                        " have as many as the header"
                    )
    except UnicodeDecodeError:
        return _encoding_fault(path)
    except (*_UNPACKING_ERRORS, OSError, csv.Error) as other:
        return _unreadable(path, other)
    return _unreadable(path, error)


def _encoding_fault(path: Path) -> DataError:
    with contextlib.suppress(*_UNPACKING_ERRORS), _open_bytes(path) as file:
        for line, content in enumerate(file, start=1):
            if line == 1 and content[:2] in (b"\xff\xfe", b"\xfe\xff"):
                return DataError(f"{show_path(path)}: is UTF-16 text; save it as UTF-8")
            try:
                content.decode("utf-8")
            except UnicodeDecodeError as error:
                before = content[: error.start].decode("utf-8")
                cell = before.count(delimiter_of(path)) + 1
                return DataError(
                    f"{show_path(path)}: line {line}, cell {cell}: byte"
                    f" 0x{content[error.start]:02x} is not UTF-8 text; save the file as UTF-8"
                )
    return DataError(f"{show_path(path)}: is not UTF-8 text; save it as UTF-8")


def _unreadable(path: Path, error: Exception) -> DataError:
    kind = "gzip-compressed " if _compression(path) else ""
    return DataError(
        f"{show_path(path)}: is damaged or no {kind}text ({error_text(error)});"
        " write the file again"
    )
