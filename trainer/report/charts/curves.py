"""The numbers behind the charts of predictions. N rows, C outputs or classes."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from trainer.streams import shuffle

Numbers = NDArray[np.float64]
Codes = NDArray[np.int64]
_Z95 = 1.959964  # the normal distribution's 97.5 % point


class Ranking(NamedTuple):
    """What each threshold on a score would give, from the highest score down.

    Attributes:
        false_rate, true_rate: (T + 1,) from (0, 0) to (1, 1): the ROC curve.
        precision: (T,) of the rows above each threshold; its recall is `true_rate[1:]`.
        auc, average_precision: the areas under the two curves.
        share: the share of positive rows, which is what guessing has as precision.
    """

    false_rate: Numbers
    true_rate: Numbers
    precision: Numbers
    auc: float
    average_precision: float
    share: float


def ranking(y: NDArray[Any], score: Numbers) -> Ranking | None:
    """ROC and precision-recall curves (Fawcett 2006, algorithm 1); tied scores are one threshold.

    Args:
        y: (N,) of 0 and 1.
        score: (N,), higher for rows that look positive.

    Returns:
        None where one of the two labels does not occur or a score is not finite.
    """
    positives = int(np.sum(y == 1))
    negatives = len(y) - positives
    if not positives or not negatives or not np.isfinite(score).all():
        return None
    order = np.argsort(-score, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(score[order])), len(y) - 1)
    hits = np.cumsum(y[order] == 1)[ends].astype(np.float64)
    rows = ends + 1.0
    true_rate = np.append(0.0, hits / positives)
    false_rate = np.append(0.0, (rows - hits) / negatives)
    precision = hits / rows
    return Ranking(
        false_rate=false_rate,
        true_rate=true_rate,
        precision=precision,
        auc=float(np.trapezoid(true_rate, false_rate)),
        average_precision=float(np.diff(true_rate) @ precision),
        share=positives / len(y),
    )


class Calibration(NamedTuple):
    """How often what was predicted with probability p comes true, in bins of p.

    Attributes:
        rows: (bins,) rows in each bin, empty ones included.
        predicted, observed: (filled,) mean probability and share of positives of bins with rows.
        low, high: (filled,) Wilson's 95 % interval of `observed`.
        error: mean |observed − predicted| over the rows (the expected calibration error).
    """

    rows: NDArray[np.int64]
    predicted: Numbers
    observed: Numbers
    low: Numbers
    high: Numbers
    error: float


def calibration(y: NDArray[Any], p: Numbers, bins: int = 10) -> Calibration | None:
    """Bins of equal width on [0, 1]; None without rows.

    Args:
        y: (N,) from 0 to 1: labels, or the probabilities of soft labels.
        p: (N,) predicted probabilities.
        bins: how many.
    """
    if not len(y):
        return None
    place = np.clip((p * bins).astype(np.int64), 0, bins - 1)
    rows = np.bincount(place, minlength=bins)
    filled = rows > 0
    n = rows[filled]
    predicted = np.bincount(place, weights=p, minlength=bins)[filled] / n
    observed = np.bincount(place, weights=y, minlength=bins)[filled] / n
    centre = (observed + _Z95**2 / (2 * n)) / (1 + _Z95**2 / n)
    reach = np.sqrt(observed * (1 - observed) / n + _Z95**2 / (4 * n * n)) * _Z95
    reach /= 1 + _Z95**2 / n
    return Calibration(
        rows=rows,
        predicted=predicted,
        observed=observed,
        low=np.minimum(centre - reach, observed),
        high=np.maximum(centre + reach, observed),
        error=float(n @ np.abs(observed - predicted) / n.sum()),
    )


def confusion(true: Codes, predicted: Codes, classes: int) -> NDArray[np.int64]:
    """(C, C) rows by true class (down) and predicted class (across)."""
    flat = np.bincount(true * classes + predicted, minlength=classes * classes)
    return flat.reshape(classes, classes)


def most_confused(matrix: NDArray[np.int64], most: int) -> Codes:
    """The classes to show of a matrix too large to show: most mistakes first, then in order."""
    if len(matrix) <= most:
        return np.arange(len(matrix))
    wrong = matrix.sum(axis=0) + matrix.sum(axis=1) - 2 * np.diagonal(matrix)
    return np.sort(np.argsort(-wrong, kind="stable")[:most])


def mistakes(true: Codes, predicted: Codes, p: Numbers, most: int = 20) -> Codes:
    """The rows predicted wrong, most confident first.

    Args:
        true: (N,) class codes.
        predicted: (N,).
        p: (N, C) probabilities.
        most: how many at most.
    """
    wrong = np.flatnonzero(true != predicted)
    sure = p[wrong, predicted[wrong]]
    return wrong[np.argsort(-sure, kind="stable")[:most]]


class Histogram(NamedTuple):
    """Counts between edges; what lies outside of the edges is counted in the outermost bars."""

    edges: Numbers
    counts: NDArray[np.int64]
    outside: int


def histogram(values: Numbers, bins: int = 60) -> Histogram:
    """Bars of equal width over the middle 99 % of values, widened to a symmetric range about 0."""
    reach = float(np.quantile(np.abs(values), 0.99)) if len(values) else 0.0
    reach = reach or (float(np.abs(values).max()) if len(values) else 0.0) or 1.0
    edges = np.linspace(-reach, reach, bins + 1)
    counts, _ = np.histogram(np.clip(values, -reach, reach), edges)
    return Histogram(edges, counts, int(np.sum(np.abs(values) > reach)))


def some_rows(error: Numbers, most: int = 2000, largest: int = 100) -> Codes:
    """Rows to draw of many: the largest misses, and others drawn evenly at random.

    Args:
        error: (N,) ŷ − y.
        most: rows returned at most, in order.
        largest: how many of them are those of the largest |error|.
    """
    if len(error) <= most:
        return np.arange(len(error))
    order = np.argsort(-np.abs(error), kind="stable")
    # not numpy.random, which takes 30 ms to import
    rest = order[largest:][shuffle(0, 0, len(order) - largest)[: most - largest]]
    return np.sort(np.concatenate([order[:largest], rest]))
