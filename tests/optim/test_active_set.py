"""The minimiser of a quadratic with l1: exact zeros, exact values, from any guess."""

import numpy as np
import pytest
from stacks import DEVICE

from trainer.optim.active_set import minimize, minimize_from_afar

XP = DEVICE.xp


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


def on_device(*arrays):
    return [DEVICE.to_device(np.asarray(array, float)) for array in arrays]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("share", [0.9, 0.3, 0.01])
def test_it_is_exact_from_any_guess(seed, share):
    M, c = problem(seed)
    l1 = np.full(len(c), share * np.abs(c).max())
    l1[3] = 0  # free, as a bias is
    right = slow(M, c, l1)
    guesses = (np.zeros(12), np.sign(c), -np.sign(c), np.sign(right))
    found = [minimize(XP, *on_device(M, c, l1, guess)) for guess in guesses]
    for one in found:
        assert one.exact
        x = DEVICE.to_host(one.x)
        assert np.abs(x - right).max() < 1e-8
        assert ((x == 0) == (np.abs(right) < 1e-12)).all()
        assert (x == DEVICE.to_host(found[0].x)).all()  # whatever it was guessed from


def test_at_lambda_max_everything_is_zero():
    M, c = problem(0)
    l1 = np.full(len(c), np.abs(c).max())
    found = minimize(XP, *on_device(M, c, l1, np.zeros(len(c))))
    assert found.exact
    assert (DEVICE.to_host(found.x) == 0).all()


@pytest.mark.parametrize(("seed", "rows"), [(0, 40), (1, 40), (2, 6)])
def test_singular_systems_end_in_a_minimum_too(seed, rows):
    M, c = problem(seed, rows=rows, twice=True)
    l1 = np.full(len(c), 0.05 * np.abs(c).max())
    found = minimize_from_afar(XP, *on_device(M, c, l1, np.zeros(len(c))))
    best = value(M, c, l1, slow(M, c, l1))
    assert value(M, c, l1, DEVICE.to_host(found.x)) <= best + 1e-6 * abs(best)
