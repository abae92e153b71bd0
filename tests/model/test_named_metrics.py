"""Metrics that a config names, in several chunks and K columns, against scikit-learn and SciPy."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics as sk
from stacks import DEVICE, Problem, make_stack, small_chunks, start

from trainer.catalog import METRICS, metrics_of
from trainer.data.rows import Rows
from trainer.model import MODELS
from trainer.model.calibration import bin_gaps
from trainer.model.metrics import LARGEST, Targets
from trainer.model.named_metrics import NAMED, with_named
from trainer.model.number_metrics import weighted_median
from trainer.model.ranking import recall_at as recall_of
from trainer.train import evaluate as evaluate_module
from trainer.train.evaluate import Evaluator, HeldOut

N, D = 151, 3
DTYPES = {"float32": 2e-5, "float64": 1e-11}
WEIGHTS = ["none", "rows", "zeros"]


def draw_rows(seed, weights):
    """Features and weights of small numbers: their scores are exact and often tie."""
    draw = np.random.default_rng(seed)
    X = draw.integers(-2, 3, (N, D)).astype(float)
    w = {
        "none": np.ones(N),
        "rows": draw.integers(1, 9, N) / 4,
        "zeros": draw.integers(0, 3, N).astype(float),
    }
    return draw, X, w[weights]


def read(model, X, y, w, weights, bias, monkeypatch, labels=None, names=None, dtype="float64"):
    """The named metrics (K,) of given weights (D, C, K), and the scores (N, C, K) in float64."""
    outputs, columns = weights.shape[1:]
    small_chunks(monkeypatch, 8 * outputs * columns * 60)
    monkeypatch.setattr(evaluate_module, "_WIDE", 60 * max(D, outputs * columns))
    monkeypatch.setattr(evaluate_module, "_FEWEST_ROWS", 1)
    X = X.astype(dtype)
    stack = make_stack(Problem(model, "auto", X, y, w, w, outputs), lr=[0.1] * columns)
    wanted = metrics_of(model, outputs) if names is None else names
    if labels is None:
        wanted = [name for name in wanted if not METRICS[name].of_numbers]
    stack.model = with_named(stack.model, model, wanted)
    rows = Rows(name="val", X=X, y=y, weight=w, index=np.arange(N))
    held = HeldOut(DEVICE, rows, np.full(outputs, 2.0), labels=labels)
    found = Evaluator(stack, held).metrics(start(stack, weights.astype(dtype), bias.astype(dtype)))
    own = metrics_of(model, outputs, ())
    z = np.einsum("nd,dck->nck", X.astype(float), weights.astype(dtype).astype(float))
    return {n: v for n, v in found.items() if n not in own}, z + bias.astype(dtype).astype(float)


def quietly(metric, *args, **kwargs):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return metric(*args, **kwargs)


def check(found, right, k, tolerance):
    assert set(right) == set(found)
    for name, value in right.items():
        assert found[name][k] == pytest.approx(value, rel=tolerance, abs=tolerance, nan_ok=True), (
            name,
            k,
        )


def spearman(predicted, y, w):
    """Of rows written out as often as they weigh, in quarters."""
    times = np.rint(4 * w).astype(int)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return stats.spearmanr(np.repeat(predicted, times), np.repeat(y, times)).statistic


def pearson(predicted, y, w):
    times = np.rint(4 * w).astype(int)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return stats.pearsonr(np.repeat(predicted, times), np.repeat(y, times)).statistic


def median(values, w):
    return np.median(np.repeat(values, np.rint(4 * w).astype(int)))


def ece(p, right, w):
    """Guo et al. 2017, bin by bin: (a, b], and 0 in the first."""
    total = 0.0
    for b in range(15):
        inside = (p > b / 15) & (p <= (b + 1) / 15) | ((b == 0) & (p <= 0))
        total += abs((w * (p - right))[inside].sum())
    return total / w.sum()


def recall_at(score, y, w):
    best = 0.0
    for threshold in np.unique(score):
        called = score >= threshold
        if w[called & (y == 0)].sum() <= 0.01 * w[y == 0].sum() * (1 + 1e-9):
            best = max(best, w[called & (y == 1)].sum() / w[y == 1].sum())
    return best


# --- against the oracles --------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize(("outputs", "K"), [(1, 7), (3, 1)])
def test_numbers(outputs, K, weights, dtype, monkeypatch):
    draw, X, w = draw_rows(1 + K, weights)
    y = draw.integers(-4, 5, (N, outputs)) / 2  # ties
    W, b = draw.integers(-2, 3, (D, outputs, K)) / 4, draw.standard_normal((outputs, K))
    W[:, :, 0] = [[0.25], [-0.5], [1.0]]
    found, z = read("linear", X, y, w, W, b, monkeypatch, dtype=dtype)
    assert len(found) == 6
    some = w > 0
    for k in range(K):
        of = [(2 * y[some, c], 2 * z[some, c, k], w[some]) for c in range(outputs)]
        two = (2 * y, 2 * z[:, :, k])
        right = {
            "mae": sk.mean_absolute_error(*two, sample_weight=w),
            "median_absolute_error": np.mean([median(abs(t - p), v) for t, p, v in of]),
            "max_error": np.mean([sk.max_error(t, p) for t, p, _ in of]),
            "explained_variance": sk.explained_variance_score(*two, sample_weight=w),
            "pearson": np.mean([pearson(p, t, v) for t, p, v in of]),
            "spearman": np.mean([spearman(p, t, v) for t, p, v in of]),
        }
        check(found, right, k, DTYPES[dtype])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize("K", [1, 7])
def test_one_label(K, weights, dtype, monkeypatch):
    draw, X, w = draw_rows(20 + K, weights)
    y = draw.integers(0, 2, (N, 1)).astype(float)
    W = draw.integers(-2, 3, (D, 1, K)).astype(float)
    W[0, 0, 0] = 2
    X[:, 0] += y[:, 0]  # so that some recall is left at 1 %
    found, z = read("logistic", X, y, w, W, draw.standard_normal((1, K)), monkeypatch, dtype=dtype)
    assert len(found) == 6
    y = y[:, 0]
    for k in range(K):
        p = 1 / (1 + np.exp(-z[:, 0, k]))
        called = z[:, 0, k] > 0
        right = {
            "precision": sk.precision_score(y, called, sample_weight=w, zero_division=np.nan),
            "recall": sk.recall_score(y, called, sample_weight=w),
            "recall_at_1pct_fpr": recall_at(z[:, 0, k], y, w),
            "mcc": sk.matthews_corrcoef(y, called, sample_weight=w),
            "brier": sk.brier_score_loss(y, p, sample_weight=w),
            "ece": ece(p, y, w),
        }
        if len(set(called[w > 0])) == 1:
            right["mcc"] = np.nan
        check(found, right, k, DTYPES[dtype])


@pytest.mark.parametrize("weights", WEIGHTS)
def test_several_labels(weights, monkeypatch):
    draw, X, w = draw_rows(3, weights)
    y = draw.integers(0, 2, (N, 3)).astype(float)
    W, b = draw.integers(-2, 3, (D, 3, 7)) / 4, draw.standard_normal((3, 7))
    found, z = read("logistic", X, y, w, W, b, monkeypatch)
    p = 1 / (1 + np.exp(-z))
    for k in range(7):
        of = [(y[:, c], p[:, c, k]) for c in range(3)]
        right = {
            "brier": np.mean([sk.brier_score_loss(*one, sample_weight=w) for one in of]),
            "ece": np.mean([ece(q, t, w) for t, q in of]),
        }
        check(found, right, k, 1e-11)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize(("outputs", "K"), [(2, 7), (3, 1), (5, 7), (12, 2)])
def test_classes(outputs, K, weights, dtype, monkeypatch):
    draw, X, w = draw_rows(40 + outputs, weights)
    y = draw.integers(0, outputs, N)
    W, b = (draw.integers(-4, 5, shape) / 8 for shape in ((D, outputs, K), (outputs, K)))
    labels = 3.0 + 0.5 * np.arange(outputs)
    found, z = read("softmax", X, y, w, W, b, monkeypatch, labels, dtype=dtype)
    assert len(found) == 7
    p = np.exp(z - z.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    classes = range(outputs)
    for k in range(K):
        called = z[:, :, k].argmax(axis=1)
        weighted = {"sample_weight": w}
        areas = [sk.roc_auc_score(y == c, p[:, c, k], **weighted) for c in classes]
        right = {
            "auc": np.mean(areas),
            "macro_f1": quietly(sk.f1_score, y, called, average="macro", **weighted),
            "weighted_f1": quietly(sk.f1_score, y, called, average="weighted", **weighted),
            "mcc": sk.matthews_corrcoef(y, called, **weighted),
            "cohen_kappa": sk.cohen_kappa_score(y, called, **weighted),
            "quadratic_kappa": sk.cohen_kappa_score(
                y, called, labels=classes, weights="quadratic", **weighted
            ),
            "ece": ece(p[:, :, k].max(axis=1), called == y, w),
        }
        if len(set(called[w > 0])) == 1:
            right["mcc"] = np.nan
        if outputs > 2:
            of_all = sk.roc_auc_score(y, p[:, :, k], multi_class="ovr", **weighted)
            assert right["auc"] == pytest.approx(of_all, rel=1e-12)
        check(found, right, k, DTYPES[dtype])


def test_quadratic_kappa_is_of_the_labels_as_numbers(monkeypatch):
    """1 − Σ O·d² / Σ E·d² of the confusion O and the d between labels that are no equal steps."""
    draw, X, w = draw_rows(9, "rows")
    labels = np.array([-1.0, 0.5, 8.0, 9.0])
    y = draw.integers(0, 4, N)
    W = draw.standard_normal((D, 4, 3))
    found, z = read("softmax", X, y, w, W, np.zeros((4, 3)), monkeypatch, labels)
    apart = (labels[:, None] - labels) ** 2
    for k in range(3):
        seen = sk.confusion_matrix(y, z[:, :, k].argmax(axis=1), sample_weight=w)
        chance = np.outer(seen.sum(axis=1), seen.sum(axis=0)) / seen.sum()
        right = 1 - (seen * apart).sum() / (chance * apart).sum()
        assert found["quadratic_kappa"][k] == pytest.approx(right, rel=1e-12)


def test_an_area_of_classes_has_no_ties_where_probabilities_come_to_1(monkeypatch):
    """In float32 every ŷ of the class chosen is 1 here; what is right is the scores' order."""
    draw = np.random.default_rng(0)
    X, w = np.zeros((N, D)), np.ones(N)
    X[:, 0] = draw.permutation(N) + 20.0
    y = (X[:, 0] > 90).astype(int)
    W = np.zeros((D, 2, 1))
    W[0, 1, 0] = 1
    found, _ = read("softmax", X, y, w, W, np.zeros((2, 1)), monkeypatch, dtype="float32")
    assert found["auc"][0] == 1


