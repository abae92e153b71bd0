"""Rows that encoding does not change are those that were passed in, and are hashed when asked."""

import hashlib

import numpy as np
import pytest

from trainer.config import load_spec
from trainer.data import prepare
from trainer.data.encode.resolution import Extremes
from trainer.data.frame import labels_of
from trainer.errors import DataError

ROWS = 40


def passed(dtype="float64", features=3):
    draw = np.random.default_rng(0)
    return draw.standard_normal((ROWS, features)).astype(dtype), np.arange(ROWS) % 2


def prepared(X, y, **more):
    tree = {
        "model": "logistic",
        "precision": "float64",
        "data": {"train": "arrays", "scale": "none", "val": "none"},
    }
    tree["data"] |= more
    return prepare(load_spec(tree), {"train": (X, y)})


def test_rows_that_nothing_changes_are_not_copied():
    X, y = passed()
    assert np.shares_memory(prepared(X, y).train.X, X)


@pytest.mark.parametrize(
    "change",
    [
        lambda X: X.astype("float32"),
        lambda X: np.asfortranarray(X),
        lambda X: X + 1e14,  # centred: few steps
        lambda X: np.frombuffer(memoryview(X.tobytes())).reshape(X.shape),  # whose memory?
    ],
)
def test_other_rows_are_copied(change):
    X, y = passed()
    X = change(X)
    train = prepared(X, y).train
    assert not np.shares_memory(train.X, X)
    assert train.X.flags.c_contiguous
    assert train.X.dtype == np.float64


@pytest.mark.parametrize("more", [{"scale": "standard"}, {"scale": "unit"}])
def test_scaled_rows_are_copied_and_the_users_stay_as_they_are(more):
    X, y = passed()
    before = X.copy()
    assert not np.shares_memory(prepared(X, y, **more).train.X, X)
    np.testing.assert_array_equal(X, before)


def test_rows_of_a_mapped_file_are_copied(tmp_path):
    X, y = passed()
    path = tmp_path / "X.npy"
    np.save(path, X)
    mapped = np.load(path, mmap_mode="r")
    found = prepared(mapped[1:], y[1:]).train.X
    assert not np.shares_memory(found, mapped)
    np.testing.assert_array_equal(found, X[1:])


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_no_number_is_refused_where_nothing_is_copied(bad):
    X, y = passed()
    X[7, 1] = bad
    with pytest.raises(DataError, match="row 7, column 'x1'"):
        prepared(X, y)


def test_arrays_are_hashed_when_their_digest_is_asked_for_and_once(monkeypatch):
    hashed, update = [], hashlib.sha256

    def counted(*args, **more):
        hashed.append(args)
        return update(*args, **more)

    monkeypatch.setattr(hashlib, "sha256", counted)
    X, y = passed()
    found = prepared(X, y)
    assert len(hashed) == 1  # that of all, of nothing yet
    first = found.digest
    assert len(hashed) == 2
    assert found.digest == first
    assert len(hashed) == 2


@pytest.mark.parametrize("D", [1, 3, 600])
@pytest.mark.parametrize("n", [1, 5, 2000])
def test_extremes_are_those_of_the_columns(n, D):
    X = np.random.default_rng(n).standard_normal((n, D))
    for rows in (X, np.asfortranarray(X)):
        found = Extremes.of(rows)
        np.testing.assert_array_equal(found.low, X.min(axis=0))
        np.testing.assert_array_equal(found.high, X.max(axis=0))


@pytest.mark.parametrize(
    "values",
    [
        np.array([3, -2, 3, 0, -2]),
        np.array([250, 3, 3, 250, 9], np.uint8),
        np.array([2**62, -(2**62), 5]),
        np.array([2**63, 1, 1], np.uint64),
        np.array([True, False, True]),
    ],
)
def test_labels_are_sorted_and_of_their_own_type(values):
    found = labels_of(values, "y")
    assert list(found.values) == sorted(set(values.tolist()))
    assert {type(value) for value in found.values} == {type(values.tolist()[0])}
    assert [found.values[code] for code in found.codes] == values.tolist()


def test_a_few_rows_tell_the_extremes_only_where_no_feature_may_hardly_vary():
    X = np.random.default_rng(0).standard_normal((10_000, 3))
    of_all, largest = Extremes.of(X), 2 * np.sqrt((X**2).sum())
    some = Extremes.told_by_some(X, largest)
    assert (some.low > of_all.low).any()  # not all rows were read
    X[5000, 1] = 1e16  # among the others
    for bound in (2 * np.sqrt((X**2).sum()), np.inf):
        found = Extremes.told_by_some(X, bound)
        np.testing.assert_array_equal(found.high, Extremes.of(X).high)


@pytest.mark.parametrize("unit", [1.0, 1e-170])  # of which a square is 0
def test_a_feature_that_varies_in_a_few_rows_alone_is_not_called_constant(unit):
    X = unit * np.random.default_rng(0).standard_normal((10_000, 3))
    X[:, 1] = 0.0
    y = np.arange(len(X)) % 2
    assert prepared(X, y).summary.constant == ("x1",)
    X[5000, 1] = unit
    assert prepared(X, y).summary.constant == ()
