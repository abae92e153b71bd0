"""What came of a trial: its columns, and the means over them, of many trials at once."""

from __future__ import annotations

import math
from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from trainer.sweep.inner import FINAL

if TYPE_CHECKING:
    from trainer.config.schema.spec import Spec

Numbers = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True)
class ColumnResult:
    """What came of one (trial, repeat, target).

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
    undefined: Collection[str] = ()
    """Metrics that its validation rows leave undefined, in every trial."""
    parts: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    """{metric: (classes or outputs that it is the mean over, all)}, where these are fewer."""
    target: int = 0
    held_ratio: float | None = None
    """Rows that its fold holds out, by those that it trains on; None without folds."""


class Means(NamedTuple):
    """Numbers of a trial over its columns, as `TrialResult` has them."""

    l2: float
    l1: float
    C: float | None
    grad_norm: float
    metrics: Mapping[str, float]
    stds: Mapping[str, float]


@dataclass(frozen=True)
class TrialResult:
    """What came of one trial, for one target where several are problems of their own.

    Attributes:
        number, settings, spec: as in `Trial`.
        columns: by repeat.
        target: the number of the target.
        evaluations: how many it reached.
        inner: by repeat its columns on inner folds; those of all training rows at `FINAL`.
        means: over its columns; None: they are worked out when they are asked for.
    """

    number: int
    settings: Mapping[str, Any]
    spec: Spec
    columns: Sequence[ColumnResult]
    evaluations: int
    means: Means | None = field(default=None, compare=False, repr=False)
    target: int = 0
    inner: dict[int, Sequence[ColumnResult]] = field(default_factory=dict)

    @cached_property
    def _means(self) -> Means:
        return self.means or means_of([self.columns])[0]

    @cached_property
    def _told(self) -> ColumnResult:
        """The column whose status is the trial's: of several the worst off."""
        worst = ("diverged", "interrupted", "not_converged")

        def place(column: ColumnResult) -> tuple[int, float]:
            gap = column.facts.get("gap", 0.0)
            rank = worst.index(column.status) if column.status in worst else len(worst)
            return rank, -(math.inf if math.isnan(gap) else gap)

        return min(self.columns, key=place)

    @cached_property
    def status(self) -> str:
        """That of the worst off of its columns."""
        return self._told.status

    @property
    def cut_short(self) -> bool:
        """Whether an interruption ended one of its columns, or of those of inner folds."""
        inner = [column for of in self.inner.values() for column in of]
        return "interrupted" in {column.status for column in [*self.columns, *inner]}

    @property
    def reason(self) -> str:
        """Why it ended; where its columns ended differently, the worst off."""
        told = self._told
        ends = {(column.status, column.reason) for column in self.columns}
        return told.reason if len(ends) == 1 else f"repeat {told.repeat}: {told.reason}"

    @property
    def metrics(self) -> Mapping[str, float]:
        """Means over the columns whose rows define the metric, NaN where none do.

        Empty if a column has no metrics, or diverged in a sweep.
        """
        return self._means.metrics

    @property
    def stds(self) -> Mapping[str, float]:
        """Standard deviations over the same columns (ddof 1); only where there are several."""
        return self._means.stds

    def known(self, name: str) -> Numbers:
        """A metric of the columns whose rows define it: what a mean is made of."""
        return np.array([c.metrics[name] for c in self.columns if name not in c.undefined])

    def defined_in(self, name: str) -> list[int]:
        """The repeats whose rows define a metric."""
        return [column.repeat for column in self.columns if name not in column.undefined]

    def count(self, name: str) -> int:
        """Over how many columns the mean of a metric is."""
        return len(self.defined_in(name))

    @property
    def fewer(self) -> dict[str, int]:
        """`count` of the metrics that not all columns have."""
        lacking = {name for column in self.columns for name in column.undefined}
        return {name: self.count(name) for name in self.metrics if name in lacking}

    @property
    def parts(self) -> dict[str, tuple[int, int]]:
        """`parts` of the column that has the fewest."""
        least: dict[str, tuple[int, int]] = {}
        for name, some in ((n, k) for column in self.columns for n, k in column.parts.items()):
            least[name] = min(some, least.get(name, some))
        return least

    @property
    def l2(self) -> float:
        """Mean over the columns, which differ where the penalty is written as C."""
        return self._means.l2

    @property
    def l1(self) -> float:
        """Mean over the columns."""
        return self._means.l1

    @property
    def C(self) -> float | None:
        """scikit-learn's C, the mean over the columns; None without a penalty."""
        return self._means.C

    @property
    def epochs(self) -> int:
        """Epochs trained, the most of a column."""
        return max([column.epochs for column in self.columns])

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
        if not names:
            return {}
        every = {name: [c.facts.get(name, math.nan) for c in self.columns] for name in names}
        return {name: float(np.max(values)) for name, values in every.items()}

    @property
    def grad_norm(self) -> float:
        """Mean over the columns."""
        return self._means.grad_norm