def test_soft_targets_count_as_their_largest_class(monkeypatch):
    draw, X, w = draw_rows(6, "rows")
    y = draw.dirichlet(np.ones(4), N)
    W, b = draw.standard_normal((D, 4, 2)), draw.standard_normal((4, 2))
    soft, _ = read("softmax", X, y, w, W, b, monkeypatch, np.arange(4.0))
    hard, _ = read("softmax", X, y.argmax(axis=1), w, W, b, monkeypatch, np.arange(4.0))
    assert {n: v.tolist() for n, v in soft.items()} == {n: v.tolist() for n, v in hard.items()}


def test_the_median_of_weights_is_that_of_rows_written_out():
    draw = np.random.default_rng(0)
    for case in range(300):
        n = int(draw.integers(1, 12))
        values, times = draw.integers(0, 6, n).astype(float), draw.integers(1, 4, n)
        right = np.median(np.repeat(values, times))
        for scale in (1.0, 0.1, 1 / 3):
            assert weighted_median(values, scale * times) == right, case


# --- what is undefined ----------------------------------------------------------------------------

ONE_VALUE = [
    ("linear", np.full((N, 1), 2.0), {"explained_variance", "pearson", "spearman"}),
    ("logistic", np.zeros((N, 1)), {"recall", "recall_at_1pct_fpr", "mcc"}),
    ("logistic", np.ones((N, 1)), {"recall_at_1pct_fpr", "mcc"}),
    ("softmax", np.full(N, 2), {"auc", "mcc", "cohen_kappa", "quadratic_kappa"}),
]


