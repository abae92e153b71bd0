"""The numbers in the page are the model's, and its slopes are those of its losses."""

import numpy as np
import pytest
from explain_helpers import SAMPLES, grid_of, model_at, unpack

from trainer.explain.samples import pack

NAMES = ["linear", "logistic", "softmax", "plateau"]
# Half a step of a packed table, or six decimals.
ROUNDING = {"linear": 6e-7, "logistic": 6e-7, "softmax": 1.1e-4, "plateau": 6e-7}


def tables(name: str):
    """(y, ŷ (n, C), loss (n,), dz (n, C)) of the page for each target."""
    picture = SAMPLES[name]
    prediction = np.stack([unpack(t) for t in picture["prediction"]], 1)
    for target in picture["targets"]:
        y = np.array(target["y"])
        dz = prediction - y
        if target["dz"] is not None:
            dz = np.stack([unpack(t) for t in target["dz"]], 1)
        yield y, prediction, unpack(target["loss"]), dz


def test_the_page_has_the_four_pictures():
    assert list(SAMPLES) == NAMES
    counts = {name: len(list(tables(name))) for name in NAMES}
    assert counts == {"linear": 3, "logistic": 2, "softmax": 3, "plateau": 2}


@pytest.mark.parametrize("name", NAMES)
def test_numbers_equal_the_models_functions(name):
    points, _ = grid_of(SAMPLES[name])
    for y, prediction, loss, dz in tables(name):
        assert len(points) == len(prediction) == len(loss) == len(dz)
        expected_loss, expected_error, expected_dz = model_at(name, points, y)
        np.testing.assert_allclose(loss, expected_loss, rtol=0, atol=ROUNDING[name])
        np.testing.assert_allclose(prediction - y, expected_error, rtol=0, atol=ROUNDING[name])
        np.testing.assert_allclose(dz, expected_dz, rtol=0, atol=ROUNDING[name])


@pytest.mark.parametrize("name", NAMES)
def test_slopes_are_finite_differences_of_the_models_loss(name):
    points, _ = grid_of(SAMPLES[name])
    few = np.random.default_rng(0).permutation(len(points))[:200]
    h = 1e-5
    for y, _, _, dz in tables(name):
        for c, step in enumerate(h * np.eye(points.shape[1])):
            up, down = (model_at(name, points[few] + side * step, y)[0] for side in (1, -1))
            slope = (up - down) / (2 * h)
            np.testing.assert_allclose(dz[few, c], slope, rtol=0, atol=ROUNDING[name] + 1e-8)


@pytest.mark.parametrize("name", NAMES)
def test_slopes_are_finite_differences_of_the_losses_in_the_page(name):
    picture = SAMPLES[name]
    step, (_, shape) = picture["step"], grid_of(picture)
    # A central difference is off by step²/6·L''' at most, |L'''| < 0.16 in all four; then rounding.
    bound = 0.16 * step**2 / 6 + 2 * ROUNDING[name] / step
    for _, _, loss, dz in tables(name):
        for c in range(len(shape)):
            cube = np.moveaxis(loss.reshape(shape), c, 0)
            slope = (cube[2:] - cube[:-2]) / (2 * step)
            inner = np.moveaxis(dz[:, c].reshape(shape), c, 0)[1:-1]
            np.testing.assert_allclose(inner, slope, rtol=0, atol=bound)


def test_only_squared_error_on_a_sigmoid_has_slopes_of_its_own():
    own = {
        name: {target["dz"] is not None for target in SAMPLES[name]["targets"]} for name in NAMES
    }
    assert own == {"linear": {False}, "logistic": {False}, "softmax": {False}, "plateau": {True}}


def test_the_plateau_is_flat_where_the_error_is_largest():
    for y, prediction, _, dz in tables("plateau"):
        worst = np.abs(prediction - y).argmax()
        assert abs(prediction[worst] - y)[0] > 0.99
        assert abs(dz[worst, 0]) < 0.003


def test_a_table_is_packed_only_if_it_is_large():
    assert pack(np.array([0.1234567, -1e-9])) == [0.123457, 0.0]
    for largest in (0.3, 8.0):
        values = np.linspace(-largest, 0.9 * largest, 5000)
        half = largest / 32767
        np.testing.assert_allclose(unpack(pack(values)), values, rtol=0, atol=half)
