"""Patterns of target columns, such as gene_*, as the names in a table's header."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from fnmatch import fnmatchcase

from trainer.errors import DataError
from trainer.text.labels import nfc
from trainer.text.printable import quote
from trainer.text.suggest import nearest_name


def target_columns(
    targets: Sequence[str],
    header: Callable[[], Sequence[str]],
    others: Collection[str | None],
    where: str,
) -> tuple[str, ...]:
    """The names of the target columns, those that a pattern stands for in the header's order.

    Args:
        targets: as they are written: names, and patterns with *, ? or [.
        header: gives the names of all columns.
        others: columns that no pattern stands for.
        where: for messages.

    Raises:
        DataError: a pattern that no column fits.
    """
    if not any(letter in target for target in targets for letter in "*?["):
        return tuple(targets)
    names = header()
    found: dict[str, None] = {}
    for target in targets:
        matches = [n for n in names if fnmatchcase(n, nfc(target)) and n not in others]
        if nfc(target) in names or not set(target) & set("*?["):
            matches = [target]  # a column may be called so
        if not matches:
            raise DataError(
                f"{where}: target: no column fits the pattern {quote(target)};"
                f" {nearest_name(target, names)}"
            )
        found |= dict.fromkeys(matches)
    return tuple(found)
