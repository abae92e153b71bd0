"""The curvature that bounds a learning rate, against Hessians made from differences."""

import numpy as np
import pytest
from oracles import row_losses

from trainer.model import MODELS
from trainer.model.curvature import largest_curvature


def hessian(model, loss, z, y, h=1e-3):
    """Second derivatives (C, C) of one row's loss by its scores."""
    steps = h * np.eye(len(z))

    def value(at):
        return row_losses(model, loss, at[None], y[None])[0]

    return np.array(
        [
            [
                value(z + a + b) - value(z + a - b) - value(z - a + b) + value(z - a - b)
                for b in steps
            ]
            for a in steps
        ]
    ).astype(float) / (4 * h * h)


BOUNDED = [key for key, model in MODELS.items() if model.curvature is not None]


def test_only_counts_have_a_curvature_without_a_bound():
    assert set(MODELS) - set(BOUNDED) == {("poisson", "auto")}
    second = [hessian("poisson", "auto", np.array([z]), np.array([3.0]))[0, 0] for z in (0, 5, 9)]
    np.testing.assert_allclose(second, np.exp([0, 5, 9]), rtol=1e-5)


@pytest.mark.parametrize(("model", "loss"), BOUNDED)
def test_the_second_derivative_reaches_the_tables_bound_and_no_more(model, loss):
    if model == "softmax":
        points = [(np.array([a, b, 0.0]), np.eye(3)[0]) for a in (0, 2, 20) for b in (0, 2, 20)]
    else:
        points = [(np.array([z]), np.array([y])) for z in np.linspace(-9, 9, 361) for y in (0, 1)]
    largest = max(np.linalg.eigvalsh(hessian(model, loss, z, y))[-1] for z, y in points)
    assert 0.995 * MODELS[model, loss].curvature <= largest
    assert largest <= MODELS[model, loss].curvature + 1e-6


@pytest.mark.parametrize("bias", [True, False])
def test_the_largest_curvature_is_that_of_the_rows_times_the_bound(bias):
    draw = np.random.default_rng(8)
    X, p = draw.standard_normal((50, 3)) + 0.5, draw.dirichlet(np.ones(50))
    X1 = np.hstack([X, np.full((50, 1), float(bias))])
    top = np.linalg.eigvalsh((X1 * p[:, None]).T @ X1)[-1]
    assert largest_curvature(X, p, bias, 0.25, 500) == pytest.approx(0.25 * top, rel=1e-9)


def test_the_largest_curvature_sees_features_that_cancel():
    draw = np.random.default_rng(9)
    x = draw.choice([-1.0, 1.0], 64)
    X, p = np.stack([x, -x], axis=1), np.full(64, 1 / 64)  # X·(1, 1) is exactly 0
    top = np.linalg.eigvalsh(X.T @ X / 64)[-1]
    assert largest_curvature(X, p, False, 1.0) == pytest.approx(top, rel=1e-9)


def test_rows_of_nothing_have_no_curvature():
    assert largest_curvature(np.zeros((5, 2)), np.full(5, 0.2), False, 1.0) == 0
