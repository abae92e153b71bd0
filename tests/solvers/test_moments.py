"""Sums of squares from second moments are those of the rows, or the rows are passed over."""

from dataclasses import replace

import numpy as np
import pytest
from problems import Problem
from solving import stack_of, start
from stacks import DEVICE, host

from trainer.data.rows import Rows
from trainer.solvers import moments, passes
from trainer.solvers.certificates import Points, certify
from trainer.train import evaluate
from trainer.train.evaluate import Evaluator, HeldOut

K = 96
L2 = np.geomspace(1e-6, 1e2, K)


def rows(noise, outputs=1, seed=0, far=3.0, n=200, d=6):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, d)) * np.geomspace(0.1, 4, d) + far
    y = X @ rng.normal(size=(d, outputs)) + 5 + noise * rng.normal(size=(n, outputs))
    weights = rng.random(n)
    return X, y, weights / weights.sum()


def problem_of(noise=0.5, outputs=1, bias=True, far=3.0):
    return Problem("", "linear", *rows(noise, outputs, far=far), 0.0, 0.0, bias)


def by_rows(problem, stack, w):
    """J's data term (K,) and its gradient by weights and bias, row by row."""
    weights, bias = (host(one) for one in stack.problem.weights_and_bias(w))
    e = np.einsum("nd,dck->nck", problem.X, weights) + bias - problem.y[:, :, None]
    gradient = np.einsum("nd,n,nck->dck", problem.X, problem.p, e) + L2 * weights
    return 0.5 * np.einsum("n,nck,nck->k", problem.p, e, e), gradient


def optimum(stack):
    state = start(stack)
    stack.settings = replace(stack.settings, log_every=1 << 40)
    while not stack.due(state).all():
        stack.advance(state, 1 << 40)
    return state


@pytest.fixture
def no_rows(monkeypatch):
    """Nobody may go over rows."""

    def run(*args, **kwargs):
        raise AssertionError("a pass over the rows")

    monkeypatch.setattr(passes.Pass, "run", run)
    monkeypatch.setattr(evaluate, "scores", run)
    monkeypatch.setattr(evaluate, "squares_of", run)


@pytest.mark.parametrize(("outputs", "bias"), [(1, True), (3, True), (2, False)])
def test_j_and_its_slope_are_those_of_the_rows(outputs, bias, no_rows):
    problem = problem_of(outputs=outputs, bias=bias)
    stack = stack_of(problem, "exact", L2, np.zeros(K), 1e-9)
    state = optimum(stack)
    w, gradient = state.arrays["w"], DEVICE.xp.empty(stack.problem.shape)
    for scale in (1.0, 0.0, 3.0):
        found = host(stack.objective.value(w * scale, gradient, full=False))
        data, slope = by_rows(problem, stack, w * scale)
        np.testing.assert_allclose(found[:2], [data, data], rtol=1e-12)
        own = np.einsum("dr,dck->rck", host(stack.problem.basis.directions), slope)
        if not bias:
            np.testing.assert_allclose(host(gradient), own, atol=1e-12 * (1 + abs(own).max()))
    assert (stack.ending(state, 0).status, stack.ending(state, K - 1).status) == 2 * ("converged",)


def test_a_sum_that_would_lose_digits_is_of_the_rows():
    X, y, p = rows(noise=1e-3, far=0.0)
    best = np.linalg.lstsq(np.c_[X, np.ones(len(X))], y, rcond=None)[0]
    weights = best[:-1, :, None] * np.linspace(0, 1, 5)  # (D, 1, 5), of which the last one fits
    bias = np.full((1, 5), best[-1, 0])
    of = moments.moments_about(DEVICE, X, y, p, np.zeros((6, 1)), np.zeros(1))
    found = moments.sums_of(DEVICE, of, weights, bias)
    assert host(found.doubtful).tolist() == [False, False, False, False, True]
    e = np.einsum("nd,dck->nck", X, weights) + bias - y[:, :, None]
    true = np.einsum("n,nck,nck->ck", p, e, e)
    sums = host(moments.held_squares(DEVICE, of, (X, y, p), weights, bias))
    np.testing.assert_allclose(sums, true, rtol=1e-12)
    assert abs(host(found.squares) / true - 1).max() > 1e-11


@pytest.mark.parametrize(("noise", "outputs"), [(0.5, 1), (0.5, 2), (1e-9, 1)])
def test_held_rows_are_scored_as_by_their_rows(noise, outputs, monkeypatch):
    problem = problem_of(noise, outputs)
    stack = stack_of(problem, "exact", L2, np.zeros(K), 1e-9)
    state = optimum(stack)
    X, y, w = rows(noise, outputs, seed=1, n=90)
    held = HeldOut(DEVICE, Rows("val", X, y, w, np.arange(90)), np.ones(outputs))
    with monkeypatch.context() as patch:
        patch.setattr(stack, "held_sums", lambda *given: None)
        slow = Evaluator(stack, held).metrics(state)
    asked = []
    of_rows = moments._by_rows
    monkeypatch.setattr(moments, "_by_rows", lambda *g: asked.append(g[-1].shape) or of_rows(*g))
    monkeypatch.setattr(evaluate, "squares_of", None)
    quick = Evaluator(stack, held).metrics(state)
    assert quick.keys() == slow.keys() == {"loss", "r2", "rmse"}
    for name, values in slow.items():
        np.testing.assert_allclose(quick[name], values, rtol=2e-12, err_msg=name)
    assert not asked if noise == 0.5 else all(shape[1] < K for shape in asked)


def test_rows_are_passed_over_where_a_named_metric_needs_them():
    stack = stack_of(problem_of(), "exact", L2, np.zeros(K), 1e-9)
    X, y, w = rows(0.5, seed=1, n=90)
    held = HeldOut(DEVICE, Rows("val", X, y, w, np.arange(90)), np.ones(1))
    assert Evaluator(stack, held)._held_sums is not None
    named = stack.model.metrics._replace(named={"mae": None})
    stack.model = replace(stack.model, metrics=named)
    assert Evaluator(stack, held)._held_sums is None


def test_a_bound_holds_of_the_rows_where_eigenvalues_are_off():
    problem = problem_of()
    stack = stack_of(problem, "exact", L2, np.zeros(K), 1e-9)
    spectrum, _ = stack.problem.basis.truth
    off = 1e-3 * spectrum  # as of a factorisation gone wrong, which knows by how much
    basis = stack.problem.basis._replace(truth=(spectrum + off, np.sqrt((off * off).sum())))
    object.__setattr__(stack.objective, "basis", basis)
    w = optimum(stack).arrays["w"]
    gradient = DEVICE.xp.empty(stack.problem.shape)
    data = host(stack.objective.value(w, gradient, full=False))[0]
    value = data + host(stack.problem.penalty(w))
    found = certify(stack.objective, Points(w, gradient, value, data))
    _, true = by_rows(problem, stack, w)
    assert (found.gradient_max >= abs(true).max(axis=(0, 1)) * (1 - 1e-9)).all()
    assert (found.gradient_max > 1e-9).all()
