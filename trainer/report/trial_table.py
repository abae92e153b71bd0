"""The table of all trials, as data that report.js sorts, filters and shows a page at a time."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from trainer.report.html import embedded, esc
from trainer.report.sweep import SweepView, metric_words
from trainer.report.words import counted

_FIXED = ("rank", "trial", "status")
_LAST = ("epochs", "best_epoch")


def trial_table(sweep: SweepView) -> str:
    """The frame of the table, with its rows beside it."""
    columns = _columns(sweep)
    heads = [_head(sweep, name) for name in columns]
    rows = [[_cell(row, name) for name in columns] for row in sweep.rows]
    data = {
        "rows": rows,
        "numbers": [_is_number(rows, i) for i in range(len(columns))],
        "best": sweep.material.best.get("trial"),
    }
    top = "".join(
        f'<th scope="col" aria-sort="{"ascending" if i == 0 else "none"}">'
        f"<button>{esc(head)}</button></th>"
        for i, head in enumerate(heads)
    )
    count = counted(len(rows), "trial")
    return f"""<div class="card wide trials">
<div class="title"><h3>{esc(count)}</h3>
<input type="search" placeholder="filter, such as lr&gt;0.1" aria-label="filter trials"></div>
<p class="note">A head sorts. Words must occur in a row; <code>lr&gt;0.1</code>, <code>l2=0</code>
 compare a column. <span class="shown" role="status"></span></p>
<div class="scroll" tabindex="0" role="region" aria-label="Trials"><table class="full sticky">
<thead><tr>{top}</tr></thead><tbody></tbody></table></div>
<p class="more"><button class="scale">show more</button></p>
<script type="application/json">{embedded(data)}</script>
</div>"""


def _columns(sweep: SweepView) -> list[str]:
    first: Mapping[str, Any] = sweep.rows[0]
    swept = [axis.path for axis in sweep.axes]
    metrics = [name for name in first if name.startswith("val_") and not name.endswith("_std")]
    metrics = sorted([*metrics, "train_loss"], key=lambda name: name != sweep.metric)
    deviation = f"{sweep.metric}_std"
    shown = [metrics[0], deviation, *metrics[1:]]
    repeated = any(row.get(deviation) is not None for row in sweep.rows)
    return [
        *_FIXED[:2],
        *swept,
        *(name for name in shown if name in first and (name != deviation or repeated)),
        *(name for name in _LAST if name in first),
        _FIXED[2],
    ]


def _head(sweep: SweepView, name: str) -> str:
    names = {axis.path: axis.name for axis in sweep.axes}
    if name in names:
        return names[name]
    if name.endswith("_std"):
        return "± over repeats"
    if name.startswith(("val_", "train_")):
        return (
            metric_words(name).replace("validation ", "")
            if name != "train_loss"
            else "training loss"
        )
    return name.replace("_", " ")


def _cell(row: Mapping[str, Any], name: str) -> Any:
    value = row.get(name)
    if isinstance(value, float):
        return float(f"{value:.5g}") if math.isfinite(value) else None
    return value.replace("_", " ") if name == "status" and isinstance(value, str) else value


def _is_number(rows: list[list[Any]], i: int) -> bool:
    return all(isinstance(row[i], int | float) or row[i] is None for row in rows)
