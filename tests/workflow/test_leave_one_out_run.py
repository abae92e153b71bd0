"""A run whose val is each row left out, beside a slow loop of fits."""

import json

import numpy as np
import pyarrow.parquet as pq
import pytest

import trainer
from trainer.errors import RunFolderError
from trainer.runs.reader import RunReader
from trainer.sweep import left_out
from trainer.workflow import influence
from trainer.workflow.report import write_report

L2 = [1e-3, 0.1, 10.0]
N, FAR = 24, 3
CONFIG = {
    "model": "linear", "device": "cpu", "precision": "float64", "data": {"train": "arrays"},
    "optimizer": {"name": "exact"}, "metrics": ["mae"], "repeat": {"leave_one_out": True},
}  # fmt: skip


def swept(l2):
    return {"sweep": {"parameters": {"penalty.l2": [float(value) for value in l2]}}}


def rows():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(N, 4)) * [1, 5, 2, 0.3] + [0, 10, 0, 1]
    y = X @ [1, 0.5, -1, 2] + rng.normal(size=N)
    y[FAR] += 8
    return X, y


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """70 penalties are of closed form without passes over the rows."""
    l2 = [*L2, *np.geomspace(1e-2, 1, 67)]
    return trainer.run(
        CONFIG | swept(l2), tmp_path_factory.mktemp("one") / "run", {"train": rows()}
    )


@pytest.fixture(scope="module")
def separate(tmp_path_factory):
    """Two targets, each with labels missing in rows of its own."""
    X, y = rows()
    Y = np.stack([y, X[:, 0] - y / 3], axis=1)
    Y[[0, 5], 0] = Y[[5, 7, 11], 1] = np.nan
    config = CONFIG | swept(L2) | {"targets": "separate"}
    return trainer.run(config, tmp_path_factory.mktemp("two") / "run", {"train": (X, Y)}), X, Y


def slow(X, y, l2):
    """Residuals of as many fits as there are rows, of features that are scaled by all rows."""
    Z, found = (X - X.mean(axis=0)) / X.std(axis=0), np.empty(len(X))
    for i in range(len(X)):
        rest = np.arange(len(X)) != i
        z, mean = Z[rest] - Z[rest].mean(axis=0), y[rest].mean()
        n = len(X) - 1
        w = np.linalg.solve(z.T @ z / n + l2 * np.eye(4), z.T @ (y[rest] - mean) / n)
        found[i] = y[i] - mean - (Z[i] - Z[rest].mean(axis=0)) @ w
    return found


def predictions(run):
    return pq.read_table(run.folder / "predictions.parquet").to_pydict()


def test_val_is_each_row_by_the_model_of_all_others(run):
    X, y = rows()
    told = {row["trial"]: row for row in run.trials}
    for trial, l2 in enumerate(L2):
        e = slow(X, y, l2)
        assert told[trial]["val_loss"] == pytest.approx((e**2).mean() / 2, rel=1e-10)
        assert told[trial]["val_r2"] == pytest.approx(1 - (e**2).sum() / y.var() / N, rel=1e-10)
        assert told[trial]["val_mae"] == pytest.approx(abs(e).mean(), rel=1e-10)
    assert told[2]["rank"] > 1


def test_predictions_of_val_are_those_of_rows_left_out(run):
    X, y = rows()
    found = predictions(run)
    best = next(row for row in run.trials if row["rank"] == 1)
    assert found["row"] == list(range(N))
    assert set(found["split"]) == {"val"}
    np.testing.assert_allclose(found["target"], y, rtol=1e-12)
    true = y - slow(X, y, best["penalty.l2"])
    np.testing.assert_allclose(found["prediction"], true, rtol=1e-10)


def test_influence_is_told_row_by_row(run):
    found = RunReader(run.folder).influence()
    told = predictions(run)
    assert [row["row"] for row in found] == list(range(N))
    assert {row["output"] for row in found} == {"y"}
    residual = np.array(told["target"]) - told["prediction"]
    np.testing.assert_allclose([row["residual"] for row in found], residual, rtol=1e-12)
    assert max(found, key=lambda row: row["cooks_distance"])["row"] == FAR
    assert run.results["influence"] == {"rows": N, "of": N}


