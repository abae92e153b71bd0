"""Rows that stay where they are: what a sample of them tells, and the same J as of turned ones."""

import numpy as np
import pytest
from problems import Problem
from solving import solved, stack_of, start
from stacks import DEVICE

from trainer.solvers import basis_in_place
from trainer.solvers.basis_in_place import in_place
from trainer.solvers.objective import Objective

XP = DEVICE.xp


def rows(n=400, D=6, seed=0):
    draw = np.random.default_rng(seed)
    X = draw.standard_normal((n, D)) @ draw.standard_normal((D, D)) + draw.standard_normal(D)
    p = draw.exponential(size=n)
    return X, p / p.sum()


def found(X, p, bias=True, least=0.0, turn=True):
    return in_place(DEVICE, DEVICE.to_device(X), DEVICE.to_device(p), bias, least, turn)


def gram_of(X, p, bias=True):
    off = X - p @ X if bias else X
    return (off.T * p) @ off


@pytest.mark.parametrize("bias", [True, False])
def test_all_rows_tell_the_gram_matrix_itself(bias):
    X, p = rows()
    basis = found(X, p, bias)
    Q, spectrum = DEVICE.to_host(basis.directions), DEVICE.to_host(basis.spectrum)
    turned = Q.T @ gram_of(X, p, bias) @ Q
    np.testing.assert_allclose(turned, np.diag(spectrum), atol=1e-12 * spectrum.max())
    np.testing.assert_allclose(DEVICE.to_host(basis.mean), p @ X if bias else np.zeros(6))
    assert (basis.rotated, basis.whole, basis.centred) == (False, False, not bias)


def test_a_sample_tells_it_nearly_and_its_trace_is_that_of_all(monkeypatch):
    X, p = rows(20_000)
    monkeypatch.setattr(basis_in_place, "_FEWEST", 500)
    read, gram = [], type(DEVICE).gram
    monkeypatch.setattr(
        type(DEVICE), "gram", lambda self, a, w: read.append(len(a)) or gram(self, a, w)
    )
    basis = found(X, p)
    assert read == [500]
    Q, spectrum = DEVICE.to_host(basis.directions), DEVICE.to_host(basis.spectrum)
    right = np.linalg.eigvalsh(gram_of(X, p))
    np.testing.assert_allclose(spectrum, right, rtol=0.6)
    np.testing.assert_allclose(spectrum.sum(), right.sum(), rtol=1e-12)
    np.testing.assert_allclose(Q.T @ Q, np.eye(6), atol=1e-12)


def test_a_feature_that_no_sampled_row_has_keeps_its_size(monkeypatch):
    X, p = rows(20_000)
    monkeypatch.setattr(basis_in_place, "_FEWEST", 500)
    X[:, 2] = 0.0
    X[1, 2] = 50.0  # row 1 is not of the sample
    basis = found(X, p, least=1e-3)
    Q, spectrum = DEVICE.to_host(basis.directions), DEVICE.to_host(basis.spectrum)
    told = (Q * spectrum) @ Q.T
    np.testing.assert_allclose(told[2, 2], gram_of(X, p)[2, 2], rtol=1e-9)


def test_features_stay_as_they_are_where_nothing_is_turned():
    X, p = rows()
    basis = found(X, p, turn=False)
    assert basis.directions is None
    np.testing.assert_allclose(DEVICE.to_host(basis.spectrum), np.diag(gram_of(X, p)))


@pytest.mark.parametrize(
    "change",
    [
        lambda X: X[:20],  # few
        lambda X: X + 1e3,  # far from 0
        lambda X: np.column_stack([X, X[:, 0]]),  # dependent
        lambda X: np.column_stack([X, np.full(len(X), 0.1)]),  # constant
    ],
)
def test_other_rows_must_be_turned(change):
    X, p = rows()
    X = change(X)
    assert found(X, p[: len(X)] / p[: len(X)].sum()) is None


def test_dependent_features_may_stay_where_l2_tells_them_apart():
    X, p = rows()
    assert found(np.column_stack([X, X[:, 0]]), p, least=1e-3) is not None


def periodic(draw, n=9000):
    """Every other row, of which the sample is, has neither x1 nor x3."""
    X = draw.standard_normal((n, 6))
    X[:, :4] = np.eye(4)[np.arange(n) % 4]
    return X


def seldom(draw, n=9000):
    """Two features are the same, but for rows that are not of the sample."""
    X = draw.standard_normal((n, 6))
    X[:, 1] = X[:, 0]
    X[1::1000, 1] = 30.0
    return X


@pytest.mark.parametrize("rows_of", [periodic, seldom])
def test_a_sample_that_is_unlike_the_rest_is_no_guess(rows_of):
    draw = np.random.default_rng(0)
    X, p = rows_of(draw), np.full(9000, 1 / 9000)
    assert found(X, p, least=1e-5) is None
    z = X[:, :3] @ draw.standard_normal((3, 1))
    y = (z + 0.3 * draw.logistic(size=z.shape) > 0) * 1.0
    problem = Problem("unlike", "logistic", X, y, p, 1e-5, 0.0, True)
    ended = solved(problem, "lbfgs", np.array([1e-5]), np.zeros(1), 1e-7)
    assert ended.outcomes[0].status == "converged"
    assert problem.steepest(ended.weights[..., 0], ended.bias[..., 0]) < 2e-7


