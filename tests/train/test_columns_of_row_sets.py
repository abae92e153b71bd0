"""Columns on shared features with rows and statistics of their own: each is its plain run."""

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
from trainer.train.own_scaling import share_features, statistics

KEYS = [
    ("linear", "auto"), ("logistic", "auto"), ("softmax", "auto"), ("poisson", "auto"),
    ("logistic", "squared_error"),
]  # fmt: skip
SCALES = "own", "as they are"
CASES = list(itertools.product(KEYS, ("sgd", "adam"), SCALES, ("text", "twin")))
CLOSE = 1e-13
N, R, OUTPUTS = 90, 3, 3


def test_the_table_of_cases_is_whole():
    assert len(CASES) == 5 * 2 * 2 * 2


def draw_problem(key, seed=0):
    """A problem far from 0, and weights (R, N) of its row sets: folds, and a draw with repeats.

    The last feature is constant in the first row set. Rows that a row set does not use have what
    would show: the last row, which none uses, has NaN.
    """
    problem = make_problem(*key, rows=N, outputs=OUTPUTS, weights="rows", seed=seed)
    draw = np.random.default_rng(seed)
    X = problem.X * 3 + np.array([40.0, -7, 0, 2]) * (key[0] != "poisson")
    sets = np.stack([problem.w * (np.arange(N) % 3 != 0), problem.w * (np.arange(N) % 3 != 1),
                     problem.w * np.bincount(draw.integers(0, N, N), minlength=N)])  # fmt: skip
    sets[:, -1] = 0
    X[sets[0] > 0, -1] = 1.5
    X[-1] = np.nan
    return problem, X, sets


def plain(key, X, y, w, own):
    """The plain run's problem on the rows of a row set, with its own scaling."""
    rows = np.flatnonzero(w)
    found = X[rows]
    if own:
        of = statistics(found, w[None, rows])
        found = (found - of.mean[0]) / of.scale[0]
    return Problem(*key, found, y[rows], w[rows], w[rows], OUTPUTS)


def shared_rows(X, y, sets, which, own, precision="float64"):
    """The rows of a stack whose columns have row sets `which` (K,)."""
    shared = share_features(X, sets, precision) if own else None
    p = sets / sets.sum(axis=1, keepdims=True)
    features = X.astype(precision) if shared is None else shared.X
    y = y if y.ndim == 1 else y.astype(precision)
    rows = RowSet(DEVICE, features, y, p, p, OUTPUTS, row_set=which)
    return rows if shared is None else rows.scaled(shared.own, which)


def apart(found, right):
    return np.abs(found - right).max() / np.abs(right).max()


@pytest.mark.parametrize(("key", "optimizer", "own", "halves"), CASES)
def test_a_column_is_the_plain_run_on_its_rows(key, optimizer, own, halves, monkeypatch):
    if halves == "text":
        monkeypatch.setattr(compiled, "load", lambda: (None, "the text"))
    elif compiled.load()[0] is None:
        pytest.skip(compiled.load()[1])
    problem, X, sets = draw_problem(key)
    X = X if own == "own" else X / 30
    which = np.array([0, 1, 2, 2, 1, 0, 0])
    given = {"lr": np.linspace(0.02, 0.05, 7), "l2": np.linspace(0.01, 0.1, 7)}
    rows = shared_rows(X, problem.y, sets, which, own == "own")
    stack = make_stack(problem, optimizer, rows=rows, **given)
    state = start(stack)
    records = train(stack, state)
    for k in range(7):
        alone = plain(key, X, problem.y, sets[which[k]], own == "own")
        one = make_stack(alone, optimizer, **{n: v[k] for n, v in given.items()})
        right = start(one)
        told = train(one, right)
        assert apart(host(state.weights)[..., k], host(right.weights)[..., 0]) < CLOSE
        assert apart(host(state.bias)[..., k], host(right.bias)[..., 0]) < CLOSE
        for name in told[0].values:
            assert apart(joined(records, name)[:, k], joined(told, name)[:, 0]) < CLOSE, name


def test_a_feature_that_is_constant_in_a_row_set_is_exactly_0_there():
    problem, X, sets = draw_problem(("logistic", "auto"))
    which = np.array([0, 1, 0])
    rows = shared_rows(X, problem.y, sets, which, own=True)
    stack = make_stack(problem, rows=rows, lr=[0.1] * 3)
    state = start(stack)
    train(stack, state)
    assert (host(state.weights)[-1][:, which == 0] == 0).all()
    assert (host(state.weights)[-1][:, which == 1] != 0).all()