def by_repeat(trials: Sequence[TrialResult]) -> dict[int, list[TrialResult]]:
    """Of each repeat the trials as they did in it alone."""
    columns = [(trial, column) for trial in trials for column in trial.columns]
    means = means_of([[column] for _, column in columns])
    found: dict[int, list[TrialResult]] = {}
    for (trial, column), of in zip(columns, means, strict=True):
        found.setdefault(column.repeat, []).append(replace(trial, columns=(column,), means=of))
    return found


def by_inner(trials: Sequence[TrialResult]) -> dict[int, list[TrialResult]]:
    """Of each repeat the trials as they did on its inner folds; the final choice's at `FINAL`.

    That is on those of all training rows; where there are none, on those of all repeats.
    """
    lots = [
        (repeat, trial, columns)
        for trial in trials
        for repeat, columns in (trial.inner | _all_inner(trial)).items()
    ]
    means = means_of([columns for _, _, columns in lots])
    found: dict[int, list[TrialResult]] = {}
    for (repeat, trial, columns), of in zip(lots, means, strict=True):
        found.setdefault(repeat, []).append(replace(trial, columns=columns, means=of))
    return found


def _all_inner(trial: TrialResult) -> dict[int, Sequence[ColumnResult]]:
    if FINAL in trial.inner:
        return {}
    return {FINAL: [column for columns in trial.inner.values() for column in columns]}


def _common(values: Iterable[int | None]) -> int | None:
    known = [value for value in values if value is not None]
    return max(known) if known else None


def means_of(trials: Sequence[Sequence[ColumnResult]]) -> list[Means]:
    """The means over the columns of each trial: of all trials that are alike in one array."""
    alike: dict[tuple[int, tuple[str, ...], Hashable], list[int]] = {}
    for i, columns in enumerate(trials):
        undefined = tuple([frozenset(column.undefined) for column in columns])
        alike.setdefault((len(columns), _measured(columns), undefined), []).append(i)
    found: dict[int, Means] = {}
    for (repeats, names, _), members in alike.items():
        rows = [column for i in members for column in trials[i]]
        found |= zip(members, _means_of_alike(rows, repeats, names), strict=True)
    return [found[i] for i in range(len(trials))]


def _measured(columns: Sequence[ColumnResult]) -> tuple[str, ...]:
    """The metrics that a trial has."""
    diverged = len(columns) > 1 and any(column.status == "diverged" for column in columns)
    if diverged or not all(column.metrics for column in columns):
        return ()
    return tuple(columns[0].metrics)


def _means_of_alike(
    columns: Sequence[ColumnResult], repeats: int, names: Sequence[str]
) -> list[Means]:
    """The same of trials with so many columns each, one trial's after the other's.

    Every trial has these metrics, and the same of its repeats lack some.
    """

    def table(values: list[Any]) -> Numbers:
        return np.array(values, np.float64).reshape(-1, repeats)  # (T, R)

    means, stds = {}, {}
    for name in names:
        known = [r for r in range(repeats) if name not in columns[r].undefined]
        values = table([column.metrics[name] for column in columns])
        values = np.ascontiguousarray(values[:, known])  # by rows: a mean is that of the row alone
        with np.errstate(invalid="ignore"):  # of infinite losses
            means[name] = (values.mean(axis=1) if known else np.full(len(values), np.nan)).tolist()
            if len(known) > 1:
                stds[name] = values.std(axis=1, ddof=1).tolist()
    C = table([column.C for column in columns]).mean(axis=1).tolist()  # None is NaN
    l2, l1, norm = (
        table([getattr(column, of) for column in columns]).mean(axis=1).tolist()
        for of in ("l2", "l1", "grad_norm")
    )
    return [
        Means(
            l2[i],
            l1[i],
            None if math.isnan(C[i]) else C[i],
            norm[i],
            {name: of[i] for name, of in means.items()},
            {name: of[i] for name, of in stds.items()},
        )
        for i in range(len(l2))
    ]
