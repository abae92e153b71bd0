"""Columns of nested cross-validation: which inner fold each is of, and on which rows.

Columns are (trial, repeat, target). Those of inner folds have the numbers of repeats that follow
on the run's own, so that all else of them is as of any column.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from trainer.errors import DataError
from trainer.sweep.inner import FINAL, Inner
from trainer.sweep.planned import Column

if TYPE_CHECKING:
    from trainer.config.schema.spec import Spec, Trial
    from trainer.sweep.planned import RowsOf


OwnSpec: TypeAlias = "Callable[[Trial, Spec, int, Sequence[RowsOf] | None], Spec]"


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


class InnerLacks(NamedTuple):
    """What the rows of inner folds lack in some trial.

    Attributes:
        folds: {(number, target): what}, of repeats and targets that train.
        all_of: {(repeat, target): what} of those whose inner folds all lack something.
    """

    folds: Mapping[tuple[int, int], str]
    all_of: Mapping[tuple[int, int], str]

    @property
    def counts(self) -> dict[str, int]:
        """{what: inner folds that lack it}, of separate targets of each; most first."""
        return dict(Counter(what for _, what in sorted(self.folds.items())).most_common())


def inner_lacking(
    trials: Sequence[Sequence[InnerRows]], short: Container[tuple[int, int]]
) -> InnerLacks:
    """The inner folds whose rows lack something in some trial.

    Args:
        trials: of each its inner folds.
        short: (repeat, target) that do not train.

    Raises:
        DataError: these are all of a repeat's, of a target that is the only one.
    """
    lacks = {
        (rows.number, target): what
        for of in trials
        for rows in of
        for group in rows.groups
        for target in group.targets
        if (rows.of.repeat, target) not in short
        and (what := group.lacks or group.lacking.get(target))
    }
    all_of: dict[tuple[int, int], str] = {}
    there = {(r.of.repeat, t) for r, t in _targets(trials[0]) if (r.number, t) not in lacks}
    for rows, target in _targets(trials[0]):
        key, what = (rows.of.repeat, target), lacks.get((rows.number, target))
        if what is None or key in there:
            continue
        if any(group.lacks for group in rows.groups):
            raise DataError(
                f"repeat.inner_folds: {rows.groups[0].name} lacks {what}, and so it is with all of"
                " them; fewer inner folds or more rows of it are right"
            )
        all_of.setdefault(key, f"{what} in inner folds")
    return InnerLacks(lacks, all_of)


def _targets(rows: Sequence[InnerRows]) -> Iterator[tuple[InnerRows, int]]:
    return ((one, t) for one in rows for group in one.groups for t in group.targets)


def inner_of(
    spec: Spec,
    parts_of: Callable[[Spec], list[list[RowsOf]]],
    kept: Sequence[int],
    repeats: int,
) -> list[InnerRows]:
    """The inner folds of a trial; none without `repeat.inner_folds`.

    Args:
        spec: of the trial.
        parts_of: makes those of one seed.
        kept: numbers among its repeats of those that train.
        repeats: how many it has with those left out.
    """
    if spec.repeat is None or spec.repeat.inner_folds is None:
        return []
    folds = spec.repeat.inner_folds
    of_each = repeats // spec.repeat.seeds * folds  # of one seed
    seeds = range(spec.seed, spec.seed + spec.repeat.seeds)
    parts = [
        parts_of(spec if seed == spec.seed else spec.model_copy(update={"seed": seed}))
        for seed in seeds
    ]
    found = [groups for of in parts for groups in of[:of_each]]
    return inner_rows([*found, *parts[0][of_each:]], kept, folds, repeats)


def inner_columns(
    trials: Sequence[Trial],
    own_spec: OwnSpec,
    inner: Sequence[Sequence[InnerRows]],
    found: Sequence[Sequence[tuple[list[RowsOf], Spec]]],
    kept: Sequence[int],
    short: Container[tuple[int, int]],
    lacking: Container[tuple[int, int]],
) -> Iterator[tuple[RowsOf, Column]]:
    """The columns of inner folds, but for those whose rows lack something.

    Args:
        trials: all.
        own_spec: what makes the spec of a trial for a target, by the rows that a fold is cut from.
        inner: by trial.
        found: by trial its repeats.
        kept: of these the ones that train.
        short: (repeat, target) that do not.
        lacking: (number, target) of the inner folds that lack something.
    """
    for number, of in enumerate(inner):
        for one in of:
            spec = found[number][one.seed][1]
            own = None if one.of.repeat == FINAL else found[number][kept[one.of.repeat]][0]
            for rows, t in ((of_all, t) for of_all in one.groups for t in of_all.targets):
                if (one.number, t) not in lacking and (one.of.repeat, t) not in short:
                    trial_spec = own_spec(trials[number], spec, t, own)
                    yield rows, Column(number, one.number, trial_spec, t)
