"""Areas under the curves of a ranking: of ROC, and of precision over recall.

`_areas` is the text; ranking.c beside it is its twin, several times as fast.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from trainer.model import compiled

Numbers = np.ndarray[Any, np.dtype[np.float64]]
Places = np.ndarray[Any, np.dtype[np.intp]]
_SORTED = 1 << 16  # scores ranked at once: their arrays stay in the cache
_ROUNDING = 1e-12  # of sums of weights
_PLACE = 16  # bytes of a score's key and row, as ranking.c sorts them


def ranking(scores: Numbers, y: Numbers, w: Numbers) -> tuple[Numbers, Numbers]:
    """Area under the ROC curve and average precision of each output and column.

    Args:
        scores: (N, C, K).
        y: (N, C) of 0 and 1.
        w: (N,) row weights; of scores of one column also (N, R), many weightings.

    Returns:
        Two arrays (C, K), of many weightings (C, R); NaN where one of the two labels does not
        occur, or a score is NaN or minus infinity. Tied scores are one threshold, as in
        scikit-learn (Fawcett 2006, algorithm 2).
    """
    if w.ndim > 1:
        return _of_weightings(scores[:, :, 0], y, w)
    N, outputs, columns = scores.shape
    area, precision = np.empty((2, outputs, columns))
    areas = _areas if compiled.load()[0] is None else _compiled_areas
    some = max(1, _SORTED // max(N, 1))
    for c in range(outputs):
        for first in range(0, columns, some):
            part = slice(first, first + some)
            score = np.ascontiguousarray(scores[:, c, part].T)
            area[c, part], precision[c, part] = areas(score, y[:, c], w)
    return area, precision


def recall_at(rate: float, scores: Numbers, y: Numbers, w: Numbers) -> Numbers:
    """The largest recall (C, K) of a threshold with at most this rate of false positives.

    Args:
        rate: of the weight of label 0.
        scores: (N, C, K).
        y: (N, C) of 0 and 1.
        w: (N,) row weights.

    Returns:
        0 where every threshold has more; NaN as `ranking`.
    """
    found = np.empty(scores.shape[1:])
    for c, k in np.ndindex(found.shape):
        score = np.ascontiguousarray(scores[None, :, c, k])  # (1, N)
        order = descending(score)
        hits, alarms = _sums(y[:, c], w, order, _thresholds(score.take(order)))
        known = hits[-1] > 0 and alarms[-1] > 0 and (score > -np.inf).all()
        few = alarms <= rate * alarms[-1] * (1 + _ROUNDING)
        most = hits.max(where=few, initial=0.0)
        found[c, k] = most / hits[-1] if known else np.nan
    return found


def _areas(score: Numbers, y: Numbers, w: Numbers) -> tuple[Numbers, Numbers]:
    """The two areas of one output; score is (K, N), each result (K,)."""
    K, N = score.shape
    order, starts = descending(score), N * np.arange(K)
    ends = _thresholds(score.take(order + starts[:, None]))  # (thresholds of all K,), the next too
    first = np.searchsorted(ends, starts)  # (K,) thresholds
    each = np.diff(first, append=len(ends))
    hits, alarms = _sums(y, w, order, ends)
    new_hits, new_alarms = _steps(hits, first), _steps(alarms, first)
    area = np.add.reduceat(new_alarms * (2 * hits - new_hits), first) / 2  # trapezoids
    found = np.flatnonzero(new_hits)
    share = hits[found] / (hits[found] + alarms[found])
    column = np.repeat(np.arange(K), each)[found]
    precision = np.bincount(column, new_hits[found] * share, K)
    last = first + each - 1
    all_hits, all_alarms = hits[last], alarms[last]
    known = (all_hits > 0) & (all_alarms > 0) & (score > -np.inf).all(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        found_areas = area / (all_hits * all_alarms), precision / all_hits
    return np.where(known, found_areas[0], np.nan), np.where(known, found_areas[1], np.nan)


def _of_weightings(scores: Numbers, y: Numbers, w: Numbers) -> tuple[Numbers, Numbers]:
    """The areas (C, R) of one column's scores (N, C), sorted once for all of w (N, R)."""
    area, precision = np.empty((2, scores.shape[1], w.shape[1]))
    for c in range(scores.shape[1]):
        score = np.ascontiguousarray(scores[:, c])[None]
        order = descending(score)[0]
        ends = _thresholds(score[:, order])
        sorted_w, label = w.T[:, order], y[order, c]  # (R, N), (N,)
        hits = np.cumsum(sorted_w * label, axis=1)[:, ends]  # (R, thresholds)
        alarms = np.cumsum(sorted_w * (1 - label), axis=1)[:, ends]
        new_hits, new_alarms = (np.diff(sums, axis=1, prepend=0) for sums in (hits, alarms))
        with np.errstate(divide="ignore", invalid="ignore"):
            share = np.where(new_hits > 0, hits / (hits + alarms), 0)
            trapezoids = (new_alarms * (2 * hits - new_hits)).sum(axis=1) / 2
            found = trapezoids / (hits[:, -1] * alarms[:, -1]), (new_hits * share).sum(axis=1)
            known = (hits[:, -1] > 0) & (alarms[:, -1] > 0) & (score > -np.inf).all()
            area[c] = np.where(known, found[0], np.nan)
            precision[c] = np.where(known, found[1] / hits[:, -1], np.nan)
    return area, precision


