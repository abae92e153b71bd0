"""`metrics` from the config to the page: what is computed, what decides, where it is shown."""

import csv
import json

import numpy as np
import pytest
from sklearn import metrics as sk

import trainer
from trainer.catalog import metrics_of
from trainer.cli import main
from trainer.errors import DataError
from trainer.sweep.build import metric_names
from trainer.sweep.columns import Sources, lay_out, stacks_of
from trainer.sweep.device_cache import DeviceCache
from trainer.sweep.fit_memory import needed

SAME = ("model.safetensors", "steps.parquet", "history.csv", "trials.csv", "results.json")
SWEEP = {
    "model": "softmax",
    "data": {"train": "digits", "test": 0.2},
    "device": "cpu",
    "metrics": ["macro_f1", "ece", "auc"],
    "optimizer": {"epochs": 2},
    "repeat": {"folds": 3},
    "sweep": {"metric": {"name": "val_mcc"}, "parameters": {"optimizer.lr": [1e-4, 0.1]}},
    "select": {"refit": "train"},
}
NAMED = {"macro_f1", "ece", "auc", "mcc"}


@pytest.fixture(scope="module")
def sweep(tmp_path_factory):
    return trainer.run(SWEEP, out=tmp_path_factory.mktemp("named") / "run")


def read(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_every_table_has_what_is_named_and_what_decides(sweep):
    val = {f"val_{name}" for name in NAMED}
    for name in ("history.csv", "trials.csv", "repeats.csv"):
        rows = read(sweep.folder / name)
        columns = set(rows[0])
        assert val <= columns, name
        assert not columns & {"val_cohen_kappa", "val_weighted_f1"}, name
        assert all(0 <= float(row[key]) <= 1 for row in rows for key in val), name
    assert {f"{name}_std" for name in val} <= set(read(sweep.folder / "trials.csv")[0])
    best = sweep.results["best"]["metrics"]
    assert {*val, *(f"test_{name}" for name in NAMED)} <= set(best)
    assert sweep.results["metric"] == {"name": "val_mcc", "goal": "maximize"}
    assert best["val_mcc"] == max(
        float(row["val_mcc"]) for row in read(sweep.folder / "trials.csv")
    )


def test_test_scores_are_those_of_the_predictions(sweep):
    rows = [row for row in sweep.predictions().to_pylist() if row["split"] == "test"]
    true, said = ([row[key] for row in rows] for key in ("target", "prediction"))
    p = np.array([[row[f"p_{c}"] for c in range(10)] for row in rows])
    found = sweep.best["refit"]["metrics"]
    assert found["test_mcc"] == pytest.approx(sk.matthews_corrcoef(true, said))
    assert found["test_macro_f1"] == pytest.approx(sk.f1_score(true, said, average="macro"))
    right = sk.roc_auc_score(true, p / p.sum(axis=1, keepdims=True), multi_class="ovr")
    assert found["test_auc"] == pytest.approx(right, rel=1e-6)


def test_predict_the_page_and_comparisons_show_them(sweep, tmp_path, capfd, monkeypatch):
    rows = sweep.folder.parent / "a.csv"
    X = np.random.default_rng(0).random((40, 64))
    target = np.arange(40) % 10
    model = trainer.load_model(sweep.folder)
    head = ",".join([*model.features_, *model.encoder.target.columns])
    np.savetxt(rows, np.column_stack([X, target]), delimiter=",", header=head, comments="")
    assert main(["predict", str(sweep.folder), str(rows)]) == 0
    told = capfd.readouterr().err
    assert all(f"{name} " in told for name in NAMED), told
    assert json.loads((sweep.folder / "model.json").read_text())["metrics"] == list(model.metrics)
    page = sweep.report().read_text(encoding="utf-8")
    for words in ("macro F1", "calibration error", "MCC", "ROC AUC"):
        assert words in page, words
    monkeypatch.chdir(tmp_path)
    assert main(["report", str(sweep.folder), str(sweep.folder)]) == 0
    assert "calibration error" in (tmp_path / "compare.html").read_text(encoding="utf-8")


def test_the_winner_alone_computes_the_same(sweep):
    again = trainer.load_spec(sweep.folder / "best.yaml")
    assert set(again.metrics) == NAMED
    assert set(trainer.load_spec(sweep.folder / "config.yaml").metrics) == NAMED - {"mcc"}


def test_a_run_without_the_key_computes_what_it_always_has():
    for model in ("linear", "logistic", "softmax", "poisson"):
        spec = trainer.load_spec({"model": model, "data": {"train": "digits"}})
        assert spec.metrics == "auto"
        assert spec.named_metrics == ()
        assert len(metric_names(spec, 1, held=True)) < 8
    counts = [len(metrics_of(model, 1, ())) for model in ("linear", "logistic", "softmax")]
    assert counts == [3, 6, 3]


def test_early_stopping_by_a_metric_that_is_not_listed(tmp_path):
    spec = {key: SWEEP[key] for key in ("model", "data", "device")}
    spec |= {"early_stopping": {"metric": "val_ece", "patience": 1}, "optimizer": {"epochs": 30}}
    run = trainer.run(spec, out=tmp_path / "run")
    values = [float(row["val_ece"]) for row in read(run.folder / "history.csv")]
    assert run.trials[0]["status"] == "early_stopped"
    assert run.best["metrics"]["val_ece"] == min(values)


def test_a_sweep_over_what_stops_computes_all_of_it(tmp_path):
    spec = {key: SWEEP[key] for key in ("model", "data", "device", "optimizer")}
    watched = ["val_ece", "val_cohen_kappa"]
    spec["sweep"] = {"parameters": {"early_stopping.metric": watched}}
    run = trainer.run(spec, out=tmp_path / "run")
    assert all({*watched} <= row.keys() and row["val_ece"] > 0 for row in run.trials)


def test_what_a_target_does_not_have_is_refused(tmp_path):
    X = np.random.default_rng(0).standard_normal((60, 3))
    words = np.array(["low", "mid", "high"])[np.arange(60) % 3]
    table = [
        ("logistic", (X > 0).astype(int), {"metrics": ["precision"]}, "metrics: precision is not"),
        ("softmax", words, {"metrics": ["quadratic_kappa"]}, "metrics: quadratic_kappa is of"),
        (
            "softmax",
            words,
            {"early_stopping": {"metric": "val_quadratic_kappa"}},
            "early_stopping.metric: quadratic_kappa is of labels that are numbers",
        ),
    ]
    for i, (model, y, keys, told) in enumerate(table):
        spec = {"model": model, "data": {"train": "arrays"}, "device": "cpu", **keys}
        data = {"train": (X, y)} | ({"val": (X, y)} if "early_stopping" in keys else {})
        with pytest.raises(DataError, match=told):
            trainer.run(spec, out=tmp_path / str(i), data=data)


def test_one_class_in_the_validation_rows_is_refused_where_it_decides(tmp_path):
    X = np.random.default_rng(0).standard_normal((60, 3))
    spec = {"model": "softmax", "data": {"train": "arrays"}, "device": "cpu"}
    spec |= {"early_stopping": {"metric": "val_auc"}, "metrics": ["mcc"]}
    data = {"train": (X, np.arange(60) % 3), "val": (X[:9], np.zeros(9, int))}
    with pytest.raises(DataError, match="val_auc is not defined on the validation rows"):
        trainer.run(spec, out=tmp_path / "a", data=data)
    del spec["early_stopping"]
    run = trainer.run(spec, out=tmp_path / "b", data=data)
    assert run.best["metrics"]["val_mcc"] is None or np.isnan(run.best["metrics"]["val_mcc"])
    assert "val_mcc is not defined on the validation rows" in (run.folder / "run.log").read_text()


def test_few_negative_rows_are_said(tmp_path):
    spec = {"model": "logistic", "data": {"train": "breast_cancer"}, "device": "cpu"}
    spec |= {"metrics": ["recall_at_1pct_fpr"], "optimizer": {"epochs": 2}}
    run = trainer.run(spec, out=tmp_path / "run")
    told = "ith 72 negative rows val_recall_at_1pct_fpr is the recall without a false positive"
    assert f"w{told}" in (run.folder / "run.log").read_text()
    assert f"W{told}" in run.report().read_text(encoding="utf-8")


def test_labels_have_a_table(tmp_path):
    draw = np.random.default_rng(0)
    X, w = draw.standard_normal((200, 4)), draw.uniform(0.5, 2, 200)
    y = (X[:, :3] + draw.standard_normal((200, 3)) > 0).astype(int)
    y[:, 2] = np.arange(200) == 0  # in the test rows of the second set it is not there
    np.savetxt(
        tmp_path / "a.csv",
        np.column_stack([X, w, y]),
        delimiter=",",
        comments="",
        header="a,b,c,d,w,one,two,three",
    )
    source = {"table": str(tmp_path / "a.csv"), "target": ["one", "two", "three"], "weight": "w"}
    spec = {"model": "logistic", "device": "cpu", "optimizer": {"epochs": 3}}
    spec["data"] = {"train": source, "test": 0.4, "val": "none"}
    run = trainer.run(spec, out=tmp_path / "run")
    (found,) = run.results["best"]["labels"].values()
    assert [row["label"] for row in found] == ["one", "two", "three"]
    rows = run.predictions().to_pydict()
    weight = w[np.array(rows["row"])]
    for row in found[:2]:
        name = row["label"]
        true, said, p = (np.array(rows[f"{key}_{name}"]) for key in ("target", "prediction", "p"))
        weighted = {"sample_weight": weight}
        assert row["precision"] == pytest.approx(sk.precision_score(true, said, **weighted))
        assert row["recall"] == pytest.approx(sk.recall_score(true, said, **weighted))
        assert row["f1"] == pytest.approx(sk.f1_score(true, said, **weighted))
        assert row["auc"] == pytest.approx(sk.roc_auc_score(true, p, **weighted))
        right = sk.average_precision_score(true, p, **weighted)
        assert row["average_precision"] == pytest.approx(right)
    page = run.report().read_text(encoding="utf-8")
    assert "Each label" in page
    assert trainer.load_run(run.folder).results["best"]["labels"]["test"] == found


def test_a_run_that_is_stopped_and_gone_on_with_has_the_same_bytes(sweep, tmp_path):
    asked = []
    trainer.run(SWEEP, out=tmp_path / "whole", should_stop=lambda: asked.append(1))
    half = len(asked) // 2
    asked.clear()
    stop = lambda: 15 if asked.append(1) or len(asked) > half else None  # noqa: E731
    run = trainer.run(SWEEP, out=tmp_path / "run", should_stop=stop)
    assert run.status == "interrupted"
    trainer.resume(run.folder, should_stop=lambda: None)
    for name in SAME:
        assert (run.folder / name).read_bytes() == (sweep.folder / name).read_bytes(), name


def test_the_plan_counts_the_scores_that_are_kept():
    found = {}
    for solver in ("sgd", "lbfgs"):
        for metric in ("macro_f1", "auc"):
            spec = trainer.load_spec(
                {
                    "model": "softmax",
                    "data": {"train": "digits"},
                    "metrics": [metric],
                    "optimizer": {"name": solver},
                    "precision": "float64",
                }
            )
            sources = Sources()
            planned = stacks_of(lay_out(spec.trials, sources).columns)
            rows = DeviceCache(trainer.device.choose("cpu")).of(planned[0].rows, planned[0].spec)
            found[solver, metric] = needed(planned[0].spec, 50, rows, restores=False)
            held = len(rows.held.rows)
    for solver in ("sgd", "lbfgs"):
        assert found[solver, "auc"] - found[solver, "macro_f1"] == 2 * 8 * held * 10 * 50
