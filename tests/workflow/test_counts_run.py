"""Poisson regression from a config to a page: training, sweeps, predictions, faults."""

import csv
import io
import re

import numpy as np
import pytest
from safetensors.numpy import load_file
from sklearn.linear_model import PoissonRegressor
from sklearn.metrics import d2_tweedie_score, mean_poisson_deviance
from sklearn.preprocessing import StandardScaler
from stacks import DEVICE

import trainer
from trainer.errors import DataError
from trainer.predict.tables import predict_file


def counts(rows=400, features=5, outputs=1, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((rows, features)) * [1, 2, 0.5, 3, 1][:features] + 1
    z = (X - 1) @ rng.standard_normal((features, outputs)) * 0.3 + 0.7
    y = rng.poisson(np.exp(z)).astype(float)
    return X, y[:, 0] if outputs == 1 else y, rng.uniform(0.2, 3, rows)


def spec(**keys):
    return {"model": "poisson", "device": DEVICE.kind, "precision": "float64", **keys}


AUTO = {"name": "auto", "tol": 1e-9}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    X, y, w = counts()
    data = {"train": (X[:300], y[:300]), "val": (X[300:], y[300:]), "weight": w[:300]}
    keys = {"optimizer": AUTO, "penalty": {"l2": 0.01}, "name": "counts"}
    return trainer.run(spec(**keys), out=tmp_path_factory.mktemp("c") / "run", data=data)


def test_the_model_is_scikit_learns(run):
    X, y, w = counts()
    scaler = StandardScaler().fit(X[:300], sample_weight=w[:300])
    mean, scale = scaler.mean_, scaler.scale_
    theirs = PoissonRegressor(alpha=0.01, tol=1e-12, solver="newton-cholesky", max_iter=1000)
    theirs.fit((X[:300] - mean) / scale, y[:300], sample_weight=w[:300])
    ours = trainer.load_model(run.folder)
    np.testing.assert_allclose(ours.coef_[0], theirs.coef_ / scale, atol=1e-8)
    predicted = theirs.predict((X - mean) / scale)
    np.testing.assert_allclose(ours.predict(X), predicted, rtol=1e-7)
    np.testing.assert_allclose(ours.scores(X)[:, 0], np.log(predicted), atol=1e-7)
    with pytest.raises(trainer.UserError, match="a poisson model has no probabilities"):
        ours.predict_proba(X)
    metrics = run.best["metrics"]
    d2 = d2_tweedie_score(y[300:], predicted[300:], power=1)
    assert metrics["val_d2"] == pytest.approx(d2, rel=1e-6)
    deviance = mean_poisson_deviance(y[300:], predicted[300:])
    assert metrics["val_deviance"] == pytest.approx(deviance, rel=1e-6)
    loss = (predicted - y * np.log(predicted))[300:].mean()
    assert metrics["val_loss"] == pytest.approx(loss, rel=1e-6)


def test_what_the_run_says_of_it(run):
    log = (run.folder / "run.log").read_text(encoding="utf-8")
    assert "J = weighted mean (ŷ − y·z) + 0.01/2·‖W‖²" in log
    assert "PoissonRegressor's alpha = 0.01 in scikit-learn" in log
    page = (run.folder / "report.html").read_text(encoding="utf-8")
    assert re.search(r'class="figure">D² 0\.\d+<', page)
    assert "the share of the deviance that is explained. Mean deviance: " in page
    assert "How far the logarithm of the prediction moves when" in page
    assert '<th scope="row">D²' in page or ">D²<" in page
    for title in ("Predicted against true", "Residuals"):
        assert title in page


def test_a_file_is_predicted_and_scored(run, tmp_path):
    X, y, _ = counts(seed=1)
    np.savez(tmp_path / "a.npz", X=X, y=y)
    text, told = predict_file(run.folder, str(tmp_path / "a.npz"))
    rows = list(csv.DictReader(io.StringIO(text)))
    predicted = np.array([float(row["prediction"]) for row in rows])
    np.testing.assert_allclose(predicted, trainer.load_model(run.folder).predict(X), rtol=1e-12)
    d2 = d2_tweedie_score(y, predicted, power=1)
    assert f"d2 {d2:.6g}" in told
    held = run.predictions().to_pydict()
    assert (np.array(held["prediction"]) > 0).all()
    assert held["target"] == counts()[1][300:].tolist()


@pytest.mark.parametrize(
    "optimizer",
    [
        {"name": "sgd", "lr": 0.003, "momentum": 0.9, "batch_size": "full", "steps": 6000},
        {"name": "adam", "lr": 0.01, "batch_size": "full", "steps": 4000},
        {"name": "lbfgs", "tol": 1e-8},
        {"name": "newton", "tol": 1e-8},
    ],
)
@pytest.mark.parametrize("penalty", [{"l2": 0.05}, {"l2": 0.01, "l1": 0.05}])
def test_every_optimizer_comes_to_the_same(optimizer, penalty, tmp_path):
    X, y, w = counts(outputs=2)
    found = []
    for i, chosen in enumerate((optimizer, AUTO)):
        keys = {"optimizer": chosen, "penalty": penalty, "data": {"val": "none"}}
        if "steps" in chosen:
            keys["log"] = {"every": 500, "eval_every": 500}
        data = {"train": (X, y), "weight": w}
        model = trainer.run(spec(**keys), out=tmp_path / str(i), data=data).folder
        found.append(load_file(model / "model.safetensors"))
    ours, best = found
    assert abs(ours["weights"] - best["weights"]).max() < 1e-5
    assert abs(ours["bias"] - best["bias"]).max() < 1e-5
    assert ((ours["weights"] == 0) == (best["weights"] == 0)).all()
    assert (best["weights"] == 0).any() == ("l1" in penalty)


def test_a_path_of_l1_in_folds_begins_where_all_weights_are_0(tmp_path):
    X, y, w = counts()
    sweep = {
        "metric": {"name": "val_d2"},
        "parameters": {"penalty.l1": {"path": {"num": 5, "ratio": 0.01}}},
    }
    keys = {"optimizer": AUTO, "penalty": {"l2": 0}, "sweep": sweep, "log": {"weights": "all"}}
    keys |= {"repeat": {"folds": 3}, "select": {"rule": "one_std_err"}}
    keys |= {"data": {"train": "arrays", "scale": "none"}}
    run = trainer.run(spec(**keys), out=tmp_path / "r", data={"train": (X, y), "weight": w})
    assert run.results["metric"] == {"name": "val_d2", "goal": "maximize"}
    found = load_file(run.folder / "weights.safetensors")
    zeros = (found["weights"] == 0).all(axis=(0, 1))
    strongest = {t["trial"]: t["penalty.l1"] for t in run.trials}
    top = max(strongest, key=strongest.get)
    p = w / w.sum()
    slope = X.T @ (p * (p @ y - y))
    assert strongest[top] == pytest.approx(abs(slope).max(), rel=1e-9)
    assert zeros[found["trial"] == top].sum() >= 1  # a fold's own lambda_max may be larger
    assert not zeros[found["trial"] != top].any()
    assert {t["status"] for t in run.trials} == {"converged"}
    page = (run.folder / "report.html").read_text(encoding="utf-8")
    assert "alidation D²" in page


def test_columns_of_a_sweep_are_their_plain_runs(tmp_path):
    X, y, w = counts(outputs=2)
    base = {"optimizer": {"epochs": 5, "lr": 0.001, "batch_size": 64}, "data": {"val": "none"}}
    data = {"train": (X, y), "weight": w}
    rates = [0.0003, 0.001, 0.002]
    sweep = {"parameters": {"optimizer.lr": rates}}
    whole = trainer.run(
        spec(**base, sweep=sweep, log={"weights": "all"}), out=tmp_path / "all", data=data
    )
    found = load_file(whole.folder / "weights.safetensors")
    for k, lr in enumerate(rates):
        keys = base | {"optimizer": base["optimizer"] | {"lr": lr}}
        alone = trainer.run(spec(**keys), out=tmp_path / str(k), data=data)
        W = load_file(alone.folder / "model.safetensors")["weights"]
        assert abs(found["weights"][..., k] - W).max() <= 1e-13 * abs(W).max()


def test_a_count_below_0_is_one_line(tmp_path):
    X, y, _ = counts(rows=20)
    y[3] = -2
    with pytest.raises(DataError) as caught:
        trainer.run(spec(), out=tmp_path / "r", data={"train": (X, y)})
    line = "data['train'] y: row 3, column 'y': the target is -2; poisson takes counts, 0 or more"
    assert str(caught.value) == line


def test_counts_without_a_whole_number_are_taken(tmp_path):
    X, y, _ = counts(rows=60)
    run = trainer.run(spec(optimizer=AUTO), out=tmp_path / "r", data={"train": (X, y / 3)})
    assert run.status == "finished"


def test_divergence_tells_of_a_loss_that_grows_steeper(tmp_path):
    X, y, _ = counts()
    keys = {"optimizer": {"lr": 1.0, "batch_size": "full"}, "data": {"val": "none"}}
    run = trainer.run(spec(**keys), out=tmp_path / "r", data={"train": (X, 1000 * y)})
    assert run.status == "diverged"
    log = (run.folder / "run.log").read_text(encoding="utf-8")
    assert "or 'optimizer={name: auto}', which needs none" in log
    rate = float(re.search(r"try optimizer\.lr=([0-9.e-]+)", log)[1])
    assert 0 < rate < 0.01


def test_made_up_counts_follow_their_model(tmp_path):
    made = {"rows": 4000, "columns": 6, "outputs": 2, "seed": 0}
    data = {"train": {"synthetic": made}, "val": {"synthetic": {**made, "seed": 1}}}
    run = trainer.run(spec(optimizer=AUTO, data=data, penalty={"l2": 0}), out=tmp_path / "r")
    # at the truth the mean deviance of counts is about 1
    assert 0.9 < run.best["metrics"]["val_deviance"] < 1.3
    assert run.best["metrics"]["val_d2"] > 0.4


def test_predictions_past_float64_leave_a_page(tmp_path):
    X, y, _ = counts(rows=80)
    far = X[60:].copy()
    far[0] *= 1e6
    data = {"train": (X[:60], y[:60]), "val": (far, y[60:])}
    run = trainer.run(spec(optimizer=AUTO), out=tmp_path / "r", data=data)
    predicted = np.array(run.predictions()["prediction"])
    assert not np.isfinite(predicted).all() or predicted.min() == 0
    assert (run.folder / "report.html").is_file()
    assert "report" not in str(run.results.get("warning", ""))
