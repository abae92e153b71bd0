"""Coordinates without correlation: what they keep, what they leave out, and how exact they are."""

import numpy as np
import pytest
from stacks import DEVICE

from trainer.solvers import basis as bases
from trainer.solvers import basis_in_place
from trainer.solvers.basis import identity, uncorrelated
from trainer.solvers.basis_in_place import in_place

XP = DEVICE.xp


def spread(rng, n, d, least):
    """(n, d) with singular values from 1 down to `least`."""
    U, _, V = np.linalg.svd(rng.standard_normal((n, d)), full_matrices=False)
    return U @ np.diag(np.geomspace(1, least, min(n, d))) @ V


CASES = [
    ("tall", lambda r: r.standard_normal((50, 6)), 6),
    ("wide", lambda r: r.standard_normal((8, 20)), 7),  # centred: one fewer than rows
    ("one column twice", lambda r: r.standard_normal((50, 4))[:, [0, 1, 2, 3, 3]], 4),
    ("a constant", lambda r: np.hstack([r.standard_normal((50, 3)), np.ones((50, 1))]), 3),
    ("nothing but constants", lambda r: np.ones((20, 3)), 0),
    ("singular values to 1e-7", lambda r: spread(r, 60, 5, 1e-7), 5),
    ("far from 0", lambda r: r.standard_normal((50, 4)) + 1e6, 4),
]


TALL = ("tall", "far from 0")  # and well-conditioned: there rows stay as they are


@pytest.mark.parametrize(("name", "make", "rank"), CASES, ids=[case[0] for case in CASES])
def test_the_directions_with_rows_in_them_are_kept(name, make, rank):
    rng = np.random.default_rng(0)
    X, p = make(rng), rng.uniform(0.5, 2, len(make(rng)))
    X = make(np.random.default_rng(1))
    p = p / p.sum()
    basis, rotated = uncorrelated(DEVICE, XP.array(X), DEVICE.to_device(p), bias=True, exact=True)
    rotated = DEVICE.to_host(rotated)
    assert basis.rotated == (name not in TALL)
    if not basis.rotated:
        rotated = rotated @ DEVICE.to_host(basis.directions)
    assert rotated.shape == (len(X), rank)
    assert basis.dropped == X.shape[1] - rank
    gram = rotated.T @ (rotated * p[:, None])
    spectrum = DEVICE.to_host(basis.spectrum)
    assert np.abs(gram - np.diag(spectrum)).max(initial=0) <= 1e-12 * spectrum.max(initial=1)
    if rank:
        centred = X - p @ X
        exact = np.linalg.svd(centred * np.sqrt(p)[:, None], compute_uv=False)[:rank] ** 2
        assert np.sort(spectrum)[::-1] == pytest.approx(exact, rel=1e-6)
        Q = DEVICE.to_host(basis.directions)
        assert np.abs(Q.T @ Q - np.eye(rank)).max() < 1e-13


def test_the_table_of_cases_is_whole():
    assert len(CASES) == 7


@pytest.mark.parametrize("turn", [uncorrelated, identity])
@pytest.mark.parametrize("bias", [True, False])
def test_scores_are_the_same_in_either_coordinates(turn, bias):
    rng = np.random.default_rng(2)
    X, p, W = rng.standard_normal((30, 5)) + 3, np.full(30, 1 / 30), rng.standard_normal((5, 2, 3))
    basis, rotated = turn(DEVICE, XP.array(X), DEVICE.to_device(p), bias)
    given = DEVICE.to_device(W)
    inner = basis.inner(XP, given)
    shift = DEVICE.to_host(basis.shift(XP, given))
    rows = DEVICE.to_host(rotated)
    if not basis.rotated:
        rows = rows @ DEVICE.to_host(basis.directions)
    scores = np.tensordot(rows, DEVICE.to_host(inner), 1) + shift
    assert np.abs(scores - np.tensordot(X, W, 1)).max() < 1e-12
    assert np.abs(DEVICE.to_host(basis.weights(XP, inner)) - W).max() < 1e-12
    assert (shift == 0).all() == (not bias)


def test_with_a_penalty_no_spread_far_below_it_matters():
    X, p = spread(np.random.default_rng(4), 60, 5, 1e-7), DEVICE.to_device(np.full(60, 1 / 60))
    for least, rotated in ((0.0, True), (1e-14, True), (1e-6, False)):
        basis, rows = uncorrelated(DEVICE, XP.array(X), p, True, exact=True, least=least)
        assert basis.rotated == rotated
        Q, rows = DEVICE.to_host(basis.directions), DEVICE.to_host(rows)
        rotated = rows if rotated else rows @ Q
        gram = rotated.T @ rotated / 60
        spectrum = DEVICE.to_host(basis.spectrum)
        assert np.abs(gram - np.diag(spectrum)).max() <= 1e-13 * spectrum.max()


def test_with_too_many_directions_features_stay_as_they_are():
    X = np.random.default_rng(3).standard_normal((9, 6))
    p = DEVICE.to_device(np.full(9, 1 / 9))
    basis, _ = uncorrelated(DEVICE, XP.array(X), p, True, most=5)
    assert basis.directions is None
    whole, _ = uncorrelated(DEVICE, XP.array(X), p, True, exact=True)
    assert whole.directions is not None


@pytest.mark.parametrize("rows", [1, 7, 64])
def test_spreads_are_summed_up_a_few_rows_at_a_time(rows, monkeypatch):
    rng = np.random.default_rng(0)
    X, p = rng.standard_normal((50, 6)) * np.arange(1, 7), rng.dirichlet(np.ones(50))
    right = p @ (X - p @ X) ** 2
    for module in (bases, basis_in_place):
        monkeypatch.setattr(module, "CHUNK", 6 * rows)
    given = [DEVICE.to_device(one) for one in (X, p)]
    place = in_place(DEVICE, *given, bias=True, least=1.0, turn=False)
    basis, _ = identity(DEVICE, XP.array(X), given[1], bias=True)
    for one in (place, basis):
        np.testing.assert_allclose(DEVICE.to_host(one.spectrum), right, rtol=1e-13)
