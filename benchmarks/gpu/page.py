"""The results as a Markdown page, as those of docs/benchmarks/ are written."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.gpu import records
from benchmarks.gpu.parts import PARTS

_HEAD = """# {device}

Measured by `scripts/gpu` in {minutes:g} minutes. {versions}

{verdict}

- Times are by the clock, until the device has done what was asked of it; single calls so often
  that they take a twentieth of a second, stretches of steps with their log fetched.
- **by kernels** is a step by our own kernels, **by functions** the same function by function
  (`STACKED_TRAINER_COMPILED=0`).
- **Peers** are processes of their own on the same GPU, all in turn; the ratio is of the same
  round, the median with the least and the most; above 1 they are slower than ours.
"""


def device_of(found: Sequence[records.Record]) -> str:
    """The name of the device, or ""."""
    return _note(found, "device", "device")


def is_rehearsal(found: Sequence[records.Record]) -> bool:
    """Whether no GPU was measured."""
    return any(one.get("rehearsal") for one in found)


def name_of(device: str) -> str:
    """The name of the page of a device."""
    plain = device.partition(" (CuPy")[0].lower()
    return f"gpu-{re.sub(r'[^a-z0-9]+', '-', plain).strip('-')}.md"


def write(found: Sequence[records.Record], folder: Path) -> Path | None:
    """Write the page of these results; None of a rehearsal, and without a device."""
    device = device_of(found)
    if not device or is_rehearsal(found):
        return None
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name_of(device)
    part = path.with_name(f".{path.name}.part")
    part.write_text(page(found), encoding="utf-8")
    part.replace(path)
    return path


def page(found: Sequence[records.Record]) -> str:
    """The page."""
    faults = records.failures(found)
    verdict = f"All {_held(found)} checks hold, and every part is done."
    if faults:
        rest = "".join(f"\n- {_plain(fault)}" for fault in faults)
        verdict = f"{_held(found)} checks hold. What does not, and what is not done:\n{rest}"
    minutes = max((one.get("minutes", 0.0) for one in found), default=0.0)
    versions = ". ".join(
        f"{name}: {words}"
        for name in ("trainer", "versions", "CUDA", "nvidia-smi")
        if (words := _note(found, "device", name))
    )
    device = _plain(device_of(found))
    head = _HEAD.format(device=device, minutes=minutes, versions=_plain(versions), verdict=verdict)
    lines = [head]
    for part, state in records.states(found).items():
        own = [one for one in found if one["part"] == part and one["kind"] != "state"]
        lines += _section(part, own, state)
    return "\n".join(lines).rstrip() + "\n"


def _section(part: str, own: Sequence[records.Record], state: records.Record) -> list[str]:
    seconds = f", {state['seconds']:.0f} s" if state.get("seconds") is not None else ""
    title = PARTS[part].title if part in PARTS else _plain(part)
    lines = [f"## {title}: {_plain(state['status'])}{seconds}", ""]
    checks = [one for one in own if one["kind"] == "check"]
    if checks:
        lines += [f"{sum(one['ok'] for one in checks)} of {len(checks)} checks hold.", ""]
    values = [one for one in own if one["kind"] == "value"]
    if values:
        lines += [*{"steps": _steps, "peers": _peers}.get(part, _table)(values), ""]
    notes = [one for one in own if one["kind"] == "note" and one["words"]]
    lines += [
        f"- {_plain(one['name'])}: {_plain(one['words'])}" for one in notes if part != "device"
    ]
    return [*lines, ""] if notes and part != "device" else lines


def _table(values: Sequence[records.Record]) -> list[str]:
    rows = [
        f"| {_plain(one['name'])} | {_number(one)} | {_plain(one['unit'])} |"
        f" {_plain(one['words'])} |"
        for one in values
    ]
    return ["| what | | | |", "|---|---:|---|---|", *rows]


def _steps(values: Sequence[records.Record]) -> list[str]:
    """A row a K, a column a way, of those in µs a step; the rest below."""
    cells: dict[str, dict[str, str]] = {}
    for one in values:
        if one["unit"] == "µs a step":
            K, _, way = _plain(one["name"]).partition(", ")
            cells.setdefault(K, {})[way] = _number(one)
    ways = list(dict.fromkeys(way for row in cells.values() for way in row))
    rows = [
        f"| {K} | {' | '.join(row.get(way, '–') for way in ways)} |" for K, row in cells.items()
    ]
    head = [f"| µs a step | {' | '.join(ways)} |", f"|---|{'---:|' * len(ways)}"]
    rest = [one for one in values if one["unit"] != "µs a step"]
    return [*head, *rows, *(["", *_table(rest)] if rest else [])]


def _peers(values: Sequence[records.Record]) -> list[str]:
    """A row a contender: its time, and its ratio to ours."""
    ratios = {one["name"]: one for one in values if one["unit"] == "times"}
    lines = ["| contender | µs a step | ratio (least–most) |", "|---|---:|---:|"]
    for one in values:
        if one["unit"] == "µs a step":
            ratio: Any = ratios.get(f"{one['name']}, of ours")
            spread = _plain(ratio["words"]).replace(" to ", "–") if ratio else ""
            words = f"**{_number(ratio)}** ({spread})" if ratio else "**1.00**"
            lines.append(f"| {_plain(one['name'])} | {_number(one)} | {words} |")
    return lines


def _number(one: records.Record) -> str:
    return records.short(float(one["value"]))


def _held(found: Sequence[records.Record]) -> int:
    return sum(one["kind"] == "check" and one["ok"] for one in found)


def _note(found: Sequence[records.Record], part: str, name: str) -> str:
    words = [
        one["words"]
        for one in found
        if one["kind"] == "note" and (one["part"], one["name"]) == (part, name)
    ]
    return str(words[-1]) if words else ""


def _plain(words: str) -> str:
    """Words that mean nothing else in a table of Markdown: no cell, no link, no HTML."""
    return re.sub(r"[|\[\]]", r"\\\g<0>", words).replace("<", "&lt;").replace("\n", " ")