def _compiled_areas(score: Numbers, y: Numbers, w: Numbers) -> tuple[Numbers, Numbers]:
    """The same by ranking.c."""
    library, _ = compiled.load()
    assert library is not None
    K, N = score.shape
    y, w = (np.ascontiguousarray(one, np.float64) for one in (y, w))
    room, found = np.empty(2 * N * _PLACE, np.uint8), np.empty((2, K))
    assert score.flags.c_contiguous
    places = (one.ctypes.data for one in (w, y, room, *found))
    library.areas(score.ctypes.data, score.itemsize, K, N, *places)
    return found[0], found[1]


def descending(score: Numbers) -> Places:
    """The rows of each column by falling score, of equal ones as they come; score is (K, N).

    By a radix sort of the bits (Knuth 1998, section 5.2.5): stable, so that sums are the same on
    every machine, and a third of the time of a sort by comparison.
    """
    size = score.dtype.itemsize
    key = (0 - score).view(f"i{size}")  # 0 − score: the two zeros are one
    # bits that rise with the float as unsigned numbers: of a negative one all are turned, else one
    key ^= (key >> (8 * size - 1)) | np.iinfo(key.dtype).min
    bits = key.view(f"u{size}")
    starts = score.shape[1] * np.arange(len(score))[:, None]
    order = np.argsort(bits.astype(np.uint16), axis=1, kind="stable")
    for shift in range(16, 8 * size, 16):  # NumPy sorts 16 bits by counting
        digit = (bits >> shift).astype(np.uint16).take(order + starts)
        order = order.take(np.argsort(digit, axis=1, kind="stable") + starts)
    return order


def _thresholds(score: Numbers) -> Places:
    """The last row of each threshold of sorted scores (K, N), counted through all of them."""
    last = np.ones(score.shape, bool)
    np.not_equal(score[:, 1:], score[:, :-1], out=last[:, :-1])
    return np.flatnonzero(last)


def _sums(y: Numbers, w: Numbers, order: Places, ends: Places) -> tuple[Numbers, Numbers]:
    """The weight of the rows of label 1 and of label 0 up to each threshold."""
    both = np.empty(len(w), complex)  # one pass makes both sums
    both.real = w * y
    both.imag = w - both.real
    sums = np.cumsum(both.take(order), axis=1).take(ends)
    return sums.real.copy(), sums.imag.copy()


def _steps(sums: Numbers, first: Places) -> Numbers:
    """What each threshold adds to running sums that begin again at `first`."""
    steps = np.diff(sums, prepend=0)
    steps[first] = sums[first]
    return steps
