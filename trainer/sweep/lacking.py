"""Repeats whose rows lack something: left out of every trial, for all targets or for some."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trainer.sweep.planned import RowsOf


def lacking_of(
    trials: Sequence[Sequence[Sequence[RowsOf]]],
) -> tuple[dict[int, tuple[str, str]], dict[tuple[int, int], str]]:
    """The repeats that no trial has, each with its name and what it lacks; and those of targets.

    Args:
        trials: of each its repeats, of each of which the rows that targets share.
    """
    left_out: dict[int, tuple[str, str]] = {}
    lacking: dict[tuple[int, int], str] = {}
    for i, groups in ((i, groups) for repeats in trials for i, groups in enumerate(repeats)):
        if groups[0].lacks:
            left_out[i] = groups[0].name, groups[0].lacks
        lacking |= {(i, t): what for rows in groups for t, what in rows.lacking.items()}
    for i, groups in enumerate(trials[0]):
        of_all = [lacking.get((i, t)) for rows in groups for t in rows.targets]
        if of_all[0] is not None and None not in of_all:
            left_out[i] = groups[0].name, of_all[0]
    return left_out, lacking


def fewer_of(
    lacking: Mapping[tuple[int, int], str], left_out: Container[int]
) -> dict[int, dict[str, int]]:
    """{target: {what rows lack: in how many repeats}} of targets that have fewer than others.

    Args:
        lacking: by repeat and target what the rows lack.
        left_out: repeats that no target has.
    """
    found: dict[int, Counter[str]] = {}
    for (i, target), what in sorted(lacking.items()):
        if i not in left_out:
            found.setdefault(target, Counter())[what] += 1
    return {target: dict(found[target]) for target in sorted(found)}
