"""A sweep as its page needs it: trials as arrays, axes with places for values, the choice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainer.report.material import Material
from trainer.report.thin import spans_decades
from trainer.report.words import METRICS, counted, metric, number, text

Numbers = NDArray[np.float64]
_SHORT = {"repeat.few_shot.k": "k"}
_TIE = 2.0  # standard errors


@dataclass(frozen=True)
class Axis:
    """A swept key.

    Attributes:
        path: dotted.
        name: as short as it can be.
        values: the distinct values, numbers in ascending order, words as they came.
        is_number: whether all values are.
        log: whether a log scale suits them.
    """

    path: str
    name: str
    values: tuple[Any, ...]
    is_number: bool
    log: bool

    def place(self, value: Any) -> float:
        """Where a value is drawn: itself; a 0 on a log scale below the least; words in order."""
        if not self.is_number:
            return float(self.values.index(value)) if value in self.values else np.nan
        if value is None:
            return float("nan")
        return self.zero if self.log and value == 0 else float(value)

    @cached_property
    def zero(self) -> float:
        """Where a log scale has its 0."""
        above = [float(value) for value in self.values if value > 0]
        step = (above[-1] / above[0]) ** (1 / max(len(above) - 1, 1)) if len(above) > 1 else 10.0
        return above[0] / min(max(step, 3.0), 30.0)

    def label(self, value: Any) -> str:
        """A value in a few letters."""
        return f"{value:.3g}" if isinstance(value, float) else text(value)


@dataclass(frozen=True)
class SweepView:
    """The trials of a sweep, best first, as columns.

    Attributes:
        material: the run folder's parts.
        axes: what was swept, with two values or more.
        metric: what trials are ranked by.
        minimize: whether less is better.
        value, std: (T,) its mean over repeats, NaN without one, and its standard deviation.
    """

    material: Material
    axes: tuple[Axis, ...]
    metric: str
    minimize: bool
    value: Numbers
    std: Numbers

    @property
    def rows(self) -> Sequence[Mapping[str, Any]]:
        """Rows of trials.csv."""
        return self.material.trials

    @property
    def per(self) -> list[Axis]:
        """Axes whose every value has its own winner."""
        groups = self.material.results.get("groups") or ()
        paths = {path for group in groups for path in group.get("per", {})}
        return [axis for axis in self.axes if axis.path in paths]

    @property
    def name(self) -> str:
        """The metric in words."""
        return metric_words(self.metric)

    @property
    def whole(self) -> NDArray[np.bool_]:
        """(T,) trials with a value that were not halved away."""
        halved = np.array([row.get("status") == "halved" for row in self.rows], bool)
        return np.asarray(np.isfinite(self.value) & ~halved)

    def column(self, axis: Axis) -> Numbers:
        """(T,) places of the trials' values on an axis."""
        return np.array([axis.place(row.get(axis.path)) for row in self.rows])

    def best_of(self, trials: NDArray[np.bool_]) -> int | None:
        """Which of these trials is best, as a position; None where none has a value."""
        able = np.flatnonzero(trials & np.isfinite(self.value))
        if not len(able):
            return None
        sign = 1.0 if self.minimize else -1.0
        return int(able[np.argmin(sign * self.value[able])])

    def shown(self, value: float) -> str:
        """A value of the metric."""
        return metric(self.metric.rpartition("val_")[2], float(value))


def metric_words(name: str) -> str:
    """`val_loss` as `validation loss`."""
    split, _, rest = name.partition("_")
    words = METRICS.get(rest, (rest.replace("_", " "), False, False))[0]
    return f"{'validation' if split == 'val' else 'training'} {words}"


def view_sweep(material: Material) -> SweepView | None:
    """The sweep of a run folder; None for a run with one column, or without its tables."""
    if not material.is_sweep:
        return None
    ranked_by = material.results.get("metric") or {}
    name = str(ranked_by.get("name") or "val_loss")
    rows = material.trials
    return SweepView(
        material,
        tuple(_axes(material)),
        name,
        ranked_by.get("goal", "minimize") == "minimize",
        _floats(rows, name),
        _floats(rows, f"{name}_std"),
    )


