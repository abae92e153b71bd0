"""Solvers on data as it comes: dependent features, features of any size, few rows."""

from dataclasses import replace

import numpy as np
import pytest
from problems import Problem
from solving import solved

RNG = np.random.default_rng


def problem(model, X, outputs=1, seed=0, noise=1.0, bias=True):
    """Rows of equal weight, whose scores are those of five features and noise."""
    rng = RNG(seed)
    spread = X.std(axis=0)
    z = (X / np.where(spread > 0, spread, 1))[:, :5] @ rng.standard_normal((5, outputs))
    z += noise * rng.standard_normal(z.shape)
    y = {"linear": z, "logistic": (z > 0).astype(float), "softmax": np.eye(outputs)[z.argmax(1)]}
    return Problem(model, model, X, y[model], np.full(len(X), 1 / len(X)), 0.0, 0.0, bias)


def lambda_max(problem):
    off = problem.y - problem.p @ problem.y
    return np.abs(problem.X.T @ (off * problem.p[:, None])).max()


KINDS = (("linear", 1), ("logistic", 1), ("softmax", 3))


@pytest.mark.parametrize(("model", "outputs"), KINDS)
def test_l1_with_far_fewer_rows_than_features_is_solved_at_once(model, outputs):
    p = problem(model, RNG(0).standard_normal((60, 400)), outputs)
    strengths = lambda_max(p) * np.geomspace(0.5, 0.003, 4)
    done = solved(p, "auto", np.zeros(4), strengths, 1e-8, max_iter=15)
    assert [o.status for o in done.outcomes] == ["converged"] * 4
    assert (done.facts["gap"] < 1e-6).all()
    assert ((done.weights != 0).sum(axis=(0, 1)) < 60 * outputs).all()


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("model", "outputs"), KINDS)
def test_a_stack_with_l1_is_its_single_runs_where_every_column_is_there_twice(model, outputs, seed):
    X = RNG(seed).standard_normal((60, 6))
    p = problem(model, np.hstack([X, X]), outputs, seed)
    strengths = lambda_max(p) * np.geomspace(1, 0.01, 8)
    together = solved(p, "auto", np.zeros(8), strengths, 1e-8)
    for k in range(8):
        alone = solved(p, "auto", 0.0, strengths[k], 1e-8)
        apart = np.abs(alone.weights[..., 0] - together.weights[..., k]).max()
        assert apart < 1e-5 * max(1, np.abs(alone.weights).max())


@pytest.mark.parametrize("penalty", ["none", "l1"])
@pytest.mark.parametrize(("model", "outputs"), KINDS)
def test_features_of_any_size_are_solved_as_scaled_ones_are(model, outputs, penalty):
    X = RNG(3).standard_normal((200, 12))
    sizes = np.logspace(-5, 5, 12)[RNG(3).permutation(12)]
    p, scaled = problem(model, X * sizes, outputs), problem(model, X, outputs)
    l1 = 1e-3 * lambda_max(p) if penalty == "l1" else 0.0
    done = solved(p, "auto", 0.0, l1, 1e-8, max_iter=100)
    assert done.outcomes[0].status == "converged"
    if not l1:
        best = solved(scaled, "auto", 0.0, 0.0, 1e-10)
        least = scaled.value(best.weights[..., 0], best.bias[..., 0])
        assert p.value(done.weights[..., 0], done.bias[..., 0]) <= least * (1 + 1e-9)
    else:
        assert done.facts["gap"][0] < 1e-8


def test_what_no_step_can_reach_is_told_with_what_would_help():
    sizes = np.logspace(-6, 6, 12)[RNG(0).permutation(12)]
    p = problem("logistic", RNG(0).standard_normal((200, 12)) * sizes)
    done = solved(p, "lbfgs", 0.0, 0.0, 1e-14)
    assert done.outcomes[0].status == "not_converged"
    assert "data.scale: standard would help" in done.outcomes[0].reason
    X = np.hstack([RNG(0).standard_normal((200, 5)), np.full((200, 1), 0.1)])
    done = solved(problem("softmax", X, 3), "lbfgs", 1e-6, 0.0, 1e-40)  # a constant has no size
    assert done.outcomes[0].status == "not_converged"
    assert "scale" not in done.outcomes[0].reason


