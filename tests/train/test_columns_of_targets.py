"""Columns with targets of their own: each is the plain run on its target's rows.

With mini-batches these are all rows, of weight 0 where its label is missing; with full batches the
rows whose label is known.
"""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from stacks import DEVICE, Problem, host, joined, make_problem, make_stack, start, train

from trainer.data.rows import Rows
from trainer.model import compiled
from trainer.model.named_metrics import with_named
from trainer.train.batches import RowSet
from trainer.train.evaluate import Evaluator, HeldOut

KEYS = [
    ("linear", "auto"), ("logistic", "auto"), ("poisson", "auto"), ("logistic", "squared_error"),
]  # fmt: skip
CASES = list(itertools.product(KEYS, (None, 16), (False, True), ("text", "twin"), (7, 19)))
CLOSE = 1e-13
T, N = 4, 60


def test_the_table_of_cases_is_whole():
    assert len(CASES) == 4 * 2 * 2 * 2 * 2


def targets_of(key, lacks, seed=0):
    """A problem, its T targets (N, 1, T), of which some labels are missing, and a plain one each.

    Where every label is missing, X has NaN.
    """
    whole = make_problem(*key, rows=N, outputs=T, weights="classes", seed=seed)
    draw = np.random.default_rng(seed)
    y = whole.y[:, None, :].astype(float).copy()
    X = whole.X.copy()
    if lacks:
        for t, share in ((1, 0.3), (3, 0.6)):
            y[draw.random(N) < share, 0, t] = np.nan
        y[7] = np.nan
        X[7] = np.nan
    return Problem(*key, X, whole.y, whole.s, whole.w, 1), y


def plain(problem, y, batch_size):
    """The plain run's problem of one target (N, 1)."""
    known = ~np.isnan(y[:, 0])
    if batch_size is None:
        return Problem(
            problem.model, problem.loss, problem.X[known], y[known], problem.s[known],
            problem.w[known], 1,
        )  # fmt: skip
    X = np.where(np.isnan(problem.X), 0.0, problem.X)
    y = np.where(np.isnan(y), 0.0, y)
    return Problem(problem.model, problem.loss, X, y, problem.s * known, problem.w * known, 1)


def stack_of(problem, y, target, batch_size, optimizer="adam", **settings):
    rows = RowSet(
        DEVICE, problem.X, y, problem.p, problem.w / problem.w.sum(), 1, target=np.array(target)
    )
    settings = {"lr": np.linspace(0.02, 0.1, len(target)), "l2": 0.01} | settings
    return make_stack(problem, optimizer, rows=rows, batch_size=batch_size, **settings)


def apart(found, right):
    return np.abs(found - right).max() / np.abs(right).max()


@pytest.mark.parametrize(("key", "batch_size", "lacks", "halves", "K"), CASES)
def test_a_column_is_the_plain_run_on_its_targets_rows(
    key, batch_size, lacks, halves, K, monkeypatch
):
    if halves == "text":
        monkeypatch.setattr(compiled, "load", lambda: (None, "the text"))
    elif compiled.load()[0] is None:
        pytest.skip(compiled.load()[1])
    problem, y = targets_of(key, lacks)
    target = np.random.default_rng(K).integers(0, T, K)
    stack = stack_of(problem, y, target, batch_size)
    state = start(stack)
    records = train(stack, state)
    for k in range(K):
        own = plain(problem, y[:, :, target[k]], batch_size)
        alone = make_stack(own, "adam", lr=stack.settings.schedule.lr[k], l2=0.01,
                           batch_size=batch_size)  # fmt: skip
        right = start(alone)
        told = train(alone, right)
        assert apart(host(state.weights)[..., k], host(right.weights)[..., 0]) < CLOSE
        for name in told[0].values:
            assert apart(joined(records, name)[:, k], joined(told, name)[:, 0]) < CLOSE, name


@pytest.mark.parametrize("batch_size", [None, 16])
def test_a_column_does_not_depend_on_its_company(batch_size):
    problem, y = targets_of(("logistic", "auto"), True)
    ends = []
    for target in ([0, 1, 2, 3, 1], [0, 3, 2, 1, 0]):
        stack = stack_of(problem, y, target, batch_size, lr=np.array([0.1, 0.2, 0.1, 0.2, 0.1]))
        state = start(stack)
        train(stack, state)
        ends.append(host(state.weights))
    assert (ends[0][..., [0, 2]] == ends[1][..., [0, 2]]).all()