@pytest.mark.parametrize("weight", [0.0, 1.0])
@pytest.mark.parametrize(("model", "y", "undefined"), ONE_VALUE)
def test_rows_of_one_value_leave_a_metric_undefined_in_every_column(
    model, y, undefined, weight, monkeypatch
):
    """Another value that only a row without weight has is not there."""
    draw, X, w = draw_rows(5, "rows")
    y, w, outputs = y.copy(), w.copy(), 4 if model == "softmax" else 1
    y[0], w[0] = 1 - y[0], weight
    y = np.abs(y)
    W, b = draw.standard_normal((D, outputs, 4)), np.zeros((outputs, 4))
    W[:, :, 3], b[-1, 3] = 0, 1  # predictions that are one
    labels = np.arange(4.0) if model == "softmax" else None
    found, _ = read(model, X, y, w, W, b, monkeypatch, labels)
    targets = Targets(y, w, np.ones(outputs), outputs, labels)
    row = with_named(MODELS[model, "auto"], model, found)
    told = row.metrics.undefined(targets) & set(found)
    assert told == (set() if weight else undefined)
    nowhere = {name for name, values in found.items() if np.isnan(values[:3]).all()}
    assert nowhere == (set() if weight else undefined)
    needs = {name for name in found if METRICS[name].needs}
    assert undefined <= needs
    finite = {name for name in found if np.isfinite(found[name]).all()}
    predictions = {name for name in found if METRICS[name].needs_predictions}
    assert finite >= set(found) - needs - predictions


