"""manifest.json while a run goes on: what the run is, its status, and how it ended."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from trainer.errors import DiskError
from trainer.runs.names import FORMAT_VERSION, OVER, RUNNING
from trainer.text import system
from trainer.text.atomic import utf8, write_atomic
from trainer.text.csv_json import json_text

_FIELDS_OF_AN_END = ("ended", "seconds", "reason", "warning", "elsewhere")
"""Fields that a run which goes on does not have: its new end may be another."""
KILLED = "killed by a second signal before all was written"


class Manifest:
    """The manifest of one run: its fields in memory, written whole at each change.

    A field whose write the disk refused stays in memory and goes out with the next change.
    """

    def __init__(
        self, path: Path, fields: Mapping[str, Any] | None = None, seconds: float = 0.0
    ) -> None:
        self.path = path
        self._fields: dict[str, Any] = dict(fields or {})
        self._begun = time.monotonic() - seconds

    @classmethod
    def reopen(cls, path: Path, seconds: float = 0.0, warning: str = "") -> Manifest:
        """Go on with the manifest of a run whose process has ended; its fields are kept.

        Args:
            path: of the file.
            seconds: that the run has taken so far.
            warning: what it has warned of so far; what its end did is no longer so.

        Raises:
            DiskError: the disk refused.
            ValueError: the file is no record.
            OSError: the file cannot be read.
        """
        fields = json.loads(path.read_bytes())
        if not isinstance(fields, dict):
            raise ValueError("not a JSON object")
        before = fields.get("resumed")
        times = [*before, _now()] if isinstance(before, list) else [_now()]
        kept = {key: value for key, value in fields.items() if key not in _FIELDS_OF_AN_END}
        if warning:
            kept["warning"] = warning
        manifest = cls(path, kept, seconds)
        manifest.update(status=RUNNING, resumed=times, **_process())
        return manifest

    @property
    def seconds(self) -> float:
        """How long the run has taken, without the time between a process and the next."""
        return round(time.monotonic() - self._begun, 3)

    @property
    def warning(self) -> str:
        """What the run has warned of so far."""
        return str(self._fields.get("warning") or "")

    def start(self, name: str, **fields: Any) -> None:
        """Write the first fields of a run that goes on from now.

        Args:
            name: the run's.
            fields: what else is known by then.
        """
        first = {"format_version": FORMAT_VERSION, "status": RUNNING, "name": name}
        self.update(**first, started=_now(), **_process(), **fields)

    def update(self, **fields: Any) -> None:
        """Set these fields and keep the others."""
        self._fields.update(fields)
        write_atomic(self.path, utf8(json_text(self._fields)))

    def copy_to(self, path: Path) -> None:
        """Write another file of these fields."""
        write_atomic(path, utf8(json_text(self._fields)))

    def warn(self, sentences: Sequence[str]) -> None:
        """Put sentences, which have no full stop, behind those of `warning`."""
        known = self.warning
        # a run that was resumed finds again what it had found before
        new = [told for told in sentences if told.lower() not in known.lower()]
        if new:
            more = [told[:1].upper() + told[1:] for told in new]
            self.update(warning=". ".join([known, *more] if known else [new[0], *more[1:]]))

    def end(self, status: str, **fields: Any) -> None:
        """Set the last status, with the time and the seconds since the start.

        A full disk takes no new file: the old one then says `failed` in place of its status.
        """
        self._write_or_fail(**self._ending(status), **fields)

    def end_at_once(self) -> bool:
        """Set `interrupted` in a run that is being killed; return whether it had not ended yet."""
        killed = self._fields.get("status") == RUNNING
        told = self._ending("interrupted") | {"reason": KILLED} if killed else {}
        self._write_or_fail(**told)  # also an end that was about to be written
        return killed

    def fail(self, reason: str) -> None:
        """Set `failed` in place of a status of `OVER`, which `trained` tells; another stays."""
        if (status := self._fields["status"]) in OVER:
            with contextlib.suppress(DiskError):
                self._write_or_fail(status="failed", reason=reason, trained=status)

    def _write_or_fail(self, **fields: Any) -> None:
        try:
            self.update(**fields)
        except DiskError:
            self._fail_in_place()
            raise

    def _ending(self, status: str) -> dict[str, Any]:
        return {"status": status, "ended": _now(), "seconds": self.seconds}

    def _fail_in_place(self) -> None:
        """Write `failed` over the status within the file: no longer than it, so it always fits."""
        with contextlib.suppress(OSError), self.path.open("r+b") as file:
            text = file.read()
            for status in (RUNNING, *OVER):
                old = f'"status": "{status}"'.encode()
                if old in text:
                    file.seek(text.index(old))
                    file.write(b'"status": "failed"'.ljust(len(old)))


def _process() -> dict[str, Any]:
    """Whose run it is: what tells later whether it still goes on, where files have no locks."""
    return {"pid": os.getpid(), "host": system.host(), "boot_id": system.boot_id()}


def _now() -> str:
    """The time with its zone, to the second, as ISO 8601 has it."""
    return datetime.now().astimezone().isoformat(timespec="seconds")
