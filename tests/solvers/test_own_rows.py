"""Solvers of columns with rows, targets and statistics of their own: each is its plain run."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from oracles import row_losses
from solving import Heard, solved, start
from stacks import DEVICE, fit, make_problem

from trainer.model import MODELS
from trainer.solvers.choose import Size, can_share_row_sets, choose_method
from trainer.solvers.own_basis import own_basis
from trainer.solvers.problem import Problem
from trainer.solvers.solver import SolverStack
from trainer.solvers.solver_settings import SolverSettings
from trainer.train.batches import RowSet
from trainer.train.own_scaling import share_features, statistics

TOL = 1e-9
MODELS_OF = "linear", "logistic", "softmax", "poisson"
CASES = list(itertools.product(MODELS_OF, ("lbfgs", "newton"), (0.0, 0.03), (True, False)))
N, R, OUTPUTS, K = 120, 3, 3, 7
WHICH = np.array([0, 1, 2, 2, 1, 0, 0])


@dataclass
class Plain:
    """A problem as `solving` has it."""

    model: str
    X: Any
    y: Any
    p: Any
    bias: bool


def test_the_table_of_cases_is_whole():
    assert (len(CASES), len(TARGETS)) == (4 * 2 * 2 * 2, 3 * 2 * 2)


def draw(model, seed=1):
    """Rows far from 0, their targets (N, C), and weights (R, N) of folds and of a draw."""
    problem = make_problem(model, rows=N, outputs=OUTPUTS, weights="rows", seed=seed)
    draw = np.random.default_rng(seed)
    X = 3 * problem.X + np.array([40.0, -7, 0, 2])
    fold = np.arange(N) % 3
    counts = np.bincount(draw.integers(0, N, N), minlength=N)
    sets = problem.w * np.stack([fold != 0, fold != 1, counts])
    sets[:, -1] = 0
    X[sets[0] > 0, -1] = 1.5  # constant in the first row set
    X[-1] = np.nan  # nobody's
    return X, problem.dense.astype(float), sets


def shared_stack(model, name, rows, own, l2, l1, bias, outputs):
    problem = Problem(DEVICE, MODELS[model, "auto"], own, outputs, bias, l2, l1)
    size = Size(N, rows.X.shape[1], outputs)
    method = choose_method(name, problem.row, size, bool((l1 > 0).any()))
    columns = len(l2)
    settings = SolverSettings(method, np.full(columns, 3000.0), np.full(columns, TOL))
    return SolverStack(problem, rows, rows, settings)


def objective(model, problem, weights, bias, l2, l1):
    z = problem.X @ weights + bias
    loss = problem.p @ row_losses(model, "auto", z, problem.y)
    return loss + 0.5 * l2 * (weights**2).sum() + l1 * np.abs(weights).sum()


@pytest.mark.parametrize(("model", "name", "l1", "bias"), CASES)
def test_a_column_is_its_plain_run_within_twice_its_certificate(model, name, l1, bias):
    X, y, sets = draw(model)
    shared = share_features(X, sets, "float64")
    p = sets / sets.sum(axis=1, keepdims=True)
    rows = RowSet(DEVICE, shared.X, y, p, p, OUTPUTS, row_set=WHICH).scaled(shared.own, WHICH)
    own, inner = own_basis(DEVICE, rows, bias, turn=name == "lbfgs" and not l1, columns=K)
    l2, strengths = np.linspace(0.01, 0.2, K), np.full(K, l1)
    stack = shared_stack(model, name, inner, own, l2, strengths, bias, OUTPUTS)
    found = fit(stack, start(stack), lambda state: {}, 1 << 40, None, Heard())
    for k in range(K):
        used = sets[WHICH[k]] > 0
        of = statistics(X[used], sets[WHICH[k]][None, used])
        features = (X[used] - of.mean[0]) / of.scale[0]
        plain = Plain(model, features, y[used], p[WHICH[k]][used], bias)
        right = solved(plain, name, l2[k], strengths[k], TOL)
        assert found.outcomes[k].status == right.outcomes[0].status == "converged"
        check(found, k, right, model, plain, l2[k], l1)


def check(found, k, right, model, plain, l2, l1):
    """Column k of what was found is at the same optimum as the plain run's, by J and its bounds."""
    ends = [(found.weights[..., k], found.bias[:, k]),
            (right.weights[..., 0], right.bias[:, 0])]  # fmt: skip
    values = [objective(model, plain, *end, l2, l1) for end in ends]
    gaps = found.facts["gap"][k], right.facts["gap"][0]
    assert abs(values[0] - values[1]) <= 2 * max(gaps), (k, gaps)
    assert max(gaps) < 1e-6
    np.testing.assert_allclose(ends[0][0], ends[1][0], atol=2e-6)
    np.testing.assert_allclose(ends[0][1], ends[1][1], atol=2e-6)


