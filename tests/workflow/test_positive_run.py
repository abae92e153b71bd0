"""`data.positive` from the config to the page: all that a run says is of the same class."""

import csv
import io
import json

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, f1_score

import trainer
from trainer.cli import main


@pytest.fixture(scope="module")
def frauds(tmp_path_factory):
    """A run on 400 rows, of which 24 are frauds that x tells apart, but for some."""
    folder = tmp_path_factory.mktemp("frauds")
    rng = np.random.default_rng(3)
    fraud = np.arange(400) % 17 == 0
    x = rng.normal(size=400) + 2.5 * fraud
    rows = [f"{a:.4f},{'fraud' if b else 'legit'}" for a, b in zip(x, fraud, strict=True)]
    (folder / "a.csv").write_text("x,kind\n" + "\n".join(rows) + "\n")
    config = {
        "model": "logistic",
        "data": {"train": {"table": str(folder / "a.csv"), "target": "kind"}, "positive": "fraud"},
        "optimizer": {"name": "auto"},
        "penalty": {"C": 1e4},
    }
    return trainer.run(config, out=folder / "run"), folder / "a.csv"


def test_the_model_says_it(frauds):
    run, _ = frauds
    assert json.loads((run.folder / "model.json").read_text())["classes"] == ["legit", "fraud"]
    model = run.model()
    assert model.classes_.tolist() == ["legit", "fraud"]
    assert model.predict(np.array([[9.0], [-9.0]])).tolist() == ["fraud", "legit"]
    assert model.predict_proba(np.array([[9.0]]))[0, 1] > 0.9
    assert model.coef_[0, 0] > 0  # x points to fraud


def test_the_metrics_are_of_it(frauds):
    run, _ = frauds
    rows = run.predictions().to_pydict()
    fraud = np.array(rows["target"]) == "fraud"
    said = np.array(rows["prediction"]) == "fraud"
    found = run.best["metrics"]
    assert found["val_f1"] == pytest.approx(f1_score(fraud, said))
    assert found["val_average_precision"] == pytest.approx(
        average_precision_score(fraud, rows["p_fraud"]), rel=1e-5
    )
    assert found["val_f1"] < f1_score(~fraud, ~said)  # that of legit, which the alphabet would give


def test_predict_and_the_page_agree(frauds, capfd):
    run, table = frauds
    assert main(["predict", str(run.folder), str(table)]) == 0
    out, err = capfd.readouterr()
    rows = list(csv.DictReader(io.StringIO(out)))
    assert list(rows[0]) == ["row", "prediction", "p_legit", "p_fraud"]
    said = np.array([row["prediction"] == "fraud" for row in rows])
    fraud = np.arange(400) % 17 == 0
    assert f"f1 {f1_score(fraud, said):.6g}" in err
    log = (run.folder / "run.log").read_text(encoding="utf-8")
    assert "training classes legit: 301, fraud: 19 (positive)" in log
    page = (run.folder / "report.html").read_text(encoding="utf-8")
    assert "To the right: towards fraud." in page


def test_config_yaml_gives_the_same_run(frauds, tmp_path):
    run, _ = frauds
    again = trainer.run(run.folder / "config.yaml", out=tmp_path / "again")
    assert again.model().weights.tobytes() == run.model().weights.tobytes()
    assert again.model().classes_.tolist() == ["legit", "fraud"]


def test_without_the_key_the_line_names_the_second(tmp_path):
    X = np.linspace(-1, 1, 60)[:, None]
    y = np.where(np.arange(60) % 10 == 0, "rare", "often")
    run = trainer.run({"model": "logistic"}, out=tmp_path / "r", data={"train": (X, y)})
    log = (run.folder / "run.log").read_text(encoding="utf-8")
    assert "training classes often: 54, rare: 6 (positive)" in log
