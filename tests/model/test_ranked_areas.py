"""ROC AUC and average precision of many columns against scikit-learn's and a slow loop's."""

import tracemalloc

import numpy as np
import pytest
from sklearn import metrics as sk

from trainer.model import compiled
from trainer.model import ranking as rank
from trainer.model.ranking import descending, ranking

N, C, K = 700, 2, 5
TYPES = ["float32", "float64"]
LIBRARY, WHY = compiled.load()


@pytest.fixture(autouse=True, params=["text", "compiled"])
def way(request, monkeypatch):
    """Each test twice: by the NumPy text, and by the compiled library where there is one."""
    if request.param == "text":
        monkeypatch.setattr(compiled, "load", lambda: (None, "not wanted"))
    elif LIBRARY is None:
        pytest.skip(WHY)


@pytest.mark.skipif(LIBRARY is None, reason=WHY)
@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("weights", ["ones", "rows", "zeros"])
@pytest.mark.parametrize("rows", [1, 2, 31, N])
def test_the_library_has_the_areas_of_the_text(rows, weights, dtype, monkeypatch):
    monkeypatch.setattr(compiled, "load", lambda: (LIBRARY, WHY))
    draw, scores = draw_scores(7, dtype)
    scores[5, 0, 0], scores[6, 1, 1] = np.nan, -np.inf
    scores[7, 0, 4] = np.inf
    y, w = draw.integers(0, 2, (N, C)).astype(float), draw_weights(draw, weights)
    found = []
    for areas in (rank._areas, rank._compiled_areas):
        each = [
            areas(np.ascontiguousarray(scores[:rows, c].T), y[:rows, c], w[:rows]) for c in (0, 1)
        ]
        found.append(np.array(each).swapaxes(0, 1))
    text, library = found  # (2, C, K) each
    assert np.isnan(library).tolist() == np.isnan(text).tolist()
    np.testing.assert_allclose(library, text, rtol=1e-14)
    if weights != "rows":  # counted rows: an area is a quotient of whole numbers
        np.testing.assert_array_equal(library[0], text[0])


def draw_scores(seed, dtype):
    """Scores (N, C, K): of column 1 many tie, of 2 all; of 3 zeros have both signs."""
    draw = np.random.default_rng(seed)
    scores = draw.standard_normal((N, C, K)).astype(dtype)
    scores[:, :, 1] = np.round(scores[:, :, 1])
    scores[:, :, 2] = 0.5
    scores[:, :, 3] = np.where(scores[:, :, 3] > 0.5, 0.0, -0.0)
    scores[::7, :, 3] = 1
    return draw, scores


def draw_weights(draw, kind):
    return {
        "ones": np.ones(N),
        "rows": draw.uniform(0.1, 4, N),
        "zeros": draw.integers(0, 3, N).astype(float),
    }[kind]


def slow_areas(score, y, w):
    """Both areas, a threshold at a time, from the highest score down."""
    area = precision = hits = alarms = 0.0
    for threshold in sorted(set(score.tolist()), reverse=True):
        here = score == threshold
        new, wrong = (w * y)[here].sum(), (w * (1 - y))[here].sum()
        area += wrong * (hits + hits + new) / 2
        hits, alarms = hits + new, alarms + wrong
        precision += new * hits / (hits + alarms) if new else 0
    return area / (hits * alarms), precision / hits


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("weights", ["ones", "rows", "zeros"])
def test_areas_are_scikit_learns(weights, dtype):
    draw, scores = draw_scores(1, dtype)
    y, w = draw.integers(0, 2, (N, C)).astype(float), draw_weights(draw, weights)
    area, precision = ranking(scores, y, w)
    assert area.shape == precision.shape == (C, K)
    for c in range(C):
        for k in range(K):
            of = (y[:, c], scores[:, c, k])
            right = (
                sk.roc_auc_score(*of, sample_weight=w),
                sk.average_precision_score(*of, sample_weight=w),
            )
            assert (area[c, k], precision[c, k]) == pytest.approx(right, rel=1e-12), (c, k)


