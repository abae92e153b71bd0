"""Whole l1 paths against the active set, one strength at a time, and scikit-learn's corners."""

import numpy as np
import pytest
from sklearn.linear_model import lars_path_gram

from trainer.machine.interrupted import Interrupted
from trainer.model import compiled
from trainer.solvers import compiled_sparse, lasso_path
from trainer.solvers.active_set import minimize


@pytest.fixture(params=["numpy", "compiled"])
def follow_path(request):
    """The text, and its twin."""
    if request.param == "numpy":
        return lasso_path.follow_path
    if compiled.load()[0] is None:
        pytest.skip(compiled.load()[1])
    return compiled_sparse.follow_path


def rows(n, features, seed=0, correlation=0.0):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, features)) + correlation * rng.standard_normal((n, 1))
    y = X[:, : min(5, features)].sum(axis=1) + rng.standard_normal(n)
    return X, y


def slowly(H, c, free, strength):
    """By one strength at a time."""
    l1, start = np.where(free, 0.0, strength), np.zeros(len(c))
    given = (H, np.zeros(len(c)), c, l1, start)
    return minimize(*given).x


@pytest.mark.parametrize("correlation", [0.0, 3.0])
@pytest.mark.parametrize("features", [1, 7, 40])
@pytest.mark.parametrize("bias", [False, True])
def test_it_is_the_minimum_at_every_strength(features, correlation, bias, follow_path):
    X, y = rows(60, features, features, correlation)
    X = np.column_stack([X, np.ones(60)]) if bias else X
    H, c = X.T @ X / 60, -X.T @ y / 60
    free = np.arange(len(c)) >= features
    top = np.abs(c).max()
    strengths = np.concatenate([[2 * top], top * np.geomspace(1, 1e-4, 30), [0.0]])
    found = follow_path(H, c, free, strengths)
    assert found.shape == (len(c), 32)
    for k, strength in enumerate(strengths):
        x = slowly(H, c, free, strength)
        assert ((x != 0) == (found[:, k] != 0)).all()
        assert np.abs(x - found[:, k]).max() <= 1e-10 * max(1, np.abs(x).max())


def test_elements_leave_on_the_way():
    """Else nothing here would have tried it."""
    X, y = rows(60, 40, 40, 3.0)
    _, _, path = lars_path_gram(X.T @ y, X.T @ X, n_samples=60, method="lasso")
    left = (path[:, :-1] != 0) & (path[:, 1:] == 0)
    assert left.any()


def test_at_a_corner_the_element_is_0(follow_path):
    X, y = rows(60, 10, 1)
    H, c = X.T @ X / 60, -X.T @ y / 60
    corners, _, path = lars_path_gram(X.T @ y, X.T @ X, n_samples=60, method="lasso")
    found = follow_path(H, c, np.zeros(10, bool), corners[:-1])
    assert ((found != 0) == (path[:, :-1] != 0)).all()
    assert found.any(axis=1).sum() >= 8


def test_equal_slopes_enter_one_after_the_other(follow_path):
    found = follow_path(
        np.eye(4), -np.array([1.0, 1, -1, 0.5]), np.zeros(4, bool), np.array([1, 0.5])
    )
    assert np.allclose(found, [[0, 0.5], [0, 0.5], [0, -0.5], [0, 0]])


def test_ties_lead_no_path_astray(follow_path):
    """Small integers: elements enter and leave together, but for rounding."""
    told = 0
    for seed in range(400):
        rng = np.random.default_rng(seed)
        n = int(rng.integers(2, 5))
        X = rng.integers(-1, 2, (2 * n, n)).astype(float)
        H, c = X.T @ X, -X.T @ rng.integers(-2, 3, 2 * n).astype(float)
        if np.linalg.eigvalsh(H)[0] < 0.1 or not c.any():
            continue
        strengths = np.linspace(np.abs(c).max(), 0, 9)
        found = follow_path(H, c, np.zeros(n, bool), strengths)
        for k, strength in enumerate(strengths):
            x = slowly(H, c, np.zeros(n, bool), strength)
            assert np.abs(found[:, k] - x).max() < 1e-12
        told += 1
    assert told > 200


def test_two_that_enter_together_both_stay(follow_path):
    X = np.array([[-1.0, -1], [1, 1], [1, -1], [-1, -1], [-1, -1]])
    c = -X.T @ np.array([-2.0, -1, 0, 0, -2])
    found = follow_path(X.T @ X, c, np.zeros(2, bool), np.array([1.0]))
    assert np.allclose(found[:, 0], 0.25, atol=1e-12)


def test_dependent_elements_are_not_followed(follow_path):
    X, y = rows(60, 4)
    X = np.column_stack([X, X[:, 0] + X[:, 1] + 1e-9 * X[:, 2]])
    assert follow_path(X.T @ X, -X.T @ y, np.zeros(5, bool), np.zeros(1)) is None


def test_it_ends_at_a_corner_where_it_is_told_to(follow_path, monkeypatch):
    monkeypatch.setattr(compiled_sparse, "_CORNERS", 1)  # else the twin is through in one go
    X, y = rows(60, 10)
    asked = []

    def third():
        asked.append(1)
        return len(asked) == 3

    H, c = X.T @ X, -X.T @ y
    with pytest.raises(Interrupted):
        follow_path(H, c, np.zeros(10, bool), np.zeros(1), third)
    assert len(asked) == 3


@pytest.mark.skipif(compiled.load()[0] is None, reason=compiled.load()[1])
@pytest.mark.parametrize("free", [0, 2])
def test_the_twin_is_the_text_over_many_corners(free):
    """More than are followed between two questions whether to stop, some of them backwards."""
    X, y = rows(250, 150, 3, 2.0)
    H, c = X.T @ X / 250 + 0.01 * np.eye(150), -X.T @ y / 250
    strengths = np.abs(c).max() * np.geomspace(1, 1e-4, 60)
    given = H, c, np.arange(150) < free, strengths
    text, twin = lasso_path.follow_path(*given), compiled_sparse.follow_path(*given)
    assert ((text != 0) == (twin != 0)).all()
    assert np.abs(text - twin).max() <= 1e-11 * np.abs(text).max()
    assert ((text[:, :-1] != 0) & (text[:, 1:] == 0)).any()


@pytest.mark.skipif(compiled.load()[0] is None, reason=compiled.load()[1])
def test_a_twin_that_went_astray_is_not_believed(monkeypatch):
    X, y = rows(60, 10)
    given = X.T @ X, -X.T @ y, np.zeros(10, bool), np.array([1.0])
    assert compiled_sparse.follow_path(*given) is not None
    own, name = compiled.load()
    library = own._replace(corners=lambda most, path: 1)
    monkeypatch.setattr(compiled, "load", lambda: (library, name))
    assert compiled_sparse.follow_path(*given) is None
