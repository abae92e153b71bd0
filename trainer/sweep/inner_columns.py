"""Columns of nested cross-validation: which inner fold each is of, and on which rows.

Columns are (trial, repeat, target). Those of inner folds have the numbers of repeats that follow
on the run's own, so that all else of them is as of any column.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from trainer.errors import DataError

if TYPE_CHECKING:
    from trainer.sweep.planned import RowsOf

FINAL = -1
"""The repeat of inner folds of all training rows, by which the final setting is chosen."""


class Inner(NamedTuple):
    """An inner fold.

    Attributes:
        repeat: whose training rows it is of; `FINAL`: of all.
        fold: which of them, from 0.
    """

    repeat: int
    fold: int


class InnerRows(NamedTuple):
    """The rows of an inner fold in one trial, of each group of targets, and where they belong.

    `number` is that of the columns' repeat; `seed` has the repeat whose spec they have.
    """

    number: int
    of: Inner
    groups: Sequence[RowsOf]
    seed: int


def inner_rows(
    found: Sequence[Sequence[RowsOf]], kept: Sequence[int], folds: int, repeats: int
) -> list[InnerRows]:
    """The inner folds of the repeats that are kept, then those of all rows if there are any.

    Args:
        found: of one trial, `folds` of each of its `repeats`, one after another; and of all rows.
        kept: numbers among its repeats of those that train.
        folds: `repeat.inner_folds`.
        repeats: how many it has with those left out.
    """
    starts = [(place, i * folds, i) for place, i in enumerate(kept)]
    if len(found) > repeats * folds:
        starts.append((FINAL, repeats * folds, kept[0]))
    places = [
        (Inner(repeat, fold), found[start + fold], i)
        for repeat, start, i in starts
        for fold in range(folds)
    ]
    return [InnerRows(len(kept) + n, *place) for n, place in enumerate(places)]


def inner_lacking(
    trials: Sequence[Sequence[InnerRows]], short: Container[tuple[int, int]]
) -> set[tuple[int, int]]:
    """(number, target) of the inner folds whose rows lack something in some trial.

    Args:
        trials: of each its inner folds.
        short: (repeat, target) that do not train.

    Raises:
        DataError: these are all of a repeat's.
    """
    lacks = {
        (rows.number, target): what
        for of in trials
        for rows in of
        for group in rows.groups
        for target in group.targets
        if (what := group.lacks or group.lacking.get(target))
    }
    there: dict[tuple[int, int], int] = {}
    for rows, target in _targets(trials[0]):
        key = rows.of.repeat, target
        there[key] = there.get(key, 0) + ((rows.number, target) not in lacks)
    for rows, target in _targets(trials[0]):
        if not there[rows.of.repeat, target] and (rows.of.repeat, target) not in short:
            raise DataError(
                f"repeat.inner_folds: {rows.groups[0].name} has no"
                f" {lacks[rows.number, target].removeprefix('no ')}, and so it is with all of them;"
                " fewer inner folds or more rows of it are right"
            )
    return set(lacks)


def _targets(rows: Sequence[InnerRows]) -> Iterator[tuple[InnerRows, int]]:
    return ((one, t) for one in rows for group in one.groups for t in group.targets)


def rows_of_target(groups: Sequence[RowsOf], target: int) -> RowsOf:
    """Of groups of targets the one with this target."""
    return next(rows for rows in groups if target in rows.targets)
