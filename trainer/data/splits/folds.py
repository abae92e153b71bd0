"""Assignment of rows or groups to folds, and few-shot draws, from class codes and seeds alone.

All of it depends on a seed and a stream of its own (`trainer.streams`).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from trainer.data.rows import FloatArray, IntArray
from trainer.streams import shuffle


def fold_of_rows(
    n: int, folds: int, *, seed: int, stream: int, codes: NDArray[np.integer] | None
) -> IntArray:
    """Deal n rows to folds in a random order, class by class where there are codes.

    One deal goes on from class to class, so that fold sizes differ by at most 1, and so do the
    counts of each class.

    Args:
        n: rows.
        folds: number of folds.
        seed: `data.seed`.
        stream: `FOLDS` plus the time.
        codes: (n,) class codes from 0, or None.

    Returns:
        (n,) the fold of each row, from 0.
    """
    order = shuffle(seed, stream, n)
    if codes is not None:
        order = order[np.argsort(codes[order], kind="stable")]
    fold = np.empty(n, dtype=np.int64)
    fold[order] = np.arange(n) % folds
    return fold


def fold_of_groups(
    groups: NDArray[np.integer],
    shares: Sequence[float],
    *,
    seed: int,
    stream: int,
    codes: NDArray[np.integer] | None,
) -> IntArray:
    """Give whole groups to folds, large ones first, each to where the shares suffer least.

    The cost is Σ_f Σ_c load_fc² / share_f, with load_fc the fraction of class c (and of all rows)
    that fold f has: least where each fold has its share of every class. Groups of a size, to
    within a factor of 2, come in random order, or else every time would give the same folds.
    Each fold gets one group at least.

    Args:
        groups: (n,) codes of the rows' groups; as many distinct ones as folds, or more.
        shares: of the rows, one a fold.
        seed: `data.seed`.
        stream: as in `fold_of_rows`.
        codes: (n,) class codes from 0, or None.

    Returns:
        (n,) the fold of each row, from 0.
    """
    n, share = len(groups), np.asarray(shares, dtype=np.float64)
    group = _by_appearance(groups)
    sizes = np.bincount(group)
    order = shuffle(seed, stream, len(sizes))
    magnitude = np.frexp(sizes[order].astype(np.float64))[1]
    order = order[np.argsort(-magnitude, kind="stable")]
    by_group = np.split(np.argsort(group, kind="stable"), np.cumsum(sizes)[:-1])
    if codes is None:
        codes = np.zeros(n, dtype=np.int64)
    per_row = np.append(1 / np.maximum(np.bincount(codes), 1), 1 / n)  # (C + 1,): classes, all
    load = np.zeros((len(share), len(per_row)))
    fold_of_group = np.empty(len(sizes), dtype=np.int64)
    is_empty = np.ones(len(share), dtype=bool)
    for left, code in zip(range(len(order), 0, -1), order, strict=True):
        counts = np.bincount(codes[by_group[code]], minlength=len(per_row))
        counts[-1] = sizes[code]
        added = counts * per_row
        fold = _least_costly(load, added, share, is_empty, left)
        fold_of_group[code] = fold
        load[fold] += added
        is_empty[fold] = False
    return fold_of_group[group]


def _by_appearance(groups: NDArray[np.integer]) -> IntArray:
    """Number groups by the row they first appear in, so that their names count for nothing."""
    _, first, group = np.unique(groups, return_index=True, return_inverse=True)
    rank = np.empty(len(first), dtype=np.int64)
    rank[np.argsort(first)] = np.arange(len(first))
    return rank[group]


def _least_costly(
    load: FloatArray, added: FloatArray, share: FloatArray, is_empty: NDArray[np.bool_], left: int
) -> int:
    """The fold where a group costs least; only empty ones, once no more groups are left."""
    cost = (2 * (load @ added) + added @ added) / share
    if left <= np.count_nonzero(is_empty):
        cost[~is_empty] = np.inf
    return int(np.argmax(cost <= cost.min() * (1 + 1e-9)))  # ties stay ties, however rounded


def draw(codes: NDArray[np.integer], k: int, *, seed: int, stream: int) -> IntArray:
    """Draw k rows of each class without replacement; a smaller k draws some of the same rows.

    Args:
        codes: (n,) class codes from 0, k of each that occurs at least.
        k: rows of a class.
        seed: the run's seed.
        stream: `DRAWS` or `VAL_DRAWS` plus the draw.

    Returns:
        Ascending positions among the n rows.
    """
    order = shuffle(seed, stream, len(codes))
    order = order[np.argsort(codes[order], kind="stable")]
    counts = np.bincount(codes)
    rank = np.arange(len(codes)) - np.repeat(np.cumsum(counts) - counts, counts)
    return np.sort(order[rank < k])


def draw_share(
    n: int, size: int, *, seed: int, stream: int, codes: NDArray[np.integer] | None
) -> IntArray:
    """Draw some of n rows without replacement; a smaller size draws some of the same rows.

    With codes each class has one row before any has a second, and from there on its share.

    Args:
        n: rows.
        size: rows to draw, at most n; with codes at least one a class.
        seed: the run's seed.
        stream: `DRAWS` plus the draw.
        codes: (n,) class codes from 0, or None.

    Returns:
        (size,) ascending positions among the n rows.
    """
    order = shuffle(seed, stream, n)
    if codes is not None:
        order = order[np.argsort(codes[order], kind="stable")]
        counts = np.bincount(codes)
        rank = np.arange(n) - np.repeat(np.cumsum(counts) - counts, counts)  # within the class
        # the share of its class that a row is drawn with; those of one share by class
        share = np.where(rank == 0, 0.0, (rank + 0.5) / np.repeat(counts, counts))
        order = order[np.argsort(share, kind="stable")]
    return np.sort(order[:size])