def test_predictions_of_one_kind_leave_some_undefined_in_their_column_alone(monkeypatch):
    draw, X, w = draw_rows(5, "rows")
    table = [
        ("linear", 1, {"pearson", "spearman"}),
        ("logistic", 1, {"precision", "mcc"}),
        ("softmax", 4, {"mcc"}),
    ]
    for model, outputs, undefined in table:
        y = draw.integers(0, 2, (N, 1)).astype(float)
        y = draw.integers(0, 4, N) if outputs > 1 else y
        W, b = draw.standard_normal((D, outputs, 3)), np.zeros((outputs, 3))
        W[:, :, 1], b[0, 1] = 0, -0.1
        found, _ = read(model, X, y, w, W, b, monkeypatch, np.arange(4.0))
        assert {n for n in found if np.isnan(found[n][1])} == undefined, model
        assert undefined == {n for n in found if METRICS[n].needs_predictions}, model
        assert all(np.isfinite(found[n][[0, 2]]).all() for n in found), model


def test_classes_that_do_not_occur_are_left_out_of_means_and_told(monkeypatch):
    draw, X, w = draw_rows(4, "rows")
    y = draw.integers(1, 4, N)
    W, b = draw.standard_normal((D, 4, 2)), draw.standard_normal((4, 2))
    found, z = read("softmax", X, y, w, W, b, monkeypatch, np.arange(4.0))
    row = with_named(MODELS["softmax", "auto"], "softmax", found)
    parts = row.metrics.in_some(Targets(y, w, np.ones(4), 4, np.arange(4.0)))
    assert parts == dict.fromkeys(("balanced_accuracy", "macro_f1", "auc"), (3, 4))
    for k in range(2):
        called = z[:, :, k].argmax(axis=1)
        each = sk.f1_score(y, called, average=None, labels=[1, 2, 3], sample_weight=w)
        assert found["macro_f1"][k] == pytest.approx(each.mean(), rel=1e-12)
        weighted = sk.f1_score(y, called, average="weighted", sample_weight=w)
        assert found["weighted_f1"][k] == pytest.approx(weighted, rel=1e-12)


@pytest.mark.parametrize(("model", "outputs"), [("linear", 2), ("logistic", 1), ("softmax", 4)])
def test_a_column_of_nan_has_none_and_leaves_the_others(model, outputs, monkeypatch):
    draw, X, w = draw_rows(7, "rows")
    y = draw.integers(0, 2, (N, outputs)).astype(float)
    y = draw.integers(0, 4, N) if model == "softmax" else y
    W, b = draw.standard_normal((D, outputs, 4)), np.zeros((outputs, 4))
    whole, _ = read(model, X, y, w, W, b, monkeypatch, np.arange(4.0))
    W[:, :, 1] = np.nan
    broken, _ = read(model, X, y, w, W, b, monkeypatch, np.arange(4.0))
    others = [0, 2, 3]
    for name in whole:
        assert whole[name][others].tolist() == broken[name][others].tolist(), name
        if name not in ("precision", "recall"):  # of which the counts are 0, as accuracy's are
            assert np.isnan(broken[name][1]), name


@pytest.mark.parametrize("seed", range(8))
def test_predictions_of_one_class_have_no_mcc_whatever_their_weights_round_to(seed, monkeypatch):
    draw = np.random.default_rng(seed)
    X, w = np.zeros((N, D)), draw.uniform(0.1, 1, N)
    for model, outputs in (("logistic", 1), ("softmax", 3)):
        y = draw.integers(0, 2, (N, 1)).astype(float)
        y = draw.integers(0, 3, N) if outputs > 1 else y
        b = np.zeros((outputs, 3))
        b[0] = -1, 1, 2
        W = np.zeros((D, outputs, 3))
        found, _ = read(model, X, y, w, W, b, monkeypatch, names=["mcc"])
        assert np.isnan(found["mcc"]).all(), (model, found)


