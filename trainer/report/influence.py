"""The section of a leave-one-out run: the rows that disagree most with all others."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trainer.report.charts.influence import disagreeing, influence_chart
from trainer.report.html import chart, esc, section, table
from trainer.text.names import cut_apart
from trainer.text.numbers import counted, number

if TYPE_CHECKING:
    from trainer.report.run_data import RunData

_SHOWN = 10
_LETTERS = 40  # of an output's name


def influence_section(run_data: RunData) -> str:
    """A table of the rows and a chart of all; nothing where no row was left out."""
    rows = run_data.influence
    drawn = influence_chart(rows, _which(run_data)) if rows else None
    if drawn is None:
        return ""
    shown = disagreeing(rows, _SHOWN)
    several = len({row["output"] for row in rows}) > 1
    names = cut_apart([str(row["output"]) for row in shown], _LETTERS)
    cells = [
        [
            f"{row['row']:,}",
            *([f'<span title="{esc(row["output"])}">{esc(name)}</span>'] if several else []),
            *(
                esc("" if row[key] is None else number(row[key]))
                for key in ("residual", "leverage", "cooks_distance")
            ),
        ]
        for row, name in zip(shown, names, strict=True)
    ]
    head = ["row", *(["output"] if several else []), "residual", "leverage", "Cook’s distance"]
    note = (
        "By Cook’s distance, how far the model moves without the row; residuals are y − ŷ of the"
        " model of all others. Rows count from 0 in their source."
    )
    listed = f'<p class="note">{note}</p>' + table(head, cells, kind="full", label="Rows")
    most = f'<div class="card wide"><h3>The most influential rows</h3>{listed}</div>'
    return section("Rows that disagree most", most if shown else "", chart(drawn))


def _which(run_data: RunData) -> str:
    """Which rows influence.csv has."""
    whole = (run_data.results.get("influence") or {}).get("of")
    far = "Far right: unlike the other rows; far from 0: unlike what they say of it."
    if not isinstance(whole, int) or whole <= len(run_data.influence):
        return far
    kept = counted(len(run_data.influence), "row")
    return f"{far} The {kept} of the largest Cook’s distance, of {whole:,}."
