"""Passes of few scores a row in one call of C: the sums of the products, one chunk or many."""

from types import SimpleNamespace

import numpy as np
import pytest
from stacks import CPU

from trainer.model import MODELS, compiled, compiled_errors
from trainer.model.compiled_errors import is_narrow
from trainer.solvers import passes
from trainer.train.batches import RowSet

needs_library = pytest.mark.skipif(compiled.load()[0] is None, reason=compiled.load()[1])
WIDTHS = (1, 7, 15, 16, 17, 31, 32, 33, 100)  # whole blocks of 16, and what is beyond them
SCORES = [("logistic", 1, 1), ("logistic", 1, 2), ("logistic", 1, 16), ("softmax", 5, 3)]
SCORES += [("linear", 2, 1), ("poisson", 1, 4), ("softmax", 16, 1), ("softmax", 3, 1)]


def pass_of(model, outputs, columns, N, D, narrow, monkeypatch):
    monkeypatch.setattr(passes, "is_narrow", lambda *given: narrow)
    draw = np.random.default_rng(0)
    X = draw.standard_normal((N, D))
    if model == "softmax":
        y = draw.integers(0, outputs, N)
    else:
        y = draw.integers(0, 2, (N, outputs)).astype(float)
    q = draw.uniform(0.5, 1.5, N)
    q[3::7] = 0
    rows = RowSet(CPU, X, y, q, np.full(N, 1 / N), outputs)
    shape = (D, outputs, columns)
    problem = SimpleNamespace(device=CPU, model=MODELS[model, "auto"], shape=shape, bias=True)
    return passes.Pass(problem, rows, slice(0, N), 64)


def sums(one, weights, offset):
    one.run(weights, offset, True, at_zeros=not weights.any())
    return one.found, one.sum, one.kept


@needs_library
@pytest.mark.parametrize("rows", [1, 31, 64, 150])
@pytest.mark.parametrize("zeros", [False, True])
@pytest.mark.parametrize(("model", "outputs", "columns"), SCORES)
@pytest.mark.parametrize("D", WIDTHS)
def test_one_call_sums_up_what_the_products_do(
    monkeypatch, model, outputs, columns, D, zeros, rows
):
    monkeypatch.setattr(compiled_errors, "_CACHED", 8 * D * 32)  # 32 rows of a chunk
    shape, draw = (D, outputs, columns), np.random.default_rng(1)
    weights = np.zeros(shape) if zeros else draw.standard_normal(shape) / np.sqrt(D)
    offset = draw.standard_normal(shape[1:])
    given = [
        pass_of(model, outputs, columns, rows, D, narrow, monkeypatch) for narrow in (True, False)
    ]
    assert [one._narrow for one in given] == [True, False]
    twin, text = (sums(one, weights, offset) for one in given)
    for ours, right in zip(twin, text, strict=True):
        assert (ours is None) == (right is None)
        if right is not None:
            np.testing.assert_allclose(ours, right, rtol=1e-12, atol=1e-13)
    again = sums(given[0], weights, offset)
    np.testing.assert_array_equal(again[1], twin[1])


def test_scores_are_kept_of_long_rows(monkeypatch):
    assert pass_of("logistic", 1, 1, 20, 100, False, monkeypatch).kept is not None
    assert pass_of("logistic", 1, 1, 20, 15, False, monkeypatch).kept is None


@needs_library
def test_rows_that_are_not_finite_stay_where_they_are(monkeypatch):
    one = pass_of("logistic", 1, 1, 40, 20, True, monkeypatch)
    one._batches.rows.X[33] = np.nan  # the row after one whose end is not a whole block
    sums(one, np.ones((20, 1, 1)), np.zeros((1, 1)))
    kept = pass_of("logistic", 1, 1, 40, 20, True, monkeypatch).kept
    assert np.isfinite(one.kept[np.arange(40) != 33]).all()
    assert np.isnan(one.kept[33]).all()
    assert kept.shape == one.kept.shape


@needs_library
def test_what_was_in_the_room_before_is_not_read(monkeypatch):
    one = pass_of("logistic", 1, 1, 40, 20, True, monkeypatch)
    first = [array.copy() for array in sums(one, np.ones((20, 1, 1)), np.zeros((1, 1)))]
    one._errors._room.fill(np.nan)
    for now, before in zip(sums(one, np.ones((20, 1, 1)), np.zeros((1, 1))), first, strict=True):
        np.testing.assert_array_equal(now, before)


def test_few_long_rows_are_for_it():
    long = np.zeros((2048, 128))
    assert is_narrow(1, 1, long)
    assert is_narrow(2, 8, long)
    assert not is_narrow(1, 17, long)
    assert not is_narrow(1, 7, long)  # most of what is computed would be padding
    assert not is_narrow(1, 1, long[:-1])
    assert not is_narrow(1, 1, np.zeros((1 << 15, 127)))
    assert not is_narrow(1, 1, long.astype(np.float32))
    assert not is_narrow(1, 1, np.zeros((4096, 256))[:, ::2])
