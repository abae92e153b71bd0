"""Resampled metrics are those of files with the drawn rows in them, read by scikit-learn."""

import numpy as np
import pytest
from scipy.special import expit
from sklearn import metrics as sk

from trainer.errors import TrainerError
from trainer.machine.interrupted import Interrupted
from trainer.statistics import resampling
from trainer.statistics.draws import repeat_draws, row_draws, units_of
from trainer.statistics.resampling import Part, resample

R = 12


def accuracy_and_auc(z, y):
    """Measures of a classifier, a draw at a time, by scikit-learn."""

    def measure(w):
        found = {"accuracy": [], "auc": []}
        for one in w:
            some = one > 0
            both = len(set(y[some])) == 2
            has = some.any()
            right = sk.accuracy_score(y, z > 0, sample_weight=one) if has else np.nan
            found["accuracy"].append(right)
            auc = np.nan
            if both:
                auc = sk.roc_auc_score(y[some], expit(z[some]), sample_weight=one[some])
            found["auc"].append(auc)
        return {name: np.array(values) for name, values in found.items()}

    return measure


def draw_rows(seed, n):
    draw = np.random.default_rng(seed)
    z = draw.integers(-3, 4, n) / 2.0
    y = (z + draw.standard_normal(n) > 0).astype(int)
    return z, y


def duplicated(z, y, counts):
    """The metrics of a file in which each row stands as often as it was drawn."""
    rows = np.repeat(np.arange(len(z)), counts.astype(int))
    if not len(rows):
        return np.nan, np.nan
    auc = sk.roc_auc_score(y[rows], z[rows]) if len(set(y[rows])) == 2 else np.nan
    return sk.accuracy_score(y[rows], z[rows] > 0), auc


@pytest.mark.parametrize("at_once", [1, 1 << 20])
def test_rows_are_drawn_one_by_one(at_once, monkeypatch):
    monkeypatch.setattr(resampling, "_AT_ONCE", at_once)
    z, y = draw_rows(0, 50)
    found = resample([Part(np.arange(50), np.ones(50), accuracy_and_auc(z, y))], R, seed=5)
    right = [duplicated(z, y, counts) for counts in row_draws(5, 50, 0, R)]
    np.testing.assert_allclose(np.stack([found["accuracy"], found["auc"]], 1), right, rtol=1e-12)


def test_groups_are_drawn_whole_and_weights_stay_with_rows():
    z, y = draw_rows(1, 60)
    group, w = np.arange(60) // 7, np.arange(60) % 3  # whole weights: rows that many times over
    found = resample([Part(group, w.astype(float), accuracy_and_auc(z, y))], R, seed=0)
    drawn = row_draws(0, 9, 0, R)
    right = [duplicated(z, y, counts[group] * w) for counts in drawn]
    np.testing.assert_allclose(np.stack([found["accuracy"], found["auc"]], 1), right, rtol=1e-12)


def fold_parts(n, folds, times):
    """Parts of cross-validation: each time every row is in one fold, scored by its own model."""
    draw, parts, alone = np.random.default_rng(2), [], []
    _, y = draw_rows(3, n)
    for _ in range(times):
        fold = draw.permutation(n) % folds
        for f in range(folds):
            rows = np.flatnonzero(fold == f)
            z = y[rows] - 0.5 + draw.standard_normal(len(rows))
            parts.append(Part(rows, np.ones(len(rows)), accuracy_and_auc(z, y[rows])))
            alone.append((rows, z, y[rows]))
    return parts, alone


def test_folds_are_recomputed_within_and_averaged():
    parts, alone = fold_parts(n=24, folds=4, times=2)
    found = resample(parts, R, seed=1)
    drawn = row_draws(1, 24, 0, R)
    lacking = 0
    for r, counts in enumerate(drawn):  # all copies of a row, of both times, are drawn with it
        each = np.array([duplicated(z, y, counts[rows]) for rows, z, y in alone])
        lacking += np.isnan(each[:, 1]).any()
        assert found["accuracy"][r] == pytest.approx(np.nanmean(each[:, 0]), rel=1e-12)
        assert found["auc"][r] == pytest.approx(np.nanmean(each[:, 1]), rel=1e-12)
    assert lacking > R / 2  # a fold of six rows mostly loses a class


def test_parts_are_drawn_too_where_they_are_a_sample():
    parts, alone = fold_parts(n=20, folds=2, times=3)
    found = resample(parts, R, seed=1, draw_parts=True)
    shares = repeat_draws(1, 6, 0, R)
    for r, counts in enumerate(row_draws(1, 20, 0, R)):
        each = np.array([duplicated(z, y, counts[rows])[0] for rows, z, y in alone])
        assert found["accuracy"][r] == pytest.approx(np.average(each, weights=shares[r]))
    assert (shares == 0).any()


def test_what_no_part_has_is_no_number():
    z, y = draw_rows(0, 6)
    part = Part(np.arange(6), np.ones(6), accuracy_and_auc(z, np.ones_like(y)))
    found = resample([part], 3, seed=0)
    assert np.isnan(found["auc"]).all()
    assert np.isfinite(found["accuracy"]).all()


def test_equal_labels_are_paired_whatever_the_model():
    z, y = draw_rows(0, 80)
    labels, turned = np.arange(80) + 500, z.copy()
    right = np.flatnonzero((z > 0) == y)[0]
    turned[right] = -z[right] if z[right] else 1.0
    one, other = (
        resample([Part(labels, np.ones(80), accuracy_and_auc(of, y))], R, seed=0)["accuracy"]
        for of in (z, turned)
    )
    np.testing.assert_allclose(one - other, row_draws(0, 80, 0, R)[:, right] / 80, atol=1e-12)


def test_a_stop_ends_it():
    z, y = draw_rows(0, 20)
    part = Part(np.arange(20), np.ones(20), accuracy_and_auc(z, y))
    with pytest.raises(Interrupted):
        resample([part], R, seed=0, should_stop=lambda: True)
    assert not issubclass(Interrupted, TrainerError)  # it is no fault of a user's
    assert units_of(part.labels)[1] == 20
