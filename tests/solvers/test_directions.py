"""Directions against dense matrices: BFGS updates, the closed form, softmax's gauge freedom."""

from itertools import pairwise

import numpy as np
import pytest
from problems import problems
from solving import stack_of
from stacks import DEVICE, host

from trainer.solvers.directions import fix_gauge

PROBLEMS = [p for p in problems(240) if "plain" in p.name and p.bias and p.X.shape == (60, 5)]


def started(model, name, l2, l1=0.0, seed=None):
    """A stack at zeros, or at random weights."""
    chosen = next(p for p in PROBLEMS if p.model == model)
    stack = stack_of(chosen, name, l2, np.full(len(l2), l1), 1e-10)
    D, C, K = stack.shape
    rng = np.random.default_rng(seed)
    weights = np.zeros((D, C, K)) if seed is None else rng.normal(size=(D, C, K))
    return chosen, stack, stack.start(weights, np.zeros((C, K)))


def dense_direction(s, y, first, gradient):
    """−H·g by the BFGS formula on whole matrices, pairs from old to new."""
    H, n = np.diag(first), len(first)
    for a, b in zip(s, y, strict=True):
        rho = 1 / (a @ b)
        V = np.eye(n) - rho * np.outer(b, a)
        H = V.T @ H @ V + rho * np.outer(a, a)
    return -H @ gradient


def test_l_bfgs_is_bfgs_while_it_remembers_all():
    _, stack, state = started("logistic", "lbfgs", [1e-3, 1e-1], seed=0)
    points = []
    for step in range(1, 6):
        stack.advance(state, step)
        points.append((host(state.arrays["w"]).copy(), host(state.arrays["g"]).copy()))
    spectrum = np.append(host(stack.problem.basis.spectrum), 1.0)  # the bias last
    C, compared = stack.shape[1], 0
    for k, l2 in enumerate([1e-3, 1e-1]):
        if state.progress.evaluations[k] != state.progress.iterations[k] + 1:
            continue  # a step was refused: then points are not one a round
        moved = [(w[..., k].ravel(), g[..., k].ravel()) for w, g in points]
        s = [b[0] - a[0] for a, b in pairwise(moved)]
        y = [b[1] - a[1] for a, b in pairwise(moved)]
        penalised = np.repeat(np.append(np.full(5, l2), 0.0), C)
        data = y[-1] - penalised * s[-1]  # of the data term alone
        gamma = (data**2 / np.repeat(spectrum, C)).sum() / (s[-1] @ data)
        assert state.progress.gamma[k] == pytest.approx(gamma, rel=1e-6)
        curvature = state.progress.gamma[k] * spectrum + np.append(np.full(5, l2), 0.0)
        right = dense_direction(s, y, np.repeat(1 / curvature, C), moved[-1][1])
        found = host(state.arrays["d"])[..., k].ravel()
        assert np.abs(found - right).max() <= 1e-8 * np.abs(right).max()
        compared += 1
    assert compared


def test_the_closed_form_is_the_systems_solution():
    chosen, stack, state = started("linear", "exact", [0.0, 0.1])
    stack.advance(state, 1)  # at zeros, with a direction from there
    step, _ = (host(x) for x in stack.problem.weights_and_bias(state.arrays["d"]))
    X = chosen.X - chosen.p @ chosen.X
    for k, l2 in enumerate([0.0, 0.1]):
        H = X.T @ (X * chosen.p[:, None]) + l2 * np.eye(5)
        right = np.linalg.solve(H, X.T @ (chosen.y * chosen.p[:, None]))
        assert step[..., k] == pytest.approx(right, rel=1e-10)


def test_owl_qn_goes_downhill_in_every_weight():
    _, stack, state = started("logistic", "lbfgs", [1e-3, 1e-3], l1=0.01, seed=2)
    for step in range(1, 6):
        stack.advance(state, step)
        a, r = state.arrays, stack.problem.inner
        steepest = host(stack.problem.steepest(a["w"], a["g"]))
        assert (host(a["d"])[:r] * steepest[:r] <= 0).all()
        assert (host(a["d"])[:r] != 0).any()


def test_plain_directions_are_against_the_slope_and_forget_the_pairs():
    _, stack, state = started("logistic", "lbfgs", [1e-3, 1e-1], seed=3)
    stack.advance(state, 4)
    before = host(state.arrays["d"]).copy()
    steepest = stack.problem.steepest(state.arrays["w"], state.arrays["g"])
    curvature = stack.objective.curvature(state.arrays["w"])
    stack.directions.plain(state, np.array([False, True]), steepest, curvature)
    d, g = host(state.arrays["d"]), host(steepest)
    assert (d[..., 0] == before[..., 0]).all()
    spectrum = np.append(host(stack.problem.basis.spectrum), 1.0)
    scale = 1 / (0.25 * spectrum + np.append(np.full(5, 1e-1), 0.0))
    assert d[..., 1] == pytest.approx(-g[..., 1] * scale[:, None], rel=1e-12)
    rho = host(state.arrays["rho"])
    assert (rho[:, 1] == 0).all()
    assert (rho[:, 0] != 0).any()
    assert state.progress.plain.tolist() == [False, True]


@pytest.mark.parametrize(("l2", "l1"), [(0.0, 0.0), (0.1, 0.0), (0.0, 0.02)])
def test_the_gauge_moves_no_output(l2, l1):
    _, stack, _ = started("softmax", "lbfgs", [l2], l1=l1)
    rng = np.random.default_rng(4)
    w, new = rng.normal(size=(2, *stack.problem.shape))
    fixed = DEVICE.to_device(new.copy())
    fix_gauge(stack.problem, DEVICE.to_device(w), np.array([True]), fixed)
    moved = host(fixed) - new
    assert np.abs(moved - moved.mean(axis=1, keepdims=True)).max() <= 1e-14
    r, end = stack.problem.inner, w + host(fixed)
    assert np.abs(host(fixed)[r].sum(axis=0)).max() <= 1e-14
    if l1:
        grown = np.abs(end[:r]).sum() - np.abs(w[:r] + new[:r]).sum()
        assert grown <= 1e-13
    elif l2:
        assert np.abs(end[:r].sum(axis=1)).max() <= 1e-14  # where l2 has its least
    else:
        assert np.abs(host(fixed)[:r].sum(axis=1)).max() <= 1e-14
