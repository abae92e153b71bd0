"""From a spec to a run folder: its tables agree with each other, the model and the data."""

import csv
import io
import json
import signal

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from double import Cupy
from safetensors.numpy import load_file
from stacks import DEVICE

import trainer
from trainer.config import load_spec
from trainer.console.terminal import Terminal
from trainer.errors import DataError
from trainer.train import twins
from trainer.workflow.plan import plan
from trainer.workflow.run import run


def small(**keys):
    """A spec of a fifth of a second: digits, five epochs."""
    spec = {"model": "softmax", "data": {"train": "digits"}, "optimizer": {"epochs": 5}}
    return {**spec, "device": DEVICE.kind, **keys}


def make(n=120, features=5, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, features))
    return X, X @ rng.normal(size=(features, 3)) + 0.1 * rng.normal(size=(n, 3))


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    return run(small(data={"train": "digits", "test": 0.1}), out=tmp_path_factory.mktemp("d") / "r")


def test_the_folder_holds_what_the_contract_lists(digits):
    assert sorted(path.name for path in digits.folder.iterdir()) == [
        "config.yaml",
        "history.csv",
        "input.yaml",
        "manifest.json",
        "model.json",
        "model.safetensors",
        "predictions.parquet",
        "report.html",
        "results.json",
        "rows.parquet",
        "run.log",
        "steps.parquet",
        "trials.csv",
    ]
    assert digits.status == "finished"


