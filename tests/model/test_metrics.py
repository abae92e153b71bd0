"""Metrics of an evaluation, in several chunks and K columns, against scikit-learn's."""

import warnings

import numpy as np
import pytest
from oracles import row_losses
from sklearn import metrics as sk
from stacks import DEVICE, Problem, make_stack, small_chunks, start

from trainer.data.rows import Rows
from trainer.model import MODELS
from trainer.model.metrics import Targets
from trainer.train.evaluate import Evaluator, HeldOut

N, D, K = 501, 3, 4


def draw_rows(seed, weights):
    """Features and weights of small integers: their scores are exact and often tie."""
    draw = np.random.default_rng(seed)
    X = draw.integers(-2, 3, (N, D)).astype(float)
    w = {
        "none": np.ones(N),
        "rows": draw.uniform(0.1, 4, N),
        "zeros": draw.integers(0, 3, N).astype(float),
    }
    return draw, X, w[weights]


def evaluate(model, X, y, w, outputs, weights, bias, monkeypatch, scale=1.0, loss="auto"):
    """Metrics (K,) of given weights (D, C, K), and the scores (N, C, K) they are of."""
    small_chunks(monkeypatch, 8 * outputs * K * 110)  # 110 rows a chunk
    problem = Problem(model, loss, X, y, w, w, outputs)
    stack = make_stack(problem, lr=[0.1] * K)
    rows = Rows(name="val", X=X, y=y, weight=w, index=np.arange(N))
    evaluator = Evaluator(stack, HeldOut(DEVICE, rows, np.full(outputs, scale)))
    assert len(list(evaluator.batches.chunks(1))) == 5
    z = np.einsum("nd,dck->nck", X, weights) + bias
    return evaluator.metrics(start(stack, weights, bias)), z


