"""Which trial is chosen: ranks, the one-standard-error rule, groups, margins, edges of the grid."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from trainer.config.schema.spec import Spec
from trainer.config.schema.sweep import SHOTS
from trainer.sweep.build import minimized

_FEWEST = 3  # values of an axis whose ends are edges
_WIDE = 10  # a 0 beside values that differ by this factor is no end of theirs
_BELOW_ONE = ("l1_ratio", "momentum", "beta1", "beta2")  # nothing to widen upward
_LABELS = ("seed",)  # no number is better for being near another


@dataclass(frozen=True)
class ColumnResult:
    """What came of one (trial, repeat).

    `epochs` and `step` are of its end, `best_epoch` and `best_step` of the evaluation that counts,
    as are its metrics, which are empty without one.
    """

    trial: int
    repeat: int
    status: str
    reason: str
    l2: float
    l1: float
    C: float | None
    epochs: int
    step: int
    best_epoch: int | None
    best_step: int | None
    grad_norm: float
    facts: Mapping[str, float] = field(default_factory=dict)
    """What a solver knows of it: iterations, evaluations, gradient_max and gap."""
    metrics: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class TrialResult:
    """What came of one trial.

    Attributes:
        number, settings, spec: as in `Trial`.
        columns: by repeat.
        evaluations: how many it reached.
    """

    number: int
    settings: Mapping[str, Any]
    spec: Spec
    columns: Sequence[ColumnResult]
    evaluations: int

    @cached_property
    def _told(self) -> ColumnResult:
        """The column whose status is the trial's: of several the worst off."""
        worst = ("diverged", "interrupted", "not_converged")

        def place(column: ColumnResult) -> tuple[int, float]:
            gap = column.facts.get("gap", 0.0)
            rank = worst.index(column.status) if column.status in worst else len(worst)
            return rank, -(math.inf if math.isnan(gap) else gap)

        return min(self.columns, key=place)

    @property
    def status(self) -> str:
        """That of the worst off of its columns."""
        return self._told.status

    @property
    def reason(self) -> str:
        """Why it ended; where its columns ended differently, the worst off."""
        told = self._told
        ends = {(column.status, column.reason) for column in self.columns}
        return told.reason if len(ends) == 1 else f"repeat {told.repeat}: {told.reason}"

    @cached_property
    def metrics(self) -> dict[str, float]:
        """Means over the columns; empty if one of them has none, or diverged in a sweep."""
        if not all(column.metrics for column in self.columns):
            return {}
        if self.status == "diverged" and len(self.columns) > 1:
            return {}
        names = self.columns[0].metrics
        return {name: float(np.mean(self.of_repeats(name))) for name in names}

    @cached_property
    def stds(self) -> dict[str, float]:
        """Standard deviations over the columns (ddof 1); empty with one column."""
        if len(self.columns) < 2:
            return {}
        with np.errstate(invalid="ignore"):  # of infinite losses
            return {name: float(np.std(self.of_repeats(name), ddof=1)) for name in self.metrics}

    def of_repeats(self, name: str) -> np.ndarray[Any, np.dtype[np.float64]]:
        """(R,) a metric of each column."""
        return np.array([column.metrics[name] for column in self.columns])

    @property
    def l2(self) -> float:
        """Mean over the columns, which differ where the penalty is written as C."""
        return float(np.mean([column.l2 for column in self.columns]))

    @property
    def l1(self) -> float:
        """Mean over the columns."""
        return float(np.mean([column.l1 for column in self.columns]))

    @property
    def C(self) -> float | None:
        """scikit-learn's C, the mean over the columns; None without a penalty."""
        values = [column.C for column in self.columns if column.C is not None]
        return float(np.mean(values)) if len(values) == len(self.columns) else None

    @property
    def epochs(self) -> int:
        """Epochs trained, the most of a column."""
        return max(column.epochs for column in self.columns)

    @property
    def best_epoch(self) -> int | None:
        """The epoch of the evaluation that counts."""
        return _common(column.best_epoch for column in self.columns)

    @property
    def best_step(self) -> int | None:
        """The step of the evaluation that counts."""
        return _common(column.best_step for column in self.columns)

    @cached_property
    def facts(self) -> dict[str, float]:
        """The most of a column, unknown where one is; empty without a solver."""
        names = self.columns[0].facts
        every = {name: [c.facts.get(name, math.nan) for c in self.columns] for name in names}
        return {name: float(np.max(values)) for name, values in every.items()}

    @property
    def grad_norm(self) -> float:
        """Mean over the columns."""
        return float(np.mean([column.grad_norm for column in self.columns]))


def _common(values: Iterable[int | None]) -> int | None:
    known = [value for value in values if value is not None]
    return max(known) if known else None


@dataclass(frozen=True)
class Group:
    """The winner of one value of the `select.per` paths."""

    per: Mapping[str, Any]
    trial: TrialResult


@dataclass(frozen=True)
class Edge:
    """A swept number whose winner is at an end of its axis."""

    path: str
    side: str  # low | high
    value: float

    @property
    def advice(self) -> str:
        """What to do."""
        where = "downward" if self.side == "low" else "upward"
        return f"at the edge of the grid: widen {self.path} {where}"


@dataclass(frozen=True)
class Chosen:
    """The choice.

    Attributes:
        best: the chosen trial, or None where all diverged.
        runner_up: the best of the others, as the metric has it.
        margin: how much worse the runner-up is, in the metric's unit; below 0 where the rule chose
            a simpler trial than the best.
        standard_errors: the margin in standard errors of the difference over repeats, paired.
        groups: winners by `select.per`.
        edges: swept numbers at an end of their axis.
        within: how many trials are within one standard error of the best; None for rule best.
    """

    metric: str
    best: TrialResult | None
    runner_up: TrialResult | None = None
    margin: float | None = None
    standard_errors: float | None = None
    groups: Sequence[Group] = ()
    edges: Sequence[Edge] = ()
    within: int | None = None