@pytest.mark.parametrize("batch_size", [None, 16])
def test_columns_that_leave_keep_their_targets(batch_size):
    problem, y = targets_of(("linear", "auto"), True)
    stack = stack_of(problem, y, [0, 1, 2, 3, 1, 3], batch_size)
    whole = start(stack)
    train(stack, whole)
    keep = np.array([1, 3, 5])
    part = stack.take(keep)
    state = start(part)
    train(part, state)
    assert apart(host(state.weights), host(whole.weights)[..., keep]) < CLOSE
    assert part.rows.target_of.tolist() == [1, 3, 3]


SCORED = [(key, lacks) for key in KEYS for lacks in (False, True)]


@pytest.mark.parametrize(("key", "lacks"), SCORED)
def test_a_column_is_scored_on_its_targets_rows(key, lacks):
    problem, y = targets_of(key, lacks)
    target = [0, 1, 2, 3, 1, 3]
    stack = stack_of(problem, y, target, None)
    draw = np.random.default_rng(2)
    weights, bias = draw.standard_normal((4, 1, 6)), draw.standard_normal((1, 6))
    held = Rows(name="val", X=problem.X, y=y, weight=problem.w, index=np.arange(N))
    found = Evaluator(stack, HeldOut(DEVICE, held, np.ones(1))).metrics(start(stack, weights, bias))
    for k, t in enumerate(target):
        own = plain(problem, y[:, :, t], None)
        alone = make_stack(own, lr=0.1)
        rows = Rows(name="val", X=own.X, y=own.y, weight=own.w, index=np.arange(len(own.X)))
        evaluator = Evaluator(alone, HeldOut(DEVICE, rows, np.ones(1)))
        right = evaluator.metrics(start(alone, weights[..., [k]], bias[:, [k]]))
        assert right.keys() == found.keys()
        for name, value in right.items():
            assert found[name][k] == pytest.approx(value[0], rel=1e-12), (name, t)


NUMBERS = ["mae", "median_absolute_error", "max_error", "explained_variance", "pearson", "spearman"]
LABELS = ["precision", "recall", "recall_at_1pct_fpr", "mcc", "brier", "ece"]


@pytest.mark.parametrize("lacks", [False, True])
@pytest.mark.parametrize(("model", "names"), [("linear", NUMBERS), ("logistic", LABELS)])
def test_metrics_that_are_named_are_those_of_each_targets_rows(model, names, lacks):
    problem, y = targets_of((model, "auto"), lacks)
    target = [0, 1, 2, 3, 1, 3]
    stack = stack_of(problem, y, target, None)
    stack.model = with_named(stack.model, model, names)
    draw = np.random.default_rng(2)
    weights, bias = draw.standard_normal((4, 1, 6)), draw.standard_normal((1, 6))
    held = Rows(name="val", X=problem.X, y=y, weight=problem.w, index=np.arange(N))
    scale = np.linspace(1, 2, T)
    evaluator = Evaluator(stack, HeldOut(DEVICE, held, scale[None]))
    found = evaluator.metrics(start(stack, weights, bias))
    assert set(names) < set(found)
    for k, t in enumerate(target):
        own = plain(problem, y[:, :, t], None)
        alone = make_stack(own, lr=0.1)
        alone.model = stack.model
        rows = Rows(name="val", X=own.X, y=own.y, weight=own.w, index=np.arange(len(own.X)))
        read = Evaluator(alone, HeldOut(DEVICE, rows, scale[[t]]))
        for name, value in read.metrics(start(alone, weights[..., [k]], bias[:, [k]])).items():
            assert found[name][k] == pytest.approx(value[0], rel=1e-11, nan_ok=True), (name, t)


def test_what_overflows_in_a_row_of_weight_0_is_nobodys():
    X = np.array([[1.0], [2.0], [1e4]])
    for halves in ("text", "twin"):
        with pytest.MonkeyPatch.context() as patch:
            if halves == "text":
                patch.setattr(compiled, "load", lambda: (None, "the text"))
            y = np.array([[[1.0, 2.0]], [[2.0, 1.0]], [[np.nan, np.nan]]])
            p = np.full(3, 1 / 3)
            rows = RowSet(DEVICE, X, y, p, p, 1, target=np.array([0, 1]))
            problem = Problem("poisson", "auto", X, y, p, p, 1)
            stack = make_stack(problem, rows=rows, lr=[0.01, 0.02])
            state = start(stack, 1.0)
            records = train(stack, state)
            assert np.isfinite(host(state.weights)).all()
            assert all(np.isfinite(one).all() for one in records[0].values.values())
