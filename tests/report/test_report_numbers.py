"""The numbers that are drawn: curves against scikit-learn, and honest short forms of long ones."""

import warnings

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics
from sklearn.calibration import calibration_curve

from trainer.catalog import METRICS
from trainer.report.charts import curves
from trainer.report.charts.chart import y_scale
from trainer.report.charts.downsample import downsample, noisy, smooth, spans_decades
from trainer.report.charts.training import columns
from trainer.text.names import short
from trainer.text.numbers import number, percent, text


def labels_and_scores(seed, n=400, ties=False):
    rng = np.random.default_rng(seed)
    y = (rng.random(n) < 0.3).astype(float)
    score = 1 / (1 + np.exp(-(2 * y - 1 + rng.normal(size=n))))
    return y, np.round(score, 1) if ties else score


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("seed", range(5))
def test_ranking_is_scikit_learns(seed, ties):
    y, score = labels_and_scores(seed, ties=ties)
    found = curves.ranking(y, score)
    false_rate, true_rate, _ = metrics.roc_curve(y, score, drop_intermediate=False)
    np.testing.assert_allclose(found.false_rate, false_rate)
    np.testing.assert_allclose(found.true_rate, true_rate)
    assert found.auc == pytest.approx(metrics.roc_auc_score(y, score))
    assert found.average_precision == pytest.approx(metrics.average_precision_score(y, score))
    precision, recall, _ = metrics.precision_recall_curve(y, score)
    np.testing.assert_allclose(found.precision, precision[::-1][1:])
    np.testing.assert_allclose(found.true_rate, recall[::-1])
    assert found.share == y.mean()


@pytest.mark.parametrize("y", [np.zeros(5), np.ones(5)])
def test_no_ranking_of_one_label(y):
    assert curves.ranking(y, np.arange(5.0)) is None


def test_no_ranking_of_scores_that_are_not_finite():
    assert curves.ranking(np.array([0.0, 1.0]), np.array([np.nan, 1.0])) is None


@pytest.mark.parametrize("seed", range(5))
def test_calibration_is_scikit_learns(seed):
    y, p = labels_and_scores(seed)
    found = curves.calibration(y, p)
    observed, predicted = calibration_curve(y, p, n_bins=10)
    np.testing.assert_allclose(found.observed, observed)
    np.testing.assert_allclose(found.predicted, predicted)
    assert found.rows.sum() == len(y)
    filled = found.rows[found.rows > 0] / len(y)
    assert found.error == pytest.approx(float(filled @ np.abs(observed - predicted)))
    assert (found.low <= found.observed).all()
    assert (found.observed <= found.high).all()


def test_calibration_at_the_ends():
    found = curves.calibration(np.array([0.0, 1.0, 1.0]), np.array([0.0, 1.0, 1.0]))
    assert found.rows.tolist() == [1, 0, 0, 0, 0, 0, 0, 0, 0, 2]
    assert (found.predicted.tolist(), found.observed.tolist()) == ([0, 1], [0, 1])
    # Wilson's interval of 0 of 1 and of 2 of 2 (Agresti & Coull 1998)
    np.testing.assert_allclose(found.high, [0.793450, 1.0], atol=1e-5)
    np.testing.assert_allclose(found.low, [0.0, 0.342372], atol=1e-5)
    assert curves.calibration(np.empty(0), np.empty(0)) is None


def test_confusion_is_scikit_learns():
    rng = np.random.default_rng(0)
    true, predicted = rng.integers(0, 7, size=(2, 500))
    expected = metrics.confusion_matrix(true, predicted, labels=range(8))
    np.testing.assert_array_equal(curves.confusion(true, predicted, 8), expected)


def test_the_classes_with_the_most_mistakes_are_kept():
    matrix = np.diag([9, 9, 9, 9])
    matrix[3, 1] = 2
    assert curves.most_confused(matrix, 2).tolist() == [1, 3]
    assert curves.most_confused(matrix, 4).tolist() == [0, 1, 2, 3]


def test_mistakes_come_surest_first():
    p = np.array([[0.9, 0.1], [0.4, 0.6], [0.2, 0.8], [0.3, 0.7]])
    true, predicted = np.array([0, 0, 0, 0]), p.argmax(axis=1)
    assert curves.mistakes(true, predicted, p).tolist() == [2, 3, 1]
    assert curves.mistakes(true, predicted, p, most=1).tolist() == [2]


def test_a_histogram_counts_every_row():
    values = np.concatenate([np.random.default_rng(0).normal(size=1000), [50.0, -70.0]])
    found = curves.histogram(values)
    assert found.counts.sum() == 1002
    assert found.edges[-1] == -found.edges[0] < 5
    assert found.outside == (np.abs(values) > found.edges[-1]).sum()
    assert curves.histogram(np.zeros(4)).counts.sum() == 4
    assert curves.histogram(np.empty(0)).counts.sum() == 0


def test_the_largest_misses_are_among_some_rows():
    error = np.random.default_rng(0).normal(size=10_000)
    shown = curves.some_rows(error)
    assert len(shown) == len(set(shown.tolist())) == 2000
    assert set(np.argsort(-np.abs(error))[:100].tolist()) <= set(shown.tolist())
    assert curves.some_rows(error[:2000]).tolist() == list(range(2000))


# --- long curves ----------------------------------------------------------------------------------


