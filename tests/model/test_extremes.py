"""Activations and losses at |z| up to 1e4 in float32, against decimals of sixty digits."""

from decimal import Decimal, localcontext

import numpy as np
import pytest
from stacks import DEVICE, host

from trainer.model import MODELS, Scratch

EPS = float(np.finfo(np.float32).eps)
MAGNITUDES = [0, 1e-30, 1e-8, 1e-3, 0.5, 1, 16, 17, 40, 87, 88.5, 89, 103, 104, 710, 1e3, 1e4]
SCORES = sorted({sign * m for m in MAGNITUDES for sign in (1, -1)})


def run(model, loss, z, y):
    """ŷ (B, C) and losses (B,) of scores and targets (B, C), by the functions of the table."""
    xp = DEVICE.xp
    z, y = (DEVICE.to_device(np.array(each)[:, :, None], np.float32) for each in (z, y))
    rows = len(z)
    predicted, losses = xp.empty(z.shape, np.float32), xp.empty((rows, 1), np.float32)
    scratch = Scratch.of(xp, *z.shape, np.float32)
    row = MODELS[model, loss]
    with np.errstate(over="ignore", under="ignore"):
        row.activation(xp, z, predicted, scratch)
        error = predicted - y
        row.loss(xp, z, y, error, losses, scratch)
    return host(predicted)[:, :, 0].astype(float), host(losses)[:, 0].astype(float)


def exact(model, loss, z, y):
    """The same of one row, in decimals."""
    with localcontext(prec=60, Emin=-99999, Emax=99999):
        z = [Decimal(float(np.float32(v))) for v in z]
        y = [Decimal(float(v)) for v in y]
        if model == "linear":
            predicted = z
        elif model == "logistic":
            predicted = [1 / (1 + (-v).exp()) for v in z]
        elif model == "poisson":
            predicted = [v.exp() for v in z]
        else:
            top = max(z)
            total = sum((v - top).exp() for v in z)
            predicted = [(v - top).exp() / total for v in z]
        if model == "linear" or loss == "squared_error":
            value = sum((p - t) ** 2 for p, t in zip(predicted, y, strict=True)) / 2
        elif model == "poisson":
            value = sum(p - t * v for p, t, v in zip(predicted, y, z, strict=True))
        elif model == "logistic":  # -log ŷ = log(1 + e^-z), and so on
            signed = [v if t == 0 else -v for v, t in zip(z, y, strict=True)]
            value = sum(v + (1 + (-v).exp()).ln() if v > 0 else (1 + v.exp()).ln() for v in signed)
        else:
            value = total.ln() + top - sum(t * v for v, t in zip(z, y, strict=True))
        return [float(p) for p in predicted], float(value)


def cases(model):
    if model == "softmax":
        rows = [(a, b, 0.0) for a in SCORES for b in SCORES]
        return [(z, tuple(np.eye(3)[c])) for z in rows for c in range(3)]
    rows = [(a,) for a in SCORES]
    return [(z, (t,)) for z in rows for t in (0.0, 1.0)]


@pytest.mark.parametrize(
    ("model", "loss", "count", "slack"),
    [
        ("linear", "auto", 66, 2e-38),  # float32's smallest number of full precision
        ("logistic", "auto", 66, 2e-38),
        ("logistic", "squared_error", 66, EPS**2),  # ŷ near 1 is known to EPS, and is squared
        ("softmax", "auto", 3267, EPS),  # Σ e^z near 1 is known to EPS
    ],
)
def test_float32_is_right_from_minus_to_plus_ten_thousand(model, loss, count, slack):
    table = cases(model)
    assert len(table) == count
    z, y = zip(*table, strict=True)
    predicted, losses = run(model, loss, z, y)
    right = [exact(model, loss, *case) for case in table]
    right_predicted = np.array([p for p, _ in right])
    right_losses = np.array([value for _, value in right])
    assert np.isfinite(losses).all()
    np.testing.assert_allclose(predicted, right_predicted, rtol=4 * EPS, atol=EPS)
    np.testing.assert_allclose(losses, right_losses, rtol=4 * EPS, atol=slack)


def test_losses_of_several_outputs_are_summed():
    z, y = [[1e4, -1e4, 2.0]], [[0.0, 1.0, 1.0]]
    _, losses = run("logistic", "auto", z, y)
    np.testing.assert_allclose(losses, exact("logistic", "auto", z[0], y[0])[1], rtol=4 * EPS)
    _, losses = run("linear", "auto", z, y)
    np.testing.assert_allclose(losses, exact("linear", "auto", z[0], y[0])[1], rtol=4 * EPS)


def test_counts_in_float32_up_to_where_e_to_the_z_overflows():
    table = [((z,), (t,)) for z in SCORES if z < 88.6 for t in (0.0, 1.0, 7.0)]
    assert len(table) == 81
    z, y = zip(*table, strict=True)
    predicted, losses = run("poisson", "auto", z, y)
    right = [exact("poisson", "auto", *case) for case in table]
    right_predicted = np.array([p for p, _ in right])
    right_losses = np.array([value for _, value in right])
    # a GPU's kernels flush what is below the least normal number
    least = float(np.finfo(np.float32).tiny) if DEVICE.kind == "gpu" else 1e-44
    np.testing.assert_allclose(predicted, right_predicted, rtol=4 * EPS, atol=least)
    terms = right_predicted[:, 0] + abs(np.array(y) * np.array(z))[:, 0]  # of which it is one less
    assert (abs(losses - right_losses) <= 4 * EPS * terms + least).all()


def test_counts_past_it_are_infinite_and_never_no_number():
    predicted, losses = run("poisson", "auto", [[89.0], [1e4], [-1e4]], [[0.0], [7.0], [0.0]])
    assert np.isposinf(predicted[:2]).all()
    assert np.isposinf(losses[:2]).all()
    assert (predicted[2, 0], losses[2]) == (0, 0)
