"""CSV and TSV files as Arrow columns: float64 where every cell is a number, else text.

Arrow's own guess of types would read `007` as 7 where it is a label, and round large integers
twice; its messages say neither row nor line. So the columns that begin with numbers are asked for
as float64, which is what Python's float() makes of a cell, and where one of them turns out to hold
something else, all of them are read again as text. What Arrow refuses altogether is read by
Python's csv module, which knows the line: `csv_faults`.
"""

from __future__ import annotations

import csv
from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import islice, zip_longest
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from trainer.data.rows import IntArray
from trainer.data.sources import csv_faults
from trainer.data.sources.cells import NUMBER
from trainer.data.sources.csv_faults import compression, open_text, rows
from trainer.data.sources.csv_options import CsvOptions
from trainer.errors import DataError
from trainer.text.labels import nfc
from trainer.text.printable import quote, show_path

_BLOCK = 1 << 20  # bytes: a core's cache holds one
_LARGEST_BLOCK = 1 << 30
_SAMPLE = 50  # rows


class Head(NamedTuple):
    """How a file begins."""

    names: list[str]
    lines: int
    """Lines before the first row, blank ones counted."""
    quotes: int
    """How many there are in those lines."""
    sample: list[list[str]]
    """The first rows, as far as they can be read."""


def read_head(path: Path, options: CsvOptions) -> Head:
    """The names in the first line that is not blank, or x0, x1, … without a header; a few rows.

    Raises:
        DataError: another encoding, not gzip under .gz, nothing but blank lines.
    """
    try:
        with open_text(path, options) as text:
            quotes: list[int] = []  # of each line that was read
            lines = _noting(csv_faults.lines(text), options.quote, quotes)
            reader = rows(lines, path, options)
            first = next((cells for cells in reader if cells), None)
            before, held = reader.line_num, sum(quotes)
            sample = _sample(reader)
    except UnicodeError:
        raise csv_faults.wrong_encoding(path, options) from None
    except (*csv_faults.UNPACKING_ERRORS, OSError, csv.Error) as error:
        raise csv_faults.unreadable(path, error) from None
    if first is None:
        raise DataError(
            f"{show_path(path)}: is empty; a header line and at least one row are needed"
        )
    if options.header:
        if len(mark := first[0].strip()) <= 5 and mark.lower().startswith("sep="):
            raise DataError(
                f"{show_path(path)}: line {before}: {quote(mark)} is there for Excel; take the"
                " line out, and write what it says as `separator`"
            )
        return Head(list(map(nfc, first)), before, held, sample)
    return Head(_numbered(path, options, len(first)), 0, 0, [first, *sample])


def _noting(text: Iterable[str], mark: str | None, counts: list[int]) -> Iterator[str]:
    """The lines of a text; how often a mark is in each is appended to `counts`."""
    for line in text:
        counts.append(line.count(mark) if mark else 0)
        yield line


def _numbered(path: Path, options: CsvOptions, cells: int) -> list[str]:
    """Names of the columns of a file without a header, as many as its first row has cells."""
    names = [f"x{i}" for i in range(options.width or cells)]
    for absent in ((), *options.optional):
        left = [name for name in names if name not in absent]
        if len(left) == cells:
            return left
    raise DataError(
        f"{show_path(path)}: row 0: has {cells} cell{'s' * (cells != 1)}, the training file has"
        f" {len(names)}; as many, or all but the target, are right"
    )


def _sample(reader: Any) -> list[list[str]]:
    found: list[list[str]] = []
    try:
        found.extend(cells for cells in islice(reader, _SAMPLE) if cells)
    except (UnicodeError, *csv_faults.UNPACKING_ERRORS, OSError, csv.Error):
        return found  # whoever reads the whole file says what is wrong
    return found