@pytest.mark.parametrize("constant", [0.0, 3.0])
@pytest.mark.parametrize(("model", "outputs"), KINDS)
def test_l1_takes_a_constant_features_first_weight_to_0(model, outputs, constant):
    X = np.hstack([RNG(0).standard_normal((60, 5)), np.full((60, 1), constant)])
    p = problem(model, X, outputs)
    first = RNG(1).standard_normal((6, outputs, 1)), np.zeros((outputs, 1))
    done = solved(p, "auto", 0.0, 0.01, 1e-8, first=first)
    assert done.outcomes[0].status == "converged"
    assert (done.weights[5] == 0).all()


@pytest.mark.parametrize("name", ["newton", "lbfgs", "auto"])
@pytest.mark.parametrize("offset", [1e3, 1e5])
def test_dependent_features_far_from_0_have_no_direction_of_their_rounding(offset, name):
    X = RNG(0).standard_normal((150, 3)) + offset
    y = (X[:, :1] + RNG(1).logistic(size=(150, 1)) > offset).astype(float)
    X = np.hstack([X, X.sum(axis=1, keepdims=True)])
    p = Problem("logistic", "logistic", X, y, np.full(150, 1 / 150), 0.0, 0.0, True)
    done = solved(p, name, 0.0, 0.0, 1e-6)
    assert done.outcomes[0].status == "converged"
    assert np.abs(done.weights).max() < 10


@pytest.mark.parametrize("l1", [0.0, 0.01])
@pytest.mark.parametrize("name", ["newton", "lbfgs"])
@pytest.mark.parametrize("model", ["logistic", "softmax"])
def test_saturated_first_weights_are_come_back_from(model, name, l1):
    outputs = 3 if model == "softmax" else 1
    for seed in range(6):
        rng = RNG(seed)
        p = problem(model, rng.standard_normal((200, 8)), outputs, seed, noise=30.0)
        shape = (8, p.y.shape[1], 1)
        first = 1e5 * rng.standard_normal(shape), 1e5 * rng.standard_normal(shape[1:])
        done = solved(p, name, 0.001, l1, 1e-6, first=first)
        assert done.outcomes[0].status == "converged"


def test_large_targets_are_told_of_too():
    p = problem("linear", RNG(0).standard_normal((50, 6)))
    p = replace(p, y=p.y * 1e30)
    done = solved(p, "auto", 1e-3, 0.0, 1e-6)
    assert done.outcomes[0].status == "not_converged"
    assert "data.scale_target: standard would help" in done.outcomes[0].reason


@pytest.mark.parametrize("condition", [1e3, 1e6, 1e8, 1e10])
@pytest.mark.parametrize("name", ["exact", "lbfgs", "newton"])
def test_a_squared_loss_on_ill_conditioned_rows_and_its_bound(condition, name):
    U, _, V = np.linalg.svd(RNG(1).standard_normal((30, 12)), full_matrices=False)
    spread = np.geomspace(1, 1 / condition, 12)
    X, y = U @ np.diag(spread) @ V * 30**0.5, RNG(2).standard_normal((30, 1))
    p = Problem("linear", "linear", X, y, np.full(30, 1 / 30), 0.0, 0.0, False)
    least = 0.5 * (y**2).mean() - 0.5 * ((U.T @ y) ** 2).sum() / 30
    done = solved(p, name, 0.0, 0.0, 1e-8)
    assert done.outcomes[0].status == "converged"
    if name == "exact":
        assert done.outcomes[0].step <= 2
    reached = p.value(done.weights[..., 0], done.bias[..., 0])
    gap = done.facts["gap"][0]
    assert np.isnan(gap) or gap >= reached - least


def test_an_output_that_l1_leaves_nothing_of_needs_no_hessian():
    X = RNG(0).standard_normal((100, 5))
    y = np.column_stack([X[:, 0] > 0, RNG(1).random(100) < 0.5]).astype(float)
    p = Problem("logistic", "logistic", X, y, np.full(100, 0.01), 0.0, 0.0, False)
    done = solved(p, "auto", np.zeros(2), np.array([0.2, 0.02]), 1e-8)
    assert [o.status for o in done.outcomes] == ["converged"] * 2
    assert (done.weights[0, 0] != 0).all()
    assert (done.weights[:, 1, 0] == 0).all()


