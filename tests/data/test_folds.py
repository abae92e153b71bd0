"""The deal of rows and groups to folds, and few-shot draws, as numbers."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from trainer.data.splits.folds import draw, fold_of_groups, fold_of_rows
from trainer.streams import DRAWS, FOLDS, SPLIT, VAL_DRAWS


def test_streams_are_apart_from_each_other_and_from_every_epoch() -> None:
    from trainer.streams import INIT

    starts = [VAL_DRAWS, DRAWS, FOLDS]
    assert all(b - a == 1 << 56 for a, b in pairwise(starts))
    assert min(starts) > 1 << 63
    assert FOLDS + (1 << 56) < min(SPLIT, INIT) < 1 << 64


def test_a_deal_is_pinned() -> None:
    def deal(seed: int, time: int) -> list[int]:
        codes = np.array([0, 1] * 6)
        return fold_of_rows(12, 3, seed=seed, stream=FOLDS + time, codes=codes).tolist()

    assert deal(0, 0) == PINNED[0]
    assert deal(0, 1) == PINNED[1]
    assert deal(1, 0) == PINNED[2]


@settings(deadline=None)
@given(
    codes=st.lists(st.integers(0, 4), min_size=12, max_size=200),
    folds=st.integers(2, 12),
    seed=st.integers(0, 99),
)
def test_folds_are_balanced_in_size_and_in_each_class(
    codes: list[int], folds: int, seed: int
) -> None:
    labels = np.array(codes)
    for given_codes in (labels, None):
        fold = fold_of_rows(len(labels), folds, seed=seed, stream=FOLDS, codes=given_codes)
        sizes = np.bincount(fold, minlength=folds)
        assert len(sizes) == folds
        assert np.ptp(sizes) <= 1
    fold = fold_of_rows(len(labels), folds, seed=seed, stream=FOLDS, codes=labels)
    for code in np.unique(labels):
        assert np.ptp(np.bincount(fold[labels == code], minlength=folds)) <= 1


def test_which_rows_share_a_fold_is_random() -> None:
    """Each pair of rows is together in (n/k − 1)/(n − 1) of all times."""
    n, folds, times = 12, 3, 3000
    together = np.zeros((n, n))
    for time in range(times):
        fold = fold_of_rows(n, folds, seed=5, stream=FOLDS + time, codes=None)
        together += fold[:, None] == fold
    shares = together[np.triu_indices(n, 1)] / times
    assert np.abs(shares - 3 / 11).max() < 5 * np.sqrt(3 / 11 * 8 / 11 / times)


@settings(deadline=None)
@given(
    groups=st.lists(st.integers(-5, 30), min_size=60, max_size=200),
    folds=st.integers(2, 5),
    seed=st.integers(0, 99),
)
def test_groups_stay_whole_and_fill_every_fold(groups: list[int], folds: int, seed: int) -> None:
    names = np.array(groups)
    if len(np.unique(names)) < folds:
        return
    fold = fold_of_groups(names, [1 / folds] * folds, seed=seed, stream=FOLDS, codes=None)
    assert len(np.unique(fold)) == folds
    assert all(len(np.unique(fold[names == name])) == 1 for name in np.unique(names))
    largest = np.unique(names, return_counts=True)[1].max()
    assert np.ptp(np.bincount(fold)) <= largest


def test_groups_are_dealt_so_that_each_fold_has_its_share_of_each_class() -> None:
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(100), rng.integers(1, 30, 100))
    codes = (rng.random(100) < 0.2).astype(int)[groups]  # each group of one class
    fold = fold_of_groups(groups, [0.2] * 5, seed=0, stream=FOLDS, codes=codes)
    n = len(groups)
    assert np.abs(np.bincount(fold) / n - 0.2).max() < 0.01
    shares = [codes[fold == f].mean() for f in range(5)]
    assert np.ptp(shares) < 0.02
    blind = fold_of_groups(groups, [0.2] * 5, seed=0, stream=FOLDS, codes=None)
    assert np.ptp([codes[blind == f].mean() for f in range(5)]) > 0.05


def test_unequal_shares_are_met_by_whole_groups() -> None:
    groups = np.repeat(np.arange(200), np.random.default_rng(1).integers(1, 20, 200))
    fold = fold_of_groups(groups, [0.7, 0.2, 0.1], seed=0, stream=SPLIT, codes=None)
    np.testing.assert_allclose(np.bincount(fold) / len(groups), [0.7, 0.2, 0.1], atol=0.01)


def test_every_fold_has_a_group_even_where_one_group_is_nearly_all() -> None:
    groups = np.array([0] * 50 + [1, 2, 3])
    fold = fold_of_groups(groups, [0.97, 0.01, 0.01, 0.01], seed=0, stream=FOLDS, codes=None)
    assert sorted([*fold[-3:].tolist(), int(fold[0])]) == [0, 1, 2, 3]
    halves = np.repeat([0, 1], 10)  # where the shares alone would give both to the first fold
    fold = fold_of_groups(halves, [0.9, 0.1], seed=0, stream=SPLIT, codes=None)
    assert np.bincount(fold).tolist() == [10, 10]


def test_groups_of_distinct_sizes_are_dealt_anew_each_time() -> None:
    groups = np.repeat(np.arange(20), np.arange(10, 30))
    deals = {
        fold_of_groups(groups, [0.25] * 4, seed=0, stream=FOLDS + time, codes=None).tobytes()
        for time in range(5)
    }
    assert len(deals) == 5


@settings(deadline=None)
@given(
    counts=st.lists(st.integers(3, 20), min_size=2, max_size=6),
    number=st.integers(0, 5),
    seed=st.integers(0, 99),
)
def test_a_draw_takes_k_of_each_class_and_a_smaller_one_is_within_it(
    counts: list[int], number: int, seed: int
) -> None:
    codes = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(counts)), counts))
    draws = [draw(codes, k, seed=seed, stream=DRAWS + number) for k in (1, 2, 3)]
    for k, rows in enumerate(draws, start=1):
        assert np.bincount(codes[rows]).tolist() == [k] * len(counts)
        assert (np.diff(rows) > 0).all()
    assert set(draws[0]) < set(draws[1]) < set(draws[2])


def test_a_draw_is_pinned_and_each_row_as_likely_as_another() -> None:
    codes = np.array([0, 1] * 6)
    assert draw(codes, 2, seed=0, stream=DRAWS).tolist() == PINNED[3]
    assert draw(codes, 2, seed=0, stream=VAL_DRAWS).tolist() == PINNED[4]
    times = 4000
    drawn = np.zeros(12)
    for number in range(times):
        drawn[draw(codes, 2, seed=1, stream=DRAWS + number)] += 1
    assert np.abs(drawn / times - 1 / 3).max() < 5 * np.sqrt(2 / 9 / times)


# From splitmix64 in Python integers: fold of 12 rows (three deals), rows of two draws.
PINNED = [
    [0, 1, 2, 0, 0, 2, 2, 2, 1, 0, 1, 1],
    [2, 1, 2, 2, 0, 1, 1, 0, 1, 0, 0, 2],
    [1, 2, 2, 0, 1, 1, 0, 2, 0, 0, 2, 1],
    [1, 3, 6, 10],
    [2, 5, 7, 10],
]