def quietly(metric, *args, **kwargs):
    """A metric of scikit-learn, without its warnings of classes that do not occur."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return metric(*args, **kwargs)


def check_loss(found, model, z, y, w, loss="auto"):
    with np.errstate(over="ignore"):
        each = [row_losses(model, loss, z[:, :, k], y) for k in range(K)]
    right = [float((w * one).sum() / w.sum()) for one in each]
    np.testing.assert_allclose(found["loss"], right, rtol=1e-12)


@pytest.mark.parametrize("weights", ["none", "rows", "zeros"])
@pytest.mark.parametrize("outputs", [1, 3])
def test_regression(outputs, weights, monkeypatch):
    draw, X, w = draw_rows(1, weights)
    y = draw.standard_normal((N, outputs))
    y[:, -1] *= 3
    W, b = draw.standard_normal((D, outputs, K)), draw.standard_normal((outputs, K))
    found, z = evaluate("linear", X, y, w, outputs, W, b, monkeypatch, scale=2.5)
    check_loss(found, "linear", z, y, w)
    assert set(found) == {"loss", "r2", "rmse"}
    for k in range(K):
        r2 = sk.r2_score(y, z[:, :, k], sample_weight=w)
        rmse = sk.root_mean_squared_error(2.5 * y, 2.5 * z[:, :, k], sample_weight=w)
        assert found["r2"][k] == pytest.approx(r2, rel=1e-12)
        assert found["rmse"][k] == pytest.approx(rmse, rel=1e-12)


def test_r2_of_a_constant_target_is_undefined_and_left_out_of_a_mean(monkeypatch):
    draw, X, w = draw_rows(1, "rows")
    y = np.full((N, 1), 2.0)
    W, b = np.zeros((D, 1, K)), np.full((1, K), 2.0)
    b[0, 1] = 3
    found, _ = evaluate("linear", X, y, w, 1, W, b, monkeypatch)
    assert np.isnan(found["r2"]).all()
    assert found["rmse"] == pytest.approx([0, 1, 0, 0])
    y = np.hstack([y, draw.standard_normal((N, 2)), y])
    W, b = draw.standard_normal((D, 4, K)), np.zeros((4, K))
    found, z = evaluate("linear", X, y, w, 4, W, b, monkeypatch)
    for k in range(K):
        right = sk.r2_score(y[:, 1:3], z[:, 1:3, k], sample_weight=w)
        assert found["r2"][k] == pytest.approx(right, rel=1e-12)


@pytest.mark.parametrize("weight", [1.0, 0.0])
def test_what_rows_leave_undefined_is_known_from_the_targets_alone(weight):
    """A class or a value that only a row without weight has is not there."""
    w = np.array([1.0, 1.0, weight])
    some = frozenset() if weight else None
    table = [
        ("linear", [[2], [2], [3]], {"r2"}),
        ("poisson", [[2], [2], [3]], {"d2"}),
        ("logistic", [[0], [0], [1]], {"auc", "average_precision", "f1"}),
        ("logistic", [[1], [1], [0]], {"auc", "average_precision"}),
        ("logistic", [[1, 0], [1, 0], [0, 0]], {"auc", "map"}),
        ("linear", [[2, 2], [2, 2], [2, 3]], {"r2"}),
    ]
    for model, y, names in table:
        y = np.array(y, float)
        targets = Targets(y, w, np.ones(y.shape[1]), y.shape[1])
        found = MODELS[model, "auto"].metrics.undefined(targets)
        assert found == (names if some is None else some), (model, y)
    codes = Targets(np.array([1, 1, 0]), w, np.ones(3), 3)
    softmax = MODELS["softmax", "auto"].metrics
    assert softmax.undefined(codes) == frozenset()
    assert softmax.in_some(codes) == {"balanced_accuracy": (2 if weight else 1, 3)}


@pytest.mark.parametrize("model", ["linear", "poisson"])
def test_targets_whose_sum_overflows_warn_of_nothing(model):
    y = np.array([[1e308], [1.7e308], [1.0], [1e308]])
    targets = Targets(y, np.ones(4), np.ones(1), 1)
    assert MODELS[model, "auto"].metrics.undefined(targets) in (frozenset(), {"d2"})


@pytest.mark.parametrize("weights", ["none", "rows", "zeros"])
@pytest.mark.parametrize("outputs", [1, 3])
def test_counts(outputs, weights, monkeypatch):
    draw, X, w = draw_rows(8, weights)
    y = draw.poisson(2.0, (N, outputs)).astype(float)
    assert (y == 0).any()
    W, b = 0.3 * draw.standard_normal((D, outputs, K)), draw.standard_normal((outputs, K))
    found, z = evaluate("poisson", X, y, w, outputs, W, b, monkeypatch)
    check_loss(found, "poisson", z, y, w)
    assert set(found) == {"loss", "d2", "deviance"}
    for k in range(K):
        each = [(y[:, c], np.exp(z[:, c, k])) for c in range(outputs)]
        d2 = [sk.d2_tweedie_score(*one, power=1, sample_weight=w) for one in each]
        deviance = [sk.mean_poisson_deviance(*one, sample_weight=w) for one in each]
        assert found["d2"][k] == pytest.approx(np.mean(d2), rel=1e-12)
        assert found["deviance"][k] == pytest.approx(np.mean(deviance), rel=1e-12)


def test_d2_of_a_constant_count_is_undefined(monkeypatch):
    _, X, w = draw_rows(8, "rows")
    for value in (0.0, 3.0):
        y, b = np.full((N, 1), value), np.full((1, K), np.log(3.0))
        b[0, 1] = 2
        found, _ = evaluate("poisson", X, y, w, 1, np.zeros((D, 1, K)), b, monkeypatch)
        assert np.isnan(found["d2"]).all()
        assert np.isfinite(found["deviance"]).all()


@pytest.mark.parametrize("weights", ["none", "rows", "zeros"])
@pytest.mark.parametrize("labels", ["both", "only 0", "only 1"])
def test_binary(labels, weights, monkeypatch):
    draw, X, w = draw_rows(2, weights)
    y = {"both": draw.integers(0, 2, (N, 1)), "only 0": np.zeros((N, 1)), "only 1": np.ones((N, 1))}
    y = y[labels].astype(float)
    W = draw.integers(-2, 3, (D, 1, K)).astype(float)
    b = np.array([[0.0, 0.0, 20.0, -20.0]])  # columns 2 and 3 choose one label only
    # "only 1" with rows: on some machines w.sum() != w @ y to a rounding, of which no quotient may
    # be made
    found, z = evaluate("logistic", X, y, w, 1, W, b, monkeypatch)
    assert len(np.unique(z[:, 0, 0])) < 30  # ties, and some scores of exactly 0
    assert (z[:, 0, 0] == 0).any()
    check_loss(found, "logistic", z, y, w)
    names = {"loss", "accuracy", "balanced_accuracy", "auc", "average_precision", "f1"}
    assert set(found) == names
    for k in range(K):
        score, true = z[:, 0, k], y[:, 0]
        chosen = (score > 0).astype(float)
        right = {
            "accuracy": sk.accuracy_score(true, chosen, sample_weight=w),
            "balanced_accuracy": quietly(sk.balanced_accuracy_score, true, chosen, sample_weight=w),
            "f1": np.nan,  # scikit-learn puts 0 for it
            "auc": np.nan,
            "average_precision": np.nan,
        }
        if labels != "only 0":
            right["f1"] = sk.f1_score(true, chosen, sample_weight=w)
        if labels == "both":
            right["auc"] = sk.roc_auc_score(true, score, sample_weight=w)
            right["average_precision"] = sk.average_precision_score(true, score, sample_weight=w)
        for name, value in right.items():
            assert found[name][k] == pytest.approx(value, rel=1e-12, abs=1e-12, nan_ok=True), name


def test_squared_error_on_a_sigmoid_has_the_binary_metrics_and_its_own_loss(monkeypatch):
    draw, X, w = draw_rows(2, "rows")
    y = draw.integers(0, 2, (N, 1)).astype(float)
    W, b = draw.standard_normal((D, 1, K)), np.zeros((1, K))
    own, z = evaluate("logistic", X, y, w, 1, W, b, monkeypatch, loss="squared_error")
    check_loss(own, "logistic", z, y, w, "squared_error")
    usual, _ = evaluate("logistic", X, y, w, 1, W, b, monkeypatch)
    assert {name: list(v) for name, v in own.items() if name != "loss"} == {
        name: list(v) for name, v in usual.items() if name != "loss"
    }


@pytest.mark.parametrize("weights", ["none", "rows", "zeros"])
def test_multi_label(weights, monkeypatch):
    draw, X, w = draw_rows(3, weights)
    y = draw.integers(0, 2, (N, 3)).astype(float)
    W = draw.integers(-2, 3, (D, 3, K)).astype(float)
    found, z = evaluate("logistic", X, y, w, 3, W, np.zeros((3, K)), monkeypatch)
    check_loss(found, "logistic", z, y, w)
    assert set(found) == {"loss", "accuracy", "auc", "map"}
    for k in range(K):
        score = z[:, :, k]
        right = {
            "accuracy": sk.accuracy_score(y, score > 0, sample_weight=w),
            "auc": sk.roc_auc_score(y, score, average="macro", sample_weight=w),
            "map": sk.average_precision_score(y, score, average="macro", sample_weight=w),
        }
        for name, value in right.items():
            assert found[name][k] == pytest.approx(value, rel=1e-12), name


def test_a_label_that_does_not_vary_is_left_out_of_the_means(monkeypatch):
    draw, X, w = draw_rows(3, "rows")
    y = draw.integers(0, 2, (N, 3)).astype(float)
    y[:, 1] = 1
    W = draw.standard_normal((D, 3, K))
    found, z = evaluate("logistic", X, y, w, 3, W, np.zeros((3, K)), monkeypatch)
    for k in range(K):
        auc = [sk.roc_auc_score(y[:, c], z[:, c, k], sample_weight=w) for c in (0, 2)]
        assert found["auc"][k] == pytest.approx(np.mean(auc), rel=1e-12)


@pytest.mark.parametrize("weights", ["none", "rows", "zeros"])
@pytest.mark.parametrize(("outputs", "missing"), [(3, None), (4, 2), (7, None), (7, 0)])
def test_classes(outputs, missing, weights, monkeypatch):
    draw, X, w = draw_rows(4, weights)
    y = draw.integers(0, outputs, N)
    if missing is not None:
        y[y == missing] = 1
    W, b = draw.standard_normal((D, outputs, K)), draw.standard_normal((outputs, K))
    found, z = evaluate("softmax", X, y, w, outputs, W, b, monkeypatch)
    check_loss(found, "softmax", z, np.eye(outputs)[y], w)
    names = {"loss", "accuracy", "balanced_accuracy"} | ({"top5"} if outputs > 5 else set())
    assert set(found) == names
    for k in range(K):
        chosen = z[:, :, k].argmax(axis=1)
        right = {
            "accuracy": sk.accuracy_score(y, chosen, sample_weight=w),
            "balanced_accuracy": quietly(sk.balanced_accuracy_score, y, chosen, sample_weight=w),
        }
        if outputs > 5:
            right["top5"] = sk.top_k_accuracy_score(
                y, z[:, :, k], k=5, labels=range(outputs), sample_weight=w
            )
        for name, value in right.items():
            assert found[name][k] == pytest.approx(value, rel=1e-12), name


def test_tied_scores_go_to_the_first_class_as_argmax_does(monkeypatch):
    draw, X, w = draw_rows(5, "rows")
    y = draw.integers(0, 7, N)
    W = draw.integers(-1, 2, (D, 7, K)).astype(float)
    found, z = evaluate("softmax", X, y, w, 7, W, np.zeros((7, K)), monkeypatch)
    for k in range(K):
        order = np.argsort(-z[:, :, k], axis=1, kind="stable")
        assert (np.diff(np.sort(z[:, :, k], axis=1)[:, -2:], axis=1) == 0).any()
        top1, top5 = order[:, 0] == y, (order[:, :5] == y[:, None]).any(axis=1)
        assert found["accuracy"][k] == pytest.approx(w @ top1 / w.sum(), rel=1e-12)
        assert found["top5"][k] == pytest.approx(w @ top5 / w.sum(), rel=1e-12)


def test_soft_targets_of_softmax_count_as_their_largest_class(monkeypatch):
    draw, X, w = draw_rows(6, "rows")
    y = draw.dirichlet(np.ones(4), N)
    W, b = draw.standard_normal((D, 4, K)), draw.standard_normal((4, K))
    found, z = evaluate("softmax", X, y, w, 4, W, b, monkeypatch)
    check_loss(found, "softmax", z, y, w)
    for k in range(K):
        right = sk.accuracy_score(y.argmax(axis=1), z[:, :, k].argmax(axis=1), sample_weight=w)
        assert found["accuracy"][k] == pytest.approx(right, rel=1e-12)


@pytest.mark.parametrize(
    ("model", "outputs"),
    [("linear", 2), ("logistic", 1), ("logistic", 2), ("softmax", 6), ("poisson", 2)],
)
def test_a_column_of_nan_leaves_the_others_metrics(model, outputs, monkeypatch):
    draw, X, w = draw_rows(7, "rows")
    y = draw.integers(0, 2, (N, outputs)).astype(float)
    y = y.argmax(axis=1) if model == "softmax" else y
    W, b = draw.standard_normal((D, outputs, K)), np.zeros((outputs, K))
    whole, _ = evaluate(model, X, y, w, outputs, W, b, monkeypatch)
    W[:, :, 1] = np.nan
    broken, _ = evaluate(model, X, y, w, outputs, W, b, monkeypatch)
    others = [0, 2, 3]
    assert np.isnan(broken["loss"][1])
    if model == "softmax":
        assert broken["accuracy"][1] == 0  # nan is never the largest score
    for name in whole:
        assert whole[name][others].tolist() == broken[name][others].tolist(), name
