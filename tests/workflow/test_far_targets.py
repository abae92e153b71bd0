"""Runs on targets and features far from 0, and on regressions that are worse than the mean."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pytest
from sklearn.linear_model import Ridge
from sklearn.metrics import mean_poisson_deviance, mean_squared_error, r2_score
from stacks import DEVICE

import trainer
from trainer.predict.tables import predict_file

N, FAR = 400, 1.7e9  # Unix seconds
rng = np.random.default_rng(0)
X = rng.normal(size=(N, 3))
SECONDS = FAR + X @ [100.0, -200.0, 300.0] + 0.3 * rng.normal(size=N)
SPEC = {"model": "linear", "device": DEVICE.kind, "data": {"train": "arrays"}}
AUTO = {"name": "auto"}
DATA = {"train": (X[:300], SECONDS[:300]), "val": (X[300:], SECONDS[300:])}
DATA |= {"test": (X[300:], SECONDS[300:])}


def warnings_of(run):
    log = (run.folder / "run.log").read_text()
    return [line.split("warning ", 1)[1].strip() for line in log.splitlines() if "warning " in line]


def manifest(run):
    return json.loads((run.folder / "manifest.json").read_text())


SETTINGS = [
    {"optimizer": AUTO, "penalty": {"l2": 1e-3, "l1": 0}},
    {"optimizer": {"name": "lbfgs"}, "penalty": {"l2": 1e-3, "l1": 0}},
    {"optimizer": AUTO, "penalty": {"l2": 1e-3, "l1": 0}, "data": {"scale": "none"}},
    {
        "optimizer": {"name": "sgd", "lr": 0.3, "batch_size": "full", "steps": 900},
        "penalty": {"l2": 1e-3, "l1": 0},
    },
    {
        "optimizer": {"name": "sgd", "lr": 0.1, "epochs": 300, "schedule": {"name": "cosine"}},
        "penalty": {"l2": 1e-3, "l1": 0},
    },
]


@pytest.mark.parametrize("settings", SETTINGS)
def test_a_far_target_is_fitted_in_float32_as_in_float64(settings, tmp_path):
    keys = SPEC | settings | {"data": {"train": "arrays", **settings.get("data", {})}}
    run = trainer.run(keys, out=tmp_path / "run", data=DATA)
    model = trainer.load_model(run.folder)
    scaled = settings.get("data", {}).get("scale") != "none"
    mean, sigma = (X[:300].mean(axis=0), X[:300].std(axis=0)) if scaled else (0, 1)
    ridge = Ridge(alpha=300 * 1e-3).fit((X[:300] - mean) / sigma, SECONDS[:300] - FAR)
    expected = ridge.predict((X[300:] - mean) / sigma)
    predicted = model.predict(X[300:])
    loose = "epochs" in settings["optimizer"]  # batches keep a little noise
    assert abs(predicted - FAR - expected).max() < (0.3 if loose else 3e-3)
    assert model.intercept_.dtype == np.float64
    by_hand = X[300:] @ model.coef_.T + model.intercept_
    assert abs(by_hand[:, 0] - predicted).max() < 1e-3
    # metrics are those of the true target, which scikit-learn finds again
    metrics = run.results["best"]["metrics"]
    for split in ("val", "test"):
        assert metrics[f"{split}_r2"] == pytest.approx(r2_score(SECONDS[300:], predicted), rel=1e-5)
        rmse = mean_squared_error(SECONDS[300:], predicted) ** 0.5
        assert metrics[f"{split}_rmse"] == pytest.approx(rmse, rel=1e-3)
    table = run.predictions()
    assert (table["target"].to_numpy()[:100] == SECONDS[300:]).all()
    assert warnings_of(run) == []


def test_steps_of_a_centred_target_are_those_of_the_target_as_it_is(tmp_path):
    """Where float32 holds the target well enough, centring changes nothing but rounding."""
    y = 20 + X[:, 0]  # centred
    lr, steps = 0.05, 40
    keys = {
        "optimizer": {"name": "sgd", "lr": lr, "momentum": 0, "batch_size": "full", "steps": steps},
        "penalty": {"l2": 0, "l1": 0},
        "precision": "float64",
        "data": {"train": "arrays", "scale": "none"},
    }
    run = trainer.run(SPEC | keys, out=tmp_path / "run", data={"train": (X, y)})
    model = trainer.load_model(run.folder)
    assert model.encoder.target_mean[0] != 0
    w, b, losses = np.zeros(3), 0.0, []
    for _ in range(steps):
        e = X @ w + b - y
        losses.append((e**2).mean() / 2)
        w, b = w - lr * (X.T @ e) / N, b - lr * e.mean()
    np.testing.assert_allclose(model.coef_[0], w, rtol=1e-10)
    np.testing.assert_allclose(model.intercept_, b, rtol=1e-12)
    np.testing.assert_allclose(run.steps()["loss"].to_numpy(), losses, rtol=1e-6)


def test_a_run_begins_where_one_on_a_far_target_ended(tmp_path):
    first = trainer.run(SPEC | {"optimizer": AUTO}, out=tmp_path / "a", data=DATA)
    keys = {"init": str(first.folder), "optimizer": {"name": "sgd", "lr": 1e-6, "epochs": 1}}
    for rows in (DATA, {"train": (X[:90], SECONDS[:90]), "val": DATA["val"]}):
        out = tmp_path / str(len(rows["train"][1]))
        run = trainer.run(SPEC | keys, out=out, data=rows)
        assert run.results["best"]["metrics"]["val_rmse"] < 0.5


def test_a_file_is_predicted_to_float64(tmp_path):
    table = pa.table({"x": X[:, 0], "t": SECONDS})
    pa.csv.write_csv(table, tmp_path / "a.csv")
    source = {"table": str(tmp_path / "a.csv"), "target": "t"}
    keys = {"data": {"train": source, "val": "none"}, "optimizer": AUTO}
    keys |= {"penalty": {"l2": 0, "l1": 0}}
    run = trainer.run(SPEC | keys, out=tmp_path / "run")
    text, _ = predict_file(run.folder, str(tmp_path / "a.csv"))
    found = [float(line.split(",")[1]) for line in text.splitlines()[1:]]
    fit = np.polynomial.polynomial.polyfit(X[:, 0], SECONDS - FAR, 1)
    expected = np.polynomial.polynomial.polyval(X[:, 0], fit)
    assert abs(np.array(found) - FAR - expected).max() < 1e-3


def test_a_bias_that_is_swept_centres_where_there_is_one(tmp_path):
    optimizer = {"name": "sgd", "lr": 0.3, "batch_size": "full", "steps": 900}
    keys = {"optimizer": optimizer, "sweep": {"parameters": {"bias": [False, True]}}}
    run = trainer.run(SPEC | keys, out=tmp_path / "run", data=DATA)
    assert run.results["best"]["settings"] == {"bias": True}
    assert run.results["best"]["metrics"]["val_rmse"] < 0.5
    assert len(warnings_of(run)) == 1  # of the first trial's rows
    assert warnings_of(run)[0].startswith("target 'y'")


def test_a_solver_knows_targets_in_float64_where_they_are_not_centred(tmp_path):
    ones = np.c_[np.ones(N), X]
    data = {"train": (ones[:300], SECONDS[:300]), "val": (ones[300:], SECONDS[300:])}
    keys = {"data": {"train": "arrays", "scale": "none"}, "bias": False, "optimizer": AUTO}
    keys |= {"penalty": {"l2": 0, "l1": 0}}
    run = trainer.run(SPEC | keys, out=tmp_path / "run", data=data)
    assert 0.2 < run.results["best"]["metrics"]["val_rmse"] < 0.4
    assert len(warnings_of(run)) == 1


def test_what_cannot_be_centred_is_told_on_the_terminal_and_the_page(tmp_path):
    run = trainer.run(SPEC | {"bias": False, "optimizer": AUTO}, out=tmp_path / "run", data=DATA)
    first, second = warnings_of(run)
    assert first.startswith("target 'y': its values are about 1.7e9")
    assert second.startswith("the fit is worse than the mean of the target")
    told = manifest(run)["warning"]
    assert told == f"{first}. {second[:1].upper()}{second[1:]}"
    page = (run.folder / "report.html").read_text()
    assert "where float32 has steps of 128" in page
    assert "worse than the mean of the target" in page


COUNTS = rng.poisson(np.exp(1 + 0.3 * X[:, 0])).astype(float)
BAD = [
    # a far target and steps; no val; of counts
    ({"optimizer": {"name": "sgd", "epochs": 3}}, DATA, "data.scale_target=standard"),
    (
        {"optimizer": {"name": "sgd", "epochs": 3}},
        {"train": DATA["train"]},
        "'optimizer={name: auto}'",
    ),
    (
        {"model": "poisson", "optimizer": {"name": "sgd", "lr": 1e-5, "epochs": 1}},
        {"train": (X, COUNTS), "val": (X, COUNTS)},
        "'optimizer={name: auto}'",
    ),
]


@pytest.mark.parametrize(("settings", "data", "cure"), BAD)
def test_a_regression_worse_than_the_mean_says_so(settings, data, cure, tmp_path):
    run = trainer.run(SPEC | settings, out=tmp_path / "run", data=data)
    (told,) = warnings_of(run)
    assert told.startswith("the fit is worse than the mean of the target: ")
    assert cure in told
    assert "worse than the mean" in manifest(run)["warning"]


def test_a_sweep_whose_best_is_worse_than_the_mean_says_so(tmp_path):
    keys = {"optimizer": {"name": "sgd", "epochs": 1}}
    keys |= {"sweep": {"parameters": {"optimizer.lr": [1e-4, 1e-3]}}}
    run = trainer.run(SPEC | keys, out=tmp_path / "run", data=DATA)
    (told,) = warnings_of(run)
    assert told.startswith("the fit is worse than the mean of the target: r2 ")


def test_noise_that_is_fitted_says_that_val_is_worse_than_its_mean(tmp_path):
    noise = np.random.default_rng(1)
    data = {
        "train": (noise.normal(size=(40, 30)), noise.normal(size=40)),
        "val": (noise.normal(size=(40, 30)), noise.normal(size=40)),
    }
    run = trainer.run(SPEC | {"optimizer": AUTO}, out=tmp_path / "run", data=data)
    (told,) = warnings_of(run)
    assert told.startswith("worse than the mean on held-out rows: val_r2 -")
    assert "and r2 0." in told


def test_a_fit_that_is_as_good_as_the_mean_says_nothing(tmp_path):
    """Negative losses of counts do not go up, either."""
    data = {"train": (X, COUNTS + 5), "val": (X, COUNTS + 5)}
    keys = {"model": "poisson", "optimizer": AUTO}
    run = trainer.run(SPEC | keys, out=tmp_path / "run", data=data)
    assert run.results["best"]["metrics"]["train_loss"] < 0
    assert warnings_of(run) == []


def test_large_counts_are_scored_in_float64(tmp_path):
    counts = rng.poisson(3e7 * np.exp(1e-3 * X[:, 0])).astype(float)
    data = {"train": (X, counts), "val": (X, counts)}
    keys = {"model": "poisson", "optimizer": AUTO, "penalty": {"l2": 0, "l1": 0}}
    run = trainer.run(SPEC | keys, out=tmp_path / "run", data=data)
    predicted = trainer.load_model(run.folder).predict(X)
    deviance = mean_poisson_deviance(counts, predicted)
    assert run.results["best"]["metrics"]["val_deviance"] == pytest.approx(deviance, rel=1e-4)
