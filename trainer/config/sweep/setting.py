"""A swept key of one trial, with its value."""

from __future__ import annotations

from typing import Any, NamedTuple

from trainer.config.yaml.scalars import Path


class Setting(NamedTuple):
    """A swept key of one trial."""

    key: str
    value: Any
    place: Path  # where the value is written
    is_fraction: bool = False


Settings = tuple[Setting, ...]
