"""The scales of a sweep's charts: of a swept value, of the metric."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from trainer.report.charts.chart import escaped, listed, y_scale
from trainer.text.names import cut_apart
from trainer.text.numbers import plain_number

if TYPE_CHECKING:
    from trainer.report.sweep.axes import ChartAxis, Numbers
    from trainer.report.sweep.view import SweepView

_MOST_TICKS = 9


def x_axis(axis: ChartAxis) -> dict[str, Any]:
    """The axis of a swept value: words at even places, a log scale with its 0 apart."""
    if not axis.is_number:
        names = list(map(escaped, cut_apart([axis.label(value) for value in axis.values], 14)))
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
    if len(values) < 2:  # all within a stretch that has no two of them
        values = _even(float(above[0]), float(above[-1]))
    labels = [plain_number(value, 6) for value in values]
    if axis.values[0] == 0:
        return [axis.zero, *values], ["0", *labels]
    return values, labels


def _even(low: float, high: float) -> list[float]:
    """Two to six round numbers at equal steps from `low` to `high`."""
    step = (high - low) / 2.5
    power = 10.0 ** np.floor(np.log10(step))
    step = next(n * power for n in (5, 2, 1) if n * power <= step)
    places = range(int(np.ceil(low / step)), int(np.floor(high / step)) + 1)
    return [float(f"{place * step:.10g}") for place in places]


def value_scale(sweep: SweepView, values: Numbers) -> dict[str, Any]:
    """The y axis of the metric: log only for losses, some several times as large as the best."""
    known = values[np.isfinite(values)]
    scale = y_scale(known) if len(known) else {"type": "linear"}
    if not sweep.minimize:
        scale |= {"type": "linear"} | ({"tickformat": ".3~%"} if sweep.is_share else {})
    if sweep.minimize and len(known) and known.min() > 0 and known.max() > 4 * known.min():
        scale |= {"type": "log", "tickformat": "~g"}
    return scale


def value_axis(sweep: SweepView) -> dict[str, Any]:
    """The y axis of every trial's metric: scale and range by what is in sight.

    Without what is far worse than most: one wild trial would hide the rest.
    """
    known = sweep.value[np.isfinite(sweep.value)]
    if len(known) < 4:
        return value_scale(sweep, known)
    near, far = np.quantile(known, [0.1, 0.9])
    reach = 3 * max(far - near, 1e-12)
    low, high = max(known.min(), near - reach), min(known.max(), far + reach)
    scale = value_scale(sweep, known[(known >= low) & (known <= high)])
    log = scale["type"] == "log"
    if sweep.chosen is not None and np.isfinite(sweep.std[sweep.chosen]):
        best, std = sweep.value[sweep.chosen], sweep.std[sweep.chosen]
        low, high = min(low, max(best - std, best / 3 if log else -np.inf)), max(high, best + std)
    if log:
        low, high = np.log10(max(low, 1e-300)), np.log10(max(high, 1e-300))
    room = 0.06 * (high - low) or 0.1
    return scale | {"range": listed([low - room, high + room])}
