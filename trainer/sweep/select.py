"""Which trial is chosen: ranks, the one-standard-error rule, groups, margins, edges of the grid."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from trainer.catalog import draws, is_minimized
from trainer.config.schema.sweep import EACH_REPEAT, SHOTS, swept_shots
from trainer.sweep.defined import is_number
from trainer.sweep.inner import FINAL
from trainer.sweep.trial_result import TrialResult, by_inner, by_repeat

if TYPE_CHECKING:
    from trainer.config.schema.spec import Spec

_FEWEST = 3  # values of an axis whose ends are edges
_WIDE = 10  # a 0 beside values that differ by this factor is no end of theirs
_BELOW_ONE = ("l1_ratio", "momentum", "beta1", "beta2")  # nothing to widen upward
_LABELS = ("seed",)  # no number is better for being near another


class Group(NamedTuple):
    """The winner of one value of the `select.per` paths.

    Attributes:
        per: {path: its value}, the number of the repeat among them where each chooses for itself.
        trial: the winner; of one repeat that it won alone if so.
        repeat: that one; None for the winner by the means over all.
    """

    per: Mapping[str, Any]
    trial: TrialResult
    repeat: int | None = None


class Edge(NamedTuple):
    """A swept number whose winner is at an end of its axis."""

    path: str
    side: str  # low | high
    value: float

    @property
    def advice(self) -> str:
        """What to do."""
        where = "downward" if self.side == "low" else "upward"
        return f"at the edge of the grid: widen {self.path} {where}"


class Chosen(NamedTuple):
    """The choice.

    Attributes:
        best: the chosen trial, or None where none has a rank.
        runner_up: the best of the others with its values of the `select.per` paths, as the metric
            has it.
        margin: how much worse the runner-up is, in the metric's unit; below 0 where the rule chose
            a simpler trial than the best.
        standard_errors: the margin in standard errors of the difference over repeats, paired.
        ahead_in: of resamples, which are no independent repeats and so have no such errors: the
            share of them in which the runner-up is worse.
        held_ratio: what these are corrected by, as folds share training rows: rows held out by
            rows trained on; None without folds.
        paired: whether both are means over the same repeats; else the margin has no such errors.
        groups: winners by `select.per`.
        without: the values of these paths for which no trial has a rank.
        edges: swept numbers at an end of their axis.
        within: how many trials are within one standard error of the best; None for rule best.
        judged: the best by the inner folds that chose it; None without them.
    """

    metric: str
    best: TrialResult | None
    runner_up: TrialResult | None = None
    margin: float | None = None
    standard_errors: float | None = None
    ahead_in: float | None = None
    held_ratio: float | None = None
    paired: bool = True
    groups: Sequence[Group] = ()
    without: Sequence[Mapping[str, Any]] = ()
    edges: Sequence[Edge] = ()
    within: int | None = None
    judged: TrialResult | None = None

    @property
    def nested(self) -> dict[int, int]:
        """{repeat: the trial that it chose by its inner folds}, where that is one a repeat."""
        if self.judged is None:
            return {}
        own = [group for group in self.groups if group.repeat is not None]
        found = {group.repeat: group.trial.number for group in own if group.repeat is not None}
        return found if len(found) == len(own) else {}


def rank(trials: Iterable[TrialResult], metric: str) -> list[TrialResult]:
    """Best first: by the metric; then those halved, the later the better; then those without it.

    More shots come before fewer: values of `few_shot` are not ranked against each other.
    """
    sign, given = 1.0 if is_minimized(metric) else -1.0, list(trials)
    able = [has_rank(trial, metric) for trial in given]
    value = [sign * t.metrics[metric] if a else 0.0 for t, a in zip(given, able, strict=True)]
    reached = [t.evaluations if t.status == "halved" else math.inf for t in given]
    diverged = [trial.status == "diverged" for trial in given]
    numbers = [trial.number for trial in given]
    shots = np.negative([_shots(trial) for trial in given])
    keys = [numbers, value, np.negative(reached), diverged, shots, np.logical_not(able)]
    order = np.lexsort([np.asarray(key) for key in keys])  # the last decides first
    return [given[i] for i in order.tolist()]


def _shots(trial: TrialResult) -> float:
    """The value of the key of `few_shot` that is swept; 0 without one."""
    return max((float(trial.settings[path]) for path in SHOTS if path in trial.settings), default=0)


def has_rank(trial: TrialResult, metric: str) -> bool:
    """Whether a trial can be compared: it did not diverge, and its mean is a number."""
    value = trial.metrics.get(metric, math.nan)
    if trial.status == "diverged":
        return False
    return math.isfinite(value) or bool(is_number(metric, value))


def with_rank(ranked: Iterable[TrialResult], metric: str) -> list[TrialResult]:
    """Of trials, best first, those that have a rank; none where the best is infinitely bad."""
    able = [trial for trial in ranked if has_rank(trial, metric)]
    return able if able and math.isfinite(able[0].metrics[metric]) else []


def ranks(ranked: Sequence[TrialResult], metric: str) -> dict[int, int]:
    """{trial: rank from 1}, of those that have one; among those of as many shots."""
    placed: dict[float, list[int]] = {}
    for trial in with_rank(ranked, metric):
        placed.setdefault(_shots(trial), []).append(trial.number)
    return {n: place for of in placed.values() for place, n in enumerate(of, start=1)}


def choose(trials: Sequence[TrialResult], spec: Spec, metric: str) -> Chosen:
    """The chosen trial, and of each group the chosen one; of swept shots that of the most.

    Args:
        trials: all.
        spec: says the rule and the groups.
        metric: what they are ranked by.
    """
    if any(trial.inner for trial in trials):
        return _nested(trials, spec, metric)
    able = with_rank(rank(trials, metric), metric)
    best, within = _pick(able, spec, metric)
    if best is None:
        return Chosen(metric, None)
    others = [
        trial
        for trial in able
        if trial is not best and trial.status != "halved" and _compete(trial, best, spec)
    ]
    runner_up = others[0] if others else None
    ratio = _held_ratio(best)
    margin, errors = _margin(best, runner_up, metric, ratio) if runner_up else (None, None)
    ahead = None
    if runner_up and spec.repeat is not None and spec.repeat.bootstrap is not None:
        errors, ahead = None, _ahead(best, runner_up, metric)
    groups, without = _groups(trials, spec, metric)
    return Chosen(
        metric,
        best,
        runner_up,
        margin,
        errors,
        ahead,
        ratio if errors is not None else None,
        paired=runner_up is None or _paired(best, runner_up, metric),
        groups=groups,
        without=without,
        edges=_edges(best, trials, spec, metric),
        within=within,
    )


def _nested(trials: Sequence[TrialResult], spec: Spec, metric: str) -> Chosen:
    """The choice by inner folds: of each repeat by its own, the final one by those of all rows."""
    own = by_repeat(trials)
    groups: list[Group] = []
    without: list[Mapping[str, Any]] = []
    for values, lot in _by_paths(trials, spec).items():
        per = dict(zip(per_paths(spec), values, strict=True))
        for repeat, judged in sorted(by_inner(lot).items()):
            place = per | ({} if repeat == FINAL else {EACH_REPEAT: repeat})
            winner, _ = _pick(with_rank(rank(judged, metric), metric), spec, metric)
            outer = lot if repeat == FINAL else own.get(repeat, ())
            scored = next((t for t in outer if winner and t.number == winner.number), None)
            if scored is None:
                without.append(place)
            elif repeat != FINAL:
                groups.append(Group(place, scored, repeat))
            elif per:
                groups.append(Group(place, scored))
    final = by_inner(trials).get(FINAL, [])
    judged_best, within = _pick(with_rank(rank(final, metric), metric), spec, metric)
    if judged_best is None:
        return Chosen(metric, None)
    best = next(trial for trial in trials if trial.number == judged_best.number)
    edges = _edges(judged_best, final, spec, metric)
    return Chosen(
        metric, best, groups=groups, without=without, edges=edges, within=within, judged=judged_best
    )


def score_of_choice(trials: Sequence[TrialResult], spec: Spec, metric: str) -> float:
    """What the choice came to by the metric that ranks; NaN where none has a rank.

    Where each repeat chooses for itself, by inner folds too, the mean over the repeats' own
    winners.

    Args:
        trials: all.
        spec: says the rule and the groups.
        metric: what they are ranked by.
    """
    each: Sequence[Group] = []
    if any(trial.inner for trial in trials):
        chosen = _nested(trials, spec, metric)
        best, each = chosen.best, chosen.groups
    else:
        best, _ = _pick(with_rank(rank(trials, metric), metric), spec, metric)
        if EACH_REPEAT in spec.select.per:
            each = _groups(trials, spec, metric)[0]
    if best is None:
        return math.nan
    own = [
        group.trial.metrics[metric]
        for group in each
        if group.repeat is not None
        and all(group.per[path] == best.settings.get(path) for path in per_paths(spec))
    ]
    return math.fsum(own) / len(own) if own else best.metrics[metric]


def _pick(
    able: Sequence[TrialResult], spec: Spec, metric: str
) -> tuple[TrialResult | None, int | None]:
    """Of trials with a rank, best first, the one that the rule picks; how many were as good."""
    if not able:
        return None, None
    best = able[0]
    if spec.select.rule == "best" or best.count(metric) < 2:
        return best, None
    error = best.stds[metric] / math.sqrt(best.count(metric))
    sign = 1.0 if is_minimized(metric) else -1.0
    bound = sign * best.metrics[metric] + error
    rivals = [t for t in able if t.status != "halved" and _shots(t) == _shots(best)]
    near = [t for t in rivals if sign * t.metrics[metric] <= bound] or [best]
    # Breiman et al. 1984, §3.4.3; of equally strong penalties the better one
    return max(near, key=lambda trial: (trial.l2, trial.l1)), len(near)


def _held_ratio(trial: TrialResult) -> float | None:
    """Rows held out by rows trained on, the mean over folds; None without folds."""
    ratios = [column.held_ratio for column in trial.columns if column.held_ratio is not None]
    return sum(ratios) / len(ratios) if ratios else None


def _margin(
    best: TrialResult, other: TrialResult, metric: str, held_ratio: float | None
) -> tuple[float | None, float | None]:
    """How much worse the other is, and that in standard errors of the paired differences.

    Folds share training rows, so that their J differences are not independent: their mean has
    about the variance (1/J + n_test/n_train)·s² (Nadeau and Bengio 2003, §3).
    """
    sign = 1.0 if is_minimized(metric) else -1.0
    margin = sign * (other.metrics[metric] - best.metrics[metric])
    if best.count(metric) < 2 or not _paired(best, other, metric):
        return margin, None
    with np.errstate(invalid="ignore"):  # of infinite losses
        differences = other.known(metric) - best.known(metric)
        count: float = len(differences)
        if held_ratio is not None:
            count = 1 / (1 / count + held_ratio)
        error = float(differences.std(ddof=1)) / math.sqrt(count)
    return margin, margin / error if error > 0 else None


def _ahead(best: TrialResult, other: TrialResult, metric: str) -> float | None:
    """The share of the repeats in which the other is worse; None of different or single repeats."""
    if best.count(metric) < 2 or not _paired(best, other, metric):
        return None
    sign = 1.0 if is_minimized(metric) else -1.0
    return float(np.mean(sign * other.known(metric) > sign * best.known(metric)))


def _compete(trial: TrialResult, other: TrialResult, spec: Spec) -> bool:
    """Whether two trials are ranked against each other: not where each has a winner of its own."""
    return all(trial.settings.get(p) == other.settings.get(p) for p in per_paths(spec))


def _paired(best: TrialResult, other: TrialResult, metric: str) -> bool:
    """Whether both have the metric in the same repeats."""
    return best.defined_in(metric) == other.defined_in(metric)


def per_paths(spec: Spec) -> list[str]:
    """The paths whose every value gets its own winner."""
    named = [path for path in spec.select.per if path != EACH_REPEAT]
    return list(dict.fromkeys([*named, *swept_shots(spec.axes)]))


def _groups(
    trials: Sequence[TrialResult], spec: Spec, metric: str
) -> tuple[list[Group], list[Mapping[str, Any]]]:
    """The winners by the `select.per` paths, and the values of these without one."""
    paths, each = per_paths(spec), EACH_REPEAT in spec.select.per
    if not paths and not each:
        return [], []
    found: list[Group] = []
    without: list[Mapping[str, Any]] = []
    for values, group in _by_paths(trials, spec).items():
        lots: Mapping[Any, list[TrialResult]] = by_repeat(group) if each else {None: group}
        for repeat, lot in sorted(lots.items()):
            per = dict(zip(paths, values, strict=True))
            per |= {} if repeat is None else {EACH_REPEAT: repeat}
            winner, _ = _pick(with_rank(rank(lot, metric), metric), spec, metric)
            if winner is None:
                without.append(per)
            else:
                found.append(Group(per, winner, repeat))
    return found, without


def _by_paths(
    trials: Sequence[TrialResult], spec: Spec
) -> dict[tuple[Any, ...], list[TrialResult]]:
    """The trials by their values of the `select.per` paths."""
    paths = per_paths(spec)
    members: dict[tuple[Any, ...], list[TrialResult]] = {}
    for trial in trials:
        members.setdefault(tuple(trial.settings.get(path) for path in paths), []).append(trial)
    return members


def _edges(best: TrialResult, trials: Sequence[TrialResult], spec: Spec, metric: str) -> list[Edge]:
    """Axes of numbers at whose end the best trial is, and that make a difference."""
    if spec.sweep is None or draws(spec.sweep.method):
        return []
    # a path of penalties begins where all weights are 0
    begins = spec.trials[best.number].fractions if best.number < len(spec.trials) else {}
    found = []
    for path, value in best.settings.items():
        last = path.rpartition(".")[2]
        if path in per_paths(spec) or path.startswith("vars.") or last in _LABELS:
            continue
        beside = _beside(best, trials, path)
        if _all_tied(best, beside, metric):
            continue  # it is at the end by its number alone
        side = _side(value, [trial.settings[path] for trial in beside])
        if side == "low" or (side == "high" and last not in _BELOW_ONE and path not in begins):
            found.append(Edge(path, side, value))
    return found


def _all_tied(best: TrialResult, trials: Sequence[TrialResult], metric: str) -> bool:
    """Whether all trials have the very value of the best, in every repeat."""
    own = best.known(metric)
    return all(
        has_rank(trial, metric) and np.array_equal(trial.known(metric), own) for trial in trials
    )


def _beside(best: TrialResult, trials: Sequence[TrialResult], path: str) -> list[TrialResult]:
    """The trials that differ from the best one in a path at most.

    So a block of a union has its own ends, and settings that go together (zip) have none.
    """
    rest = {**best.settings, path: None}
    return [
        trial
        for trial in trials
        if path in trial.settings and {**trial.settings, path: None} == rest
    ]


def _side(value: Any, values: Sequence[Any]) -> str | None:
    """At which end of the values one is: low, high or None."""
    if any(isinstance(v, bool) or not isinstance(v, int | float) for v in values):
        return None
    ends = sorted(set(values))
    if len(ends) > 1 and ends[0] == 0 and ends[-1] >= _WIDE * ends[1]:
        ends = ends[1:]
    if len(ends) < _FEWEST:
        return None
    if value == ends[0]:
        return "low" if value != 0 else None  # nothing goes below 0
    return "high" if value == ends[-1] else None
