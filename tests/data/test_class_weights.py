from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.utils.class_weight import compute_class_weight

from trainer.data import row_weights
from trainer.text.labels import label_text


@settings(deadline=None)
@given(
    codes=st.lists(st.integers(0, 3), min_size=4, max_size=50).filter(lambda c: len(set(c)) == 4),
    seed=st.integers(0, 1000),
)
def test_balanced_is_scikit_learns(codes: list[int], seed: int) -> None:
    y = np.array(codes)
    weight = np.random.default_rng(seed).uniform(0.1, 3, size=len(y))
    theirs = compute_class_weight("balanced", classes=np.arange(4), y=y, sample_weight=weight)
    ours = row_weights(y, weight, "balanced", [0, 1, 2, 3])
    np.testing.assert_allclose(ours, weight * theirs[y], rtol=1e-12)
    # What the rule is for: every class has the same share of S, and S stays.
    np.testing.assert_allclose(np.bincount(y, ours), weight.sum() / 4, rtol=1e-12)


def test_written_class_weights_and_logistic_codes() -> None:
    y = np.array([[0.0], [1.0], [1.0]], dtype=np.float32)
    weight = np.array([1.0, 2.0, 3.0])
    assert row_weights(y, weight, {"b": 10}, ["a", "b"]).tolist() == [1, 20, 30]
    assert row_weights(y, weight, {0: 2, 1: 0.5}, [0, 1]).tolist() == [2, 1, 1.5]
    assert row_weights(y, weight, {"0": 2}, [0, 1]).tolist() == [2, 2, 3]
    assert row_weights(y, weight, {True: 2}, [False, True]).tolist() == [1, 4, 6]
    assert row_weights(y, weight, "none", None).tolist() == weight.tolist()


def test_a_class_without_weight_is_no_class_to_balance() -> None:
    y = np.array([0, 0, 1, 2])
    weight = np.array([1.0, 1.0, 1.0, 0.0])
    ours = row_weights(y, weight, "balanced", ["a", "b", "c", "d"])
    assert ours.tolist() == [0.75, 0.75, 1.5, 0]


def test_weights_given_stay_as_they_are() -> None:
    weight = np.ones(3)
    result = row_weights(np.array([0, 1, 1]), weight, "none", None)
    result[0] = 5
    assert weight[0] == 1


@pytest.mark.parametrize(
    ("label", "text"),
    [(True, "true"), (np.bool_(False), "false"), (3, "3"), (3.0, "3"), (2.5, "2.5"), ("a", "a")],
)
def test_label_text(label: object, text: str) -> None:
    assert label_text(label) == text
