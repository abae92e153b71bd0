"""Write the table of docs/metrics.md anew, from the rows of the catalog.

The text around the table is written by hand.
"""

from __future__ import annotations

import re
from pathlib import Path

from trainer.catalog import METRICS, MetricFacts
from trainer.text.printable import one_of

PAGE = Path(__file__).resolve().parents[1] / "docs" / "metrics.md"
_TABLE = re.compile(r"(<!-- metrics of (\w+) -->\n).*?(?=<!-- end -->)", re.DOTALL)
_HEAD = ["metric", "better", "what it is", "equals, or is from", "not defined without"]


def with_tables(page: str) -> str:
    """Return the page with the table of each model as the catalog has it."""
    return _TABLE.sub(lambda found: found[1] + _table(found[2]), page)


def _table(model: str) -> str:
    lines = [_line(_HEAD), _line(["---"] * len(_HEAD), "|")]
    of_model = [name for name, facts in METRICS.items() if model in facts.models]
    for name in sorted(of_model, key=lambda name: model in METRICS[name].named):
        lines.append(_line(_cells(name, METRICS[name], model)))
    return "\n".join(lines) + "\n"


def _cells(name: str, facts: MetricFacts, model: str) -> list[str]:
    outputs = facts.models[model]
    only = ""
    if outputs.most == 1:
        only = ", one output"
    elif outputs.fewest > 1:
        only = f", {outputs.fewest} outputs or more"
    asked = ", by name" if model in facts.named else ""
    better = "more" if facts.greater_is_better else "less"
    needs = [word for word in (facts.needs, facts.needs_predictions) if word]
    return [f"`{name}`{only}{asked}", better, facts.formula, facts.source, one_of(needs, "and")]


def _line(cells: list[str], edge: str = " ") -> str:
    if edge == "|":
        return "|" + "|".join(cells) + "|"
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


if __name__ == "__main__":
    PAGE.write_text(with_tables(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