@given(
    st.lists(
        st.one_of(st.floats(-1e6, 1e6, width=32), st.just(float("nan")), st.just(float("inf"))),
        min_size=0,
        max_size=400,
    ),
    st.integers(8, 60),
)
def test_thinning_keeps_extremes_ends_and_order(values, most):
    y = np.array(values, dtype=np.float64)
    x = np.arange(1, len(y) + 1)
    few_x, few_y = downsample(x, y, most)
    assert len(few_x) == len(few_y) <= max(most, 0)
    assert (np.diff(few_x) > 0).all()
    np.testing.assert_array_equal(y[few_x - 1], few_y)  # points of the curve, none made up
    if len(y):
        assert (few_x[0], few_x[-1]) == (1, len(y))
    finite = y[np.isfinite(y)]
    if finite.size:
        kept = few_y[np.isfinite(few_y)]
        assert (kept.min(), kept.max()) == (finite.min(), finite.max())
    assert np.isfinite(y).all() == np.isfinite(few_y).all()  # a gap stays a gap


def test_every_stretch_keeps_its_spike():
    y = np.zeros(100_000)
    spikes = np.arange(500, 100_000, 1000)
    y[spikes] = np.arange(1, 101)
    few_x, few_y = downsample(np.arange(len(y)), y)
    assert len(few_y) <= 2000
    assert set(spikes.tolist()) <= set(few_x.tolist())


def test_smoothing_neither_lags_nor_bends_a_line():
    line = np.arange(1000.0)
    middle = smooth(line)[:-13]
    np.testing.assert_allclose(middle, line[:-13])
    noise = np.random.default_rng(0).normal(size=4000)
    assert smooth(noise).std() < 0.15
    gap = np.where(line == 500, np.nan, line)
    assert np.isnan(smooth(gap)).tolist() == (line == 500).tolist()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.isnan(smooth(np.full(50, np.inf))).all()


def test_a_spike_stays_where_it_is_smoothed():
    y = 1 + 0.1 * np.random.default_rng(0).normal(size=2000)
    y[3] = 1e20
    smoothed = smooth(y)
    for i in (100, 500, 1998):
        reach = min(i, 25)
        assert smoothed[i] == pytest.approx(y[i - reach : i + reach + 1].mean(), rel=1e-14)


@pytest.mark.parametrize("large", [1e307, 1.7e308])
def test_the_largest_numbers_are_drawn_like_others(large):
    """Warnings are errors here."""
    y = np.random.default_rng(0).uniform(0.1, 1, size=500)
    y[::2] *= -1
    np.testing.assert_allclose(smooth(large * y) / large, smooth(y), rtol=1e-13, atol=1e-16)
    assert noisy(large * y)
    assert not noisy(large * np.linspace(-1, 1, 500))
    assert spans_decades(np.array([large / 30.1, large]))
    assert not spans_decades(np.array([large / 29.9, large]))
    assert spans_decades(np.array([3e36, 3e38], np.float32))
    assert not spans_decades(np.array([3e37, 3e38], np.float32))
    assert y_scale(np.array([1e-300, large]))["type"] == "log"


def test_noise_is_told_from_a_curve():
    steps = np.arange(500)
    assert noisy(np.random.default_rng(0).normal(size=500))
    assert not noisy(np.exp(-steps / 50))
    assert not noisy(np.sin(steps / 20))
    assert not noisy(np.full(500, 0.1))


def test_a_log_scale_needs_a_wide_range_above_0():
    assert spans_decades(np.array([0.01, 1.0]))
    assert not spans_decades(np.array([0.5, 1.0]))
    assert not spans_decades(np.array([0.0, 1.0]))
    assert not spans_decades(np.array([np.nan]), np.array([np.inf]))
    assert not spans_decades()


# --- words ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.112234, "0.1122"),
        (1150.38, "1,150"),
        (53_940, "53,940"),
        (-3.5, "−3.5"),
        (1e-7, "1e-07"),
        (1.0, "1"),
        (float("nan"), "not a number"),
        (float("inf"), "∞"),
        (None, "–"),
    ],
)
def test_number(value, shown):
    assert number(value) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.9749, "97.5 %"), (1.0, "100 %"), (0.0, "0 %"), (0.99996, "99.996 %"), (0.0001, "0.01 %")],
)
def test_percent_rounds_nothing_to_all(value, shown):
    assert percent(value) == shown


def test_names():
    assert short("a" * 10 + "b" * 10, 9) == "aaaa…bbbb"
    assert short("abc", 9) == "abc"
    assert text("a\nb\x1b\u202e") == "a\\nb\\x1b\\u202e"
    assert text([1, {"a": None}, True, 1e-7]) == "[1, {a: none}, true, 1e-07]"


def test_every_metric_of_a_run_has_its_word(runs):
    known = {f"{split}_{name}" for name in METRICS for split in ("train", "val", "test")}
    found = {name for run in runs.values() for name in (run.best or {}).get("metrics", {})}
    assert len(found) > 10
    assert found <= known


# --- many columns ---------------------------------------------------------------------------------


def test_columns_come_best_first_each_in_its_own_order():
    trial = np.tile(np.arange(60, dtype=np.int32), 4)
    step = np.repeat(np.arange(1, 5), 60)
    table = pa.table(
        {"step": step, "trial": trial, "repeat": trial * 0, "loss": trial + step / 10.0}
    )
    found = columns(table, [{"trial": 7}, {"trial": 3}])
    assert len(found) == 50
    assert [column.trial for column in found[:4]] == [7, 3, 0, 1]
    assert found[0]["step"].tolist() == [1, 2, 3, 4]
    np.testing.assert_allclose(found[0]["loss"], [7.1, 7.2, 7.3, 7.4])
    assert columns(None) == []
