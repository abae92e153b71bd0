"""The compiled squares of evaluations of linear models against the text, which is NumPy's."""

import numpy as np
import pytest

from trainer.model import MODELS, compiled
from trainer.model.compiled_errors import squares_of
from trainer.model.metrics import REGRESSION

pytestmark = pytest.mark.skipif(compiled.load()[0] is None, reason="nothing is compiled")
LINEAR = MODELS["linear", "auto"]
COLUMNS = [1, 2, 7, 16, 33, 64, 200]
OUTPUTS = [1, 2, 10]


def problem(K, C, dtype, rows=103):
    rng = np.random.default_rng(K + C)
    z = rng.normal(size=(rows, C, K)).astype(dtype)
    bias = rng.normal(size=(C, K)).astype(dtype)
    w = np.where(rng.random(rows) < 0.2, 0.0, rng.gamma(1.0, size=rows))
    w[::17] = 1e12
    return z, bias, rng.normal(size=(rows, C, 1)), w


def text(z, bias, y, w):
    """Squares (C, K) and losses (K,) as `Evaluator._of_predictions` sums them in NumPy."""
    with np.errstate(all="ignore"):
        wide = (z + bias).astype(np.float64)
        found = REGRESSION.sums(np, wide, y[:, :, 0], w)["squares"]
        error, loss = wide - y, np.empty((len(z), z.shape[2]))
        LINEAR.loss(np, wide, y, error, loss, None)
        return found, w @ loss


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("C", OUTPUTS)
@pytest.mark.parametrize("K", COLUMNS)
def test_squares_and_losses_are_those_of_the_text(K, C, dtype):
    given = problem(K, C, dtype)
    found = squares_of(np, LINEAR, given[0])(*given)
    squares, losses = text(*given)
    np.testing.assert_allclose(found, squares, rtol=1e-13)
    np.testing.assert_allclose(0.5 * found.sum(axis=0), losses, rtol=1e-13)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_what_is_not_finite_stays_in_its_own_column(dtype):
    z, bias, y, w = problem(33, 2, dtype)
    w[5] = 0
    alone = squares_of(np, LINEAR, z)(z, bias, y, w)
    z[3, 0, 4], z[5, 1, 7], bias[0, 9], z[8, 1, 20] = np.nan, np.inf, -np.inf, 3e38
    found = squares_of(np, LINEAR, z)(z, bias, y, w)
    squares, _ = text(z, bias, y, w)
    np.testing.assert_array_equal(np.isnan(found), np.isnan(squares))  # of 0·inf too
    assert np.isnan(found[1, 7])
    np.testing.assert_allclose(found, squares, rtol=1e-13)
    others = np.ones((2, 33), bool)
    others[[0, 1, 0, 1], [4, 7, 9, 20]] = False
    assert found[others].tobytes() == alone[others].tobytes()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("K", COLUMNS)
def test_a_column_does_not_depend_on_its_company(K, dtype):
    z, bias, y, w = problem(K, 3, dtype)
    together = squares_of(np, LINEAR, z)(z, bias, y, w)
    for k in (0, K // 2, K - 1):
        one = [np.ascontiguousarray(array[..., k : k + 1]) for array in (z, bias)]
        assert squares_of(np, LINEAR, z)(*one, y, w).tobytes() == together[:, k].tobytes()


def test_differences_that_cancel_in_float32_are_kept():
    """Targets in float64 beside scores in float32, whose difference is all there is to see."""
    z = np.full((50, 1, 1), 1e6, np.float32)
    y = np.full((50, 1, 1), 1e6 + 1e-3)
    found = squares_of(np, LINEAR, z)(z, np.zeros((1, 1), np.float32), y, np.ones(50))
    assert found[0, 0] == pytest.approx(50 * 1e-6, rel=1e-6)


def test_arrays_may_lie_in_any_order():
    z, bias, y, w = problem(7, 3, np.float64)
    other = [np.asfortranarray(one) for one in (z, bias, y)]
    found = squares_of(np, LINEAR, z)(*other, np.repeat(w, 2)[::2])
    assert found.tobytes() == squares_of(np, LINEAR, z)(z, bias, y, w).tobytes()


def test_other_models_have_none():
    weights = np.zeros((2, 1, 1), np.float32)
    has = {key for key, row in MODELS.items() if squares_of(np, row, weights) is not None}
    assert has == {("linear", "auto"), ("linear", "squared_error")}
    assert len(MODELS) > 5
    assert squares_of(np, LINEAR, weights.astype(np.float16)) is None
