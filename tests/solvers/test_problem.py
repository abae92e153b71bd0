"""J's penalties and slopes, and the way to a basis and back, against plain formulas."""

from dataclasses import replace

import numpy as np
import pytest
from problems import problems
from solving import stack_of
from stacks import DEVICE, host

PROBLEMS = [p for p in problems(240) if "plain" in p.name and p.outputs > 1]
L2, L1 = np.array([0.0, 0.3, 0.02]), np.array([0.0, 0.05, 0.4])


def of(model, sparse, bias=True):
    """A problem, its statement for three columns, and weights (D, C, K) and biases (C, K)."""
    chosen = next(p for p in PROBLEMS if p.model == model and p.X.shape == (60, 5))
    chosen = replace(chosen, bias=bias)
    stack = stack_of(chosen, "lbfgs", L2, L1 if sparse else 0 * L1, 1e-6)
    rng = np.random.default_rng(0)
    weights = rng.normal(size=stack.shape) * (rng.random(stack.shape) < 0.7)  # some are 0
    return chosen, stack, weights, rng.normal(size=stack.shape[1:]) * bias


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("sparse", [True, False])
@pytest.mark.parametrize("model", ["linear", "logistic"])
def test_there_and_back_again(model, sparse, bias):
    _, stack, weights, first = of(model, sparse, bias)
    w = stack.problem.parameters(weights, first)
    assert w.shape == stack.problem.shape
    back = [host(one) for one in stack.problem.weights_and_bias(w)]
    assert back[0] == pytest.approx(weights, abs=1e-14)
    assert back[1] == pytest.approx(first, abs=1e-14)


@pytest.mark.parametrize("sparse", [True, False])
def test_what_softmax_does_not_tell_apart_is_left_out(sparse):
    chosen, stack, weights, first = of("softmax", sparse)
    w = stack.problem.parameters(weights, first)
    back, bias = (host(one) for one in stack.problem.weights_and_bias(w))
    for k in range(3):
        z = chosen.X @ weights[..., k] + first[:, k]
        again = chosen.X @ back[..., k] + bias[:, k]
        moved = again - z
        assert np.abs(moved - moved.mean(axis=1, keepdims=True)).max() <= 1e-13
        if not (sparse and L1[k]):
            assert np.abs(back[..., k].sum(axis=1)).max() <= 1e-13  # where l2 has its least
        larger = np.abs(back[..., k]).sum() - np.abs(weights[..., k]).sum()
        assert larger <= 1e-13 or L1[k] == 0 or not sparse


@pytest.mark.parametrize("model", ["linear", "logistic", "softmax"])
def test_a_penalty_is_the_formula(model):
    _, stack, weights, first = of(model, sparse=True)
    w = stack.problem.parameters(weights, first)
    inner = host(w)[: stack.problem.inner]
    right = L2 / 2 * (inner**2).sum(axis=(0, 1)) + L1 * np.abs(inner).sum(axis=(0, 1))
    assert host(stack.problem.penalty(w)) == pytest.approx(right, rel=1e-14)
    assert host(stack.problem.l1_norm(w)) == pytest.approx(L1 * np.abs(inner).sum(axis=(0, 1)))


def test_the_steepest_slope_is_the_least_subgradient():
    _, stack, weights, first = of("linear", sparse=True)
    w = host(stack.problem.parameters(weights, first))
    g = np.random.default_rng(1).normal(size=w.shape) * 0.2
    found = host(stack.problem.steepest(*(DEVICE.to_device(one) for one in (w, g))))
    r, signs = stack.problem.inner, np.linspace(-1, 1, 2001)
    for at in np.ndindex(w[:r].shape):
        l1 = L1[at[2]]
        allowed = g[at] + l1 * (signs if w[at] == 0 else np.sign(w[at]))
        assert abs(found[at]) == pytest.approx(np.abs(allowed).min(), abs=1e-3 * l1)
    assert (found[r] == g[r]).all()


@pytest.mark.parametrize("sparse", [True, False])
@pytest.mark.parametrize("model", ["linear", "logistic", "softmax"])
def test_the_largest_slope_is_that_of_the_features_as_they_are(model, sparse):
    chosen, stack, weights, first = of(model, sparse)
    w = stack.problem.parameters(weights, first)
    gradient = DEVICE.xp.empty(stack.problem.shape)
    stack.objective.value(w, gradient, False)
    found = host(stack.problem.largest(w, gradient))
    back, bias = (host(one) for one in stack.problem.weights_and_bias(w))
    for k in range(3):
        column = replace(chosen, l2=L2[k], l1=L1[k] * sparse)
        assert found[k] == pytest.approx(column.steepest(back[..., k], bias[:, k]), rel=1e-10)


def test_some_columns_are_a_problem_of_their_own():
    problem = of("linear", sparse=True)[1].problem
    part = problem.take(np.array([0]))
    assert problem.sparse
    assert not part.sparse  # the one without l1
    assert part.shape == (*problem.shape[:2], 1)
    assert problem.take(np.array([2])).host_l1.tolist() == [0.4]
    assert part.basis is problem.basis
