"""Leave-one-out residuals are those of a slow loop of N fits, and their choice RidgeCV's."""

import numpy as np
import pytest
from stacks import DEVICE, host

from trainer.solvers.leave_one_out import directions_of, influence, left_out

SHAPES = {"tall": (60, 5), "wide": (12, 20), "square": (15, 14)}


def rows(shape, outputs=1, weights="equal", seed=0):
    rng = np.random.default_rng(seed)
    N, D = SHAPES[shape]
    X = rng.normal(size=(N, D)) * np.geomspace(0.3, 3, D) + 2
    y = X @ rng.normal(size=(D, outputs)) + rng.normal(size=(N, outputs))
    s = {"equal": np.full(N, 2.0), "unequal": rng.random(N) + 0.1, "counts": np.arange(N) % 3}
    return X, y, s[weights].astype(float)


def fit(X, y, s, penalty, bias):
    """The weights and bias of Σ s·½(y − ŷ)² + penalty/2·‖W‖², by normal equations."""
    A = np.c_[X, np.ones(len(X))] if bias else X
    ridge = np.diag([penalty] * X.shape[1] + [0.0] * bias)
    found = np.linalg.solve(A.T @ (s[:, None] * A) + ridge, A.T @ (s[:, None] * y))
    return (found[:-1], found[-1]) if bias else (found, 0.0)


def slow(X, y, s, l2, fixed, bias):
    """(N, C) residuals of N fits."""
    found = np.empty(y.shape)
    for i in range(len(X)):
        rest = np.arange(len(X)) != i
        penalty = l2 * (s.sum() if fixed else s[rest].sum())
        w, b = fit(X[rest], y[rest], s[rest], penalty, bias)
        found[i] = y[i] - X[i] @ w - b
    return found


@pytest.mark.parametrize("fixed", [False, True], ids=["l2", "C"])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("weights", ["equal", "unequal", "counts"])
@pytest.mark.parametrize("shape", SHAPES)
def test_residuals_are_those_of_a_loop_of_fits(shape, weights, bias, fixed):
    X, y, s = rows(shape, 2, weights)
    l2 = np.array([1e-3, 0.1, 10.0])
    of = directions_of(DEVICE, X, y, s / s.sum(), bias, 1e-3)
    found = host(left_out(DEVICE, of, l2, np.full(3, fixed), whole=False).residual)
    for k, one in enumerate(l2):
        true = slow(X, y, s, one, fixed, bias)
        np.testing.assert_allclose(found[..., k], true, rtol=1e-9, atol=1e-10 * abs(y).max())


def test_a_row_that_the_others_say_nothing_of_has_no_residual():
    X, y, s = rows("tall")
    X[:, 0] = 0
    X[7, 0] = 1  # which this row alone has
    of = directions_of(DEVICE, X, y, s / s.sum(), True, 0.0)
    found = host(left_out(DEVICE, of, np.zeros(1), np.zeros(1, bool), whole=False).residual)
    assert np.flatnonzero(np.isnan(found[:, 0, 0])).tolist() == [7]


def test_without_leaving_out_they_are_those_of_the_model():
    X, y, s = rows("tall", weights="unequal")
    of = directions_of(DEVICE, X, y, s / s.sum(), True, 0.1)
    found = left_out(DEVICE, of, np.array([0.1]), np.zeros(1, bool), whole=True)
    w, b = fit(X, y, s, 0.1 * s.sum(), True)
    np.testing.assert_allclose(host(found.residual)[..., 0], y - X @ w - b, atol=1e-12)
    A = np.c_[X, np.ones(len(X))]
    inverse = np.linalg.inv(A.T @ (s[:, None] * A) + np.diag([0.1 * s.sum()] * 5 + [0]))
    hat = s * np.einsum("nd,de,ne->n", A, inverse, A)
    np.testing.assert_allclose(host(found.leverage)[:, 0], hat, rtol=1e-10)


@pytest.mark.parametrize("weights", ["equal", "unequal"])
def test_cooks_distance_is_how_far_all_predictions_move_without_a_row(weights):
    X, y, s = rows("tall", 2, weights)
    given = s / s.sum(), True, np.zeros(2), np.zeros(2, bool)
    found = influence(DEVICE, X, y, *given)
    w, b = fit(X, y, s, 0.0, True)
    w_sum = (s * len(X) / s.sum())[:, None]
    variance = (w_sum * (y - X @ w - b) ** 2).sum(axis=0) / (len(X) - 6)
    for i in range(0, len(X), 7):
        rest = np.arange(len(X)) != i
        moved = X @ (w - (other := fit(X[rest], y[rest], s[rest], 0.0, True))[0]) + b - other[1]
        true = (w_sum * moved**2).sum(axis=0) / 6 / variance
        np.testing.assert_allclose(found.distance[i], true, rtol=1e-8)


def test_outputs_with_penalties_of_their_own_are_as_each_alone():
    X, y, s = rows("tall", 3, "unequal")
    l2, fixed, p = np.array([0.1, 1.0, 1.0]), np.array([False, True, False]), s / s.sum()
    found = influence(DEVICE, X, y, p, True, l2, fixed)
    for c in range(3):
        alone = influence(DEVICE, X, y[:, [c]], p, True, l2[[c]], fixed[[c]])
        for one, other in zip(found, alone, strict=True):
            np.testing.assert_allclose(one[:, [c]], other, rtol=1e-9)
    assert not np.allclose(found.leverage[:, 0], found.leverage[:, 1])


def test_a_model_with_as_many_parameters_as_rows_has_no_cooks_distance():
    X, y, s = rows("square")
    found = influence(DEVICE, X, y, s / s.sum(), True, np.zeros(1), np.zeros(1, bool))
    assert np.isnan(found.distance).all()


def test_the_choice_is_that_of_ridge_cv():
    linear_model = pytest.importorskip("sklearn.linear_model")
    for seed in range(4):
        X, y, s = rows("tall", seed=seed)
        alphas = np.geomspace(1e-3, 1e3, 40)
        theirs = linear_model.RidgeCV(alphas, store_cv_results=True).fit(X, y[:, 0])
        of = directions_of(DEVICE, X, y, s / s.sum(), True, alphas[0] / len(X))
        given = alphas / len(X), np.ones(40, bool)
        squares = (host(left_out(DEVICE, of, *given, whole=False).residual)[:, 0] ** 2).mean(axis=0)
        np.testing.assert_allclose(squares, theirs.cv_results_.mean(axis=0), rtol=1e-9)
        assert alphas[squares.argmin()] == theirs.alpha_