def test_rows_are_train_and_val(run):
    table = pq.read_table(run.folder / "rows.parquet").to_pydict()
    assert set(table["repeat_0"]) == {"train+val"}


def test_it_is_said_what_val_is(run):
    said = "al is leave-one-out: each training row by the model of all others"
    page = write_report(run.folder).read_text("utf-8")
    assert said in (run.folder / "run.log").read_text("utf-8")
    assert said in page
    assert f"on {N} rows, each by the model of all others" in page
    assert "No rows were held out" not in page
    section = page.split("<h2>Rows that disagree most</h2>")[1].split("</section>")[0]
    assert section.count("<tr>") == 11
    assert '"leverage"' in section


def test_targets_of_their_own_leave_out_rows_that_have_their_label(separate):
    run, X, Y = separate
    found = predictions(run)
    place = {row: i for i, row in enumerate(found["row"])}
    told = RunReader(run.folder).influence()
    for t, group in enumerate(run.results["groups"]):
        name, l2 = group["target"], group["settings"]["penalty.l2"]
        known = np.flatnonzero(~np.isnan(Y[:, t]))
        e = slow(X[known], Y[known, t], l2)
        own = [row for row in told if row["output"] == name]
        assert [row["row"] for row in own] == known.tolist()
        np.testing.assert_allclose([row["residual"] for row in own], e, rtol=1e-9)
        of_row = np.array(found[f"prediction_{name}"], object)
        np.testing.assert_allclose(
            of_row[[place[i] for i in known]].astype(float), Y[known, t] - e, rtol=1e-9
        )
        assert group["metrics"]["val_loss"] == pytest.approx((e**2).mean() / 2, rel=1e-9)
    assert 5 not in place
    assert len(run.results["groups"]) == 2
    assert found["prediction_y0"][place[0]] is None
    assert "Rows that disagree most" in write_report(run.folder).read_text("utf-8")


def test_of_very_many_rows_the_most_influential_are_kept(run, monkeypatch, tmp_path):
    monkeypatch.setattr(influence, "MOST_ROWS", N - 1)
    monkeypatch.setattr(influence, "TOP_ROWS", 5)
    fewer = trainer.run(CONFIG | {"penalty": {"l2": 0.1}}, tmp_path / "run", {"train": rows()})
    found = RunReader(fewer.folder).influence()
    assert fewer.results["influence"] == {"rows": 5, "of": N}
    assert [row["row"] for row in found] == sorted(row["row"] for row in found)
    assert FAR in [row["row"] for row in found]
    assert "The 5 rows of the largest Cook’s distance, of 24." in write_report(
        fewer.folder
    ).read_text("utf-8")
    log = (fewer.folder / "run.log").read_text("utf-8")
    assert "note         val is leave-one-out" in log


@pytest.mark.parametrize("number", ["-1", "0.5"])
def test_a_table_whose_rows_have_no_numbers_is_refused_in_a_line(number, tmp_path):
    (tmp_path / "manifest.json").write_text(json.dumps({"status": "finished"}))
    text = f"row,output,residual,leverage,cooks_distance\n{number},y,1.0,0.1,\n"
    (tmp_path / "influence.csv").write_text(text)
    with pytest.raises(RunFolderError, match="its column row has a cell that is no number from 0"):
        RunReader(tmp_path).influence()


def test_rows_that_are_too_many_are_left_out_with_a_word(monkeypatch, tmp_path):
    monkeypatch.setattr(left_out, "MOST_CELLS", N - 1)
    monkeypatch.setattr(influence, "MOST_CELLS", N - 1)
    run = trainer.run(CONFIG, tmp_path / "run", {"train": rows()})
    assert predictions(run)["row"] == []
    assert not (run.folder / "influence.csv").exists()
    said = "predictions of val and influence.csv are left out: 24 rows x 1 output are more than 23"
    assert said in (run.folder / "run.log").read_text("utf-8")
    assert run.trials[0]["val_loss"] > 0
