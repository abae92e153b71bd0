"""The file of results: JSON lines, each appended whole, so that what ends a run loses none.

Lines are of four kinds, each with the part that it is of:

    state  how a part stands: begun, done, failed, out of time or skipped, after how many seconds
    value  a number that was measured, with its unit
    check  whether something that must hold does
    note   what else there is to say, such as who is not installed
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

Record = Mapping[str, Any]
FILE = "gpu.jsonl"
RUN = "run"  # the part of lines that are of no part
BEGUN, DONE, FAILED, LATE, SKIPPED = "begun", "done", "failed", "out of time", "skipped"


def append(path: Path, record: Record) -> None:
    """Add a line, whichever process adds others at the same time."""
    line = json.dumps(record, ensure_ascii=False, allow_nan=True) + "\n"
    with path.open("ab", buffering=0) as file:
        file.write(line.encode("utf-8"))


def read(path: Path) -> list[dict[str, Any]]:
    """All lines; one that was cut short by a machine that went is left out.

    Raises:
        OSError: there is no such file.
        ValueError: it is none of ours.
    """
    found = []
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    for number, line in enumerate(lines, 1):
        try:
            record = json.loads(line)
        except ValueError:
            if number == len(lines) > 1:
                continue
            record = None
        if not isinstance(record, dict) or not {"kind", "part"} <= record.keys():
            raise ValueError(f"line {number} is no result of scripts/gpu")
        found.append(record)
    return found


def states(found: Iterable[Record]) -> dict[str, Record]:
    """How each part stands at last."""
    return {one["part"]: one for one in found if one["kind"] == "state"}


def failures(found: Iterable[Record]) -> list[str]:
    """A line for each check that does not hold and each part that is not done."""
    found = list(found)
    lines = [
        f"{one['part']}: {one['name']}: {one['words']}"
        for one in found
        if one["kind"] == "check" and not one["ok"]
    ]
    for part, state in states(found).items():
        if state["status"] != DONE:
            words = f": {state['words']}" if state.get("words") else ""
            lines.append(f"{part}: {state['status']}{words}")
    return lines


def unfinished(found: Iterable[Record]) -> set[str]:
    """The parts of `failures`."""
    found = list(found)
    wrong = {one["part"] for one in found if one["kind"] == "check" and not one["ok"]}
    return wrong | {part for part, one in states(found).items() if one["status"] != DONE}


def line(record: Record) -> str:
    """A record as the log has it."""
    kind, words = record["kind"], record.get("words", "")
    if kind == "state":
        after = f" after {record['seconds']:.0f} s" if record.get("seconds") is not None else ""
        return f"{record['part']}: {record['status']}{after}{f': {words}' if words else ''}"
    if kind == "check":
        return (
            f"  {'ok ' if record['ok'] else 'NO '} {record['name']}{f': {words}' if words else ''}"
        )
    if kind == "value":
        said = f"  {short(record['value'])} {record['unit']}"
        return f"{said:<20}  {record['name']}{f' ({words})' if words else ''}"
    return f"  {record['name']}: {words}" if record.get("name") else f"  {words}"


def short(value: float) -> str:
    """Three digits or a whole number, without an exponent where that can be read."""
    if value != value:
        return "–"
    if abs(value) >= 100 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.3g}" if abs(value) < 0.001 else f"{value:.{_digits(abs(value))}f}"


def _digits(size: float) -> int:
    return 1 if size >= 10 else 2 if size >= 1 else 3


def output_folder(given: Path | None) -> Path | None:
    """The folder of the results: what was given, else that of the environment's OUT."""
    if given is not None:
        return given
    named = os.environ.get("OUT", "")
    return Path(named) if named else None
