"""Paired differences of two runs, from predictions.parquet alone."""

import numpy as np
import pytest
from stacks import DEVICE

import trainer
from trainer.report.compare import compare_page
from trainer.report.paired import differences
from trainer.report.read_run import read_run_data
from trainer.statistics.draws import row_draws
from trainer.workflow.report import CONFIG_READER

N = 240
KINDS = {
    "linear": ("rmse", "r2", "loss"),
    "logistic": ("accuracy", "auc", "loss"),
    "softmax": ("accuracy", "balanced_accuracy", "loss"),
    "poisson": ("deviance", "d2", "loss"),
}


def arrays(model):
    draw = np.random.default_rng(0)
    X = draw.standard_normal((N, 5))
    z = X @ draw.standard_normal((5, 3)) + draw.gumbel(size=(N, 3))
    y = {
        "linear": 7 + 3 * z[:, 0],
        "logistic": (z[:, 0] > 0).astype(int),
        "softmax": z.argmax(axis=1),
        "poisson": draw.poisson(np.exp(z[:, 1] / 4)),
    }
    more = {"w": draw.integers(1, 4, N).astype(float), "g": np.arange(N) // 4}
    return {"X": X, "y": y[model], **more}


def run(path, model, l2, roles=(), seed=0, groups=None, **keys):
    drawn = arrays(model) | ({} if groups is None else {"g": np.arange(N) % groups})
    np.savez(path.parent / "rows.npz", **drawn)
    source = {"npz": str(path.parent / "rows.npz"), "features": "X", "target": "y"}
    source |= {"weight": "w", "group": "g"} if roles else {}
    spec = {
        "model": model,
        "data": {"train": source, "val": "none", "test": 0.5, "seed": seed, "scale_target": "none"},
        "optimizer": {"name": "auto"},
        "penalty": {"l2": l2},
        "device": DEVICE.kind,
        "intervals": {"resamples": 1000},
        **keys,
    }
    return read_run_data(trainer.run(spec, out=path).folder, CONFIG_READER)


@pytest.mark.parametrize("roles", [(), ("w", "g")])
@pytest.mark.parametrize("model", KINDS)
def test_a_difference_is_that_of_the_metrics(model, roles, tmp_path):
    first, other = run(tmp_path / "a", model, 1e-3, roles), run(tmp_path / "b", model, 0.5, roles)
    (found,) = differences(other, first, 0.95).values()
    values = [of.best["metrics"] for of in (other, first)]
    assert {*KINDS[model]} <= {*found}
    for name, (value, interval) in found.items():
        right = values[0][f"test_{name}"] - values[1][f"test_{name}"]
        assert value == pytest.approx(right, rel=1e-6, abs=1e-9)
        assert interval.low <= interval.high
    assert any(
        low <= found[name].value <= high for name in found for low, high in [found[name][1][:2]]
    )


def test_an_interval_is_that_of_the_difference_on_each_draw(tmp_path):
    first = run(tmp_path / "a", "linear", 1e-3, ("w", "g"))
    other = run(tmp_path / "b", "linear", 0.5, ("w", "g"))
    found = differences(other, first, 0.9)["test"]["loss"]
    tables = [of.predictions.to_pydict() for of in (other, first)]
    squares = [(np.array(t["target"]) - np.array(t["prediction"])) ** 2 / 2 for t in tables]
    w, own = np.array(tables[0]["weight"]), np.unique(tables[0]["group"], return_inverse=True)[1]
    assert set(w.tolist()) == {1.0, 2.0, 3.0}
    drawn = row_draws(0, own.max() + 1, 0, 1000)[:, own] * w
    each = drawn @ (squares[0] - squares[1]) / drawn.sum(axis=1)
    ends = np.quantile(each, [0.05, 0.95])
    np.testing.assert_allclose([found.interval.low, found.interval.high], ends, rtol=1e-5)


def test_other_rows_are_not_compared(tmp_path):
    first = run(tmp_path / "a", "logistic", 1e-3)
    other = run(tmp_path / "b", "logistic", 0.5, seed=1)
    assert differences(other, first, 0.95) == {}
    assert "Paired differences" not in compare_page([first, other]).decode()
    page = compare_page([first, first]).decode()
    assert "Paired differences" in page
    assert "Each run minus" in page


NAMED_BOTH = {"linear": "spearman", "logistic": "mcc", "softmax": "quadratic_kappa"}


@pytest.mark.parametrize("model", NAMED_BOTH)
def test_metrics_that_both_runs_name_are_compared(model, tmp_path):
    name = NAMED_BOTH[model]
    first = run(tmp_path / "a", model, 1e-3, metrics=[name])
    other = run(tmp_path / "b", model, 0.5, metrics=[name] + (["ece"] if model != "linear" else []))
    found = differences(other, first, 0.95)["test"]
    right = [of.best["metrics"][f"test_{name}"] for of in (other, first)]
    assert found[name].value == pytest.approx(right[0] - right[1], rel=1e-6, abs=1e-9)
    assert found[name].interval is not None
    assert "ece" not in found  # the first has it not


def test_few_groups_have_no_interval_of_a_difference_and_it_is_said(tmp_path):
    runs = [
        run(tmp_path / name, "logistic", l2, ("w", "g"), groups=12)
        for name, l2 in (("a", 1e-3), ("b", 0.5))
    ]
    found = differences(runs[1], runs[0], 0.95)["test"]
    assert {of.interval for of in found.values()} == {None}
    assert "fewer than 10 rows or groups" in compare_page(runs).decode()


def test_a_level_that_takes_more_draws_has_no_interval_and_it_is_said(tmp_path):
    keys = {"intervals": {"level": 0.999}}
    runs = [run(tmp_path / name, "logistic", l2, **keys) for name, l2 in (("a", 1e-3), ("b", 0.5))]
    page = compare_page(runs).decode()
    assert "99.9 % takes 5,000 draws, more than a page makes" in page
    assert "has the middle" not in page
