"""Metrics of rows drawn anew: what a metric would be on other rows of the same kind.

The rows are drawn, not the models: what comes out is conditional on the fitted models. A metric of
several parts (folds, draws, seeds) is recomputed in each and averaged, as ranking does, never
pooled.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from trainer.machine.interrupted import ShouldStop, ask, never
from trainer.statistics.draws import repeat_draws, row_draws, units_of

Numbers = np.ndarray[Any, np.dtype[np.float64]]
Places = np.ndarray[Any, np.dtype[np.int64]]
Measure = Callable[[Numbers], dict[str, Numbers]]

_AT_ONCE = 1 << 20  # weights of rows: 8 MiB


class Part(NamedTuple):
    """Rows of one model that were predicted: of a plain run all, else those of a fold or draw.

    Attributes:
        labels: (N,) what a row is drawn by: its number in the source, or its group. Rows of other
            parts with the same label are drawn with it.
        w: (N,) row weights, which stay with their rows.
        measure: the metrics as a function of row weights (R, N), each (R,).
    """

    labels: Places
    w: Numbers
    measure: Measure


def resample(
    parts: Sequence[Part],
    resamples: int,
    seed: int,
    *,
    draw_parts: bool = False,
    should_stop: ShouldStop = never,
) -> dict[str, Numbers]:
    """Metrics of so many draws of rows, (R,) each: means over the parts, NaN where none has it.

    Args:
        parts: of one or several models. Folds of several times have the same rows in several parts.
        resamples: R, how many draws.
        seed: of the draws: equal seeds and labels draw equal rows, so that two calls are paired.
        draw_parts: whether parts are drawn with replacement too, as draws and seeds are.
        should_stop: asked between some draws and the next.

    Raises:
        Interrupted: `should_stop()`.
    """
    units, count = units_of(*(part.labels for part in parts))
    most = max(1, _AT_ONCE // max(count, *(len(part.w) for part in parts)))
    found: list[dict[str, Numbers]] = []
    for start in range(0, resamples, most):
        ask(should_stop)
        stop = min(start + most, resamples)
        drawn = row_draws(seed, count, start, stop)  # (r, units)
        read = [
            part.measure(drawn[:, own] * part.w) for part, own in zip(parts, units, strict=True)
        ]
        shares = np.ones((stop - start, len(parts)))
        if draw_parts:
            shares = repeat_draws(seed, len(parts), start, stop)
        found.append({name: _mean([one[name] for one in read], shares) for name in read[0]})
    return {name: np.concatenate([one[name] for one in found]) for name in found[0]}


def _mean(values: Sequence[Numbers], shares: Numbers) -> Numbers:
    """The mean over the parts that have a value; values (parts of (R,)), shares (R, parts)."""
    table = np.stack(values, axis=1)  # (R, parts)
    shares = shares * ~np.isnan(table)
    total = shares.sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        sums = np.where(shares > 0, table * shares, 0.0).sum(axis=1)
        return np.where(total > 0, sums / total, np.nan)
