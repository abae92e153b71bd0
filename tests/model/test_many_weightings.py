"""Metrics under many row weightings at once: each is that of its own weights alone."""

import numpy as np
import pytest

from trainer.catalog import metrics_of
from trainer.model import MODELS
from trainer.model.metrics import Targets
from trainer.model.named_metrics import NAMED, with_named
from trainer.model.ranking import ranking
from trainer.model.weightings import metrics_by_weights

N, R = 60, 25
OUTPUTS = {"linear": (1, 3), "poisson": (1, 2), "logistic": (1, 3), "softmax": (3, 7)}


def rows(model, outputs, draw):
    """Scores (N, C, 1) that often tie, and targets (N, C)."""
    z = draw.integers(-3, 4, (N, outputs, 1)) / 2
    if model == "softmax":
        return z, np.eye(outputs)[draw.integers(0, outputs, N)]
    if model == "logistic":
        return z, draw.integers(0, 2, (N, outputs)).astype(float)
    if model == "poisson":
        return z, draw.poisson(1.0, (N, outputs)).astype(float)
    return z, draw.standard_normal((N, outputs)) + 1000.0


def measured(row, z, y, w):
    read = np.exp(z) if row.metrics is MODELS["poisson", "auto"].metrics else z
    with np.errstate(all="ignore"):
        sums = row.metrics.sums(np, read, y, w)
        areas = ranking(z, y, w) if row.metrics.ranked else None
        outputs = y.shape[1]
        return row.metrics.finish(sums, Targets(y, w, np.ones(outputs), outputs), areas)


@pytest.mark.parametrize(("model", "outputs"), [(m, c) for m, of in OUTPUTS.items() for c in of])
def test_many_weightings_are_each_of_them_alone(model, outputs):
    draw = np.random.default_rng(outputs)
    z, y = rows(model, outputs, draw)
    w = draw.multinomial(N, np.full(N, 1 / N), R) * draw.uniform(0.5, 2, N)
    w[0] = 0.0
    w[1] = 0.0
    w[1, 3] = 1.0  # one row defines next to nothing
    w[2] = y[:, 0] == y[0, 0]  # one class of the first output alone
    row = MODELS[model, "auto"]
    many, alone = measured(row, z, y, w.T), [measured(row, z, y, one) for one in w]
    assert {*many, "loss"} == {*metrics_of(model, outputs, ())}
    for name, values in many.items():
        assert values.shape == (R,)
        right = np.array([found[name][0] for found in alone])
        np.testing.assert_allclose(values, right, rtol=1e-10, atol=1e-12, err_msg=name)
    assert any(np.isnan(values[1]) for values in many.values()) or model == "softmax"


@pytest.mark.parametrize("model", NAMED)
def test_rows_of_which_none_has_a_weight_define_no_named_metric(model):
    draw = np.random.default_rng(0)
    outputs = 3 if model == "softmax" else 1
    z, y = rows(model, outputs, draw)
    row = with_named(MODELS[model, "auto"], model, NAMED[model])
    labels = np.arange(3.0) if model == "softmax" else None
    of = metrics_by_weights(row, {}, z[:, :, 0], y, np.ones(outputs), labels)
    found = of(np.stack([np.zeros(N), np.ones(N)]))
    assert len(NAMED[model]) >= 6
    for name in NAMED[model]:
        assert np.isnan(found[name][0]), name
        assert np.isfinite(found[name][1]), name