def test_where_weights_are_not_the_only_ones_a_column_starts_from_its_own():
    X = RNG(0).standard_normal((60, 6))
    p = problem("linear", np.hstack([X, X]))
    strengths = lambda_max(p) * np.geomspace(1, 0.01, 8)
    first, bias = RNG(1).standard_normal((12, 1, 8)), np.zeros((1, 8))
    together = solved(p, "auto", np.zeros(8), strengths, 1e-8, first=(first, bias))
    shares = []
    for k in range(8):
        one = (first[..., [k]], bias[:, [k]])
        alone = solved(p, "auto", 0.0, strengths[k], 1e-8, first=one).weights[..., 0]
        assert np.abs(alone - together.weights[..., k]).max() < 1e-6
        shares.append(np.abs(alone[:6] - alone[6:]).max())
    assert max(shares) > 1e-3  # a column and its copy do not weigh the same: it was no easy case


@pytest.mark.parametrize(("model", "outputs"), [("logistic", 1), ("softmax", 4)])
@pytest.mark.parametrize("l1", [0.0, 1e-3])
def test_the_bound_holds_wherever_the_biases_are(model, outputs, l1):
    """Classes in two groups that hardly meet: biases of one moved alike have little curvature."""
    rng = RNG(0)
    X = rng.standard_normal((200, 4))
    X[:, 0] = 16 * np.sign(X[:, 0])
    z = np.outer(X[:, 0], [1, 1, -1, -1][:outputs]) / 4 + rng.gumbel(size=(200, outputs))
    y = np.eye(4)[z.argmax(axis=1)] if outputs > 1 else (z > 0).astype(float)
    p = Problem(model, model, X, y, np.full(200, 1 / 200), 1e-3, l1, True)
    best = solved(p, "auto", 1e-3, l1, 1e-11)
    least = p.value(best.weights[..., 0], best.bias[..., 0])
    direction = np.array([1.0, 1.0, -1.0, -1.0])[:outputs, None]
    for far in (1e-4, 1e-3, 1e-2, 0.1, 0.3):
        first = (best.weights, best.bias + far * direction)
        there = solved(p, "lbfgs", 1e-3, l1, 1e9, first=first)  # no further
        above = p.value(there.weights[..., 0], there.bias[..., 0]) - least
        assert above > 0
        assert there.facts["gap"][0] >= above
        if far < 0.1:
            assert there.facts["gap"][0] < 0.1


@pytest.mark.parametrize("name", ["newton", "lbfgs"])
def test_softmax_without_a_penalty_has_the_weights_of_least_norm(name):
    p = problem("softmax", RNG(5).standard_normal((150, 5)), 3)
    together = solved(p, name, [0.0, 1e-3], np.zeros(2), 1e-9)
    alone = solved(p, name, 0.0, 0.0, 1e-9)
    assert np.abs(alone.weights.sum(axis=1)).max() < 1e-12
    assert np.abs(alone.weights[..., 0] - together.weights[..., 0]).max() < 1e-7


@pytest.mark.parametrize("offset", [1e6, 1e8])
def test_a_bound_counts_the_digits_that_a_bias_far_from_0_loses(offset):
    for seed in range(6):
        near = RNG(seed).standard_normal((60, 3))
        X = near + offset
        y = near @ RNG(seed + 1).standard_normal((3, 1)) + RNG(seed + 2).standard_normal((60, 1))
        p = Problem("linear", "linear", X, y, np.full(60, 1 / 60), 0.0, 0.0, True)
        done = solved(p, "auto", 1e-3, 0.0, 1e-9)

        def value(scores, weights, y=y):
            off, weights = scores - y, weights.astype(np.longdouble)
            return 0.5 * (off**2).mean() + 0.5e-3 * (weights**2).sum()

        weights, bias = done.weights[..., 0], done.bias[..., 0]
        reached = value(X.astype(np.longdouble) @ weights + bias.astype(np.longdouble), weights)
        centred = X - X.mean(axis=0)
        best = np.linalg.solve(centred.T @ centred / 60 + 1e-3 * np.eye(3), centred.T @ y / 60)
        least = value(centred.astype(np.longdouble) @ best + y.mean(), best)
        assert reached - least <= done.facts["gap"][0]


