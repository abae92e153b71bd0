"""Named test sets with what they ask for: classes that their labels have, a metric of their own."""

import json

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score, log_loss
from stacks import DEVICE

import trainer

rng = np.random.default_rng(3)
CENTRES = rng.normal(size=(7, 4))


def rows_of(classes, n):
    y = rng.choice(classes, n)
    return (CENTRES[y] + 0.9 * rng.normal(size=(n, 4))).astype(np.float32), y


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sets")
    for name, classes, n in (("train", range(7), 200), ("some", [1, 2, 4, 6], 90)):
        X, y = rows_of(list(classes), n)
        np.save(folder / f"{name}.npy", X)
        np.save(folder / f"{name}-y.npy", y)
    some = {"npy": str(folder / "some.npy"), "target": str(folder / "some-y.npy")}
    spec = {
        "model": "softmax",
        "device": DEVICE.kind,
        "precision": "float64",
        "data": {
            "train": {"npy": str(folder / "train.npy"), "target": str(folder / "train-y.npy")},
            "val": "none",
            "test": [
                {**some, "name": "whole"},
                {**some, "name": "masked", "classes": "present", "metric": "balanced_accuracy"},
            ],
        },
        "optimizer": {"name": "lbfgs"},
    }
    return trainer.run(spec, out=folder / "run"), np.load(some["npy"]), np.load(some["target"])


def test_scores_are_among_the_classes_of_the_labels(run):
    done, X, y = run
    model, metrics = trainer.load_model(done.folder), done.best["metrics"]
    z = model.scores(X)
    among = z[:, [1, 2, 4, 6]]
    own = np.searchsorted([1, 2, 4, 6], y)
    p = np.exp(among - among.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    assert metrics["test_masked_accuracy"] == pytest.approx((among.argmax(axis=1) == own).mean())
    assert metrics["test_whole_accuracy"] == pytest.approx((z.argmax(axis=1) == y).mean())
    assert metrics["test_masked_accuracy"] > metrics["test_whole_accuracy"]
    right = balanced_accuracy_score(own, among.argmax(axis=1))
    assert metrics["test_masked_balanced_accuracy"] == pytest.approx(right)
    assert metrics["test_masked_loss"] == pytest.approx(log_loss(own, p))
    assert "test_whole_top5" in metrics  # of 4 classes there is none
    assert "test_masked_top5" not in metrics


def test_predictions_are_those_that_were_scored(run):
    done, _, y = run
    table = done.predictions().to_pylist()
    masked = [row for row in table if row["split"] == "masked"]
    assert len(masked) == len(y)
    right = np.mean([row["prediction"] == row["target"] for row in masked])
    assert right == pytest.approx(done.best["metrics"]["test_masked_accuracy"])
    for row in masked:
        assert row["p_0"] == row["p_3"] == row["p_5"] == 0
        assert sum(row[f"p_{c}"] for c in range(7)) == pytest.approx(1)
    assert any(row["p_0"] > 0 for row in table if row["split"] == "whole")


def test_a_set_begins_with_its_own_metric(run):
    done, *_ = run
    found = json.loads((done.folder / "results.json").read_text())["best"]["metrics"]
    names = [name for name in found if name.startswith("test_masked_")]
    assert names[:2] == ["test_masked_balanced_accuracy", "test_masked_loss"]
    assert next(name for name in found if name.startswith("test_whole_")) == "test_whole_loss"


@pytest.fixture(scope="module")
def headline(run, tmp_path_factory):
    """The head of the page of a run whose one test set names its metric."""
    done, *_ = run
    spec = trainer.load_spec(done.folder / "config.yaml").tree()
    spec["data"] = {**spec["data"], "test": spec["data"]["test"][1:]}
    one = trainer.run(spec, out=tmp_path_factory.mktemp("one") / "run")
    return one.best["metrics"], (one.folder / "report.html").read_text(encoding="utf-8")


def test_the_page_begins_with_it(headline):
    metrics, page = headline
    figure = f"{100 * metrics['test_masked_balanced_accuracy']:.4g}"
    assert "is the balanced accuracy on 90 test rows (masked)." in page
    assert figure[:4] in page


def test_the_metric_of_a_set_is_computed_without_being_listed(run, tmp_path):
    text = (run[0].folder / "config.yaml").read_text(encoding="utf-8")
    (tmp_path / "c.yaml").write_text(text.replace("metric: balanced_accuracy", "metric: macro_f1"))
    done = trainer.run(trainer.load_spec(tmp_path / "c.yaml"), out=tmp_path / "r")
    names = [name for name in done.best["metrics"] if name.startswith("test_masked_")]
    assert names[0] == "test_masked_macro_f1"
    assert np.isfinite(done.best["metrics"]["test_masked_macro_f1"])