def test_features_far_from_0_in_float32_lose_little_to_their_own_scaling():
    draw = np.random.default_rng(4)
    X = 1000 + draw.standard_normal((600, 6))
    y = (X @ draw.standard_normal((6, 1)) > 1000 * 0.3).astype(float)
    y = (draw.random((600, 1)) < 0.5) * 1.0
    sets = np.stack([np.arange(600) % 4 != r for r in range(4)]).astype(float)
    key = ("logistic", "auto")
    problem = Problem(*key, X, y, sets[0], sets[0], 1)
    ends = {}
    for precision in ("float64", "float32"):
        p = sets / sets.sum(axis=1, keepdims=True)
        shared = share_features(X, sets, precision)
        rows = RowSet(DEVICE, shared.X, y.astype(precision), p, p, 1, row_set=np.arange(4))
        stack = make_stack(problem, precision=precision, rows=rows.scaled(shared.own, np.arange(4)),
                           lr=[0.5] * 4, steps=60)  # fmt: skip
        state = start(stack)
        train(stack, state)
        ends["shared", precision] = host(state.weights)
        found = []
        for w in sets:
            used = w > 0
            of = statistics(X[used], w[None, used])
            alone = Problem(
                *key, (X[used] - of.mean[0]) / of.scale[0], y[used], w[used], w[used], 1
            )
            one = make_stack(alone, precision=precision, lr=0.5, steps=60)
            right = start(one)
            train(one, right)
            found.append(host(right.weights))
        ends["own", precision] = np.concatenate(found, axis=-1)
    truth = ends["own", "float64"]
    assert apart(ends["shared", "float64"], truth) < 1e-11
    lost = [np.abs(ends[how, "float32"] - truth).max() for how in ("shared", "own")]
    assert lost[0] < 2 * lost[1], lost


@pytest.mark.parametrize("which", [(0, 2, 1), (2, 2, 2)])
def test_a_column_is_scored_as_its_own_scaling_has_the_rows(which):
    key = ("logistic", "auto")
    problem, X, sets = draw_problem(key)
    X[-1] = 0.0
    which = np.array(which)
    val = np.where(sets > 0, 0.0, problem.w)
    shared = share_features(X, sets, "float64")
    p = sets / sets.sum(axis=1, keepdims=True)
    rows = RowSet(DEVICE, shared.X, problem.y, p, p, OUTPUTS, row_set=which)
    stack = make_stack(problem, rows=rows.scaled(shared.own, which), lr=[0.1] * 3)
    draw = np.random.default_rng(3)
    weights, bias = draw.standard_normal((4, OUTPUTS, 3)), draw.standard_normal((OUTPUTS, 3))
    held = Rows(name="val", X=shared.X, y=problem.y, weight=problem.w, index=np.arange(N))
    evaluator = Evaluator(stack, HeldOut(DEVICE, held, np.ones(OUTPUTS), weights=val))
    found = evaluator.metrics(start(stack, weights, bias))
    for k, r in enumerate(which):
        used = val[r] > 0
        of = statistics(X, sets[[r]])
        own = (X[used] - of.mean[0]) / of.scale[0]
        alone = make_stack(plain(key, X, problem.y, sets[r], True), lr=0.1)
        part = Rows(name="val", X=own, y=problem.y[used], weight=val[r][used],
                    index=np.arange(int(used.sum())))  # fmt: skip
        read = Evaluator(alone, HeldOut(DEVICE, part, np.ones(OUTPUTS)))
        right = read.metrics(start(alone, weights[..., [k]], bias[:, [k]]))
        for name, value in right.items():
            assert found[name][k] == pytest.approx(value[0], rel=1e-12), name


CLASSES = ["macro_f1", "weighted_f1", "mcc", "cohen_kappa", "quadratic_kappa", "ece", "auc"]


def test_metrics_of_classes_are_those_of_each_row_sets_rows():
    problem, X, sets = draw_problem(("softmax", "auto"))
    X, which = (X - X[:-1].mean(axis=0)) / 3, np.array([0, 2, 1, 0])
    rows = shared_rows(X, problem.y, sets, which, own=False)
    stack = make_stack(problem, rows=rows, lr=[0.1] * 4)
    stack.model = with_named(stack.model, "softmax", CLASSES)
    draw = np.random.default_rng(3)
    weights, bias = draw.standard_normal((4, OUTPUTS, 4)), draw.standard_normal((OUTPUTS, 4))
    given = {"target_scale": np.ones(OUTPUTS), "labels": np.array([1.0, 2.0, 5.0])}
    held = Rows(name="val", X=X, y=problem.y, weight=problem.w, index=np.arange(N))
    evaluator = Evaluator(stack, HeldOut(DEVICE, held, weights=sets, **given))
    found = evaluator.metrics(start(stack, weights, bias))
    assert set(CLASSES) < set(found)
    for k, r in enumerate(which):
        own = plain(("softmax", "auto"), X, problem.y, sets[r], False)
        alone = make_stack(own, lr=0.1)
        alone.model = stack.model
        part = Rows(name="val", X=own.X, y=own.y, weight=own.w, index=np.arange(len(own.X)))
        read = Evaluator(alone, HeldOut(DEVICE, part, **given))
        for name, value in read.metrics(start(alone, weights[..., [k]], bias[:, [k]])).items():
            assert found[name][k] == pytest.approx(value[0], rel=1e-11), (name, r)


def test_row_sets_whose_rows_weigh_the_same_in_objective_and_loss_have_one_table():
    problem, X, sets = draw_problem(("logistic", "auto"))
    rows = shared_rows(X, problem.y, sets, np.array([0, 2, 1, 2]), own=True)
    assert rows.weight_tables.r is rows.weight_tables.q
    assert np.shares_memory(host(rows.r), host(rows.q)) or DEVICE.kind != "cpu"
    assert rows.bytes == rows.X.nbytes + rows.q.nbytes
    assert (host(rows.r) == host(rows.q)[:, 0]).all()
    other = rows.weighted(DEVICE, 2 * rows.weight_tables.q)  # as with class weights
    assert other.bytes == rows.bytes + rows.r.nbytes
    assert (host(other.r) == host(rows.r)).all()
    assert (host(other.q) == 2 * host(rows.q)).all()
