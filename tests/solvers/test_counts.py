"""Poisson regression at its optimum: a loss whose curvature has no bound, and that goes below 0."""

import math
from itertools import product

import numpy as np
import pytest
from problems import Problem
from sklearn.linear_model import PoissonRegressor
from solving import solved, stack_of, start
from stacks import host

MEANS = (1e-2, 1.0, 1e3)
SHAPES = ((80, 5, 1), (60, 4, 2), (15, 30, 1))
PENALTIES = ((1e-2, 0.0), (1e-4, 0.0), (0.0, 1e-2), (1e-3, 2e-2))
KINDS = list(product(MEANS, SHAPES, PENALTIES, (True, False)))


def counts(mean, shape, l2, l1, bias, seed=0):
    """A problem of counts of about this mean; penalties are of its size."""
    rng = np.random.default_rng(seed)
    n, d, C = shape
    X = rng.standard_normal((n, d))
    z = 0.5 * X @ rng.standard_normal((d, C)) / math.sqrt(d) * 2 + math.log(mean)
    y = rng.poisson(np.exp(z)).astype(float)
    y[0] = 1
    p = rng.uniform(0.2, 2, n)
    name = f"{mean:g} {shape} l2={l2:g} l1={l1:g} bias {bias}"
    return Problem(name, "poisson", X, y, p / p.sum(), l2 * mean, l1 * mean, bias)


def test_the_table_of_kinds_is_whole():
    assert len(KINDS) == 3 * 3 * 4 * 2


@pytest.mark.parametrize("mean", MEANS)
def test_the_optimum_is_reached_and_bounds_hold(mean):
    told = 0
    for _, shape, (l2, l1), bias in (kind for kind in KINDS if kind[0] == mean):
        for seed in range(2):
            problem = counts(mean, shape, l2, l1, bias, seed)
            tight = solved(problem, "newton", problem.l2, problem.l1, 1e-12 * mean)
            least = problem.value(tight.weights[..., 0], tight.bias[..., 0])
            for name, tol in product(("auto", "lbfgs", "newton"), (1e-2, 1e-7)):
                done = solved(problem, name, problem.l2, problem.l1, tol * mean)
                W, B = done.weights[..., 0], done.bias[..., 0]
                says = f"{problem.name}, {name}, tol {tol}: {done.outcomes[0]}"
                if name == "lbfgs" and done.outcomes[0].status == "not_converged":
                    assert "is within reach" in done.outcomes[0].reason, says
                else:
                    assert done.outcomes[0].status == "converged", says
                    assert problem.steepest(W, B) <= 1.01 * tol * mean + 1e-12, says
                reached, gap = problem.value(W, B), done.facts["gap"][0]
                rounding = 1e-14 * (abs(least) + (problem.p @ abs(problem.y)).sum())
                assert least <= reached + rounding, says
                assert math.isnan(gap) or gap >= reached - least - rounding, says
                told += not math.isnan(gap)
    assert told > 100


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("alpha", [1e-3, 1.0])
def test_coefficients_are_scikit_learns(alpha, bias):
    problem = counts(3.0, (200, 6, 1), 0, 0, bias)
    done = solved(problem, "auto", alpha, 0.0, 1e-10)
    model = PoissonRegressor(
        alpha=alpha, fit_intercept=bias, tol=1e-12, max_iter=10_000, solver="newton-cholesky"
    )
    model.fit(problem.X, problem.y[:, 0], sample_weight=problem.p)
    np.testing.assert_allclose(done.weights[:, 0, 0], model.coef_, atol=1e-9)
    np.testing.assert_allclose(done.bias[0, 0], model.intercept_, atol=1e-9)


@pytest.mark.parametrize("name", ["auto", "lbfgs", "newton"])
@pytest.mark.parametrize("l1", [0.0, 5e-2])
def test_a_stack_of_counts_is_its_single_runs(name, l1):
    problem = counts(4.0, (80, 5, 2), 0, 0, True)
    l2 = np.geomspace(1e-4, 1, 5)
    # below 1e-6 J changes by rounding alone, its terms being larger than itself
    together = solved(problem, name, l2, np.full(5, l1), 1e-6)
    for k in range(5):
        alone = solved(problem, name, l2[k], l1, 1e-6)
        assert alone.outcomes[0].step == together.outcomes[k].step
        apart = abs(alone.weights[..., 0] - together.weights[..., k]).max()
        assert apart <= 1e-9 * abs(alone.weights).max()


def test_from_zeros_a_column_starts_at_the_mean_and_one_with_first_weights_where_they_are():
    problem = counts(1e6, (80, 5, 2), 1e-3, 0, True)
    stack = stack_of(problem, "newton", [1e-3, 1e-3], [0.0, 0.0], 1e-3)
    first = np.zeros(stack.shape)
    first[0, 0, 1] = 0.25
    state = start(stack, first)
    mean = problem.p @ problem.y
    np.testing.assert_allclose(host(state.bias)[:, 0], np.log(mean), rtol=1e-12)
    assert abs(host(state.bias)[:, 1]).max() <= 1e-12
    done = solved(problem, "newton", 1e-3, 0.0, 1e-3)
    assert done.facts["evaluations"][0] < 12


def test_targets_of_nothing_but_zeros_end_without_a_fault():
    problem = counts(1.0, (40, 3, 2), 0, 0, True)
    problem.y[:, 1] = 0
    done = solved(problem, "auto", 1e-2, 0.0, 1e-6)
    assert done.outcomes[0].status == "converged"
    assert abs(done.weights[:, 1, 0]).max() < 1e-3
    assert done.bias[1, 0] < -10


def test_first_weights_far_past_e_to_the_z_are_an_outcome():
    problem = counts(1.0, (40, 3, 1), 0, 0, True)
    weights = np.full((3, 1, 1), 1e5)
    done = solved(problem, "auto", 1e-2, 0.0, 1e-6, first=(weights, np.zeros((1, 1))))
    assert done.outcomes[0].status == "diverged"


@pytest.mark.parametrize("mean", MEANS)
def test_the_slope_of_a_loss_is_bounded_by_its_curvature_on_the_way_to_the_target(mean):
    """|dL/dz|² <= 2·β·(L − its least), β the largest of ŷ and of y: what `certify` counts on."""
    problem = counts(mean, SHAPES[0], 1e-2, 0.0, bias=True)
    objective = stack_of(problem, "newton", [problem.l2], [0.0], problem.bias).objective
    assert objective.curvature_at_targets == problem.y.max()
    for z in np.linspace(-3, 3, 13) + math.log(mean):
        y, predicted = problem.y, np.exp(z)
        least = y - np.where(y > 0, y * np.log(np.maximum(y, 1)), 0)
        beta = max(predicted, objective.curvature_at_targets)
        assert ((predicted - y) ** 2 <= 2 * beta * (predicted - y * z - least) * (1 + 1e-9)).all()
