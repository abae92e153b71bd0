"""The table of what is measured of each label, where a row has several."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from trainer.catalog import METRICS
from trainer.report.html import esc, table
from trainer.text.names import cut_apart
from trainer.text.numbers import counted, number

_MOST = 1000  # labels of a table; the file has all


def label_table(best: Mapping[str, Any], split: str) -> str:
    """A card with a row a label, the lowest average precision first; empty where there is none.

    Args:
        best: the chosen trial as results.json has it.
        split: whose rows.
    """
    found: Sequence[Mapping[str, Any]] = (best.get("labels") or {}).get(split) or ()
    if not found:
        return ""
    metrics = [name for name in METRICS if name in found[0]]
    ordered = sorted(found, key=_worst_first)[:_MOST]
    names = [str(row["label"]) for row in ordered]
    rows = [
        [f'<span title="{esc(name)}">{esc(shown)}</span>', *(_cell(row[m]) for m in metrics)]
        for name, shown, row in zip(names, cut_apart(names, 40), ordered, strict=True)
    ]
    which = f"{len(rows):,} of {counted(len(found), 'label')}, " if len(rows) < len(found) else ""
    note = f"{which}the lowest average precision first; – stands where one is not defined."
    head = ["label", *(esc(METRICS[name].label) for name in metrics)]
    inner = f'<p class="note">{esc(note[:1].upper() + note[1:])}</p>'
    inner += table(head, rows, kind="full", label="Each label")
    return f'<div class="card wide"><h3>Each label</h3>{inner}</div>'


def _worst_first(row: Mapping[str, Any]) -> tuple[bool, float]:
    value = row.get("average_precision")
    return value is None, value or 0.0


def _cell(value: float | None) -> str:
    return "–" if value is None else esc(number(value))
