"""Swept keys as axes of charts: where a value is drawn, and which values share a cell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from trainer.catalog import draws
from trainer.report.charts.downsample import spans_decades
from trainer.text.numbers import plain_number, text
from trainer.wording.settings import short_names

if TYPE_CHECKING:
    from trainer.report.run_data import RunData

Numbers = NDArray[np.float64]
Indices = NDArray[np.intp]

_FEW = 12  # values that are cells of their own, also in a random search


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
        names = [plain_number(float(f"{place:.2g}"), 3) for place in self.cells.tolist()]
        return ["0", *names[1:]] if self.log and self.values[0] == 0 else names

    def label(self, value: Any) -> str:
        """A value in a few letters."""
        return plain_number(value, 3) if isinstance(value, float) else text(value)


def swept_axes(run_data: RunData, rows: Sequence[Mapping[str, Any]]) -> tuple[ChartAxis, ...]:
    """The keys with two values or more among the trials."""
    written = run_data.results.get("axes") or run_data.swept
    paths = [path for path in written if any(path in row for row in rows)]
    names = short_names(paths)
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
