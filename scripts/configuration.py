"""Write the tables of docs/configuration.md anew, from the keys of the schema.

The text around the tables is written by hand. A table stands between `<!-- keys of Block -->`, or
`<!-- keys of Block beyond Another -->`, and `<!-- end -->`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

from pydantic import Tag
from pydantic.fields import FieldInfo

from trainer.config.schema import data, intervals, optimizer, penalty, spec, sweep
from trainer.config.schema.fields import Absent, Block, Expected
from trainer.config.yaml.write import flow

PAGE = Path(__file__).resolve().parents[1] / "docs" / "configuration.md"
_TABLE = re.compile(r"(<!-- keys of (\w+)(?: beyond (\w+))? -->\n).*?(?=<!-- end -->)", re.DOTALL)

BLOCKS = {
    name: kind
    for module in (data, penalty, optimizer, sweep, intervals, spec)
    for name, kind in vars(module).items()
    if isinstance(kind, type) and issubclass(kind, Block) and name[0] != "_"
}


def with_tables(page: str) -> str:
    """Return the page with each table as the schema has it."""
    return _TABLE.sub(lambda found: found[1] + _table(found[2], found[3]), page)


def _table(name: str, beyond: str | None) -> str:
    block = BLOCKS[name]
    known = BLOCKS[beyond].model_fields if beyond else {}
    lines = ["| key | default | takes | meaning |", "|---|---|---|---|"]
    for key, field in block.model_fields.items():
        if key not in known:
            cells = (f"`{key}`", _default(field), _takes(field), field.description or "")
            lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines) + "\n"


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    if isinstance(value, Block):
        return "see below"
    return f"`{flow('none' if value is None else value)}`"


def _takes(field: FieldInfo) -> str:
    """Return what a key takes in the words of the fault that any other value is."""
    parts = [*field.metadata, *_parts(field.annotation)]
    phrases = [part.phrase(field.annotation) for part in parts if isinstance(part, Expected)]
    takes = phrases[0] if phrases else "a block"
    if Ellipsis in parts:  # a tuple of any length
        one_or_many = any(isinstance(part, Tag) for part in parts)
        if "a list" not in takes:
            takes = f"{takes}, or a list" if one_or_many else f"a list, each {takes}"
    return f"{takes}, or none" if Absent in parts and "none" not in takes else takes


def _parts(annotation: Any) -> Iterator[Any]:
    yield annotation
    for inner in get_args(annotation):
        yield from _parts(inner)


if __name__ == "__main__":
    PAGE.write_text(with_tables(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