def read_columns(
    path: Path,
    options: CsvOptions,
    head: Head,
    wanted: Sequence[str],
    texts: Collection[str],
    most: int,
) -> Any:
    """The wanted columns as a pyarrow.Table: float64, text, or codes into a dictionary of text.

    Text is as it stands in the file, "" where a cell is empty.

    Args:
        path: an existing file.
        options: how it is written.
        head: how it begins; names without repetition.
        wanted: those to read.
        texts: those that are text whatever their cells look like.
        most: bytes of text, unpacked, for which there is memory.

    Raises:
        DataError: a row with more or fewer cells than the header, another encoding, a quote that
            is never closed, damaged gzip.
    """
    several_lines = csv_faults.count_quotes(path, options, most) > head.quotes
    hoped = _begin_with_numbers(head, options).difference(texts)
    coded = pa.dictionary(pa.int32(), pa.string())
    types = {name: pa.float64() if name in hoped else coded for name in wanted}
    if hoped.intersection(wanted) and options.thousands is None:
        try:
            return _read(path, options, head, types, several_lines)
        except (pa.ArrowException, OSError, UnicodeError):
            pass  # some cell is no number, or the file has a fault: read again, it shows
    types |= dict.fromkeys(hoped.intersection(wanted), pa.string())
    try:
        return _read(path, options, head, types, several_lines)
    except (pa.ArrowException, OSError, UnicodeError) as error:
        raise csv_faults.diagnosed(path, options, len(head.names), error) from None


def with_blank_rows(table: Any, path: Path, options: CsvOptions) -> tuple[Any, IntArray]:
    """The table with a row without values for each blank line, and the numbers of those rows."""
    if not csv_faults.has_blank_lines(path, options):
        return table, np.arange(0)
    blank = csv_faults.blank_rows(path, options)
    total = table.num_rows + len(blank)
    written = np.delete(np.arange(total), blank)
    order = np.zeros(total, dtype=np.int64)  # (rows,) of the table
    order[written] = np.arange(table.num_rows)
    is_blank = np.zeros(total, dtype=bool)
    is_blank[blank] = True
    return table.take(pa.array(order, mask=is_blank)), blank


def _begin_with_numbers(head: Head, options: CsvOptions) -> set[str]:
    """Names of the columns whose first cells are numbers or missing."""
    missing = frozenset(options.missing)
    columns = zip_longest(*head.sample, fillvalue="")
    hoped = set()
    for name, cells in zip(head.names, columns, strict=False):
        text = "\n".join(cell for cell in cells if cell not in missing)
        if options.thousands is not None:
            text = text.replace(options.thousands, "")
        if all(map(NUMBER.fullmatch, text.replace(options.decimal, ".").splitlines())):
            hoped.add(name)
    return hoped


def _read(
    path: Path, options: CsvOptions, head: Head, types: dict[str, Any], several_lines: bool
) -> Any:
    """Read columns of these types, by Arrow; a row longer than a block takes a larger one."""
    from pyarrow import csv as arrow_csv

    position = {name: i for i, name in enumerate(head.names)}
    keys = {f"f{position[name]}": kind for name, kind in types.items()}
    convert = arrow_csv.ConvertOptions(
        column_types=keys,
        include_columns=list(keys),
        null_values=list(options.missing),
        decimal_point=options.decimal,
    )
    parse = arrow_csv.ParseOptions(
        delimiter=options.delimiter(path),
        quote_char=options.quote or False,
        newlines_in_values=several_lines,
    )
    for block_size in (_BLOCK, _LARGEST_BLOCK):
        read = arrow_csv.ReadOptions(
            column_names=[f"f{i}" for i in range(len(head.names))],  # none of its own to trip on
            skip_rows=head.lines,
            block_size=block_size,
            encoding=options.encoding,
        )
        try:
            with pa.input_stream(path, compression=compression(path)) as stream:
                table = arrow_csv.read_csv(stream, read, parse, convert)
            return table.rename_columns(list(types))
        except pa.ArrowInvalid as error:
            if "straddling" not in str(error) or block_size == _LARGEST_BLOCK:
                raise
    raise AssertionError("the last block size returns or raises")
