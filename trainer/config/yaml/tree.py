"""A spec before it is checked: plain values, where each was written, and the limits on them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

from trainer.config.yaml.scalars import Path
from trainer.errors import Fault
from trainer.text.printable import dotted

MAX_CHARACTERS = 1 << 20
MAX_NODES = 20_000
MAX_DEPTH = 20


class Place(NamedTuple):
    """Where a value was written; lines and columns count from 1, and are 0 outside a file."""

    file: str
    folder: str  # what a relative path is relative to
    key: tuple[int, int] = (0, 0)  # (line, column); a list item has its value's
    value: tuple[int, int] = (0, 0)
    text: str | None = None  # a plain scalar as written


@dataclass
class Tree:
    """A value of plain dicts, lists and scalars, and what is known of its parts.

    Attributes:
        value: the value; None if nothing could be read.
        places: where each part was written, by its path.
        faults: what was wrong on the way.
        reported: paths left out of `value` because a fault already speaks of them.
        inherited: paths that were not written, but taken from another part of the file.
    """

    value: Any = None
    places: dict[Path, Place] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    reported: set[Path] = field(default_factory=set)
    inherited: set[Path] = field(default_factory=set)


def fault_at(tree: Tree, path: Path, what: str, at_key: bool = False) -> Fault:
    """Return a fault at the value of a path or at its key; if unwritten, at the key around it."""
    written = path
    while written and written not in tree.places:
        written, at_key = written[:-1], True
    place = tree.places.get(written, Place("", ""))
    line, column = place.key if at_key else place.value
    return Fault(place.file, line, column, dotted(path), what)
