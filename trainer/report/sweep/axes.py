"""Swept keys as axes of charts: where a value is drawn, and which values share a cell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainer.catalog import draws
from trainer.report.charts.chart import escaped, listed
from trainer.report.charts.downsample import spans_decades
from trainer.report.run_data import RunData
from trainer.text.numbers import short, text

Numbers = NDArray[np.float64]
Indices = NDArray[np.intp]

_NAMES = {"repeat.few_shot.k": "k"}
_FEW = 12  # values that are cells of their own, also in a random search
_MOST_TICKS = 9


@dataclass(frozen=True)
class ChartAxis:
    """A swept key.

    Attributes:
        path: dotted.
        name: as short as it can be.
        values: the distinct values, numbers in ascending order, words as they came.
        is_number: whether all values are.
        log: whether a log scale suits them.
        drawn: whether its values were drawn at random, so that hardly one comes twice.
    """

    path: str
    name: str
    values: tuple[Any, ...]
    is_number: bool
    log: bool
    drawn: bool = False

    def place(self, value: Any) -> float:
        """Where a value is drawn: itself; a 0 on a log scale below the least; words in order."""
        if not self.is_number:
            return float(self._order.get(repr(value), np.nan))
        if value is None:
            return float("nan")
        return self.zero if self.log and value == 0 else float(value)

    @cached_property
    def _order(self) -> dict[str, int]:
        return {repr(value): i for i, value in enumerate(self.values)}

    @cached_property
    def zero(self) -> float:
        """Where a log scale has its 0."""
        above = [float(value) for value in self.values if value > 0]
        step = (above[-1] / above[0]) ** (1 / max(len(above) - 1, 1)) if len(above) > 1 else 10.0
        return above[0] / min(max(step, 3.0), 30.0)

    @cached_property
    def cells(self) -> Numbers:
        """(n,) places, ascending: of the values, or of the middles of stretches of drawn ones."""
        places = np.array([self.place(value) for value in self.values])
        if not self.drawn or not self.is_number or len(places) <= _FEW:
            return places
        above = places[places > self.zero] if self.log else places
        low, high = self.scaled(np.array([above.min(), above.max()]))
        count = int(np.clip(np.sqrt(len(places)), 4, _FEW))  # some trials in each
        edges = np.linspace(low, high, count + 1)
        middles = (edges[1:] + edges[:-1]) / 2
        middles = 10**middles if self.log else middles
        return np.append(self.zero, middles) if self.log and self.values[0] == 0 else middles

    def cell(self, places: Numbers) -> Indices:
        """(T,) the nearest cell of each place; -1 where there is none."""
        cells = self.scaled(self.cells)
        wanted = self.scaled(places)
        found = np.searchsorted((cells[1:] + cells[:-1]) / 2, wanted)
        return np.where(np.isfinite(wanted), found, -1)

    def scaled(self, places: Numbers) -> Numbers:
        """Places on a scale that is even to the eye."""
        return np.log10(places) if self.log else places

    def labels(self) -> list[str]:
        """A label for each cell."""
        if len(self.cells) == len(self.values):
            return [self.label(value) for value in self.values]
        names = [few_letters(float(f"{place:.2g}")) for place in self.cells.tolist()]
        return ["0", *names[1:]] if self.log and self.values[0] == 0 else names

    def label(self, value: Any) -> str:
        """A value in a few letters."""
        return few_letters(value) if isinstance(value, float) else text(value)


def few_letters(value: float) -> str:
    """Three digits, `1e-6` for `1e-06`."""
    head, e, power = f"{value:.3g}".partition("e")
    return f"{head}e{int(power)}" if e else head


def swept_axes(run_data: RunData, rows: Sequence[Mapping[str, Any]]) -> tuple[ChartAxis, ...]:
    """The keys with two values or more among the trials."""
    written = run_data.results.get("axes") or run_data.swept
    paths = [path for path in written if any(path in row for row in rows)]
    names = _short_names(paths)
    laws = _distributions(run_data)
    found = []
    for path, name in zip(paths, names, strict=True):
        distinct = {repr(row.get(path)): row.get(path) for row in rows}  # True is no 1 here
        known = [value for value in distinct.values() if value is not None]
        if len(known) < 2:
            continue
        if all(isinstance(v, int | float) and not isinstance(v, bool) for v in known):
            ordered = tuple(sorted(set(known)))
            drawn = path in laws
            log = laws[path] == "log_uniform" if drawn else _geometric(ordered)
            found.append(ChartAxis(path, name, ordered, True, log and min(ordered) >= 0, drawn))
        else:
            # as written: trials come best first
            order = {repr(value): i for i, value in enumerate(written[path])}
            known.sort(key=lambda value: order.get(repr(value), len(order)))
            found.append(ChartAxis(path, name, tuple(known), False, False))
    return tuple(found)


def _distributions(run_data: RunData) -> dict[str, str]:
    """{swept path: how it was drawn} of a random search."""
    sweep = run_data.config.get("sweep")
    if not isinstance(sweep, Mapping) or not draws(sweep.get("method")):
        return {}
    blocks = sweep.get("parameters")
    return {
        path: str(written["distribution"])
        for block in (blocks if isinstance(blocks, list) else [blocks])
        if isinstance(block, Mapping)
        for path, written in block.items()
        if isinstance(written, Mapping) and "distribution" in written
    }


def _short_names(paths: Sequence[str]) -> list[str]:
    """The last word of each path; the last but one where that is `name`; all if two would agree."""
    names = []
    for path in paths:
        words = path.split(".")
        last = words[-2] if words[-1] == "name" and len(words) > 1 else words[-1]
        names.append(_NAMES.get(path, last))
    return [
        name if names.count(name) == 1 else path for name, path in zip(names, paths, strict=True)
    ]


def _geometric(values: Sequence[float]) -> bool:
    """Whether values, ascending, belong on a log scale: wide, or nearer even in ratio."""
    above = np.array([value for value in values if value > 0], np.float64)
    if values[0] < 0 or len(above) < 2:
        return False
    if spans_decades(above) or len(above) == 2:
        return bool(above[-1] >= 10 * above[0])
    ratios, steps = np.diff(np.log(above)), np.diff(above)
    return bool(
        above[-1] >= 4 * above[0] and ratios.max() / ratios.min() < 2 < steps.max() / steps.min()
    )


def x_axis(axis: ChartAxis) -> dict[str, Any]:
    """The axis of a swept value: words at even places, a log scale with its 0 apart."""
    if not axis.is_number:
        names = [escaped(short(axis.label(value), 14)) for value in axis.values]
        return {
            "tickvals": list(range(len(names))),
            "ticktext": names,
            "range": [-0.4, len(names) - 0.6],
        }
    places = axis.scaled(np.array([axis.place(value) for value in axis.values]))
    room = 0.05 * float(places[-1] - places[0])
    ticks: dict[str, Any] = {"range": listed([places[0] - room, places[-1] + room])}
    if axis.log:
        ticks |= {"type": "log"}
    if len(axis.values) <= _MOST_TICKS and _apart(places):
        named = [axis.label(value) for value in axis.values]
        return ticks | {"tickvals": listed([axis.place(v) for v in axis.values]), "ticktext": named}
    if not axis.log:
        return ticks | {"tickformat": "~g", "nticks": 8}
    values, labels = _decades(axis)
    return ticks | {"tickvals": values, "ticktext": labels}


def _apart(places: Numbers) -> bool:
    """Whether labels at these places have room."""
    return bool(np.diff(places).min() >= 0.07 * (places[-1] - places[0]))


def _decades(axis: ChartAxis) -> tuple[list[float], list[str]]:
    """Ticks of a log scale: powers of ten, or 1, 2, 5 where there are few of them; and the 0."""
    above = [value for value in axis.values if value > 0]
    first, last = np.log10(float(above[0])) - 1e-9, np.log10(float(above[-1])) + 1e-9
    every = max(int(np.ceil((last - first) / 6)), 1)
    powers = range(int(np.floor(first)), int(np.floor(last)) + 1, every)
    factors = (1, 2, 5) if last - first < 2.3 else (1,)
    values = [float(f"{f}e{p}") for p in powers for f in factors]
    values = [value for value in values if first <= np.log10(value) <= last]
    labels = [few_letters(value) for value in values]
    if axis.values[0] == 0:
        return [axis.zero, *values], ["0", *labels]
    return values, labels
