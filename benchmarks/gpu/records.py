"""The file of results: JSON lines, each appended whole, so that what ends a run loses none.

Lines are of four kinds, each with the part that it is of:

    state  how a part stands: begun, done, failed, out of time or skipped, after how many seconds
    value  a number that was measured, with its unit
    check  whether something that must hold does
    note   what else there is to say, such as who is not installed
"""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

Record = Mapping[str, Any]
FILE = "gpu.jsonl"
RUN = "run"  # the part of lines that are of no part
BEGUN, DONE, FAILED, LATE, SKIPPED = "begun", "done", "failed", "out of time", "skipped"
_NEVER = "not begun"
_BEGINNING = '{"kind": "'  # of a line of ours
_FIELDS: dict[str, tuple[str, ...]] = {  # by kind: what its lines have
    "state": ("status", "words"),
    "value": ("name", "value", "unit", "words"),
    "check": ("name", "ok", "words"),
    "note": ("name", "words"),
}
_NUMBERS = int, float
_TYPES: dict[str, tuple[type, ...]] = {  # by field; others are texts
    "value": _NUMBERS,
    "minutes": _NUMBERS,
    "seconds": (*_NUMBERS, type(None)),
    "ok": (bool,),
    "rehearsal": (bool,),
    "parts": (list,),
}
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")  # what a terminal obeys, and ends of lines


def append(path: Path, record: Record) -> None:
    """Add a line, whichever process adds others at the same time."""
    with path.open("ab", buffering=0) as file:
        file.write(_bytes_of(record))


def replace(path: Path, found: Iterable[Record]) -> None:
    """Have a file of these lines alone, which is the old one until they are written."""
    part = path.with_name(f".{path.name}.part")
    part.write_bytes(b"".join(map(_bytes_of, found)))
    part.replace(path)


def _bytes_of(record: Record) -> bytes:
    return (json.dumps(record, ensure_ascii=False, allow_nan=True) + "\n").encode("utf-8")


def read(path: Path) -> list[dict[str, Any]]:
    """All lines; one that was cut short, by a machine that went or a full disk, is left out.

    Raises:
        OSError: there is no such file.
        ValueError: it is none of ours.
    """
    found = list[dict[str, Any]]()
    lines = path.read_text(encoding="utf-8", errors="replace").split("\n")
    for number, line in enumerate(lines, 1):
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            if number == len(lines) > 1 or (found and line.startswith(_BEGINNING)):
                continue
            record = None
        if not _is_ours(record):
            raise ValueError(f"line {number} is no result of scripts/gpu")
        found.append({name: _plain(one) for name, one in record.items()})
    return found


def _is_ours(record: Any) -> bool:
    """Whether a line is as it is written here: it may be somebody else's."""
    if not isinstance(record, dict) or not isinstance(record.get("part"), str):
        return False
    fields = _FIELDS.get(str(record.get("kind")), ("no such kind",))
    return record.keys() >= set(fields) and all(map(_fits, record, record.values()))


def _fits(field: str, value: Any) -> bool:
    """Whether a value is of its field's type, and a number one that a float can be."""
    if type(value) not in _TYPES.get(field, (str,)):
        return False
    if isinstance(value, list):
        return all(isinstance(one, str) for one in value)
    return not isinstance(value, int) or value.bit_length() <= 64


def _plain(value: Any) -> Any:
    return _CONTROL.sub(" ", value) if isinstance(value, str) else value


def states(found: Iterable[Record]) -> dict[str, Record]:
    """How each part stands at last."""
    return {one["part"]: one for one in found if one["kind"] == "state"}


def failures(found: Iterable[Record]) -> list[str]:
    """A line for each check that does not hold and each part that is wanted and not done."""
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
    return lines + [f"{part}: {_NEVER}" for part in _never_begun(found)]


def unfinished(found: Iterable[Record]) -> set[str]:
    """The parts of `failures`."""
    found = list(found)
    wrong = {one["part"] for one in found if one["kind"] == "check" and not one["ok"]}
    wrong |= {part for part, one in states(found).items() if one["status"] != DONE}
    return wrong | set(_never_begun(found))


def _never_begun(found: Sequence[Record]) -> list[str]:
    """The parts that were wanted, and of which nothing is said."""
    wanted = dict.fromkeys(part for one in found for part in one.get("parts", ()))
    return [part for part in wanted if part not in states(found)]


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
    if not math.isfinite(value):
        return "–" if math.isnan(value) else f"{'-' * (value < 0)}∞"
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
