"""The parts of a page that only a sweep has."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from trainer.report.html import chart, esc, section, table
from trainer.report.sweep.axis_charts import along_axes
from trainer.report.sweep.coefficient_path import coefficient_path
from trainer.report.sweep.heat_map import heat_map
from trainer.report.sweep.learning_curves import learning_curves
from trainer.report.sweep.parallel import parallel
from trainer.report.sweep.selection import halving_rows, held_out, selection, winners
from trainer.report.sweep.trial_table import trial_table

if TYPE_CHECKING:
    from trainer.report.sweep.view import SweepView


def choice_list(sweep: SweepView) -> str:
    """Which setting won, and by how much."""
    rows = "".join(f"<dt>{esc(name)}</dt><dd>{esc(value)}</dd>" for name, value in selection(sweep))
    return f'<dl class="facts choice">{rows}</dl>'


def sweep_sections(sweep: SweepView) -> Iterator[str]:
    """What was tried, and what it did."""
    yield section("Settings tried", _winners(sweep), *map(chart, along_axes(sweep)))
    yield section("Held out", _held_out(sweep))
    together = (heat_map(sweep), parallel(sweep))
    yield section("Axes together", *(chart(drawing) for drawing in together if drawing))
    curves = (learning_curves(sweep), coefficient_path(sweep))
    yield section("On the way", *(chart(drawing) for drawing in curves if drawing), _rungs(sweep))
    yield section("Trials", trial_table(sweep))


def _winners(sweep: SweepView) -> str:
    head, rows = winners(sweep)
    names = " and ".join(head[: head.index("trial")]) if rows else ""
    return _card(f"The winner for each {names}", head, rows, "full") if rows else ""


def _held_out(sweep: SweepView) -> str:
    """The winner on each fold that the data name."""
    called, head, rows = held_out(sweep)
    return _card(f"The winner on each {called}", head, rows, "full") if rows else ""


def _rungs(sweep: SweepView) -> str:
    head = ["after evaluation", "went on", f"best {sweep.name} dropped", "dropped, best first"]
    rows = halving_rows(sweep)
    return _card("What halving dropped", head, rows, "full words") if rows else ""


def _card(title: str, head: list[str], rows: list[list[str]], kind: str) -> str:
    cells = [[esc(cell) for cell in row] for row in rows]
    inner = table([esc(name) for name in head], cells, kind=kind, label=title)
    return f'<div class="card wide"><h3>{esc(title)}</h3>{inner}</div>'
