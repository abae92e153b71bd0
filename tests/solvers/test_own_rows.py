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
from trainer.solvers.choose import Size, choose_method
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
    assert len(CASES) == 4 * 2 * 2 * 2


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
        ends = [(found.weights[..., k], found.bias[:, k]),
                (right.weights[..., 0], right.bias[:, 0])]  # fmt: skip
        values = [objective(model, plain, *end, l2[k], l1) for end in ends]
        gaps = found.facts["gap"][k], right.facts["gap"][0]
        assert abs(values[0] - values[1]) <= 2 * max(gaps), (k, gaps)
        assert max(gaps) < 1e-6
        np.testing.assert_allclose(ends[0][0], ends[1][0], atol=2e-6)
        np.testing.assert_allclose(ends[0][1], ends[1][1], atol=2e-6)
