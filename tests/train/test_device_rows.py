"""Rows on a device: one X for all class weights, and what is made of them is made once."""

import numpy as np
import pytest
from stacks import DEVICE, host

from trainer.config import load_spec
from trainer.data import prepare
from trainer.errors import DataError
from trainer.train.device_rows import put_on_device, raw_weights, shares

SPEC = {"model": "logistic", "data": {"train": "breast_cancer"}}


def rows(class_weight="none"):
    return put_on_device(prepare(load_spec(SPEC)), class_weight, DEVICE)


def test_what_is_made_of_rows_is_made_once_and_goes_with_their_weights():
    one, made = rows(), []
    for key in ("a", "a", "b", "a"):
        assert one.once(key, lambda key=key: made.append(key) or key) == key
    assert made == ["a", "b"]
    other = one.weighted("balanced")
    other.once("a", lambda: made.append("again"))
    assert made == ["a", "b", "again"]


def test_other_class_weights_share_x_and_not_the_weights():
    one = rows()
    other = one.weighted("balanced")
    assert other.rows.X is one.rows.X
    parts = one.rows, one.held.rows
    arrays = one.rows.r, *(part.X for part in parts), *(part.q for part in parts)  # val has one
    assert other.bytes == one.bytes == sum(array.nbytes for array in arrays)
    y, s = one.prepared.train.y[:, 0], other.s
    assert s[y == 0].sum() == pytest.approx(s[y == 1].sum())  # scikit-learn's balanced
    assert host(other.rows.q)[:, 0, 0] == pytest.approx(s / s.sum(), rel=1e-6)
    assert (host(one.rows.q) == host(one.rows.q)[0]).all()
    assert one.outputs == 1


def test_class_weights_that_do_not_fit_the_labels_are_refused():
    with pytest.raises(DataError, match="is no class"):
        rows({"no such label": 2.0})


def test_shares_sum_to_1_and_an_overflow_says_nothing():
    assert shares(np.array([1.0, 3.0])).tolist() == [0.25, 0.75]
    assert not np.isfinite(shares(np.array([1e308, 1e308])) - np.inf).any()
    assert raw_weights(prepare(load_spec(SPEC)), "none").sum() == len(rows().rows)