def test_a_prediction_on_an_edge_is_in_the_bin_below():
    p = np.array([[[3 / 15]], [[0.19]], [[0.21]], [[0.0]], [[1.0]]])
    gaps = bin_gaps(np, p, np.array([1.0, 2, 4, 8, 16]).reshape(5, 1, 1), np.ones(5))
    assert gaps[:, 0, 0].tolist() == [8, 0, 3, 4, *[0] * 10, 16]


def test_one_false_positive_of_a_hundred_is_one_in_a_hundred():
    score = np.concatenate([[9.0], np.zeros(99), [10, 5, 5, -1]])[:, None, None]
    y = (np.arange(104) >= 100).astype(float)[:, None]
    assert recall_of(0.01, score, y, np.ones(104))[0, 0] == 0.75
    assert recall_of(0.0099, score, y, np.ones(104))[0, 0] == 0.25
    w = np.full(104, 0.1)  # whose sums are rounded
    assert recall_of(0.01, score, y, w)[0, 0] == pytest.approx(0.75)
    assert np.isnan(recall_of(0.01, score, np.ones((104, 1)), w)[0, 0])


# --- what is computed -----------------------------------------------------------------------------


def test_nothing_is_computed_that_is_not_named():
    for (model, loss), row in MODELS.items():
        assert row.metrics.named == {}, loss
        assert with_named(row, model, ["accuracy", "nothing"]) is row, loss
        for name in NAMED.get(model, {}):
            assert list(with_named(row, model, [name]).metrics.named) == [name]


@pytest.mark.parametrize(("model", "outputs"), [("linear", 2), ("logistic", 1), ("softmax", 6)])
def test_what_is_always_computed_keeps_its_bits(model, outputs, monkeypatch):
    draw, X, w = draw_rows(7, "rows")
    y = draw.integers(0, 2, (N, outputs)).astype(float)
    y = draw.integers(0, 6, N) if model == "softmax" else y
    W, b = draw.standard_normal((D, outputs, 3)), draw.standard_normal((outputs, 3))
    stack = make_stack(Problem(model, "auto", X, y, w, w, outputs), lr=[0.1] * 3)
    rows = Rows(name="val", X=X, y=y, weight=w, index=np.arange(N))
    held, state = HeldOut(DEVICE, rows, np.ones(outputs), labels=np.arange(6.0)), start(stack, W, b)
    plain = Evaluator(stack, held).metrics(state)
    stack.model = with_named(stack.model, model, metrics_of(model, outputs))
    named = Evaluator(stack, held).metrics(state)
    assert len(named) > len(plain)
    for name in plain:
        assert plain[name].tolist() == named[name].tolist(), name


def test_every_named_metric_has_a_row_and_a_function():
    found = {(model, name) for model, named in NAMED.items() for name in named}
    rows = {(model, name) for name, facts in METRICS.items() for model in facts.named}
    assert found == rows
    assert len(rows) == 19
    assert all(set(METRICS[name].models) >= METRICS[name].named for _, name in rows)


@pytest.mark.parametrize(("model", "outputs"), [("linear", 2), ("logistic", 1), ("softmax", 3)])
def test_sums_take_targets_of_a_columns_own(model, outputs):
    """y (B, C, K): each column is as it is alone."""
    draw = np.random.default_rng(3)
    z = draw.standard_normal((20, outputs, 4))
    y = draw.integers(0, 2, (20, outputs, 4)).astype(float)
    w = draw.uniform(0, 2, 20)
    targets = Targets(y[:, :, 0], w, np.ones(outputs), outputs, np.arange(float(outputs)))
    checked = 0
    for name, one in NAMED[model].items():
        if one.sums is None:
            continue
        found = one.sums(np, z, y, w, targets)
        for k in range(4):
            alone = one.sums(np, z[:, :, [k]], y[:, :, k], w, targets)
            for key, value in alone.items():
                np.testing.assert_allclose(found[key][..., [k]], value, rtol=1e-12, atol=1e-14)
                checked += not key.startswith(LARGEST)
        assert name in METRICS
    assert checked >= 12
