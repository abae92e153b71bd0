"""Solvers: the optimum of 240 random problems, what they promise of it, and what ends them."""

import math

import numpy as np
import pytest
from problems import Problem, problems, reference
from solving import Heard, solved, stack_of, start
from stacks import DEVICE, fit, host

COUNT, PARTS = 240, 8
PROBLEMS = problems(COUNT)
SOLVERS = ("auto", "lbfgs", "newton", "exact")


def solvers_for(problem):
    smooth = problem.l1 == 0
    return [s for s in SOLVERS if s != "exact" or (smooth and problem.model == "linear")]


@pytest.mark.parametrize("part", range(PARTS))
def test_240_random_problems_are_solved_and_their_bounds_hold(part):
    seen = 0
    for problem in PROBLEMS[part::PARTS]:
        w, b = reference(problem)
        known = problem.value(w, b)
        for name in solvers_for(problem):
            for tol in (1e-4, 1e-8):
                done = solved(problem, name, problem.l2, problem.l1, tol)
                W, B = done.weights[..., 0], done.bias[..., 0]
                reached, steepest = problem.value(W, B), problem.steepest(W, B)
                says = f"{problem.name}, {name}, tol {tol}: {done.outcomes[0]}"
                if tol == 1e-8:
                    assert reached <= known + 1e-7 * abs(known) or steepest <= 1.01 * tol, says
                if done.outcomes[0].status == "converged":
                    assert steepest <= 1.01 * tol + 1e-12, says
                else:
                    assert done.outcomes[0].status == "not_converged", says
                    assert "is within reach" in done.outcomes[0].reason, says
                gap = done.facts["gap"][0]
                assert math.isnan(gap) or gap >= reached - known - 1e-14 * abs(known), says
                known = min(known, reached)
                seen += 1
    assert seen >= 6 * COUNT // PARTS


def test_the_table_of_problems_is_whole():
    assert len({problem.name.replace(" no bias", "") for problem in PROBLEMS}) == 240


def test_coefficients_are_those_of_the_reference_where_curvature_tells():
    told = 0
    for problem in PROBLEMS[::4]:
        if problem.l1:
            continue
        done = solved(problem, "auto", problem.l2, problem.l1, 1e-9)
        W, B = done.weights[..., 0], done.bias[..., 0]
        H = problem.curvature(W, B)
        keep = np.linalg.eigvalsh(H[: W.size, : W.size])
        if keep[0] < 1e-4:
            continue
        w, _ = reference(problem)
        assert np.abs(W - w).max() <= 1e-4 * max(1, np.abs(w).max()), problem.name
        told += 1
    assert told >= 8


KINDS = [
    (model, shape, l1)
    for model in ("linear", "logistic", "softmax")
    for shape in ((60, 5), (12, 30))
    for l1 in (0.0, 5e-3)
]


def one_problem(model, shape, penalised=False):
    return next(
        p
        for p in PROBLEMS
        if p.model == model and p.X.shape == shape and "plain" in p.name and p.bias
    )


@pytest.mark.parametrize(("model", "shape", "l1"), KINDS)
@pytest.mark.parametrize("name", ["auto", "lbfgs", "newton"])
def test_a_stack_is_its_single_runs(model, shape, l1, name):
    problem = one_problem(model, shape)
    l2 = np.geomspace(1e-4, 1, 7)
    together = solved(problem, name, l2, np.full(7, l1), 1e-8)
    for k in range(7):
        alone = solved(problem, name, l2[k], l1, 1e-8)
        assert alone.outcomes[0].step == together.outcomes[k].step
        assert alone.outcomes[0].status == together.outcomes[k].status
        largest = np.abs(alone.weights).max() + 1e-300
        apart = np.abs(alone.weights[..., 0] - together.weights[..., k]).max()
        # rounding grows with the iterations of L-BFGS, whose pairs are differences
        assert apart <= (1e-9 if name != "newton" else 1e-11) * largest


def test_the_table_of_kinds_is_whole():
    assert len(KINDS) == 12


def test_at_one_width_a_column_has_the_same_bits_whatever_its_neighbours():
    problem = one_problem("softmax", (60, 5))
    stack = stack_of(problem, "lbfgs", [1e-3, 1e-1, 1.0], np.zeros(3), 1e-7)
    found = []
    for neighbour in (0.0, 1e200):  # the loss of one overflows
        weights = np.zeros(stack.shape)
        weights[:, 0, 1] = neighbour
        state = start(stack, weights)
        while not stack.settled(state).all():  # nobody leaves: the width stays
            state.live &= ~stack.settled(state)
            stack.advance(state, 1 << 40)
        found.append(state)
    tame, wild = found
    assert wild.progress.iterations[1] == 0 < tame.progress.iterations[1]
    for k in (0, 2):
        assert (tame.weights[..., k] == wild.weights[..., k]).all()
        assert (tame.bias[..., k] == wild.bias[..., k]).all()
        for name in ("iterations", "evaluations", "gradient_max", "value"):
            assert getattr(tame.progress, name)[k] == getattr(wild.progress, name)[k], name


def test_a_column_that_has_converged_does_not_move_on():
    problem = one_problem("logistic", (60, 5))
    stack = stack_of(problem, "lbfgs", [1e-5, 1.0], [0.0, 0.0], [1e-12, 1e-2])
    state = start(stack)
    state.live[:] = True
    seen = []
    for _ in range(12):
        stack.advance(state, state.step + 1)
        if stack.settled(state)[1]:
            seen.append(host(state.arrays["weights"])[..., 1].copy())
    assert len(seen) > 3
    assert all((one == seen[0]).all() for one in seen)


