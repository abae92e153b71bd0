"""Intervals of what a run came to: rows of val and test drawn anew, models as they are."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from trainer.catalog import facts_of
from trainer.config.schema.intervals import Intervals
from trainer.data import Rows
from trainer.machine.interrupted import ShouldStop, never
from trainer.model import MODELS
from trainer.predict.tables import row_scores, scores_by_weights
from trainer.statistics.draws import units_of
from trainer.statistics.intervals import (
    FEWEST_UNITS,
    Interval,
    fewest_resamples,
    percentile_interval,
)
from trainer.statistics.operations import Drawn, affordable, run_operations
from trainer.statistics.resampling import Part, resample

if TYPE_CHECKING:
    from trainer.sweep.refit import TrialModel
    from trainer.sweep.select import Chosen
    from trainer.sweep.sweep import SweepRun

Numbers = np.ndarray[Any, np.dtype[np.float64]]
Indices = np.ndarray[Any, np.dtype[np.int64]]
_RESAMPLES = 1000  # where no number is written


class Uncertainty(NamedTuple):
    """Intervals of a run.

    Attributes:
        metrics: {metric: its interval} of the chosen trial.
        margin: of how much better it is than the runner-up, by the metric that ranks.
        facts: how they were made, as results.json has it.
    """

    metrics: Mapping[str, Interval]
    margin: Interval | None
    facts: Mapping[str, Any]


class _Held(NamedTuple):
    """A split, and the model that was scored on it."""

    prefix: str
    model: TrialModel
    rows: Rows


class _Draws(NamedTuple):
    """What is drawn, how often, and by which seed; and what ends it."""

    wanted: Intervals
    resamples: int
    seed: int
    should_stop: ShouldStop

    def of(self, held: Sequence[_Held]) -> list[dict[str, Numbers]]:
        """Metrics of each draw (R,), of each of some models on the same rows."""
        parts = [_part(self.wanted, one) for one in held]

        def measure(w: Numbers) -> dict[str, Numbers]:
            found = enumerate(part.measure(w) for part in parts)
            return {f"{i} {name}": of for i, metrics in found for name, of in metrics.items()}

        both = parts[0]._replace(measure=measure)
        drawn = resample([both], self.resamples, self.seed, should_stop=self.should_stop)
        found: list[dict[str, Numbers]] = [{} for _ in parts]
        for key, values in drawn.items():
            i, _, name = key.partition(" ")
            found[int(i)][name] = values
        return found

    def interval(self, values: Numbers) -> Interval | None:
        return percentile_interval(values, self.wanted.level)


def uncertainty(
    sweep: SweepRun,
    chosen: Chosen,
    model: TrialModel | None,
    models_of: Callable[[SweepRun, Iterable[int]], Mapping[int, TrialModel]],
    should_stop: ShouldStop,
) -> Uncertainty | None:
    """The intervals that a config asks for; None where it asks for none, or nothing was held out.

    Args:
        sweep: at its end.
        chosen: the choice.
        model: of the chosen trial, by which the test rows were scored.
        models_of: has the models of trials as val has scored them.
        should_stop: ends a written number of draws, which may take long.

    Raises:
        Interrupted: `should_stop()`.
    """
    wanted, best = sweep.spec.intervals, chosen.best
    if not isinstance(wanted, Intervals) or best is None or model is None:
        return None
    ranked = models_of(sweep, _pair(sweep, chosen))
    whole = _held(ranked.get(best.number), model, sweep.repeats)
    if not whole:
        return None
    few = {part.prefix: n for part in whole if (n := _units(wanted, part)) < FEWEST_UNITS}
    held = [part for part in whole if part.prefix not in few]
    if not held:
        return Uncertainty({}, None, _facts(sweep, wanted, whole, 0, few))
    other = _other(ranked, chosen, held[0])
    count = _count(sweep, wanted, held, pair=other is not None)
    facts, fewest = _facts(sweep, wanted, whole, count, few), fewest_resamples(wanted.level)
    if facts["cut"] and count < fewest:
        return Uncertainty({}, None, {**facts, "resamples": 0})
    stop = should_stop if wanted.resamples is not None else never
    draws = _Draws(wanted, count, sweep.spec.seed, stop)
    drawn = {part.prefix: draws.of([part]) for part in held[1 if other else 0 :]}
    if other is not None:
        drawn = {"val": draws.of([held[0], other]), **drawn}
    found = {
        f"{prefix}_{name}": interval
        for prefix, of_models in drawn.items()
        for name, values in of_models[0].items()
        if not _has_none(name) and (interval := draws.interval(values)) is not None
    }
    if without := sorted({name for of in drawn.values() for name in of[0] if _has_none(name)}):
        facts["without"] = without
    facts["undefined"] = {name: of.undefined for name, of in found.items() if of.undefined}
    margin, name = None, chosen.metric.removeprefix("val_")
    if other is not None and name in drawn["val"][0] and not _has_none(name):
        best_by, other_by = (of[name] for of in drawn["val"])
        margin = draws.interval(sweep.rules.sign * (other_by - best_by))
    return Uncertainty(found, margin, facts)


def _facts(
    sweep: SweepRun,
    wanted: Intervals,
    held: Sequence[_Held],
    count: int,
    few: Mapping[str, int],
) -> dict[str, Any]:
    """How intervals are made, as results.json has it."""
    ungrouped = [
        part.prefix
        for part in held
        if wanted.by != "row"
        and part.rows.group is None
        and part.model.prepared.train.group is not None
    ]
    return {
        "resamples": count,
        "level": wanted.level,
        "fewest": fewest_resamples(wanted.level),
        "cut": wanted.resamples is None and count < _RESAMPLES,
        "by": {part.prefix: _by(wanted, part.rows) for part in held},
        **({"few": dict(few)} if few else {}),
        **({"ungrouped": ungrouped} if ungrouped else {}),
        "undefined": {},
        "selected": [part.prefix for part in held if part.prefix == "val" and _is_selected(sweep)],
    }


def _has_none(metric: str) -> bool:
    """Whether draws say nothing of a metric."""
    return bool(facts_of(metric).no_interval)


def _pair(sweep: SweepRun, chosen: Chosen) -> list[int]:
    """The best and the runner-up, if val has scored all of them: their first repeats."""
    pair = [trial for trial in (chosen.best, chosen.runner_up) if trial is not None]
    return [trial.number for trial in pair if sweep.repeats == 1]


def _other(ranked: Mapping[int, TrialModel], chosen: Chosen, best: _Held) -> _Held | None:
    """The runner-up where val ranks it on the very rows of the best."""
    other = ranked.get(chosen.runner_up.number) if chosen.runner_up is not None else None
    if other is None or best.prefix != "val" or not chosen.metric.startswith("val_"):
        return None
    rows = other.prepared.val
    if rows is None or not np.array_equal(rows.index, best.rows.index):
        return None
    return _Held("val", other, rows)


def _held(first: TrialModel | None, model: TrialModel, repeats: int) -> list[_Held]:
    """Val as the trial was ranked by, and the tests as the chosen model was scored on them.

    Of several repeats test rows have a mean, and an interval only of what is fit once more.
    """
    held = []
    if first is not None and first.prepared.val is not None:
        held.append(_Held("val", first, first.prepared.val))
    for rows in model.prepared.tests if repeats == 1 or model.refit is not None else ():
        held.append(_Held("test" if rows.name == "test" else f"test_{rows.name}", model, rows))
    return held


def _is_selected(sweep: SweepRun) -> bool:
    """Whether the rows of val have chosen what they score: a trial, or an epoch."""
    return len(sweep.trials) > 1 or bool(sweep.rules.stopping.restore_best.any())


def _by(wanted: Intervals, rows: Rows) -> str:
    return "row" if wanted.by == "row" or rows.group is None else "group"


def _labels(wanted: Intervals, rows: Rows) -> Indices:
    """(n,) what is drawn whole: each row, or its group."""
    labels = rows.index if _by(wanted, rows) == "row" else rows.group
    assert labels is not None
    return labels


def _units(wanted: Intervals, held: _Held) -> int:
    """How many rows or groups there are to draw from."""
    return units_of(_labels(wanted, held.rows))[1]


def _part(wanted: Intervals, held: _Held) -> Part:
    rows, fitted = held.rows, held.model.fitted
    labels = _labels(wanted, rows)
    measure = scores_by_weights(fitted, row_scores(fitted, rows), rows.y)
    return Part(labels, rows.weight, measure)


def _count(sweep: SweepRun, wanted: Intervals, held: Sequence[_Held], *, pair: bool) -> int:
    """How many draws: those written, else as many as a share of the run's operations allows."""
    if wanted.resamples is not None:
        return wanted.resamples
    features, outputs = sweep.first.device_rows.rows.X.shape[1], sweep.first.outputs
    steps, passes = 0, 0
    for job in sweep.jobs:
        ended = [outcome.step for outcome in job.training.result.outcomes if outcome is not None]
        steps += max(ended, default=0)
        per_epoch = job.facts.steps_per_epoch if job.facts is not None else 1
        passes += sum(ended) // per_epoch
    own = sweep.first.prepared
    held_rows = sum(len(part.rows) for part in held)
    rows, everyone = len(own.train), len(own.train) + held_rows
    whole = run_operations(rows, everyone, features, outputs, steps, passes)
    spec = sweep.spec
    ranks = MODELS[spec.model, spec.loss_name].metrics.ranked
    drawn = [Drawn(len(part.rows), outputs, ranks) for part in held]
    if pair:  # on the draws of val
        drawn[0] = drawn[0]._replace(outputs=2 * outputs)
    return affordable(whole, drawn, _RESAMPLES)