@pytest.mark.parametrize("dtype", TYPES)
def test_areas_of_counted_rows_are_exact(dtype):
    """Without weights, or with whole ones, an area is a quotient of whole numbers."""
    draw, scores = draw_scores(2, dtype)
    y = draw.integers(0, 2, (N, C)).astype(float)
    for w in (draw_weights(draw, "ones"), draw_weights(draw, "zeros")):
        area, precision = ranking(scores, y, w)
        for c in range(C):
            right = [slow_areas(scores[:, c, k], y[:, c], w) for k in range(K)]
            assert area[c].tolist() == [one[0] for one in right]
            assert precision[c] == pytest.approx([one[1] for one in right], rel=1e-14)


@pytest.mark.parametrize("dtype", TYPES)
def test_a_score_that_is_no_number_leaves_its_column_undefined_and_the_others_as_they_are(dtype):
    draw, scores = draw_scores(3, dtype)
    y, w = draw.integers(0, 2, (N, C)).astype(float), draw_weights(draw, "rows")
    scores[:, :, 1] = draw.standard_normal((N, C))
    whole = ranking(scores, y, w)
    for bad in (np.nan, -np.nan, -np.inf):
        scores[4, 0, 1] = bad
        broken = ranking(scores, y, w)
        for right, found in zip(whole, broken, strict=True):
            assert np.isnan(found[0, 1])
            found[0, 1] = right[0, 1]
            assert found.tolist() == right.tolist()
    scores[4, 0, 1], y[4, 0] = np.inf, 1
    area, _ = ranking(scores, y, w)
    ranks = np.where(np.isinf(scores[:, 0, 1]), 1e30, scores[:, 0, 1])
    assert area[0, 1] == pytest.approx(sk.roc_auc_score(y[:, 0], ranks, sample_weight=w))


@pytest.mark.parametrize("dtype", TYPES)
def test_a_label_that_does_not_occur_leaves_the_areas_undefined(dtype):
    _, scores = draw_scores(4, dtype)
    y = np.zeros((N, C))
    y[:, 1] = 1
    w = np.ones(N)
    for found in ranking(scores, y, w):
        assert np.isnan(found).all()
    y[:5, 1] = 0
    w[:5] = 0  # only rows without weight have it
    for found in ranking(scores, y, w):
        assert np.isnan(found).all()


@pytest.mark.parametrize("dtype", TYPES)
def test_order_is_that_of_a_stable_sort(dtype):
    draw = np.random.default_rng(5)
    small = np.finfo(dtype).smallest_subnormal
    special = [0.0, -0.0, 1.0, -1.0, small, -small, np.inf, -np.inf, np.finfo(dtype).max]
    score = np.concatenate([draw.choice(special, (3, 200)), draw.standard_normal((3, 200))], axis=1)
    score = score.astype(dtype)
    assert descending(score).tolist() == np.argsort(-score, axis=1, kind="stable").tolist()


@pytest.mark.parametrize("rows", [1, 2, 70_000])
def test_few_and_many_rows(rows):
    draw = np.random.default_rng(6)
    scores = draw.standard_normal((rows, 1, 3)).astype("float32")
    y = draw.integers(0, 2, (rows, 1)).astype(float)
    area, precision = ranking(scores, y, np.ones(rows))
    for k in range(3):
        if rows == 1 or y.min() == y.max():
            assert np.isnan([area[0, k], precision[0, k]]).all()
        else:
            assert area[0, k] == pytest.approx(sk.roc_auc_score(y[:, 0], scores[:, 0, k]))


def test_many_columns_take_the_memory_of_a_few():
    """Sorted copies of all scores at once would be read from memory, and fill it."""
    draw = np.random.default_rng(7)
    scores = draw.standard_normal((500, 1, 2000)).astype("float32")
    y = draw.integers(0, 2, (500, 1)).astype(float)
    tracemalloc.start()
    try:
        ranking(scores, y, np.ones(500))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 8e6
