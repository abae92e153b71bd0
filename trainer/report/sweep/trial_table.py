"""The table of all trials, as data that report.js sorts, filters and shows a page at a time."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from trainer.catalog import metric_of
from trainer.report.html import embedded, esc, scrolling
from trainer.report.sweep.words import metric_words
from trainer.text.numbers import text

if TYPE_CHECKING:
    from trainer.report.sweep.view import SweepView

_OF_SOLVERS = ("iterations", "gradient_max", "gap")
_LAST = ("epochs", "best_epoch", "status")

_HEADS = {"train_loss": "training loss", "gradient_max": "max|dJ/dW|", "gap": "J − J* at most"}


def trial_table(sweep: SweepView) -> str:
    """The frame of the table, with its rows beside it."""
    columns = _columns(sweep)
    heads = [_head(sweep, name) for name in columns]
    cells = [cells_of(name, [row.get(name) for row in sweep.rows]) for name in columns]
    reasons = [text(row.get("reason") or "") for row in sweep.rows]
    best = sweep.run_data.best.get("trial")
    return searched_table("All trials", columns, heads, cells, reasons, best)


def searched_table(
    title: str,
    columns: Sequence[str],
    heads: Sequence[str],
    cells: Sequence[Sequence[Any]],
    reasons: Sequence[str],
    best: Any = None,
) -> str:
    """The frame of a table that is sorted and filtered, with its rows beside it.

    Args:
        title: of the card.
        columns: names, as the file has them.
        heads: of the columns.
        cells: a list a column.
        reasons: of each row.
        best: the cell of the second column of the row that stands out.
    """
    data = {
        "rows": list(zip(*cells, strict=True)),
        "numbers": [all(v is None or isinstance(v, int | float) for v in of) for of in cells],
        "names": [_written(name, head) for name, head in zip(columns, heads, strict=True)],
        "reasons": reasons,
        "best": best,
    }
    top = "".join(
        f'<th scope="col" aria-sort="{"ascending" if i == 0 else "none"}">'
        f'<button title="{esc(name)}">{esc(head)}</button></th>'
        for i, (name, head) in enumerate(zip(columns, heads, strict=True))
    )
    empty = f'<table class="full sticky"><thead><tr>{top}</tr></thead><tbody></tbody></table>'
    example = esc(f"filter, such as {_written(columns[2], heads[2])[-1]}>0.1")
    return f"""<div class="card wide trials">
<div class="title"><h3>{esc(title)}</h3>
<input type="search" placeholder="{example}" aria-label="filter {esc(title.lower())}"></div>
<p class="note">A head sorts. A word must occur in the row; <code>lr&gt;0.1</code>,
 <code>status=diverged</code> compare a column. <span class="shown" role="status"></span></p>
{scrolling(empty, title.removeprefix("All ").capitalize(), pinned=True)}
<p class="more"><button class="scale">show more</button></p>
<script type="application/json">{embedded(data)}</script>
</div>"""


def _columns(sweep: SweepView) -> list[str]:
    first: Mapping[str, Any] = sweep.rows[0]
    beside = ("_std", "_count")
    metrics = [name for name in first if name.startswith("val_") and not name.endswith(beside)]
    metrics = sorted([*metrics, "train_loss"], key=lambda name: name != sweep.metric)
    for name in (f"{sweep.metric}_count", f"{sweep.metric}_std"):
        if any(row.get(name) is not None for row in sweep.rows):
            metrics.insert(1, name)
    solved = all(row.get("iterations") is not None for row in sweep.rows)
    last = (*_OF_SOLVERS, "status") if solved else (*_LAST[:2], *_OF_SOLVERS, "status")
    shown = (name for name in (*metrics, *last) if any(name in row for row in sweep.rows))
    return ["rank", "trial", *(axis.path for axis in sweep.axes), *shown]


def _head(sweep: SweepView, name: str) -> str:
    names = {axis.path: axis.name for axis in sweep.axes}
    if name in names:
        return names[name]
    if name.endswith("_std"):
        return "± over repeats"
    if name.endswith("_count"):
        return "mean of repeats"
    if name in _HEADS:
        return _HEADS[name]
    if name.startswith("val_"):
        kind = metric_of(name)
        label = metric_words(name).removeprefix("validation ")
        return label if kind is None else sweep.run_data.metric_label(kind)
    return name.replace("_", " ")


def _written(name: str, head: str) -> list[str]:
    """How a filter may call a column: as the file has it, as the table has it."""
    return [name.lower(), head.lower().replace(" ", "_")]


def cells_of(name: str, values: list[Any]) -> list[Any]:
    """A column of the table; of whole numbers as it is."""
    return values if set(map(type, values)) <= {int} else [_cell(name, value) for value in values]


def _cell(name: str, value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.5g}") if math.isfinite(value) else None
    if name == "status" and isinstance(value, str):
        return value.replace("_", " ")
    return value if value is None or isinstance(value, int | float) else text(value)