def _axes(material: Material) -> list[Axis]:
    written = material.results.get("axes") or {}
    paths = [path for path in written if any(path in row for row in material.trials)]
    names = [_SHORT.get(path, path.rpartition(".")[2]) for path in paths]
    found = []
    for path, name in zip(paths, names, strict=True):
        values = dict.fromkeys(row.get(path) for row in material.trials)
        known = [value for value in values if value is not None]
        is_number = all(isinstance(v, int | float) and not isinstance(v, bool) for v in known)
        ordered = tuple(sorted(known)) if is_number else tuple(known)
        if len(ordered) < 2:
            continue
        above = np.array([v for v in ordered if is_number and v > 0], float)
        least = min(ordered) if is_number else 0
        log = is_number and least >= 0 and len(above) > 1 and spans_decades(above)
        short = name if names.count(name) == 1 else path
        found.append(Axis(path, short, ordered, is_number, log))
    return found


def _floats(rows: Sequence[Mapping[str, Any]], name: str) -> Numbers:
    values = [row.get(name) for row in rows]
    return np.array([np.nan if v is None else float(v) for v in values], np.float64)


# ---------------------------------------------------------------- in words


def settings_words(sweep: SweepView, settings: Mapping[str, Any]) -> str:
    """Settings in a few words."""
    names = {axis.path: axis.name for axis in sweep.axes}
    told = [
        f"{names.get(path, path.rpartition('.')[2])} {_value(value)}"
        for path, value in settings.items()
    ]
    return ", ".join(told) or "the settings of the file"


def _value(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else text(value)


def choice(sweep: SweepView) -> list[tuple[str, str]]:
    """What was chosen and by how much, as (label, sentence)."""
    results = sweep.material.results
    best = results.get("best")
    if not best:
        return [("Outcome", f"{_counts(sweep)}: no trial has a model.")]
    told = [("Winner", f"trial {best['trial']}: {settings_words(sweep, best['settings'])}")]
    told.append((sweep.name.capitalize(), _with_spread(sweep, best)))
    if lead := _lead(sweep):
        told.append(("Lead", lead))
    if results.get("rule") == "one_std_err":
        rule = "the strongest penalty within one standard error of the best"
        told.append(("Rule", rule))
    for edge in results.get("edges") or ():
        told.append(("Edge", text(edge.get("advice"))))
    if refit := best.get("refit"):
        rows = {"train": "all training rows", "train+val": "training and validation rows"}
        where = rows.get(refit.get("rows"), text(refit.get("rows")))
        epochs = counted(refit.get("epochs") or 0, "epoch")
        told.append(("Model", f"trained again on {where} for {epochs}"))
    elif results.get("repeats", 1) > 1:
        told.append(("Model", "that of the winner's first repeat"))
    told.append(("Outcomes", _counts(sweep)))
    return told


def _counts(sweep: SweepView) -> str:
    counts = sweep.material.results.get("counts") or {}
    repeats = sweep.material.results.get("repeats", 1)
    parts = ", ".join(f"{n:,} {status.replace('_', ' ')}" for status, n in counts.items())
    times = f", each on {counted(repeats, 'repeat')}" if repeats > 1 else ""
    return f"{counted(len(sweep.rows), 'trial')}{times}: {parts}"


def _with_spread(sweep: SweepView, best: Mapping[str, Any]) -> str:
    value = best.get("metrics", {}).get(sweep.metric)
    std = best.get("std", {}).get(sweep.metric)
    if value is None:
        return "none"
    shown = sweep.shown(value)
    if std is None:
        return shown
    repeats = sweep.material.results.get("repeats", 1)
    return f"{shown} ± {sweep.shown(std)} (standard deviation over {repeats} repeats)"


def _lead(sweep: SweepView) -> str:
    other = sweep.material.results.get("runner_up")
    if not other or other.get("margin") is None:
        return ""
    margin, errors = other["margin"], other.get("standard_errors")
    name = f"trial {other['trial']} ({settings_words(sweep, other['settings'])})"
    word = "behind" if margin < 0 else "ahead of"
    told = f"{number(abs(margin), 2)} {word} {name}"
    if errors is None:
        return f"{told}; with one value each, chance may be all of it"
    told += f", {number(abs(errors), 2)} standard errors over the repeats"
    return f"{told}: a tie by these" if abs(errors) < _TIE else told
