"""Rows that Python passes in two parts, each with an index of its own (pandas)."""

from __future__ import annotations

from typing import Any

from trainer.errors import DataError


def check_alignment(X: Any, other: Any, where: str, x_where: str) -> None:
    """Refuse parts whose indices name the same rows in another order: rows are paired by place.

    Indices of different names are left alone, as one of the two may have been made anew.

    Args:
        X: the features, of any type.
        other: target, weight or group, of any type.
        where: what messages call `other`.
        x_where: what they call X.

    Raises:
        DataError: names the first row that differs.
    """
    ours: Any = getattr(X, "index", None)
    theirs: Any = getattr(other, "index", None)
    if not (hasattr(ours, "equals") and hasattr(theirs, "equals")) or len(ours) != len(theirs):
        return
    if ours.equals(theirs) or ours.has_duplicates or theirs.has_duplicates:
        return
    if len(ours.intersection(theirs)) != len(ours):
        return
    row = next(i for i, (a, b) in enumerate(zip(ours, theirs, strict=True)) if a != b)
    raise DataError(
        f"{where}: has the index of {x_where} in another order (row {row} is {theirs[row]} here"
        f" and {ours[row]} there), and rows are paired by their place; reindex it by X.index"
    )
