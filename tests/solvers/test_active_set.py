"""The minimiser of a quadratic with l1: exact zeros, exact values, from anywhere."""

import numpy as np
import pytest

from trainer.machine.interrupted import Interrupted
from trainer.solvers import active_set
from trainer.solvers.active_set import is_unique, minimize


def problem(seed, n=12, rows=40, twice=False):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((rows, n))
    if twice:
        X[:, -1] = X[:, 0]
    return X.T @ X / rows, X.T @ rng.standard_normal(rows)


def value(M, c, l1, x):
    return 0.5 * x @ M @ x - c @ x + l1 @ np.abs(x)


def slow(M, c, l1):
    """Proximal gradient descent, long enough."""
    x, step = np.zeros(len(c)), 1 / np.linalg.eigvalsh(M)[-1]
    for _ in range(20_000):
        moved = x - step * (M @ x - c)
        x = np.sign(moved) * np.maximum(np.abs(moved) - step * l1, 0)
    return x


def found(M, c, l1, start, l2=0.0):
    """x and the slope at it, for q with M and −c at 0."""
    l2 = np.full(len(c), l2)
    slope = M @ start + l2 * start - c
    return minimize(M, l2, slope, l1, start)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("share", [0.9, 0.3, 0.01])
def test_it_is_exact_from_anywhere(seed, share):
    M, c = problem(seed)
    l1 = np.full(len(c), share * np.abs(c).max())
    l1[3] = 0  # free, as a bias is
    right = slow(M, c, l1)
    far = np.random.default_rng(seed).standard_normal(12)
    for start in (np.zeros(12), far, -far, right):
        x, slope = found(M, c, l1, start)
        assert np.abs(x - right).max() < 1e-8
        assert ((x == 0) == (np.abs(right) < 1e-12)).all()
        assert np.abs(slope - (M @ x - c)).max() < 1e-13


@pytest.mark.parametrize(("n", "share"), [(12, 0.02), (60, 0.02), (12, 0.0)])
def test_at_the_minimum_it_ends_at_once(n, share, monkeypatch):
    M, c = problem(2, n=n, rows=30)
    l1 = np.full(n, share * np.abs(c).max())
    l1[1] = 0
    x, _ = found(M, c, l1, np.zeros(n))
    steps, step = [], active_set._step
    monkeypatch.setattr(active_set, "_step", lambda *a: steps.append(1) or step(*a))
    again, _ = found(M, c, l1, x)
    assert len(steps) <= 3
    assert np.abs(again - x).max() < 1e-12


def test_with_l2_it_is_that_of_the_sum():
    M, c = problem(1)
    l1 = np.full(len(c), 0.1 * np.abs(c).max())
    x, _ = found(M, c, l1, np.zeros(12), l2=0.2)
    assert np.abs(x - slow(M + 0.2 * np.eye(12), c, l1)).max() < 1e-8


def test_at_lambda_max_everything_is_zero():
    M, c = problem(0)
    x, _ = found(M, c, np.full(len(c), np.abs(c).max()), np.zeros(len(c)))
    assert (x == 0).all()


@pytest.mark.parametrize(("seed", "rows"), [(0, 40), (1, 40), (2, 6)])
def test_singular_systems_end_in_a_minimum_too(seed, rows):
    M, c = problem(seed, rows=rows, twice=True)
    l1 = np.full(len(c), 0.05 * np.abs(c).max())
    x, slope = found(M, c, l1, np.zeros(len(c)))
    assert value(M, c, l1, x) <= value(M, c, l1, slow(M, c, l1)) + 1e-12
    assert np.maximum(np.abs(slope) - l1, 0).max() < 1e-10
    assert abs(x[0] - x[-1]) < 1e-6  # a column and its copy share alike


@pytest.mark.parametrize("ratio", [0.3, 0.01])
def test_fewer_rows_than_elements_take_no_more_steps_than_a_path_has_corners(ratio):
    M, c = problem(3, n=200, rows=30)
    l1 = np.full(len(c), ratio * np.abs(c).max())
    x, slope = found(M, c, l1, np.zeros(len(c)))
    assert (x != 0).sum() <= 30
    assert np.abs(slope + l1 * np.sign(x))[x != 0].max() < 1e-10 * l1[0] + 1e-15
    assert (np.abs(slope) <= l1 * (1 + 1e-9)).all()


@pytest.mark.parametrize(("twice", "l2"), [(True, 0.0), (False, 0.0), (True, 0.1)])
def test_whether_a_minimum_is_the_only_one(twice, l2):
    M, c = problem(0, twice=twice)
    l1 = np.full(len(c), 0.3 * np.abs(c).max())
    c[0] = c[-1] = 2 * l1[0]  # so that both are other than 0
    _, slope = found(M, c, l1, np.zeros(len(c)), l2)
    assert is_unique(M, np.full(len(c), l2), l1, slope) == (not twice or l2 > 0)


def test_it_ends_between_systems_where_it_is_told_to():
    M, c = problem(0, n=60, rows=40)
    l1, calls = np.full(60, 1e-3), []
    told = lambda: calls.append(0) or len(calls) > 3  # noqa: E731
    with pytest.raises(Interrupted):
        minimize(M, 0 * c, -c, l1, 0 * c, told)
    assert len(calls) == 4
