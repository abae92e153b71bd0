"""manifest.json while a run goes on: what it is, how it stands, and how it ended."""

from __future__ import annotations

import contextlib
import time
from datetime import datetime
from pathlib import Path
from typing import Any

from trainer.errors import DiskError
from trainer.runs.names import FORMAT_VERSION
from trainer.text.atomic import utf8, write_atomic
from trainer.text.csv_json import json_text

RUNNING = "running"
OVER = ("finished", "diverged")  # a run that has gone its way
KILLED = "killed by a second signal before all was written"


class Manifest:
    """The manifest of one run: its fields in memory, written whole at each change.

    A field whose write the disk refused stays in memory and goes out with the next change.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._fields: dict[str, Any] = {}
        self._begun = time.monotonic()

    def start(self, name: str, **fields: Any) -> None:
        """Write the first fields of a run that goes on from now.

        Args:
            name: the run's.
            fields: what else is known by then.
        """
        first = {"format_version": FORMAT_VERSION, "status": RUNNING, "name": name}
        self.update(**first, started=_now(), **fields)

    def update(self, **fields: Any) -> None:
        """Set these fields and keep the others."""
        self._fields.update(fields)
        write_atomic(self.path, utf8(json_text(self._fields)))

    def end(self, status: str, **fields: Any) -> None:
        """Set the status, when it was reached and after how many seconds.

        A full disk takes no new file: `failed` then stands in place of the status in the old one.
        """
        self._write_or_fail(**self._ending(status), **fields)

    def end_at_once(self) -> bool:
        """Say `interrupted` of a run that is being killed; whether it had not ended by itself."""
        killed = self._fields.get("status") == RUNNING
        told = self._ending("interrupted") | {"reason": KILLED} if killed else {}
        self._write_or_fail(**told)  # also an end that was about to be written
        return killed

    def fail(self, reason: str) -> None:
        """Say `failed` of a run that had gone its way; another keeps its status."""
        if self._fields["status"] in OVER:
            with contextlib.suppress(DiskError):
                self._write_or_fail(status="failed", reason=reason)

    def _write_or_fail(self, **fields: Any) -> None:
        try:
            self.update(**fields)
        except DiskError:
            self._fail_in_place()
            raise

    def _ending(self, status: str) -> dict[str, Any]:
        seconds = round(time.monotonic() - self._begun, 3)
        return {"status": status, "ended": _now(), "seconds": seconds}

    def _fail_in_place(self) -> None:
        """Write `failed` over the status: it is no longer, so a full disk takes it."""
        with contextlib.suppress(OSError), self.path.open("r+b") as file:
            text = file.read()
            for status in (RUNNING, *OVER):
                old = f'"status": "{status}"'.encode()
                if old in text:
                    file.seek(text.index(old))
                    file.write(b'"status": "failed"'.ljust(len(old)))


def _now() -> str:
    """The time with its zone, to the second, as ISO 8601 has it."""
    return datetime.now().astimezone().isoformat(timespec="seconds")
