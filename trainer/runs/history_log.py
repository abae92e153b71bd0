"""history.csv while a run goes on: a table that grows and is whole at every moment."""

from __future__ import annotations

import csv
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from trainer.runs.names import history_keys
from trainer.text.atomic import disk_error, utf8, write_atomic
from trainer.text.csv_json import csv_header, csv_lines

_EVERY = 2.0  # seconds between writes: each writes the whole table anew, so not for every row
_SHARE = 20  # a long table is written anew less often: at most a twentieth of the time goes there


class HistoryLog:
    """Writer of the table of evaluations: keeps its text, writes the file whole when it is told.

    Attributes:
        path: of the file.
        offset: bytes of the table so far, those that wait for the file among them.
        waits: whether rows have not reached it.
    """

    def __init__(self, path: Path, text: str = "") -> None:
        self.path = path
        self.offset = len(utf8(text))
        self._columns = tuple(next(csv.reader([text.partition("\n")[0]]), ()))
        self._text = [text] if text else []
        self._due = 0.0  # when the file may be written again
        self.waits = False

    @classmethod
    def reopen(cls, path: Path, offset: int) -> HistoryLog:
        """Go on with a table: what follows its first `offset` bytes is cut off.

        Raises:
            DiskError: the disk refused.
        """
        if not offset:
            return cls(path)
        try:
            os.truncate(path, offset)
            return cls(path, path.read_bytes().decode())
        except OSError as error:
            raise disk_error(path, error) from error

    def start(self, metrics: Sequence[str], separate: bool = False) -> None:
        """Write the header, so that a run that diverges at once has the file.

        Args:
            metrics: their names.
            separate: whether rows are of targets that are problems of their own.
        """
        if not self._columns:  # else it goes on
            self._begin((*history_keys(separate), *metrics))
        self.flush()

    def append(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Add rows, which wait for `flush`; without `start` the first of them says the columns."""
        if not rows:
            return
        if not self._columns:
            self._begin(tuple(rows[0]))
        columns = self._columns
        if rows[0].keys() < set(columns):  # a trial on another target has not all metrics
            rows = [{column: row.get(column) for column in columns} for row in rows]
        self._add(csv_lines(rows, columns))
        self.waits = True

    @property
    def due(self) -> bool:
        """Whether rows wait, and the last write was long enough ago: two seconds, or more."""
        return self.waits and time.monotonic() >= self._due

    def flush(self, path: Path | None = None) -> None:
        """Write the table.

        Args:
            path: another file than its own.

        Raises:
            DiskError: the disk refused; what waits still waits.
        """
        self._due = time.monotonic() + _EVERY  # there may be room again by then
        started = time.monotonic()
        write_atomic(path or self.path, utf8("".join(self._text)))
        now = time.monotonic()
        self.waits = False
        self._due = now + max(_EVERY, _SHARE * (now - started))

    def _begin(self, columns: tuple[str, ...]) -> None:
        self._columns = columns
        self._add(csv_header(columns))

    def _add(self, text: str) -> None:
        self._text.append(text)
        self.offset += len(utf8(text))


def has_whole_rows(path: Path, offset: int) -> bool:
    """Whether the first `offset` bytes of a table are whole rows."""
    try:
        if not offset or offset > os.path.getsize(path):
            return not offset
        with path.open("rb") as file:
            text = file.read(offset)
        return len(text) == offset and text.decode().endswith("\n")
    except (OSError, ValueError):
        return False
