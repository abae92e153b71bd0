"""Bounds of J − J* hold wherever they are told, and are tight near the optimum."""

from dataclasses import replace

import numpy as np
import pytest
from problems import problems, reference
from solving import solved, stack_of
from stacks import DEVICE, host

from trainer.machine.threads import one_thread_a_product
from trainer.model import MODELS
from trainer.solvers import certificates, hessian_sizes
from trainer.solvers import objective as objectives
from trainer.solvers.certificates import Points, certify
from trainer.solvers.objective import Objective

PROBLEMS = [p for p in problems(240) if "plain" in p.name][:24]


def points_at(stack, weights, biases):
    """Points of weights (D, C, K) and biases (C, K), with J and its slopes.

    What no output tells apart, or has no rows in it, is left out of them.
    """
    w = stack.problem.parameters(weights, biases)
    gradient = DEVICE.xp.empty(stack.problem.shape)
    data = host(stack.objective.value(w, gradient, False)[0])
    return Points(w, gradient, data + host(stack.problem.penalty(w)), data)


@pytest.mark.parametrize("problem", PROBLEMS, ids=lambda p: p.name)
def test_a_bound_holds_away_from_the_optimum(problem):
    least, b = reference(problem)
    rng = np.random.default_rng(0)
    K = 5
    weights = least[..., None] + np.logspace(-4, 0, K) * rng.normal(size=(*least.shape, K))
    biases = (b[:, None] + np.logspace(-4, 0, K) * rng.normal(size=(len(b), K))) * problem.bias
    if problem.l1:
        weights[np.abs(weights) < 0.05] = 0
    stack = stack_of(problem, "lbfgs", np.full(K, problem.l2), np.full(K, problem.l1), 1e-6)
    points = points_at(stack, weights, biases)
    found = certify(stack.objective, points)
    weights, biases = (host(one) for one in stack.problem.weights_and_bias(points.w))
    for k in range(K):
        value = problem.value(weights[..., k], biases[:, k])
        assert points.value[k] == pytest.approx(value, rel=1e-12)
        above = value - problem.value(least, b)
        assert np.isnan(found.gap[k]) or found.gap[k] >= above - 1e-7 * abs(above)
        assert found.gradient_max[k] > 0


def test_the_bound_of_ridge_is_what_is_left():
    problem = replace(next(p for p in PROBLEMS if p.model == "linear"), l2=0.1, l1=0.0)
    done = solved(problem, "exact", problem.l2, 0.0, 1e-10)
    W, B = done.weights[..., 0], done.bias[..., 0]
    rng = np.random.default_rng(1)
    weights = (W + 0.1 * rng.normal(size=W.shape))[..., None]
    biases = (B + 0.3 * problem.bias)[:, None]
    stack = stack_of(problem, "exact", [problem.l2], [0.0], 1e-6)
    points = points_at(stack, weights, biases)
    found = certify(stack.objective, points)
    weights, biases = (host(one) for one in stack.problem.weights_and_bias(points.w))
    above = problem.value(weights[..., 0], biases[:, 0]) - problem.value(W, B)
    assert found.gap[0] == pytest.approx(above, rel=1e-9)


def test_there_is_no_bound_of_a_loss_that_is_not_convex():
    stack = stack_of(next(p for p in PROBLEMS if p.model == "logistic"), "lbfgs", [1e-2], [0.0], 1)
    problem = replace(stack.problem, row=MODELS["logistic", "squared_error"])
    objective = Objective(problem, stack.objective.rows)
    w, gradient = DEVICE.xp.ones((2, *problem.shape))
    data = host(objective.value(w, gradient, False)[0])
    found = certify(objective, Points(w, gradient, data + host(problem.penalty(w)), data))
    assert np.isnan(found.gap).all()
    assert (found.gradient_max > 0).all()


