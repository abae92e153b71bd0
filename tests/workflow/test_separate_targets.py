"""Targets that are problems of their own: each comes out as the plain run on it alone."""

import csv

import numpy as np
import pytest

import trainer
from trainer.workflow import carry_out

ROWS, FEATURES, TARGETS = 120, 4, 3
TRAIN = 90
L2 = {"penalty.l2": [1e-3, 0.1, 1.0]}
FEW_STEPS = {"epochs": 4, "batch_size": 32, "lr": 0.05}

CASES = {
    "ridge": ({"model": "linear", "optimizer": {"name": "exact"}}, L2),
    "lasso": (
        {"model": "linear", "optimizer": {"name": "auto"}, "penalty": {"l2": 0}},
        {"penalty.l1": {"path": {"num": 4, "ratio": 0.1}}},
    ),
    "scaled target": (
        {"model": "linear", "optimizer": {"name": "auto"}, "data": {"scale_target": "standard"}},
        L2,
    ),
    "sgd": ({"model": "linear", "optimizer": {"name": "sgd", **FEW_STEPS}}, L2),
    "newton": ({"model": "logistic", "optimizer": {"name": "newton"}}, {"penalty.C": [0.1, 1, 10]}),
    "lbfgs": ({"model": "logistic", "optimizer": {"name": "lbfgs"}}, L2),
    "balanced": (
        {"model": "logistic", "optimizer": {"name": "lbfgs"}, "class_weight": "balanced"},
        L2,
    ),
    "adam": (
        {
            "model": "logistic",
            "optimizer": {"name": "adam", "epochs": 20, "batch_size": "full", "lr": 0.3},
            "early_stopping": {"patience": 2, "min_delta": 0.05},
        },
        L2,
    ),
    "halving": (
        {"model": "logistic", "optimizer": {"name": "sgd", **FEW_STEPS}},
        {"optimizer.lr": [0.001, 0.1, 1.0, 10.0]},
    ),
    "poisson": ({"model": "poisson", "optimizer": {"name": "auto"}}, L2),
}
HALVING = {"early_terminate": {"type": "hyperband", "min_iter": 1, "eta": 2}}


def targets(model, seed=0):
    """X, and Y with labels missing in two of its columns, each in rows of its own."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(ROWS, FEATURES)) * [1, 5, 0.2, 1] + [0, 3, 0, -1]
    Z = (X - X.mean(axis=0)) / X.std(axis=0) @ rng.normal(size=(FEATURES, TARGETS))
    Z += rng.normal(size=Z.shape)
    Y = {"linear": Z * [1, 10, 0.1] + 3, "logistic": (Z > 0) * 1.0}.get(
        model, np.floor(np.exp(np.clip(0.4 * Z, -3, 2)))
    )
    Y[::5, 1] = np.nan
    Y[3::7, 2] = np.nan
    return X, Y


def config(case, **more):
    given, axes = CASES[case]
    sweep = {"parameters": axes} | (HALVING if case == "halving" else {})
    data = {"train": "arrays", **given.get("data", {})}
    return {"precision": "float64", **given, "data": data, "sweep": sweep, **more}


def split(X, Y):
    return {"train": (X[:TRAIN], Y[:TRAIN]), "val": (X[TRAIN:], Y[TRAIN:])}


def known(X, y):
    """The rows of a target that have its label."""
    parts = {"train": slice(0, TRAIN), "val": slice(TRAIN, None)}
    rows = {name: np.flatnonzero(~np.isnan(y[part])) for name, part in parts.items()}
    return {name: (X[parts[name]][at], y[parts[name]][at]) for name, at in rows.items()}


def rows_of(run, name):
    with open(run.folder / name, encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.fixture(autouse=True)
def _no_page(request, monkeypatch):
    """Runs without the half second of their pages, but where a test is about them."""
    if "page" not in request.node.name:
        monkeypatch.setattr(carry_out, "draw_report", lambda place: b"")


@pytest.mark.parametrize("case", CASES)
def test_each_target_is_the_plain_run_on_it_alone(tmp_path, case):
    X, Y = targets(CASES[case][0]["model"])
    whole = trainer.run(config(case, targets="separate"), tmp_path / "all", split(X, Y))
    assert whole.status == "finished"
    groups, columns = whole.results["groups"], rows_of(whole, "repeats.csv")
    assert [group["target"] for group in groups] == [f"y{t}" for t in range(TARGETS)]
    assert len(columns) == TARGETS * len(whole.trials)
    for t, group in enumerate(groups):
        alone = trainer.run(config(case), tmp_path / str(t), known(X, Y[:, t]))
        best = alone.best
        assert group["trial"] == best["trial"]
        assert group["settings"] == pytest.approx(best["settings"], rel=1e-6)
        for name, value in best["metrics"].items():
            assert group["metrics"][name] == pytest.approx(value, rel=1e-6, abs=1e-8), name
        own = [row for row in columns if row["target"] == f"y{t}"]
        assert [row["rank"] for row in own] == [str(row["rank"] or "") for row in alone.trials]
        assert [row["status"] for row in own] == [row["status"] for row in alone.trials]
        model, plain = whole.model(), alone.model()
        tolerance = {"rtol": 1e-5, "atol": 1e-6 * np.abs(plain.coef_).max()}
        np.testing.assert_allclose(model.coef_[t], plain.coef_[0], **tolerance)
        np.testing.assert_allclose(model.intercept_[t], plain.intercept_[0], rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(model.predict(X)[:, t], plain.predict(X), rtol=1e-5, atol=1e-6)
