"""Whose label each row gets in a permutation."""

import numpy as np
import pytest

from trainer.data.permuted import arrangements, permuted_order

CASES = {
    "between": ([0, 0, 1, 1, 1, 0], [5, 5, 2, 2, 2, 9], 3),
    "within": ([0, 1, 1, 0, 0, 1], [0, 0, 0, 1, 1, 1], 9),
    "none": ([0, 0, 1, 1], None, 6),
    "stuck": ([1, 1, 1], [0, 1, 1], 1),
    "numbers": ([0, 1, 2, 3], None, 24),
}


@pytest.mark.parametrize("name", CASES)
def test_every_labelling_comes_about_equally_often(name):
    labels, group, ways = CASES[name]
    labels = np.array(labels)
    group = None if group is None else np.array(group)
    assert arrangements(labels, group) == ways
    draws = 200 * ways
    seen = {}
    for i in range(draws):
        found = tuple(labels[permuted_order(labels, group, 7, i)].tolist())
        seen[found] = seen.get(found, 0) + 1
    assert len(seen) == ways
    assert max(abs(n - 200) for n in seen.values()) < 4.5 * np.sqrt(200) or ways == 1


def test_within_groups_no_label_leaves_its_group():
    group = np.array([3, 1, 3, 1, 2, 3])
    order = permuted_order(np.arange(6), group, 0, 5)
    assert sorted(order) == list(range(6))
    assert (group[order] == group).all()


def test_between_groups_all_rows_of_one_get_the_label_of_another():
    group = np.repeat([4, 7, 8], [1, 2, 3])
    labels = np.repeat([0, 1, 2], [1, 2, 3])
    for i in range(5):
        moved = labels[permuted_order(labels, group, 0, i)]
        assert sorted(moved[[0, 1, 3]]) == [0, 1, 2]
        assert moved[1] == moved[2]
        assert (moved[3:] == moved[3]).all()


def test_more_labellings_than_anybody_counts_are_a_billion():
    assert arrangements(np.arange(100), None) == 10**9
