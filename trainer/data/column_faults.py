"""What speaks against a column as a feature, as the readers of tables find it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple


@dataclass(frozen=True)
class ColumnFault:
    """Why one column cannot be a feature as it is."""

    name: str
    what: str
    """A clause of which the cell is the subject, or the column."""
    row: int | None = None
    """Of the cell that shows it."""
    keys: Mapping[str, Any] = field(default_factory=dict)
    """Keys of the source that read it; without them it is to be left out."""
    is_category: bool = True
    """Whether `categorical` takes it as it is."""
    other: str = ""
    """What else would be right, as a clause."""


class FeatureChoice(NamedTuple):
    """What a source of the spec says of its features, and what was found about them."""

    faults: tuple[ColumnFault, ...] = ()
    columns: tuple[str, ...] | None = None
    drop: tuple[str, ...] = ()
    categorical: tuple[str, ...] = ()
    has_keys: bool = False
    """Whether it is a source of the spec; a table passed in from Python has no keys."""
