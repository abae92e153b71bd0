from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from trainer.data.splits.random import split
from trainer.errors import DataError

fractions = st.sampled_from([0.0, 0.01, 0.1, 0.2, 0.34, 0.5])


@settings(deadline=None)
@given(n=st.integers(10, 300), val=fractions, test=fractions, seed=st.integers(0, 99))
def test_parts_are_disjoint_whole_and_of_the_right_size(
    n: int, val: float, test: float, seed: int
) -> None:
    assume(val + test < 0.9)
    parts = split(n, val, test, seed=seed, codes=None, where="here")
    assert np.array_equal(np.sort(np.concatenate(parts)), np.arange(n))
    assert all(np.all(np.diff(part) > 0) for part in parts)
    assert len(parts[1]) == (max(1, round(val * n)) if val else 0)
    assert len(parts[2]) == (max(1, round(test * n)) if test else 0)


@settings(deadline=None)
@given(
    codes=st.lists(st.integers(0, 4), min_size=20, max_size=300),
    val=st.sampled_from([0.1, 0.2, 0.5]),
    test=st.sampled_from([0.0, 0.25]),
    seed=st.integers(0, 99),
)
def test_stratified_parts_hold_each_class_in_proportion(
    codes: list[int], val: float, test: float, seed: int
) -> None:
    labels = np.array(codes)
    train, val_rows, test_rows = split(
        len(labels), val, test, seed=seed, codes=labels, where="here"
    )
    rows = np.concatenate([train, val_rows, test_rows])
    assert np.array_equal(np.sort(rows), np.arange(len(labels)))
    for code in np.unique(labels):
        n = (labels == code).sum()
        assert (labels[train] == code).any()
        if n >= 10:
            assert abs((labels[val_rows] == code).sum() - val * n) <= 1.5
            assert abs((labels[test_rows] == code).sum() - test * n) <= 1.5


def test_what_is_left_over_goes_to_the_largest_remainder() -> None:
    codes = np.repeat([0, 1, 2], [6, 7, 7])  # a fifth: 1.2, 1.4, 1.4 of 4 rows
    _, val, _ = split(20, 0.2, 0.0, seed=0, codes=codes, where="here")
    assert np.bincount(codes[val]).tolist() == [1, 2, 1]


def test_a_split_depends_on_its_seed_alone() -> None:
    first = split(100, 0.2, 0.1, seed=0, codes=None, where="here")
    again = split(100, 0.2, 0.1, seed=0, codes=None, where="here")
    other = split(100, 0.2, 0.1, seed=1, codes=None, where="here")
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not np.array_equal(first[1], other[1])
    assert first[1].tolist() == [
        4,
        5,
        12,
        14,
        31,
        33,
        37,
        41,
        43,
        50,
        51,
        68,
        74,
        81,
        82,
        84,
        88,
        91,
        96,
        97,
    ]


def test_a_class_of_one_row_stays_in_training() -> None:
    codes = np.array([0] * 50 + [1])
    train, val, _ = split(51, 0.5, 0.0, seed=0, codes=codes, where="here")
    assert 50 in train
    assert len(val) == 26  # round(25.5), all of the large class


def test_too_few_rows_say_so() -> None:
    with pytest.raises(DataError, match=r"here: data.val: 1 row: too few"):
        split(1, 0.5, 0.0, seed=0, codes=None, where="here")
    with pytest.raises(DataError, match=r"data.val: 3 rows in 3 classes: too few"):
        split(3, 0.5, 0.0, seed=0, codes=np.arange(3), where="here")
    with pytest.raises(DataError, match=r"data.val: 2 rows: too few"):
        split(2, 0.5, 0.5, seed=0, codes=None, where="here")