def test_max_iter_ends_a_column_with_what_to_do():
    problem = one_problem("softmax", (60, 5))
    done = solved(problem, "lbfgs", 1e-5, 0.0, 1e-9, max_iter=3)
    assert done.outcomes[0].status == "not_converged"
    assert done.outcomes[0].step == 3
    assert "after 3 iterations" in done.outcomes[0].reason
    assert "optimizer.max_iter=30" in done.outcomes[0].reason


@pytest.mark.parametrize("name", ["lbfgs", "newton"])
def test_a_tolerance_below_the_floor_ends_with_the_floor(name):
    problem = one_problem("logistic", (60, 5))
    done = solved(problem, name, 1e-3, 0.0, 1e-40)
    assert done.outcomes[0].status == "not_converged"
    assert "no step lowers J in float64" in done.outcomes[0].reason
    assert done.facts["gradient_max"][0] < 1e-12


@pytest.mark.parametrize("l1", [0.0, 0.02])
def test_first_weights_at_the_optimum_need_no_iteration(l1):
    problem = one_problem("logistic", (60, 5))
    done = solved(problem, "auto", 1e-2, l1, 1e-8)
    stack = stack_of(problem, "auto", [1e-2], [l1], 1e-6)
    again = fit(
        stack, start(stack, done.weights, done.bias), lambda state: {}, 1 << 40, None, Heard()
    )
    assert again.outcomes[0].step == 0
    assert again.outcomes[0].status == "converged"
    assert np.abs(again.weights - done.weights).max() < 1e-12


def test_lambda_max_leaves_all_weights_at_zero_exactly():
    problem = one_problem("logistic", (60, 5))
    offset = problem.p @ problem.y
    slope = np.abs(problem.X.T @ ((offset - problem.y) * problem.p[:, None])).max()
    done = solved(problem, "auto", [0.0, 0.0], [slope * 1.0001, slope * 0.99], 1e-9)
    assert (done.weights[..., 0] == 0).all()
    assert (done.weights[..., 1] != 0).sum() == 1


def test_one_record_an_iteration():
    problem = one_problem("softmax", (60, 5))
    stack = stack_of(problem, "lbfgs", [1e-4, 1e-1], [0.0, 0.0], 1e-7)
    heard = Heard()
    done = fit(stack, start(stack), lambda state: {}, 1 << 40, None, heard)
    for k in range(2):
        log = heard.log(k)
        assert len(log["step"]) == done.outcomes[k].step + 1  # the first is of the first weights
        assert log["lr"][0] == 0
        assert (log["lr"][1:] > 0).all()
        assert np.isfinite(log["error_rms"]).all()
        assert log["grad_norm"][-1] < 1e-5


def test_the_biases_own_newton_step_leaves_out_what_changes_nothing():
    """All biases of softmax moved alike, where a pivot of exactly 0 was once met."""
    problem = one_problem("softmax", (60, 5))
    objective = stack_of(problem, "lbfgs", [1e-3] * 4, np.zeros(4), 1e-7).objective
    shape, r = objective.problem.shape, objective.problem.inner
    w = DEVICE.to_device(np.random.default_rng(0).normal(size=shape))
    grad = DEVICE.xp.empty(shape)
    objective.value(w, grad, False)
    before = DEVICE.to_host(grad[r]).copy()
    step = objective.bias_step(objective.bias_hessian(w), grad[r])
    w[r] += step
    objective.value(w, grad, False)
    assert np.abs(DEVICE.to_host(grad[r])).max() < np.abs(before).max()
    step = DEVICE.to_host(step)
    assert np.abs(step.sum(axis=0)).max() <= 1e-12 * np.abs(step).max()


@pytest.mark.parametrize("outputs", [1, 2])
def test_a_path_of_l1_takes_one_step_and_is_its_single_columns(outputs):
    rng = np.random.default_rng(outputs)
    X = np.column_stack([rng.standard_normal((80, 12)), np.full(80, 3.0)])
    y = X[:, :4] @ rng.standard_normal((4, outputs)) + rng.standard_normal((80, outputs)) + 5
    p = rng.exponential(size=80)
    problem = Problem("linear", "linear", X, y, p / p.sum(), 0.0, 0.0, True)
    l1 = np.concatenate([np.geomspace(1, 1e-3, 25), np.geomspace(1, 1e-3, 24), [0.1]])
    l2 = np.concatenate([np.zeros(25), np.full(24, 0.05), [1.0]])  # two paths, and one beside them
    order = rng.permutation(50)
    l1, l2 = l1[order], l2[order]
    first = rng.standard_normal((13, outputs, 50)), rng.standard_normal((outputs, 50))
    together = solved(problem, "auto", l2, l1, 1e-10, first=first)
    assert [(o.status, o.step) for o in together.outcomes] == [("converged", 1)] * 50
    for k in range(50):
        alone = solved(problem, "auto", l2[k], l1[k], 1e-10)
        assert ((alone.weights[..., 0] != 0) == (together.weights[..., k] != 0)).all()
        apart = np.abs(alone.weights[..., 0] - together.weights[..., k]).max()
        assert apart <= 1e-12 * max(1, np.abs(alone.weights).max())
