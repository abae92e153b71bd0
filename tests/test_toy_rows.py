"""A toy row in each table works from a config to a page: the promise of the tables."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

TESTS = Path(__file__).parent
ROWS = 120


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """What each run came to, in a process of its own: its tables have more rows than ours."""
    folder = tmp_path_factory.mktemp("toys")
    done = subprocess.run(
        [sys.executable, "-W", "error", str(TESTS / "toy_rows.py"), str(folder)],
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    return json.loads((folder / "found.json").read_text(encoding="utf-8"))


def test_every_toy_ran(found):
    assert len(found) == 5
    assert {name: run["status"] for name, run in found.items()} == dict.fromkeys(found, "finished")
    for run in found.values():
        assert len(run["predictions"]) == ROWS
        assert run["page"].startswith("<!doctype html>")


def test_a_model_predicts_through_its_own_activation(found):
    toy, plain = found["model"], found["plain"]
    np.testing.assert_allclose(toy["predictions"], plain["predictions"], rtol=1e-8)
    assert toy["metrics"]["val_r2"] == pytest.approx(plain["metrics"]["val_r2"], rel=1e-8)
    assert "J = mean ½(ŷ − y)², ŷ = 2z" in toy["log"]
    assert "is the mean miss on 30 validation rows" in toy["page"]
    assert "How far half the prediction moves when" in toy["page"]
    assert "Here it is 2·(ŷ − y), twice the error" in toy["page"]


def rows():
    x = np.arange(float(ROWS))
    X = np.stack([x, np.sin(7 * x)], axis=1)
    return X, 3 + X @ [0.5, 2.0] + 0.1 * np.sin(31 * x) + 20 * (x % 17 == 3)


def test_a_metric_is_measured_ranked_by_and_shown(found):
    X, y = rows()
    run = found["loss"]
    assert run["goal"] == {"name": "val_miss", "goal": "minimize"}
    values = [trial["val_miss"] for trial in run["trials"]]
    assert len(values) == 3
    assert values == sorted(values)
    assert run["metrics"]["val_miss"] == values[0]
    for one in found.values():
        assert "Validation mean miss" in one["page"] or "mean miss" in one["page"]
    assert X.shape == (len(y), 2)


def test_a_parameter_of_a_loss_is_an_axis_and_each_column_has_its_own(found):
    trials = {trial["loss.delta"]: trial for trial in found["loss"]["trials"]}
    assert sorted(trials) == [0.05, 0.5, 1e3]
    assert {trial["status"] for trial in trials.values()} == {"converged"}
    # the largest δ cuts nothing off: least squares
    plain = found["plain"]["metrics"]["val_miss"]
    assert trials[1e3]["val_miss"] == pytest.approx(plain, rel=1e-6)
    assert trials[0.5]["val_miss"] < 0.9 * plain
    assert found["loss"]["model"]["loss"] == "huber"
    assert set(found["loss"]["model"]["loss_parameters"]) == {"delta"}


def test_a_loss_with_a_parameter_comes_to_its_optimum_by_steps_and_by_a_solver(found):
    solved = next(t for t in found["loss"]["trials"] if t["loss.delta"] == 0.5)
    steps = found["steps"]
    assert steps["metrics"]["val_miss"] == pytest.approx(solved["val_miss"], rel=1e-5)
    assert steps["metrics"]["val_loss"] == pytest.approx(solved["val_loss"], rel=1e-5)


def test_an_optimizer_by_norms_of_columns_and_a_method_that_draws(found):
    run = found["optimizer"]
    shares = [trial["optimizer.share"] for trial in run["trials"]]
    assert len(set(shares)) == 3
    assert all(0.5 <= share <= 1 for share in shares)
    plain = found["plain"]
    np.testing.assert_allclose(run["predictions"], plain["predictions"], atol=0.05)
