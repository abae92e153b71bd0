"""Repeats whose rows lack something, and targets that a trial cannot train: left out of all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Container, Mapping, Sequence
from typing import TYPE_CHECKING

from trainer.errors import DataError
from trainer.text.printable import quote

if TYPE_CHECKING:
    from trainer.data.separate import SeparateTargets
    from trainer.sweep.planned import RowsOf


def lacking_of(
    trials: Sequence[Sequence[Sequence[RowsOf]]],
    beyond: Mapping[tuple[int, int], str],
) -> tuple[dict[int, tuple[str, str]], dict[tuple[int, int], str]]:
    """The repeats that no trial has, each with its name and what it lacks; and those of targets.

    Args:
        trials: of each its repeats, of each of which the rows that targets share.
        beyond: by repeat and target what is known to lack beside.
    """
    left_out: dict[int, tuple[str, str]] = {}
    lacking = dict(beyond)
    for i, groups in ((i, groups) for repeats in trials for i, groups in enumerate(repeats)):
        if groups[0].lacks:
            left_out[i] = groups[0].name, groups[0].lacks
        lacking |= {(i, t): what for rows in groups for t, what in rows.lacking.items()}
    for i, groups in enumerate(trials[0]):
        of_all = [lacking.get((i, t)) for rows in groups for t in rows.targets]
        if of_all[0] is not None and None not in of_all:
            left_out[i] = groups[0].name, of_all[0]
    return left_out, lacking


def same_folds(counts: Sequence[int]) -> None:
    """Refuse trials, each with so many repeats, that have not as many.

    Raises:
        DataError: one has others than the first.
    """
    for number, count in enumerate(counts):
        if count != counts[0]:
            raise DataError(
                f"repeat.folds: trial {number} has {count} folds, trial 0 has {counts[0]};"
                " data of as many folds in every trial are right"
            )


def kept_of(left_out: Mapping[int, tuple[str, str]], repeats: int) -> list[int]:
    """The repeats of so many that are not left out.

    Raises:
        DataError: none is left.
    """
    kept = [i for i in range(repeats) if i not in left_out]
    if not kept:
        name, lacks = next(iter(left_out.values()))
        raise DataError(
            f"repeat: {name} has no {lacks} to train on or to hold out, and so it is with"
            f" all {len(left_out)} repeats; more rows of it are right"
        )
    return kept


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


def in_no_repeat(fewer: Mapping[int, Mapping[str, int]], repeats: int) -> dict[int, str]:
    """{target: why} of those without a repeat that all trials have.

    Args:
        fewer: what `fewer_of` found.
        repeats: how many there are.
    """
    none = [target for target, lacks in fewer.items() if sum(lacks.values()) == repeats]
    return {t: f"no repeat of all trials has {' and '.join(fewer[t])}" for t in none}


def same_targets(
    targets_of: Callable[[], Mapping[int, SeparateTargets]],
    leave_out: Callable[[Mapping[str, str]], None],
) -> None:
    """Leave out of all trials the separate targets that one of them cannot train.

    Args:
        targets_of: the targets of each trial that may differ from others, by its number.
        leave_out: leaves targets out of all, {name: why}.

    Raises:
        DataError: no target is left, or trials have others.
    """
    found = targets_of()
    lost: dict[str, str] = {}
    for number, of in found.items():
        for name, why in of.left_out.items():
            elsewhere = any(name not in other.left_out for other in found.values())
            lost.setdefault(name, f"{why} (trial {number})" if elsewhere else why)
    if any(lost.keys() - of.left_out.keys() for of in found.values()):
        leave_out(lost)
        found = targets_of()
    first, *others = found.values()
    for other in others:
        if other.names != first.names:
            odd = sorted({*first.names} ^ {*other.names})
            raise DataError(
                f"targets: separate: {quote(odd[0]) if odd else 'their order'} is not the same in"
                " all trials; every trial must have the same targets"
            )
