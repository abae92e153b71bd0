"""Metrics of numbers that a config names: of ŷ (B, C, K) and targets y, the mean over targets.

They equal scikit-learn's and SciPy's of the same name, where a row of weight 2 is the row twice.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from trainer.model.metrics import (
    LARGEST,
    Array,
    Flags,
    Named,
    Numbers,
    Sums,
    Targets,
    by_column,
    mean_over,
    spread_of,
    weighted,
)

_HALF = 1e-12  # of W, by which half of it may be missed


def _absolute_sums(
    xp: Any, predicted: Array, y: Array, w: Array, targets: Targets
) -> dict[str, Array]:
    """Σ_rows w·|ŷ − y| (C, K)."""
    return {"absolute": weighted(xp, xp.abs(predicted - by_column(y)), w)}


def _error_sums(
    xp: Any, predicted: Array, y: Array, w: Array, targets: Targets
) -> dict[str, Array]:
    """Σ_rows w·(ŷ − y) (C, K)."""
    return {"errors": weighted(xp, predicted - by_column(y), w)}


def _largest_sums(
    xp: Any, predicted: Array, y: Array, w: Array, targets: Targets
) -> dict[str, Array]:
    """The largest |ŷ − y| (C, K) of a row with a weight."""
    known = w.reshape(len(w), 1, -1) > 0
    error = xp.where(known, xp.abs(predicted - by_column(y)), 0)
    return {f"{LARGEST}error": error.max(axis=0)}


def _moment_sums(
    xp: Any, predicted: Array, y: Array, w: Array, targets: Targets
) -> dict[str, Array]:
    """Σ_rows w·ŷ, w·ŷ², w·y·ŷ, and the largest and least ŷ, each (C, K)."""
    known = w.reshape(len(w), 1, -1) > 0
    return {
        "predicted": weighted(xp, predicted, w),
        "predicted_squares": weighted(xp, predicted * predicted, w),
        "products": weighted(xp, predicted * by_column(y), w),
        f"{LARGEST}predicted": xp.where(known, predicted, -np.inf).max(axis=0),
        f"{LARGEST}negative": xp.where(known, -predicted, -np.inf).max(axis=0),
    }


def _mae(sums: Sums, targets: Targets) -> Numbers:
    return _in_units(sums["absolute"] / targets.w.sum(), targets)


def _max_error(sums: Sums, targets: Targets) -> Numbers:
    found = _in_units(sums[f"{LARGEST}error"], targets)
    return found if targets.w.any() else np.full_like(found, np.nan)


def _in_units(values: Numbers, targets: Targets) -> Numbers:
    """Mean (K,) over the targets of values (C, K), in the user's units."""
    return np.asarray((values * targets.scale[:, None]).mean(axis=0))


def _explained_variance(sums: Sums, targets: Targets) -> Numbers:
    total, spread = targets.w.sum(), spread_of(targets)  # (C, 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        of_errors = np.maximum(sums["squares"] - sums["errors"] ** 2 / total, 0)  # (C, K)
        return mean_over(1 - of_errors / spread, spread > 0)


def _pearson(sums: Sums, targets: Targets) -> Numbers:
    total, spread = targets.w.sum(), spread_of(targets)  # (C, 1)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        mean = (targets.w @ targets.y / total)[:, None]  # (C, 1)
        together = sums["products"] - mean * sums["predicted"]  # (C, K)
        own = sums["predicted_squares"] - sums["predicted"] ** 2 / total
        found = np.clip(together / np.sqrt(spread * own), -1, 1)
    constant = sums[f"{LARGEST}predicted"] == -sums[f"{LARGEST}negative"]
    return mean_over(np.where(constant, np.nan, found), spread > 0)


def _varies(targets: Targets) -> Flags:
    return np.asarray(spread_of(targets) > 0)


# --- of all predictions at once -------------------------------------------------------------------


def _median_absolute_error(scores: Numbers, targets: Targets) -> Numbers:
    def of(predicted: Numbers, y: Numbers, w: Numbers) -> float:
        return weighted_median(np.abs(predicted - y), w)

    return _in_units(_each(of, scores, targets), targets)


def weighted_median(values: Numbers, w: Numbers) -> float:
    """The median of values (N,) of which each is there w times, w above 0; NaN of any NaN."""
    if np.isnan(values).any():
        return float("nan")
    order = np.argsort(values)
    running = np.cumsum(w[order])
    half = running[-1] / 2
    below, above = np.searchsorted(running, [half * (1 - _HALF), half * (1 + _HALF)])
    last = len(order) - 1
    # half of the weight ends with a row: between it and the next; else both are one row
    return float((values[order[min(below, last)]] + values[order[min(above, last)]]) / 2)


def _spearman(scores: Numbers, targets: Targets) -> Numbers:
    known = targets.w > 0
    ranks = targets.y.astype(np.float64)
    for c in range(targets.outputs if known.any() else 0):
        ranks[known, c] = _ranks(targets.y[known, c], targets.w[known])

    def of(predicted: Numbers, own: Numbers, w: Numbers) -> float:
        if np.isnan(predicted).any() or predicted.max() == predicted.min():
            return float("nan")
        return _correlation(_ranks(predicted, w), own, w)

    return mean_over(_each(of, scores, targets._replace(y=ranks)), _varies(targets))


def _ranks(values: Numbers, w: Numbers) -> Numbers:
    """The rank (N,) of each value but for a shift, equal ones in their middle."""
    order = np.argsort(values, kind="stable")
    placed = values[order]
    first = np.flatnonzero(np.concatenate([[True], placed[1:] != placed[:-1]]))
    lots = np.add.reduceat(w[order], first)
    middle = np.cumsum(lots) - lots / 2
    ranks = np.empty(len(values))
    ranks[order] = np.repeat(middle, np.diff(first, append=len(values)))
    return ranks


def _correlation(a: Numbers, b: Numbers, w: Numbers) -> float:
    a, b = a - w @ a / w.sum(), b - w @ b / w.sum()
    with np.errstate(divide="ignore", invalid="ignore"):
        return float(np.clip((w * a) @ b / np.sqrt(((w * a) @ a) * ((w * b) @ b)), -1, 1))


def _each(
    of: Callable[[Numbers, Numbers, Numbers], float], scores: Numbers, targets: Targets
) -> Numbers:
    """A number (C, K) of each target and column, over the rows with a weight; NaN without any."""
    known = targets.w > 0
    w = targets.w[known]
    found = np.full(scores.shape[1:], np.nan)
    if not len(w):
        return found
    for c, k in np.ndindex(found.shape):
        found[c, k] = of(scores[known, c, k].astype(np.float64), targets.y[known, c], w)
    return found


NUMBER_METRICS = {
    "mae": Named(_mae, _absolute_sums),
    "median_absolute_error": Named(whole=_median_absolute_error),
    "max_error": Named(_max_error, _largest_sums),
    "explained_variance": Named(_explained_variance, _error_sums, defined=_varies),
    "pearson": Named(_pearson, _moment_sums, defined=_varies),
    "spearman": Named(whole=_spearman, defined=_varies),
}
