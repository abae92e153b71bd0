"""A sweep as its page needs it: its trials as columns, the best first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from trainer.catalog import is_share
from trainer.report.sweep.axes import ChartAxis, Indices, Numbers, swept_axes
from trainer.report.sweep.words import metric_words, settings_words
from trainer.report.unfinished import last_values
from trainer.text import arrow
from trainer.text.numbers import metric

if TYPE_CHECKING:
    from trainer.report.run_data import RunData

Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class SweepView:
    """The trials of a sweep, best first, as columns.

    Attributes:
        run_data: the run folder's parts.
        rows: of trials.csv, best first.
        axes: what was swept, with two values or more.
        metric: what trials are ranked by.
        minimize: whether less is better.
        value, std: (T,) its mean over repeats and its standard deviation; NaN without one, and for
            a trial that diverged.
        partial: whether the values are the last of history.csv, over the repeats that got so far.
    """

    run_data: RunData
    rows: Sequence[Mapping[str, Any]]
    axes: tuple[ChartAxis, ...]
    metric: str
    minimize: bool
    value: Numbers
    std: Numbers
    partial: bool

    @cached_property
    def repeats(self) -> int:
        """Of each trial."""
        if found := self.run_data.results.get("repeats"):
            return int(found)
        history = self.run_data.history
        return 1 if history is None else int(arrow.numbers(history["repeat"]).max()) + 1

    @cached_property
    def per(self) -> tuple[ChartAxis, ...]:
        """Axes whose every value has its own winner."""
        groups = self.run_data.results.get("groups") or ()
        paths = {path for group in groups for path in group.get("per", {})}
        return tuple(axis for axis in self.axes if axis.path in paths)

    @cached_property
    def name(self) -> str:
        """The metric in words."""
        return metric_words(self.metric)

    @cached_property
    def title(self) -> str:
        """The metric at the start of a title."""
        return self.name[:1].upper() + self.name[1:]

    @cached_property
    def is_share(self) -> bool:
        """Whether the metric is a share of 1, read in percent."""
        return is_share(self.metric)

    @cached_property
    def diverged(self) -> Flags:
        """(T,) trials whose weights ran away."""
        return np.array([row.get("status") == "diverged" for row in self.rows], bool)

    @cached_property
    def halved(self) -> Flags:
        """(T,) trials that halving dropped."""
        return np.array([row.get("status") == "halved" for row in self.rows], bool)

    @cached_property
    def chosen(self) -> int | None:
        """The chosen trial as a position; without a choice the first with a value."""
        number = self.run_data.best.get("trial")
        found = (i for i, row in enumerate(self.rows) if row["trial"] == number)
        known = np.flatnonzero(np.isfinite(self.value))
        return next(found, int(known[0]) if len(known) else None)

    def column(self, axis: ChartAxis) -> Numbers:
        """(T,) places of the trials' values on an axis."""
        if axis.path not in self._places:
            places = [axis.place(row.get(axis.path)) for row in self.rows]
            self._places[axis.path] = np.array(places, np.float64)
        return self._places[axis.path]

    @cached_property
    def _places(self) -> dict[str, Numbers]:
        """`column` of the axes that were asked for: every chart asks."""
        return {}

    def best_in(self, cells: Indices, count: int) -> Indices:
        """(count,) the best trial of each cell as a position, -1 where none has a value.

        Args:
            cells: (T,) the cell of each trial; -1 leaves it out.
            count: how many cells there are.
        """
        able = np.flatnonzero((cells >= 0) & np.isfinite(self.value))[::-1]
        best = np.full(count, -1)
        best[cells[able]] = able  # the best is the last to be written
        return best

    def settings(self, t: int) -> dict[str, Any]:
        """The swept values of a trial."""
        return {axis.path: self.rows[t].get(axis.path) for axis in self.axes}

    @cached_property
    def axis_names(self) -> dict[str, str]:
        """Swept path -> what its axis is called."""
        return {axis.path: axis.name for axis in self.axes}

    def label(self, t: int) -> str:
        """A trial with its settings."""
        return f"trial {self.rows[t]['trial']}: {settings_words(self.axis_names, self.settings(t))}"

    def shown(self, value: float) -> str:
        """A value of the metric."""
        return metric(float(value), self.is_share)


def view_sweep(run_data: RunData) -> SweepView | None:
    """The sweep of a run folder; None for a run with one column, or without its tables."""
    if not run_data.is_sweep or not run_data.trials:
        return None
    ranked_by = run_data.results.get("metric") or {}
    name, minimize = run_data.ranked_by
    minimize = ranked_by.get("goal", "minimize" if minimize else "maximize") == "minimize"
    rows: Sequence[Mapping[str, Any]] = run_data.trials
    diverged = np.array([row.get("status") == "diverged" for row in rows], bool)
    value = np.where(diverged, np.nan, _floats(rows, name))
    std = np.where(diverged, np.nan, _floats(rows, f"{name}_std"))
    partial = not (run_data.results and np.isfinite(value).any())
    if partial and run_data.history is not None:  # killed, or not every repeat came to a value
        last = last_values(run_data.history, name)
        value = np.array([last.get(row["trial"], np.nan) for row in rows], np.float64)
        value[diverged] = np.nan
        order = np.argsort(value if minimize else -value, kind="stable")
        value, std = value[order], std[order]
        seen = {t: {name: float(v)} for t, v in zip(order.tolist(), value, strict=True)}
        rows = [{**rows[t], **seen[t], "rank": None} for t in seen]
    axes = swept_axes(run_data, rows)
    return SweepView(run_data, rows, axes, name, minimize, value, std, partial)


def _floats(rows: Sequence[Mapping[str, Any]], name: str) -> Numbers:
    values = [row.get(name) for row in rows]
    return np.array([np.nan if v is None else float(v) for v in values], np.float64)
