"""Patterns of target columns, such as gene_*, as the names in a table's header."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Any

from trainer.data.sources.registry import csv_options_of
from trainer.data.sources.shards import shards_of
from trainer.errors import DataError
from trainer.text.labels import nfc
from trainer.text.printable import quote, show_path
from trainer.text.suggest import nearest_name

_MAGIC = "*?["


def with_names(source: Any, train: Any = None, named: Any = None) -> Any:
    """The source with the names that the patterns among its targets stand for, in their order.

    Args:
        source: a source block of the spec, or a word.
        train: the training source as it was written, for another source of the same targets.
        named: that one with its names, which the other's are.

    Raises:
        DataError: a pattern that no column fits.
    """
    if getattr(source, "form", "") != "table" or not any(map(_is_pattern, source.target_names)):
        return source
    if train is not None and getattr(train, "target", None) == source.target:
        return source.model_copy(update={"target": named.target})
    from trainer.data.sources import tables

    path = shards_of(source)[0].table
    names = tables.column_names(path, csv_options_of(source))
    others = {*source.drop, source.weight, source.group}
    found: dict[str, None] = {}
    for target in source.target_names:
        matches = _matching(target, names, others)
        if not matches:
            raise DataError(
                f"{show_path(path)}: target: no column fits the pattern {quote(target)};"
                f" {nearest_name(target, names)}"
            )
        found |= dict.fromkeys(matches)
    return source.model_copy(update={"target": tuple(found)})


def _is_pattern(name: str) -> bool:
    return any(letter in name for letter in _MAGIC)


def _matching(target: str, names: Sequence[str], others: set[Any]) -> list[str]:
    """The columns that a target stands for: of a name, and of a column called so, that one."""
    if not _is_pattern(target) or nfc(target) in names:
        return [target]
    return [name for name in names if fnmatchcase(name, nfc(target)) and name not in others]