def rank(trials: Iterable[TrialResult], metric: str) -> list[TrialResult]:
    """Best first: by the metric; then those halved, the later the better; then those without it."""
    sign = 1.0 if minimized(metric) else -1.0

    def key(trial: TrialResult) -> tuple[Any, ...]:
        value = trial.metrics.get(metric, math.nan)
        lost = trial.status == "diverged" or math.isnan(value)
        halved = trial.evaluations if trial.status == "halved" else math.inf
        return lost, trial.status == "diverged", -halved, sign * value if not lost else 0.0

    return sorted(trials, key=lambda trial: (*key(trial), trial.number))


def ranks(ranked: Sequence[TrialResult]) -> dict[int, int]:
    """{trial: rank from 1}, without those that diverged."""
    placed = [trial.number for trial in ranked if trial.status != "diverged"]
    return {number: place for place, number in enumerate(placed, start=1)}


def choose(trials: Sequence[TrialResult], spec: Spec, metric: str) -> Chosen:
    """The chosen trial, and of each group the chosen one.

    Args:
        trials: all.
        spec: says the rule and the groups.
        metric: what they are ranked by.
    """
    best, within = _pick(trials, spec, metric)
    if best is None:
        return Chosen(metric, None)
    able = [trial for trial in rank(trials, metric) if _eligible(trial, metric)]
    others = [trial for trial in able if trial is not best and trial.status != "halved"]
    runner_up = others[0] if others else None
    margin, errors = _margin(best, runner_up, metric) if runner_up else (None, None)
    return Chosen(
        metric,
        best,
        runner_up,
        margin,
        errors,
        _groups(trials, spec, metric),
        _edges(best, trials, spec),
        within,
    )


def _eligible(trial: TrialResult, metric: str) -> bool:
    return trial.status != "diverged" and not math.isnan(trial.metrics.get(metric, math.nan))


def _pick(
    trials: Sequence[TrialResult], spec: Spec, metric: str
) -> tuple[TrialResult | None, int | None]:
    """The trial that the rule picks, and how many were as good."""
    ranked = rank(trials, metric)
    able = [trial for trial in ranked if _eligible(trial, metric)]
    if not able:  # a plain run may have a model without a metric that is a number
        kept = [trial for trial in ranked if trial.status != "diverged" and trial.metrics]
        return (kept[0] if kept else None), None
    best = able[0]
    if spec.select.rule == "best" or len(best.columns) < 2:
        return best, None
    error = best.stds[metric] / math.sqrt(len(best.columns))
    sign = 1.0 if minimized(metric) else -1.0
    bound = sign * best.metrics[metric] + error
    near = [t for t in able if t.status != "halved" and sign * t.metrics[metric] <= bound] or [best]
    # Breiman et al. 1984, §3.4.3; of equally strong penalties the better one
    return max(near, key=lambda trial: (trial.l2, trial.l1)), len(near)


def _margin(
    best: TrialResult, other: TrialResult, metric: str
) -> tuple[float | None, float | None]:
    """How much worse the other is, and that in standard errors of the paired differences."""
    sign = 1.0 if minimized(metric) else -1.0
    margin = sign * (other.metrics[metric] - best.metrics[metric])
    if len(best.columns) < 2 or len(best.columns) != len(other.columns):
        return margin, None
    with np.errstate(invalid="ignore"):  # of infinite losses
        differences = other.of_repeats(metric) - best.of_repeats(metric)
        error = float(differences.std(ddof=1)) / math.sqrt(len(differences))
    return margin, margin / error if error > 0 else None


def per_paths(spec: Spec) -> list[str]:
    """The paths whose every value gets its own winner."""
    shots = [SHOTS] if SHOTS in spec.axes and SHOTS not in spec.select.per else []
    return [*spec.select.per, *shots]


def _groups(trials: Sequence[TrialResult], spec: Spec, metric: str) -> list[Group]:
    paths = per_paths(spec)
    if not paths:
        return []
    members: dict[tuple[Any, ...], list[TrialResult]] = {}
    for trial in trials:
        members.setdefault(tuple(trial.settings.get(path) for path in paths), []).append(trial)
    found = []
    for values, group in members.items():
        winner, _ = _pick(group, spec, metric)
        if winner is not None:
            found.append(Group(dict(zip(paths, values, strict=True)), winner))
    return found


def _edges(best: TrialResult, trials: Sequence[TrialResult], spec: Spec) -> list[Edge]:
    """Axes of numbers at whose end the best trial is."""
    if spec.sweep is None or spec.sweep.method != "grid":
        return []
    # a path of penalties begins where all weights are 0
    begins = spec.trials[best.number].fractions if best.number < len(spec.trials) else {}
    found = []
    for path, value in best.settings.items():
        last = path.rpartition(".")[2]
        if path in per_paths(spec) or path.startswith("vars.") or last in _LABELS:
            continue
        side = _side(value, _beside(best, trials, path))
        if side == "low" or (side == "high" and last not in _BELOW_ONE and path not in begins):
            found.append(Edge(path, side, value))
    return found


def _beside(best: TrialResult, trials: Sequence[TrialResult], path: str) -> list[Any]:
    """The values of a path, all else as in the best trial.

    So a block of a union has its own ends, and settings that go together (zip) have none.
    """
    rest = {**best.settings, path: None}
    return [
        trial.settings[path]
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