def test_many_classes_have_the_bounds_of_few(monkeypatch):
    """By Cholesky's factors in place of eigenvalues; where biases have no curvature too."""
    compared = 0
    for p in (one for one in PROBLEMS if one.model == "softmax" and one.bias):
        (best, b), rng, K = reference(p), np.random.default_rng(0), 4
        stack = stack_of(p, "lbfgs", np.full(K, p.l2), np.full(K, p.l1), 1e-6)
        weights = best[..., None] + 1e-3 * rng.normal(size=(*best.shape, K))
        biases = b[:, None] + 1e-3 * rng.normal(size=(len(b), K))
        biases[0, -1] = 1e4  # rows are saturated: the others have none
        bounds = []
        for few in (objectives._FEW_OUTPUTS, 2):
            monkeypatch.setattr(objectives, "_FEW_OUTPUTS", few)
            points = points_at(stack, weights, biases)
            bounds.append(certify(stack.objective, points).gap)
        right, found = bounds
        assert (np.isnan(found) == np.isnan(right)).all()
        np.testing.assert_allclose(found, right, rtol=1e-10)
        compared += int((right < 0.1 * points.value).sum())  # others are J itself
    assert compared >= 6


def test_biases_without_a_curvature_have_no_bound_that_is_near(monkeypatch):
    """What rounding makes of no curvature may be negative, and would make a bound too small."""
    p = next(one for one in PROBLEMS if one.model == "softmax" and one.bias)
    objective = stack_of(p, "lbfgs", [p.l2, p.l2], [0.0, 0.0], 1e-6).objective
    whole = np.array([[2.0, -1, -1], [-1, 2, -1], [-1, -1, 2]])
    empty = np.array([[1.0, -1, 0], [-1, 1, 0], [0, 0, -1e-16]])
    row = np.array([[0.1, 0.1], [-0.3, 0.1], [0.2, -0.2]])  # (C, K)
    given = [DEVICE.to_device(one) for one in (np.stack([whole, empty]), row)]
    steps = []
    for few in (objectives._FEW_OUTPUTS, 2):
        monkeypatch.setattr(objectives, "_FEW_OUTPUTS", few)
        steps.append(host(objective.bias_step(*given)))
    right, found = steps
    np.testing.assert_allclose(found[:, 0], right[:, 0], rtol=1e-12)
    for step in steps:
        assert -(row * step).sum(axis=0)[1] > 1e100


def test_second_derivatives_of_coupled_biases(monkeypatch):
    """On one core and on several, whose columns have the same bits."""
    p = next(one for one in PROBLEMS if one.model == "softmax" and one.bias)
    K, found = 5, []
    objective = stack_of(p, "lbfgs", np.full(K, 0.1), np.zeros(K), 1e-6).objective
    w = DEVICE.to_device(np.random.default_rng(0).normal(size=objective.problem.shape))
    for products in (10**9, 1):
        monkeypatch.setattr("trainer.device._PART_PRODUCTS", products)
        parts = DEVICE.product_parts(K, 10**6)
        assert len(parts) == (1 if products > 1 else min(K, DEVICE.sizes.parts))
        with one_thread_a_product():
            found.append(host(objective.bias_hessian(w)))
    np.testing.assert_array_equal(*found)
    W, b = (host(one) for one in objective.problem.weights_and_bias(w))
    for k in range(K):
        z = p.X @ W[..., k] + b[:, k]
        y = np.exp(z - z.max(axis=1, keepdims=True))
        y /= y.sum(axis=1, keepdims=True)
        right = np.diag(p.p @ y) - (y * p.p[:, None]).T @ y
        np.testing.assert_allclose(found[0][k], right, rtol=1e-9, atol=1e-14)


def test_columns_of_many_classes_are_certified_some_at_a_time(monkeypatch):
    """Each takes matrices (C, C); what a bound says is the same."""
    problem = next(p for p in PROBLEMS if p.model == "softmax")
    C, K, widths = problem.outputs, 5, []

    def facts():
        stack = stack_of(problem, "lbfgs", np.geomspace(0.01, 1, K), np.zeros(K), 1e-6)
        state = stack.start(np.zeros((problem.X.shape[1], C, K)), np.zeros((C, K)))
        stack.advance(state, 1 << 40)
        return stack.facts(state, np.array([True, True, False, True, True]))["gap"]

    def counted(objective, points):
        widths.append(points.w.shape[2])
        return certify(objective, points)

    monkeypatch.setattr(certificates, "certify", counted)
    whole = facts()
    monkeypatch.setattr(hessian_sizes, "MOST_HESSIANS", hessian_sizes.certificate_bytes(C, 2, True))
    assert widths == [4]
    np.testing.assert_allclose(facts(), whole, rtol=1e-6)
    assert widths == [4, 2, 2]
    assert hessian_sizes.certificate_bytes(C, 9, True) == 2 * 8 * 8 * C**2
    assert hessian_sizes.certificate_bytes(C, 9, False) == 0
