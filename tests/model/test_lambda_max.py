"""Where a path of l1 begins, against differences of J and against scikit-learn's rule."""

import numpy as np
import pytest
from oracles import row_losses

from trainer.model import MODELS
from trainer.model.lambda_max import lambda_max

RNG = np.random.default_rng
KINDS = [kind for kind in MODELS if kind != ("linear", "squared_error")]


def rows(model, seed=0, N=50, D=4):
    draw = RNG(seed)
    X = draw.standard_normal((N, D)) + 1
    if model == "linear":
        y = draw.standard_normal((N, 2)) + 3
    elif model == "logistic":
        y = (draw.random((N, 1)) < 0.3).astype(float)
    elif model == "poisson":
        y = draw.poisson(3, (N, 2)).astype(float)
    else:
        y = np.eye(3)[draw.integers(0, 3, N)]
    p = draw.uniform(0.2, 2, N)
    return X, y, p / p.sum()


def by_differences(model, loss, X, y, p, bias):
    """The largest |∂J/∂w| at W = 0 with the best of many biases."""
    C = y.shape[1]

    def value(w, b):
        return float(p @ row_losses(model, loss, X @ w + b, y))

    b = np.zeros(C)
    if bias:
        mean = p @ y  # the link of the mean is the best bias
        link = {"linear": lambda m: m, "logistic": lambda m: np.log(m / (1 - m))}
        b = link.get(model, np.log)(mean)
        for shift in 1e-3 * np.vstack([np.eye(C), -np.eye(C)]):
            assert value(np.zeros((X.shape[1], C)), b) <= value(
                np.zeros((X.shape[1], C)), b + shift
            )
    slopes, h = np.zeros((X.shape[1], C)), 1e-5
    for at in np.ndindex(slopes.shape):
        step = np.zeros_like(slopes)
        step[at] = h
        slopes[at] = (value(step, b) - value(-step, b)) / (2 * h)
    return np.abs(slopes).max()


def test_the_table_of_kinds_is_whole():
    assert len(KINDS) == len(MODELS) - 1 == 5


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(("model", "loss"), KINDS)
def test_it_is_the_largest_slope_at_zero(model, loss, bias):
    X, y, p = rows(model)
    found = lambda_max(MODELS[model, loss], X, y, p, bias, np.zeros(X.shape[1]))
    assert found == pytest.approx(by_differences(model, loss, X, y, p, bias), rel=1e-7)


def test_features_that_say_nothing_have_none():
    X, y, p = rows("logistic")
    model, far = MODELS["logistic", "auto"], np.zeros(3)
    assert lambda_max(model, np.zeros((len(X), 3)), y, p, True, far) == 0
    centred = np.tile(X[:, :1] - p @ X[:, :1], 3) * 1e-17  # a rounding of each row
    assert lambda_max(model, centred, np.ones_like(y), p, True, far) == 0


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_digits_lost_in_a_large_mean_are_no_slope(dtype):
    X, y, p = rows("linear", N=400)
    X = (RNG(5).standard_normal(X.shape) * 1e-9).astype(dtype)  # what centring left of a constant
    model = MODELS["linear", "auto"]
    assert lambda_max(model, X, y, p, True, np.full(4, 1e15)) == 0
    assert lambda_max(model, X, y, p, True, np.zeros(4)) > 0


def test_the_last_digit_of_float32_is_no_slope_and_of_float64_is_one():
    y, X = np.tile([0.0, 0.0, 1.0, 1.0], 10)[:, None], np.tile([-1.0, 1.0, -1.0, 1.0], 10)[:, None]
    X[1] = np.nextafter(np.float32(1), np.float32(2))  # the one that says something of y
    p, model = np.full(40, 1 / 40), MODELS["linear", "auto"]
    assert lambda_max(model, X.astype(np.float32), y, p, True, np.zeros(1)) == 0
    assert lambda_max(model, X, y, p, True, np.zeros(1)) > 0


def test_many_rows_go_by_in_chunks(monkeypatch):
    X, y, p = rows("softmax")
    whole = lambda_max(MODELS["softmax", "auto"], X, y, p, True, np.zeros(4))
    monkeypatch.setattr("trainer.model.lambda_max._ROWS", 7)
    parts = lambda_max(MODELS["softmax", "auto"], X, y, p, True, np.zeros(4))
    assert parts == pytest.approx(whole, rel=1e-14)