@pytest.mark.parametrize("mostly", [0.0, 0.3])  # 0.3 leaves rounding
def test_features_that_the_sample_lacks_may_be_dependent(mostly):
    X, p = np.random.default_rng(0).standard_normal((9000, 6)), np.full(9000, 1 / 9000)
    X[:, 1] = mostly
    X[1::1000, 1] += np.arange(1, 10)
    X[:, 2] = 2 * X[:, 1]
    y = (X[:, :1] + X[:, 1:2] > 0) * 0.5 + 0.25
    assert found(X, p, least=1e-3) is not None
    assert found(X, p) is None
    problem = Problem("rare", "logistic", X, y, p, 0.0, 0.0, True)
    W = solved(problem, "lbfgs", np.zeros(1), np.zeros(1), 1e-8).weights[:, 0, 0]
    np.testing.assert_allclose(W[2], 2 * W[1], rtol=1e-6)  # the solution of least norm


def problem_of(model, bias, seed=3):
    X, p = rows(seed=seed)
    draw = np.random.default_rng(seed)
    z = X @ draw.standard_normal((6, 3)) / 3
    y = np.eye(3)[(z + draw.gumbel(size=z.shape)).argmax(axis=1)]
    return Problem(model, model, X, y if model == "softmax" else y[:, :1], p, 0.0, 0.0, bias)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("name", ["lbfgs", "newton"])
@pytest.mark.parametrize("model", ["logistic", "softmax", "poisson"])
def test_values_slopes_and_optima_are_those_of_turned_rows(model, name, bias, monkeypatch):
    problem, l2 = problem_of(model, bias), np.array([1e-3, 1e-1])
    here = stack_of(problem, name, l2, np.zeros(2), 1e-8)
    assert here.problem.basis.centred == (not bias)  # the rows were not copied
    ours = solved(problem, name, l2, np.zeros(2), 1e-8)
    monkeypatch.setattr("trainer.solvers.rotated_rows.in_place", lambda *given: None)
    there = stack_of(problem, name, l2, np.zeros(2), 1e-8)
    assert there.problem.basis.centred
    theirs = solved(problem, name, l2, np.zeros(2), 1e-8)
    np.testing.assert_allclose(ours.weights, theirs.weights, atol=1e-5)
    np.testing.assert_allclose(ours.bias, theirs.bias, atol=1e-5)
    draw = np.random.default_rng(0)
    D, C, K = here.shape
    weights, b = 0.1 * draw.standard_normal((D, C, K)), 0.1 * draw.standard_normal((C, K)) * bias
    values, slopes = [], []
    for stack in (here, there):
        w = start(stack, weights, b).arrays["w"]
        gradient = XP.empty(stack.problem.shape)
        objective = Objective(stack.problem, stack.objective.rows)
        values.append(DEVICE.to_host(objective.value(w, gradient, full=True))[0])
        slopes.append(DEVICE.to_host(stack.problem.largest(w, gradient)))
    np.testing.assert_allclose(*values, rtol=1e-12)
    np.testing.assert_allclose(*slopes, rtol=1e-9)


@pytest.mark.parametrize("turn", [True, False])
@pytest.mark.parametrize("model", ["logistic", "softmax"])
def test_second_derivatives_are_those_of_slopes(model, turn):
    problem, l2 = problem_of(model, True), np.array([1e-2])
    stack = stack_of(problem, "lbfgs" if turn else "newton", l2, np.zeros(1), 1e-8)
    assert (stack.problem.basis.directions is None) == (not turn)
    assert not stack.problem.basis.centred
    shape = stack.problem.shape
    w = 0.1 * np.random.default_rng(0).standard_normal(shape)
    found = DEVICE.to_host(stack.hessians.whole(DEVICE.to_device(w), stack.problem.l2))[0]

    def slope(at):
        gradient = XP.empty(shape)
        stack.objective.value(DEVICE.to_device(at), gradient, full=False)
        return DEVICE.to_host(gradient).reshape(-1)

    for i in range(w.size):
        step = np.zeros(w.size)
        step[i] = 1e-5
        step = step.reshape(shape)
        column = (slope(w + step) - slope(w - step)) / 2e-5
        np.testing.assert_allclose(found[:, i], column, atol=1e-7)


def test_scores_are_kept_of_the_last_point_alone():
    draw = np.random.default_rng(2)
    X, p = draw.standard_normal((300, 20)), np.full(300, 1 / 300)
    y = (X[:, :1] > 0) * 1.0
    problem = Problem("logistic", "logistic", X, y, p, 0.0, 0.0, True)
    objective = stack_of(problem, "lbfgs", np.array([0.1]), np.zeros(1), 1e-8).objective
    shape = objective.problem.shape
    here, there = (DEVICE.to_device(w) for w in draw.standard_normal((2, *shape)))
    fresh = [DEVICE.to_host(objective.bias_hessian(w)) for w in (here, there)]
    objective.value(here, XP.empty(shape), full=False)
    reads = [0]
    matmul = type(DEVICE).matmul

    def counted(self, *given, **more):
        reads[0] += 1
        return matmul(self, *given, **more)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(DEVICE), "matmul", counted)
        np.testing.assert_array_equal(DEVICE.to_host(objective.bias_hessian(here)), fresh[0])
        assert reads == [0]
        np.testing.assert_array_equal(DEVICE.to_host(objective.bias_hessian(there)), fresh[1])
    assert reads[0] == len(list(objective._chunks()))  # X·W alone, not a whole pass