def test_a_column_at_the_floor_of_its_loss_is_given_up_soon():
    p = problem("linear", RNG(0).standard_normal((200, 8)) * np.logspace(-2, 2, 8))
    done = solved(p, "auto", np.array([1e-6, 1e-3]), np.full(2, 0.01), 1e-40)
    assert [o.status for o in done.outcomes] == ["not_converged"] * 2
    assert (done.facts["evaluations"] < 130).all()  # twice 40 steps that are refused, and some


@pytest.mark.parametrize("outputs", [2, 4])
def test_softmax_with_l1_alone_has_the_weights_of_least_norm_of_an_even_count(outputs):
    """‖W‖₁ does not tell where between the two middle weights of a feature 0 is."""
    X = RNG(6).standard_normal((80, 8))
    p = problem("softmax", X, outputs)
    strengths = lambda_max(p) * np.geomspace(0.5, 0.01, 6)
    first = RNG(7).standard_normal((8, outputs, 6)), np.zeros((outputs, 6))
    together = solved(p, "auto", np.zeros(6), strengths, 1e-9, first=first)
    for k in range(6):
        alone = solved(p, "auto", 0.0, strengths[k], 1e-9)  # from zeros
        faint = solved(p, "auto", 1e-7, strengths[k], 1e-9)
        for other, most in ((alone, 1e-6), (faint, 1e-3)):
            apart = np.abs(other.weights[..., 0] - together.weights[..., k]).max()
            assert apart < most * max(1, np.abs(alone.weights).max())
    assert (together.weights == 0).any()


@pytest.mark.parametrize("l1", [0.0, 0.02])
@pytest.mark.parametrize("name", ["lbfgs", "newton"])
def test_first_biases_moved_alike_cost_no_digits(name, l1):
    p = problem("softmax", RNG(8).standard_normal((80, 5)), 3)
    near = np.zeros((5, 3, 1)), np.zeros((3, 1))
    far = near[0] + (0.0 if l1 else 1e7), near[1] + 1e7
    done, same = (solved(p, name, 1e-3, l1, 1e-9, first=first) for first in (far, near))
    assert done.outcomes[0].status == "converged"
    assert np.abs(done.weights - same.weights).max() < 1e-6
    assert done.facts["gap"][0] < 1e-8


@pytest.mark.parametrize("offset", [1e4, 1e6])
def test_a_bound_of_an_exact_fit_counts_what_rounding_leaves(offset):
    """J is near 1e-17 there, whose slope says less than its curvature."""
    for seed in range(6):
        X = RNG(seed).standard_normal((60, 3)) + offset
        y = (X - offset) @ RNG(seed + 1).standard_normal((3, 1))
        p = Problem("linear", "linear", X, y, np.full(60, 1 / 60), 0.0, 0.0, True)
        done = solved(p, "auto", 0.0, 0.0, 1e-6)
        weights, bias = (a[..., 0].astype(np.longdouble) for a in (done.weights, done.bias))
        reached = 0.5 * ((X.astype(np.longdouble) @ weights + bias - y) ** 2).mean()
        assert reached <= done.facts["gap"][0]


@pytest.mark.parametrize("outputs", [1, 2])
def test_a_bound_counts_the_loss_that_has_rounded_to_no_slope(outputs):
    """Where all targets are alike J has no least but 0, at a bias of infinity."""
    X, y = RNG(0).standard_normal((20, 3)), np.ones((20, outputs))
    p = Problem("logistic", "logistic", X, y, np.full(20, 0.05), 0.0, 0.0, True)
    first = np.zeros((3, outputs, 1)), np.full((outputs, 1), 37.0)
    done = solved(p, "auto", 1e-4, 0.0, 1e-20, first=first)
    assert done.outcomes[0].status == "converged"
    assert (1 / (1 + np.exp(-done.bias)) == 1).all()
    assert 0 < np.exp(-done.bias).sum() <= done.facts["gap"][0]