NAMES = "lbfgs", "newton"
TARGETS = list(itertools.product(("linear", "logistic", "poisson"), NAMES, (0.0, 0.03)))


@pytest.mark.parametrize(("model", "name", "l1"), TARGETS)
def test_a_target_is_its_plain_run_on_the_rows_whose_labels_it_knows(model, name, l1):
    problem = make_problem(model, rows=N, outputs=4, weights="rows", seed=3)
    draw, y = np.random.default_rng(3), problem.y[:, None].astype(float)
    for t in (1, 3):
        y[draw.random(N) < 0.2 * t, 0, t] = np.nan
    target = np.array([0, 1, 2, 3, 3, 1])
    rows = RowSet(DEVICE, problem.X, y, problem.p, problem.p, 1, target=target)
    own, inner = own_basis(DEVICE, rows, True, turn=name == "lbfgs" and not l1, columns=6)
    l2, strengths = np.linspace(0.01, 0.2, 6), np.full(6, l1)
    stack = shared_stack(model, name, inner, own, l2, strengths, True, 1)
    found = fit(stack, start(stack), lambda state: {}, 1 << 40, None, Heard())
    for k, t in enumerate(target):
        used = ~np.isnan(y[:, 0, t])
        p = problem.p[used] / problem.p[used].sum()
        plain = Plain(model, problem.X[used], y[used, :, t], p, True)
        right = solved(plain, name, l2[k], strengths[k], TOL)
        assert found.outcomes[k].status == right.outcomes[0].status == "converged"
        check(found, k, right, model, plain, l2[k], l1)


@pytest.mark.parametrize("name", ["lbfgs", "newton"])
@pytest.mark.parametrize("l1", [0.0, 0.03])
def test_a_column_does_not_depend_on_its_company_and_keeps_its_rows(name, l1):
    X, y, sets = draw("logistic")
    shared = share_features(X, sets, "float64")
    p = sets / sets.sum(axis=1, keepdims=True)
    l2, strengths, ends = np.linspace(0.01, 0.2, K), np.full(K, l1), []
    for which in (WHICH, np.where(np.arange(K) % 2, (WHICH + 1) % R, WHICH)):
        rows = RowSet(DEVICE, shared.X, y, p, p, OUTPUTS, row_set=which).scaled(shared.own, which)
        own, inner = own_basis(DEVICE, rows, True, turn=name == "lbfgs" and not l1, columns=K)
        stack = shared_stack("logistic", name, inner, own, l2, strengths, True, OUTPUTS)
        state = start(stack)
        stack.advance(state, 4)  # at the same width: of those that have converged none has left
        ends.append(state.weights.copy())
    assert (ends[0][..., ::2] == ends[1][..., ::2]).all()
    assert (ends[0][..., 1::2] != ends[1][..., 1::2]).any()
    whole = fit(stack, start(stack), lambda state: {}, 1 << 40, None, Heard())
    part = stack.take(np.array([1, 4]))
    alone = fit(part, start(part), lambda state: {}, 1 << 40, None, Heard())
    np.testing.assert_allclose(alone.weights, whole.weights[..., [1, 4]], atol=1e-6)


def test_what_can_share_row_sets():
    able = {
        (name, key[0]): can_share_row_sets(name, row, False)
        for name in ("auto", "lbfgs", "newton", "exact")
        for key, row in MODELS.items()
        if key[1] == "auto"
    }
    assert {one for one, shares in able.items() if not shares} == {
        ("auto", "linear"), *(("exact", model) for model in MODELS_OF)
    }  # fmt: skip
    row = MODELS["linear", "auto"]
    assert can_share_row_sets("auto", row, l1=True)
    size = Size(N, 4, 1)
    assert choose_method("exact", row, size, False, own_rows=True).name == "newton"
    assert choose_method("exact", row, size, False).name == "exact"
