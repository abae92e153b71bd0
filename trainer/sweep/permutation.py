"""The selection of a run once more with permuted labels: what chance alone comes to."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from trainer.data.permuted import (
    permuted_source,
    permuted_targets,
    source_arrangements,
    splits_ignore_labels,
)
from trainer.machine.interrupted import ShouldStop
from trainer.sweep.select import score_of_choice

if TYPE_CHECKING:
    from trainer.config.schema.spec import Spec, Trial
    from trainer.data import Source
    from trainer.sweep.columns import Sources
    from trainer.sweep.sweep import SweepRun
    from trainer.sweep.trial_result import TrialResult

Numbers = np.ndarray[Any, np.dtype[np.float64]]
_SIDE_BY_SIDE = 250  # permutations that are columns of the same stacks, at most
_CELLS = 4_000_000  # rows times permutations that are held at once, where there are more than one


class Again(NamedTuple):
    """What carries out the selection of a run once more: the very functions of a run.

    Attributes:
        train: see `train_again`.
        results: see `trial_results`.
    """

    train: Callable[[SweepRun, Sequence[Trial], Sources, ShouldStop], SweepRun | None]
    results: Callable[[SweepRun], list[TrialResult]]


def scores(sweep: SweepRun, trials: Sequence[TrialResult]) -> Numbers:
    """(T,) what the choice of each target came to; of a joint run T is 1."""
    spec, metric = sweep.spec, sweep.rules.metric
    by_target: list[list[TrialResult]] = [[] for _ in range(sweep.rules.targets)]
    for trial in trials:
        by_target[trial.target].append(trial)
    return np.array([score_of_choice(of, spec, metric) for of in by_target])


def least_arrangements(sweep: SweepRun) -> int:
    """How many labellings permutations lead to, of the source that has fewest, up to a billion.

    Raises:
        DataError: nothing can move.
    """
    specs = {id(sweep.sources.of(trial.spec)): trial.spec for trial in sweep.trials}
    return min(source_arrangements(sweep.sources.of(spec), spec) for spec in specs.values())


def null_scores(
    sweep: SweepRun, numbers: Sequence[int], again: Again, should_stop: ShouldStop
) -> Iterator[Numbers]:
    """What the whole selection comes to with permuted labels, one permutation after another.

    Splits are made anew by the run's own rule; every trial is trained, stopped, halved and chosen
    as in the run. Where splits depend on no label, permutations are columns of the same stacks.

    Args:
        sweep: at its end.
        numbers: of the permutations.
        again: carries out the selection.
        should_stop: ends them.

    Yields:
        (T,) by target; NaN where a permutation leads to no choice.

    Raises:
        Interrupted: `should_stop()`.
    """
    width = side_by_side(sweep)
    for start in range(0, len(numbers), width):
        part = numbers[start : start + width]
        make = _beside if width > 1 else _alone
        yield from make(sweep, part, again, should_stop)


def side_by_side(sweep: SweepRun) -> int:
    """How many permutations `null_scores` makes at once."""
    read = sweep.sources.of
    if not all(splits_ignore_labels(read(t.spec), t.spec) for t in sweep.trials):
        return 1
    rows = max(read(trial.spec).frame.rows for trial in sweep.trials)
    return min(max(_CELLS // max(rows, 1), 1), _SIDE_BY_SIDE)


def _alone(
    sweep: SweepRun, numbers: Sequence[int], again: Again, should_stop: ShouldStop
) -> Iterator[Numbers]:
    def change(source: Source, spec: Spec) -> Source:
        return permuted_source(source, spec, *numbers)

    changed = sweep.sources.changed([trial.spec for trial in sweep.trials], change)
    found = again.train(sweep, sweep.spec.trials, changed, should_stop)
    if found is None:
        yield np.full(sweep.rules.targets, np.nan)
        return
    of = dict(zip(_names(found), scores(found, again.results(found)), strict=True))
    yield np.array([of.get(name, np.nan) for name in _names(sweep)])  # some may lack a class


def _names(sweep: SweepRun) -> tuple[str, ...]:
    return ("",) if sweep.targets is None else sweep.targets.names


def _beside(
    sweep: SweepRun, numbers: Sequence[int], again: Again, should_stop: ShouldStop
) -> Iterator[Numbers]:
    def change(source: Source, spec: Spec) -> Source:
        return permuted_targets(source, spec, numbers)

    changed = sweep.sources.changed([trial.spec for trial in sweep.trials], change)
    trials = [replace(trial, spec=_separate(trial.spec)) for trial in sweep.spec.trials]
    found = again.train(sweep, trials, changed, should_stop)
    of = {}
    if found is not None:
        of = dict(zip(_names(found), scores(found, again.results(found)), strict=True))
    for number in numbers:
        yield np.array([of.get(str(number), np.nan)])


def _separate(spec: Spec) -> Spec:
    data = spec.data.model_copy(update={"positive": "auto"})  # labels are 0 and 1
    return spec.model_copy(update={"targets": "separate", "data": data})