def test_steps_and_history_count_from_one(digits):
    steps, history = digits.steps().to_pydict(), digits.history().to_pydict()
    per_epoch = -(-(1797 - 359 - 180) // 128)
    assert steps["step"] == list(range(1, 5 * per_epoch + 1))
    assert steps["epoch"] == [1 + (step - 1) // per_epoch for step in steps["step"]]
    assert set(steps["trial"]) == set(steps["repeat"]) == {0}
    assert history["epoch"] == [1, 2, 3, 4, 5]
    assert history["step"] == [per_epoch * epoch for epoch in range(1, 6)]
    loss = np.array(steps["loss"]).reshape(5, per_epoch)
    np.testing.assert_allclose(history["train_loss"], loss.mean(axis=1), rtol=1e-6)


def test_step_schema_is_the_contracts(digits):
    f32, i32 = pa.float32(), pa.int32()
    expected = {"step": pa.int64(), "epoch": i32, "trial": i32, "repeat": i32}
    expected |= dict.fromkeys(("loss", "error_rms", "error_max", "dz_rms", "grad_norm", "lr"), f32)
    assert {field.name: field.type for field in digits.steps().schema} == expected


def test_error_and_dz_are_one(digits):
    steps = digits.steps().to_pydict()
    assert steps["error_rms"] == steps["dz_rms"]
    assert min(steps["error_max"]) > 0


def test_tables_agree(digits):
    (trial,) = digits.trials
    last = {name: column[-1] for name, column in digits.history().to_pydict().items()}
    for name in ("train_loss", "val_loss", "val_accuracy", "val_balanced_accuracy", "val_top5"):
        assert trial[name] == last[name] == digits.best["metrics"][name]
    assert (trial["trial"], trial["rank"], trial["status"]) == (0, 1, "finished")
    assert (trial["epochs"], trial["best_epoch"]) == (5, 5)
    assert trial["penalty.l2"] == 1e-4
    assert trial["penalty.C"] == pytest.approx(1 / (1e-4 * 1258))
    assert trial["val_loss_std"] is None
    assert digits.results["metric"] == {"name": "val_loss", "goal": "minimize"}
    assert digits.results["counts"] == {"finished": 1}
    assert json.loads((digits.folder / "results.json").read_text()) == digits.results


def test_predictions_are_the_models_and_give_its_metrics(digits):
    from sklearn.datasets import load_digits
    from sklearn.metrics import log_loss

    table = digits.predictions().to_pydict()
    X, y = load_digits(return_X_y=True)
    model = trainer.load_model(digits.folder)
    metrics = digits.best["metrics"]
    for split, rows in (("val", 359), ("test", 180)):
        here = [i for i, name in enumerate(table["split"]) if name == split]
        row = [table["row"][i] for i in here]
        assert len(here) == rows
        assert [table["target"][i] for i in here] == y[row].tolist()
        predicted = np.array([table["prediction"][i] for i in here])
        np.testing.assert_array_equal(model.predict(X[row]), predicted)
        assert metrics[f"{split}_accuracy"] == pytest.approx((predicted == y[row]).mean())
        p = np.array([[table[f"p_{c}"][i] for c in range(10)] for i in here])
        np.testing.assert_allclose(model.predict_proba(X[row]), p, atol=1e-5)
        p /= p.sum(axis=1, keepdims=True)
        assert metrics[f"{split}_loss"] == pytest.approx(log_loss(y[row], p), rel=1e-5)


def test_coefficients_are_on_raw_features(digits):
    from sklearn.datasets import load_digits

    X, _ = load_digits(return_X_y=True)
    model = trainer.load_model(digits.folder)
    np.testing.assert_allclose(X @ model.coef_.T + model.intercept_, model.scores(X), atol=1e-3)


def test_config_yaml_runs_again_to_the_same_bits(digits, tmp_path):
    again = run(digits.folder / "config.yaml", out=tmp_path / "again")
    for name in ("weights", "bias"):
        first = load_file(digits.folder / "model.safetensors")[name]
        assert first.tobytes() == load_file(again.folder / "model.safetensors")[name].tobytes()


def test_a_copied_folder_reads_the_same(digits, tmp_path):
    import shutil

    copy = trainer.load_run(shutil.copytree(digits.folder, tmp_path / "copy"))
    assert copy.trials == digits.trials
    assert copy.steps().equals(digits.steps())


@pytest.mark.parametrize(
    ("model", "loss"),
    [("softmax", "auto"), ("logistic", "squared_error"), ("linear", "auto")],
)
def test_a_thousand_steps_equal_a_slow_recomputation(model, loss, tmp_path):
    """steps.parquet against loss, error and gradient computed anew from gradients/ snapshots."""
    data = {"softmax": "digits", "logistic": "breast_cancer", "linear": "diamonds"}[model]
    spec = small(
        model=model,
        loss=loss,
        data={"train": data, "scale_target": "standard" if model == "linear" else "none"},
        optimizer={"steps": 1000, "lr": 0.01},
        log={"every": 1, "gradients": 1, "eval_every": 1000},
        penalty={"l2": 0.01},
        precision="float64",
    )
    done = run(spec, out=tmp_path / "run")
    steps = done.steps().to_pydict()
    assert len(steps["step"]) == 1000
    prepared = trainer.data.prepare(load_spec(spec))
    train = prepared.train
    position = {row: i for i, row in enumerate(train.index.tolist())}
    C = len(prepared.encoder.outputs)
    full = np.eye(C)[train.y] if train.y.ndim == 1 else train.y
    for i, step in enumerate(steps["step"]):
        saved = load_file(done.folder / "gradients" / f"step-{step}.safetensors")
        rows = [position[row] for row in saved["rows"].tolist()]
        X, y = train.X[rows], full[rows]
        W, b = saved["weights"][:, :, 0], saved["bias"][:, 0]
        z = X @ W + b
        if model == "softmax":
            p = np.exp(z - z.max(axis=1, keepdims=True))
            p /= p.sum(axis=1, keepdims=True)
            losses, error = -np.log((p * y).sum(axis=1)), p - y
            dz = error
        elif model == "logistic":
            p = 1 / (1 + np.exp(-z))
            error = p - y
            losses, dz = 0.5 * (error**2).sum(axis=1), error * p * (1 - p)
        else:
            error = dz = z - y
            losses = 0.5 * (error**2).sum(axis=1)
        grad = X.T @ dz / len(rows) + 0.01 * W
        np.testing.assert_allclose(saved["error"][:, :, 0], error, atol=1e-12)
        np.testing.assert_allclose(saved["dz"][:, :, 0], dz, atol=1e-12)
        np.testing.assert_allclose(saved["grad_weights"][:, :, 0], grad, atol=1e-12)
        assert steps["loss"][i] == pytest.approx(losses.mean(), rel=1e-5)
        assert steps["error_rms"][i] == pytest.approx(np.sqrt((error**2).mean()), rel=1e-6)
        assert steps["error_max"][i] == pytest.approx(abs(error).max(), rel=1e-6)
        assert steps["dz_rms"][i] == pytest.approx(np.sqrt((dz**2).mean()), rel=1e-6)
        assert steps["grad_norm"][i] == pytest.approx(np.linalg.norm(grad), rel=1e-5)


def test_log_every_keeps_every_third(digits, tmp_path):
    """The same records, just fewer; the tables do not change, nor the weights."""
    spec = small(data={"train": "digits", "test": 0.1}, log={"every": 3})
    done = run(spec, out=tmp_path / "r")
    every, third = digits.steps().to_pydict(), done.steps().to_pydict()
    assert third["step"] == list(range(3, 51, 3))
    for name, values in third.items():
        assert values == every[name][2::3]
    assert done.trials == digits.trials


def test_arrays_in_place_of_files(tmp_path):
    X, z = make()
    y = np.array(["ant", "bee", "cat"])[z.argmax(axis=1)]
    data = {"train": (X, y), "val": (X[:30], y[:30]), "weight": np.linspace(1, 2, 120)}
    done = run({"model": "softmax", "precision": "float64"}, out=tmp_path / "r", data=data)
    model = trainer.load_model(done.folder)
    assert model.classes_.tolist() == ["ant", "bee", "cat"]
    assert (model.predict(X) == y).mean() > 0.95
    assert "val_accuracy" in done.best["metrics"]
    no_val = run({"model": "softmax"}, out=tmp_path / "n", data={"train": (X, y)})
    assert no_val.results["metric"]["name"] == "train_loss"
    assert not any(name.startswith("val_") for name in no_val.trials[0])


def test_a_written_fraction_holds_beside_arrays_and_the_default_does_not(tmp_path):
    X, z = make()
    y, passed = z.argmax(axis=1), {"model": "softmax", "optimizer": {"steps": 3}}
    for at, (given, data, rows) in enumerate(
        [
            ({"data": {"val": 0.25}}, {}, {"train": 90, "val": 30}),
            ({"data": {"val": 0.25, "test": 0.25}}, {}, {"train": 60, "val": 30, "test": 30}),
            ({"data": {"val": 0.25}}, {"val": (X[:7], y[:7])}, {"train": 120, "val": 7}),
            ({"data": {"val": 0.25}}, {"val": None}, {"train": 90, "val": 30}),
            ({"data": {"val": {"table": "gone.csv", "target": "y"}}}, {}, {"train": 120}),
            ({}, {}, {"train": 120}),
        ]
    ):
        as_file = {**passed, "data": {**given.get("data", {}), "train": "digits"}}
        for name, spec in (("d", passed | given), ("s", load_spec(as_file))):
            done = run(spec, out=tmp_path / f"{name}{at}", data={"train": (X, y), **data})
            found = json.loads((done.folder / "manifest.json").read_text())
            assert found["data"]["rows"] == rows
    manifest = tmp_path / "s0" / "manifest.json"
    manifest.write_text(manifest.read_text().replace("finished", "failed"))
    trainer.resume(tmp_path / "s0", data={"train": (X, y)})
    assert json.loads(manifest.read_text())["data"]["rows"] == {"train": 90, "val": 30}


def test_folds_beside_arrays_leave_no_room_for_a_fraction(tmp_path):
    X, z = make()
    spec = {"model": "linear", "data": {"val": 0.2}, "repeat": {"folds": 3}}
    with pytest.raises(trainer.SpecError, match=r"repeat.folds"):
        run(spec, out=tmp_path / "r", data={"train": (X, z)})


def test_an_array_run_says_that_its_data_came_from_python(tmp_path):
    X, z = make()
    done = run({"model": "linear"}, out=tmp_path / "r", data={"train": (X, z)})
    with pytest.raises(trainer.UserError, match="arrays"):
        run(done.folder / "config.yaml", out=tmp_path / "again")


def test_arrays_without_validation_cannot_stop_early_on_it(tmp_path):
    X, z = make()
    spec = load_spec({"model": "linear", "data": {"train": "diamonds"}, "early_stopping": {}})
    with pytest.raises(trainer.SpecError, match="val"):
        run(spec, out=tmp_path / "r", data={"train": (X, z)})


def test_a_metric_that_the_target_does_not_have(tmp_path):
    X, z = make()
    data = {"train": (X, z.argmax(axis=1)), "val": (X, z.argmax(axis=1))}
    spec = {"model": "softmax", "early_stopping": {"metric": "val_top5"}}
    with pytest.raises(trainer.DataError, match=r"early_stopping.metric: val_top5 .* 3 outputs"):
        run(spec, out=tmp_path / "r", data=data)
    assert not (tmp_path / "r").exists()


def test_a_taken_folder_shows_before_the_data_are_read(tmp_path):
    (tmp_path / "r").mkdir()
    (tmp_path / "r" / "mine").touch()
    with pytest.raises(trainer.RunFolderError, match="not empty"):
        run({"model": "linear", "data": {"train": {"npy": "no", "target": "no"}}}, tmp_path / "r")


def test_one_batch_by_chance_is_no_warning(tmp_path):
    """A heavy tail makes later batches worse than the first, and the model no worse."""
    rng = np.random.default_rng(3)
    X, noise = rng.normal(size=(100, 5)), rng.standard_t(2, size=100)
    y = X.sum(axis=1) + 3 * noise
    for seed in range(5):
        spec = {"model": "linear", "seed": seed, "optimizer": {"lr": 0.005, "batch_size": 8}}
        done = run(spec, out=tmp_path / str(seed), data={"train": (X, y)})
        assert "warning" not in (done.folder / "run.log").read_text()


def test_early_stopping_by_a_metric_that_val_does_not_define_is_refused(tmp_path):
    X, z = make()
    y = (z[:, 0] > 0).astype(int)
    spec = {"model": "logistic", "early_stopping": {"metric": "val_auc", "patience": 3}}
    data = {"train": (X, y), "val": (X[y == 1], y[y == 1])}
    with pytest.raises(DataError, match=r"^early_stopping\.metric: val_auc is not defined on the"):
        run(spec, out=tmp_path / "r", data=data)
    done = run(spec | {"early_stopping": "none"}, out=tmp_path / "r", data=data)
    assert done.status == "finished"
    assert done.best["metrics"]["val_auc"] is None
    assert done.best["defined"] == {"val_auc": 0, "val_average_precision": 0}


def test_predict_scores_with_the_loss_of_the_run(tmp_path):
    from trainer.predict.tables import predict_file

    X, z = make()
    table = pa.table({**{f"f{i}": X[:, i] for i in range(5)}, "y": (z[:, 0] > 0).astype(int)})
    pa.parquet.write_table(table, tmp_path / "t.parquet")
    source = {"table": str(tmp_path / "t.parquet"), "target": "y"}
    spec = {"model": "logistic", "loss": "squared_error", "data": {"train": source, "val": source}}
    done = run(spec, out=tmp_path / "r")
    _, told = predict_file(done.folder, source["table"], tmp_path / "p.csv")
    loss = float(told.split(",")[0].removeprefix("loss "))
    assert loss == pytest.approx(done.best["metrics"]["val_loss"], rel=1e-4)


def test_the_batch_size_as_written_scales_lr(tmp_path):
    X, z = make()
    optimizer = {"lr": 0.01, "batch_size": 1000, "base_batch_size": 100, "steps": 2}
    spec = {"model": "linear", "optimizer": optimizer}
    done = run(spec, out=tmp_path / "r", data={"train": (X, z)})
    assert done.steps()["lr"].to_pylist() == pytest.approx([0.1, 0.1])


@pytest.mark.parametrize(
    ("keys", "match"),
    [
        ({"penalty": {"l2": 1e300}}, "penalty: 1e.300 is past float32"),
        ({"init": {"normal": 1e300}}, "init.normal: 1e.300 is past float32"),
    ],
)
def test_numbers_past_the_precision_are_refused(keys, match, tmp_path):
    with pytest.raises(trainer.DataError, match=match):
        run(small(**keys), out=tmp_path / "r")


def test_weights_that_add_up_to_infinity_are_refused(tmp_path):
    X, z = make()
    data = {"train": (X, z), "weight": np.full(len(X), 1e308)}
    with pytest.raises(trainer.DataError, match="row weights add up past"):
        run({"model": "linear"}, out=tmp_path / "r", data=data)


@pytest.mark.parametrize("spec", [None, 5, [], {"model": "logistic", "data": "x"}])
def test_what_is_no_spec_is_a_spec_error(spec, tmp_path):
    X, z = make()
    with pytest.raises(trainer.SpecError):
        run(spec, out=tmp_path / "r", data={"train": (X, z)})


def test_nesterovs_bound_is_its_own(tmp_path):
    """lr below the bound that is printed stays finite, above it diverges."""
    X, z = make()
    optimizer = {"lr": 100, "nesterov": True, "batch_size": "full", "steps": 400}
    spec = {"model": "linear", "penalty": {"l2": 0}, "optimizer": optimizer, "precision": "float64"}
    data = {"train": (X, z)}
    done = run(spec, out=tmp_path / "r", data=data)
    assert done.status == "diverged" or done.trials[0]["train_loss"] > 1e6
    bound = float((done.folder / "run.log").read_text().split("λmax) = ")[1].split(",")[0])
    for k, (factor, rises) in enumerate([(0.98, False), (1.1, True)]):
        optimizer = {**optimizer, "lr": factor * bound}
        again = run({**spec, "optimizer": optimizer}, out=tmp_path / str(k), data=data)
        loss = again.steps()["loss"].to_pylist()
        assert (not loss[-1] < loss[0]) == rises


def test_several_targets_labels_and_distributions(tmp_path):
    X, z = make(200)
    soft = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    for model, y, metrics in (
        ("linear", z, {"loss", "r2", "rmse"}),
        ("logistic", (z > 0).astype(int), {"loss", "accuracy", "auc", "map"}),
        ("softmax", soft, {"loss", "accuracy", "balanced_accuracy"}),
    ):
        done = run(
            {"model": model, "optimizer": {"lr": 0.1}},
            out=tmp_path / model,
            data={"train": (X, y), "val": (X, y)},
        )
        got = {name[4:] for name in done.best["metrics"] if name.startswith("val_")}
        assert got == metrics
        weights = load_file(done.folder / "model.safetensors")["weights"]
        assert weights.shape == (5, 3)
        table = done.predictions()
        assert table.num_rows == 200
    assert done.best["metrics"]["val_accuracy"] > 0.95


def test_scaled_target_predicts_in_the_users_units(tmp_path):
    X, z = make(400)
    y = 1000 + 50 * z[:, 0]
    spec = {"model": "linear", "data": {"scale_target": "standard"}, "penalty": {"l2": 0}}
    done = run(spec, out=tmp_path / "r", data={"train": (X, y), "val": (X, y)})
    predicted = trainer.load_model(done.folder).predict(X)
    rmse = np.sqrt(((predicted - y) ** 2).mean())
    assert rmse < 10
    assert done.best["metrics"]["val_rmse"] == pytest.approx(rmse, rel=1e-4)


def test_early_stopping_restores_the_best_weights(tmp_path):
    """The same as a run of just that many epochs: the schedule is constant."""
    X, z = make(60, features=40)
    y, val = (z[:, 0] > 0).astype(int), make(200, features=40, seed=1)
    data = {"train": (X, y), "val": (val[0], (val[1][:, 0] > 0).astype(int))}
    base = {"model": "logistic", "penalty": {"l2": 0}, "optimizer": {"batch_size": 16, "lr": 0.5}}
    stopping = {"early_stopping": {"metric": "val_loss", "patience": 3}}
    done = run({**base, **stopping}, out=tmp_path / "stopped", data=data)
    (trial,) = done.trials
    assert trial["status"] == "early_stopped"
    losses = done.history()["val_loss"].to_pylist()
    best = int(np.argmin(losses)) + 1
    assert trial["best_epoch"] == best == trial["epochs"] - 3
    assert trial["val_loss"] == min(losses)
    base["optimizer"]["epochs"] = best
    short = run(base, out=tmp_path / "short", data=data)
    first, second = (load_file(r.folder / "model.safetensors")["weights"] for r in (done, short))
    assert first.tobytes() == second.tobytes()


def test_init_from_a_run_starts_where_it_ended(tmp_path):
    """Also when the new rows are scaled otherwise."""
    X, z = make(300)
    first = run(
        {"model": "linear", "precision": "float64", "data": {"scale_target": "standard"}},
        out=tmp_path / "first",
        data={"train": (X, z)},
    )
    spec = {
        "model": "linear",
        "precision": "float64",
        "init": str(first.folder),
        "optimizer": {"steps": 1, "lr": 1e-300, "batch_size": "full"},
    }
    second = run(spec, out=tmp_path / "second", data={"train": (X[:150] * 1.5, z[:150])})
    one, two = (trainer.load_model(r.folder) for r in (first, second))
    np.testing.assert_allclose(one.predict(X), two.predict(X), rtol=1e-10)


def test_init_from_another_models_run_is_refused(digits, tmp_path):
    with pytest.raises(trainer.DataError, match=r"init: .*features.*64 .* against 30"):
        run(
            {"model": "softmax", "data": {"train": "breast_cancer"}, "init": str(digits.folder)},
            out=tmp_path / "r",
        )
    assert not (tmp_path / "r").exists()


def test_normal_init_is_the_same_everywhere(tmp_path):
    spec = small(init={"normal": 0.01}, log={"gradients": 1}, optimizer={"steps": 1})
    done = run(spec, out=tmp_path / "r")
    W = load_file(done.folder / "gradients" / "step-1.safetensors")["weights"]
    assert W.std() == pytest.approx(0.01, rel=0.1)
    assert abs(W.mean()) < 0.002


def test_all_weights(tmp_path):
    done = run(small(log={"weights": "all"}), out=tmp_path / "r")
    every = load_file(done.folder / "weights.safetensors")
    model = load_file(done.folder / "model.safetensors")
    assert every["weights"].shape == (64, 10, 1)
    assert every["weights"][:, :, 0].tobytes() == model["weights"].tobytes()
    assert every["bias"].shape == (10, 1)
    assert every["trial"].tolist() == every["repeat"].tolist() == [0]


def test_without_bias(tmp_path):
    done = run(small(bias=False), out=tmp_path / "r")
    assert not load_file(done.folder / "model.safetensors")["bias"].any()


def test_divergence_is_an_outcome(tmp_path):
    spec = {"model": "linear", "data": {"train": "diamonds"}, "optimizer": {"lr": 1e4}}
    done = run(spec, out=tmp_path / "r")
    (trial,) = done.trials
    assert done.status == "diverged"
    assert (trial["status"], trial["rank"]) == ("diverged", None)
    assert done.best is None
    assert done.results["counts"] == {"diverged": 1}
    assert not (done.folder / "model.safetensors").exists()
    assert trial["val_r2"] is None
    assert done.history().num_rows == 0
    assert "val_r2" in done.history().column_names
    steps = done.steps().to_pydict()
    last_finite = [loss for loss in steps["loss"] if np.isfinite(loss)][-1]
    assert f"not finite at step {steps['step'][-1]}" in trial["reason"]
    assert f"{last_finite:.6g}" in trial["reason"]
    log = (done.folder / "run.log").read_text()
    assert "optimizer.lr=0." in log
    assert "2(1 + momentum)/λmax" in log


def test_the_proposed_lr_does_not_diverge(tmp_path):
    spec = {"model": "linear", "data": {"train": "diamonds"}, "optimizer": {"lr": 1e4}}
    done = run(spec, out=tmp_path / "r")
    override = next(
        word.rstrip(":")
        for word in (done.folder / "run.log").read_text().split()
        if word.startswith("optimizer.lr=")
    )
    mended = run(load_spec(spec, [override, "optimizer.epochs=2"]), out=tmp_path / "m")
    assert mended.status == "finished"


def overflowing(tmp_path, size, **keys):
    """The log of a run on targets of this size, and the run with the target scaled."""
    X, y = make()
    spec = {"model": "linear", "data": {"train": "arrays"}, "device": DEVICE.kind, **keys}
    data = {"train": (X, size * y)}
    done = run(load_spec(spec), out=tmp_path / "r", data=data)
    assert done.status == "diverged"
    mended = load_spec(spec, ["data.scale_target=standard"])
    return (done.folder / "run.log").read_text(), lambda: run(mended, tmp_path / "m", data=data)


@pytest.mark.parametrize("name", ["sgd", "adam"])
def test_targets_whose_squares_are_past_float32_are_to_be_scaled(tmp_path, name):
    log, mended = overflowing(tmp_path, 1e25, optimizer={"name": name, "lr": 0.01, "epochs": 2})
    assert "the squares of the target are past float32; try data.scale_target=standard" in log
    assert mended().status == "finished"


@pytest.mark.parametrize("name", ["sgd", "auto"])
def test_targets_whose_squares_are_past_float64_need_other_units(tmp_path, name):
    log, mended = overflowing(tmp_path, 1e160, optimizer={"name": name}, precision="float64")
    assert "the squares of the target are past float64; other units of it are right" in log
    with pytest.raises(DataError, match="other units are right"):
        mended()


def test_a_loss_that_rose_is_said(tmp_path):
    spec = {"model": "linear", "data": {"train": "diamonds"}, "optimizer": {"lr": 2, "steps": 10}}
    done = run(load_spec(spec, ["log.eval_every=10"]), out=tmp_path / "r")
    assert done.status == "finished"
    log = (done.folder / "run.log").read_text()
    assert "the training loss went up" in log
    assert "try optimizer.lr=0." in log


def test_an_interruption_finishes_the_step_and_writes_everything(tmp_path, monkeypatch):
    monkeypatch.setattr(twins, "_PIECE_FLOP", 1)  # asked after each step
    asked = []

    def soon():
        asked.append(1)
        return signal.SIGINT if len(asked) > 18 else None

    done = run(small(), out=tmp_path / "r", should_stop=soon)
    assert done.status == "interrupted"
    last = done.history()["step"].to_pylist()[-1]
    assert 12 < last < 20
    assert done.steps()["step"].to_pylist() == list(range(1, last + 1))
    assert (done.folder / "steps.arrows").exists()
    assert not (done.folder / "steps.parquet").exists()
    assert done.trials[0]["status"] == "interrupted"
    assert done.history()["step"].to_pylist() == [12, last]
    assert trainer.load_model(done.folder).weights.any()


def test_ctrl_c_in_python_writes_and_raises(tmp_path, monkeypatch):
    from trainer.console.interrupt import Interrupt

    monkeypatch.setattr(
        Interrupt,
        "__call__",
        lambda self: self.signum or self._on_signal(signal.SIGINT, None) or self.signum,
    )
    monkeypatch.setattr(Interrupt, "_asked", True, raising=False)
    monkeypatch.setattr(Interrupt, "__init__", _listening)
    with pytest.raises(KeyboardInterrupt):
        run(small(), out=tmp_path / "r")
    assert trainer.load_run(tmp_path / "r").status == "interrupted"


def _listening(self):
    self.signum, self._came, self._asked, self._before = None, 0.0, True, {}


def test_one_terminal_for_several_runs(tmp_path):
    shown = io.StringIO()
    terminal = Terminal(stream=shown)
    first = run(small(), out=tmp_path / "a", terminal=terminal)
    log = (first.folder / "run.log").read_bytes()
    with pytest.raises(trainer.DataError):
        run(small(data={"train": {"table": "none.csv", "target": "y"}}), terminal=terminal)
    run(small(name="another"), out=tmp_path / "b", terminal=terminal)
    assert (first.folder / "run.log").read_bytes() == log
    text = (tmp_path / "b" / "run.log").read_text()
    assert text.count("  config  ") == 1
    assert "another" in text
    assert shown.getvalue().count("config  ") == 3


def test_a_terminals_own_log_hears_nothing_of_a_folder(tmp_path):
    lines = []
    terminal = Terminal(lines.append, quiet=True)
    run(small(), out=tmp_path / "a", terminal=terminal)
    terminal.detach()
    terminal.line("after")
    assert lines[-1] == "after"


def test_bad_data_leaves_no_folder(tmp_path):
    with pytest.raises(trainer.DataError):
        run({"model": "logistic", "data": {"train": "digits"}}, out=tmp_path / "r")
    assert not (tmp_path / "r").exists()


@pytest.mark.parametrize(
    "part", ["sweep.sweep.build", "workflow.plan.Evaluator", "workflow.carry_out.train"]
)
def test_a_full_gpu_is_one_line(part, tmp_path, monkeypatch):
    def full(*args):
        raise MemoryError("Out of memory allocating 5 bytes")

    double = trainer.device.from_cupy(Cupy(), "the double")
    monkeypatch.setattr(trainer.device, "choose", lambda wanted: double)
    monkeypatch.setattr(f"trainer.{part}", full)
    with pytest.raises(trainer.UserError, match=r"^device: the double has not enough memory \(Out"):
        plan(load_spec(small())) if part == "workflow.plan.Evaluator" else run(
            small(), out=tmp_path / "r"
        )
    assert (tmp_path / "r").exists() == (part == "workflow.carry_out.train")
    if part == "workflow.carry_out.train":
        manifest = json.loads((tmp_path / "r" / "manifest.json").read_text())
        assert manifest["status"] == "failed"
        assert "not enough memory" in manifest["reason"]


def test_a_fault_of_ours_leaves_a_failed_run(tmp_path, monkeypatch):
    def broken(*args):
        raise RuntimeError("planted")

    monkeypatch.setattr("trainer.workflow.column_tables.trial_rows", broken)
    with pytest.raises(RuntimeError, match="planted"):
        run(small(), out=tmp_path / "r")
    manifest = json.loads((tmp_path / "r" / "manifest.json").read_text())
    assert manifest["status"] == "failed"
    assert trainer.load_run(tmp_path / "r").steps().num_rows == 60


def test_plan_names_what_a_run_takes():
    lines = dict(line.split(": ") for line in plan(load_spec(small())).splitlines())
    assert lines["trials"] == "1 x 1 repeat"
    assert lines["steps"] == "60 in 5 epochs"
    assert lines["log"] == f"{60 * 44:,} bytes"
    assert lines["peak memory"].endswith(" MiB")
    assert float(lines["peak memory"].split()[0]) > 20


def test_trials_csv_opens_with_the_csv_module(digits):
    with open(digits.folder / "trials.csv", newline="") as file:
        (row,) = csv.DictReader(file)
    assert row["status"] == "finished"
    assert float(row["val_accuracy"]) == digits.best["metrics"]["val_accuracy"]


def test_manifest(digits):
    manifest = json.loads((digits.folder / "manifest.json").read_text())
    assert manifest["status"] == "finished"
    assert manifest["device"]["kind"] == DEVICE.kind
    assert manifest["device"]["name"] == DEVICE.name
    assert manifest["data"]["rows"] == {"train": 1258, "val": 359, "test": 180}
    assert manifest["data"]["features"] == 64
    assert len(manifest["data"]["digest"]) == 64
