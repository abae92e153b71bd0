"""Solvers in runs: folds, refits, few shots, first weights of a run, interruptions, the tables."""

import json
from threading import Event

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression, Ridge
from stacks import DEVICE, signal_after
from test_sweep_runs import far, model_of, rows, weights_of

import trainer
from trainer.config import load_spec
from trainer.console.terminal import Terminal
from trainer.data import read
from trainer.data.splits.repeats import row_splits
from trainer.device import Device
from trainer.errors import DataError, SpecError
from trainer.machine import threads
from trainer.solvers import rotated_rows
from trainer.sweep import build, share_rows
from trainer.workflow.run import run as carry_out

__all__ = ["rows"]  # a fixture
BASE = {"model": "softmax", "data": {"train": "digits"}, "device": DEVICE.kind}
TUMOURS = {"model": "logistic", "data": {"train": "breast_cancer"}, "device": DEVICE.kind}


@pytest.mark.parametrize("penalty", ["penalty.l2", "penalty.l1"])
def test_every_column_is_the_plain_run_on_its_folds_rows(penalty, rows, tmp_path):
    spec = BASE | {
        "precision": "float64",
        "penalty": {"l2": 1e-3},
        "optimizer": {"name": "auto", "tol": 1e-7},
        "class_weight": "balanced",
        "repeat": {"folds": 2},
        "log": {"weights": "all"},
        "sweep": {"parameters": {penalty: [0.01, 0.05, 1.0]}},
    }
    run = trainer.run(spec, out=tmp_path / "sweep")
    columns = weights_of(run)
    loaded = load_spec(spec)
    folds = row_splits(read(loaded), loaded)
    X, y = rows
    for trial in loaded.trials:
        for repeat in range(2):
            plain = {k: v for k, v in trial.spec.tree().items() if k not in ("repeat", "vars")}
            plain |= {"data": {"train": "arrays"}, "log": {}}
            part = folds[repeat]
            data = {"train": (X[part.train], y[part.train]), "val": (X[part.val], y[part.val])}
            alone = trainer.run(plain, out=tmp_path / f"{trial.number}-{repeat}", data=data)
            W, b = model_of(alone)
            ours = columns[trial.number, repeat]
            assert abs(ours[0] - W).max() <= 1e-8 * abs(W).max()
            assert abs(ours[1] - b).max() <= 1e-8 * max(abs(b).max(), 1)
            mine = next(t for t in run.trials if t["trial"] == trial.number)
            assert mine["iterations"] >= alone.trials[0]["iterations"]


def test_a_path_of_penalties_equals_scikit_learns(rows, tmp_path):
    X, y = rows
    spec = BASE | {
        "data": {"train": "arrays", "scale": "none"},
        "precision": "float64",
        "optimizer": {"name": "lbfgs", "tol": 1e-9},
        "log": {"weights": "all"},
        "sweep": {"parameters": {"penalty.C": [1e-3, 1e-1]}},
    }
    run = trainer.run(spec, out=tmp_path / "r", data={"train": (X, y)})
    assert {t["status"] for t in run.trials} == {"converged"}
    for k, C in enumerate([1e-3, 1e-1]):
        model = LogisticRegression(C=C, tol=1e-9, max_iter=500, solver="newton-cg").fit(X, y)
        W, _ = weights_of(run)[k, 0]
        assert np.abs(W - model.coef_.T).max() < 1e-5


def test_ridge_equals_scikit_learns_whatever_the_penalty(tmp_path):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((80, 6)) * np.logspace(0, 3, 6) + 5
    y = X @ rng.standard_normal((6, 2)) + rng.standard_normal((80, 2))
    alphas = [1e-3, 1.0, 1e3]
    spec = {
        "model": "linear",
        "data": {"train": "arrays", "scale": "none"},
        "device": DEVICE.kind,
        "precision": "float64",
        "optimizer": {"name": "exact"},
        "log": {"weights": "all"},
        "sweep": {"parameters": {"penalty.l2": [alpha / 80 for alpha in alphas]}},
    }
    run = trainer.run(spec, out=tmp_path / "r", data={"train": (X, y)})
    for k, alpha in enumerate(alphas):
        model = Ridge(alpha=alpha).fit(X, y)
        W, b = weights_of(run)[k, 0]
        assert np.abs(W - model.coef_.T).max() < 1e-8 * np.abs(model.coef_).max()
        assert np.abs(b - model.intercept_).max() < 1e-8
        assert run.trials[0]["iterations"] <= 2


def test_a_singular_ridge_without_penalty_is_the_solution_of_least_norm(tmp_path):
    rng = np.random.default_rng(1)
    X, y = rng.standard_normal((10, 30)), rng.standard_normal(10)
    spec = {
        "model": "linear",
        "data": {"train": "arrays", "scale": "none"},
        "device": DEVICE.kind,
        "precision": "float64",
        "penalty": {"l2": 0},
        "optimizer": {"name": "auto"},
    }
    run = trainer.run(spec, out=tmp_path / "r", data={"train": (X, y)})
    W, _ = model_of(run)
    least = np.linalg.pinv(X - X.mean(axis=0)) @ (y - y.mean())
    assert np.abs(W[:, 0] - least).max() < 1e-10
    assert "least norm" in run.trials[0]["reason"]


@pytest.mark.parametrize("change", [{"repeat": {"folds": 3}}, {"select": {"refit": "train+val"}}])
def test_best_yaml_trains_the_model_that_was_kept(change, tmp_path):
    spec = TUMOURS | {
        "optimizer": {"name": "auto"},
        "sweep": {"parameters": {"penalty.C": [0.1, 1, 10]}},
        **change,
    }
    run = trainer.run(spec, out=tmp_path / "sweep")
    again = trainer.run(str(run.folder / "best.yaml"), out=tmp_path / "best")
    for ours, theirs in zip(model_of(run), model_of(again), strict=True):
        assert far(ours, theirs) <= 1e-10


def test_the_tables_say_how_near_the_optimum_is(tmp_path):
    spec = TUMOURS | {
        "optimizer": {"name": "auto"},
        "penalty": {"l2": 0},
        "repeat": {"folds": 2},
        "sweep": {"parameters": {"penalty.l1": {"path": {"num": 4, "ratio": 0.01}}}},
    }
    run = trainer.run(spec, out=tmp_path / "r")
    for row in run.trials:
        assert row["status"] == "converged"
        assert 0 <= row["iterations"] <= row["evaluations"]
        assert row["gradient_max"] <= 1e-6
        assert 0 <= row["gap"] < 1e-3
    manifest = json.loads((run.folder / "manifest.json").read_text())
    assert [one["name"] for one in manifest["solver"]] == ["newton"]
    assert sum(one["columns"] for one in manifest["solver"]) == 8
    assert len(run.history().to_pylist()) == 8  # one evaluation a column


@pytest.mark.parametrize("target", [np.full(40, 7.1), np.zeros(40)])
def test_a_path_begins_nowhere_where_no_feature_says_anything(target, tmp_path):
    spec = {
        "model": "linear",
        "data": {"train": "arrays", "scale": "none"},
        "penalty": {"l2": 0},
        "optimizer": {"name": "auto"},
        "sweep": {"parameters": {"penalty.l1": {"path": {"num": 4}}}},
        "device": DEVICE.kind,
    }
    data = {"train": (np.random.default_rng(0).standard_normal((40, 3)) + 100, target)}
    with pytest.raises(DataError, match="no feature says anything of the target"):
        trainer.run(spec, out=tmp_path / "r", data=data)


def test_few_shots_and_sgd_beside_a_solver(tmp_path):
    spec = BASE | {
        "optimizer": {"name": "sgd", "batch_size": "full", "epochs": 2},
        "repeat": {"few_shot": {"k": [1, 2], "tries": 2}},
        "sweep": {
            "zip": [{"optimizer.name": "sgd"}, {"optimizer.name": "lbfgs", "optimizer.tol": 1e-4}]
        },
    }
    run = trainer.run(spec, out=tmp_path / "r")
    assert [t["status"] for t in sorted(run.trials, key=lambda t: t["trial"])] == [
        "finished",
        "finished",
        "converged",
        "converged",
    ]


def test_first_weights_of_a_run_that_is_there_already(tmp_path):
    spec = TUMOURS | {"optimizer": {"name": "newton"}, "penalty": {"C": 1}}
    first = trainer.run(spec, out=tmp_path / "first")
    again = trainer.run(spec | {"init": str(first.folder)}, out=tmp_path / "again")
    assert first.trials[0]["iterations"] > 3
    assert again.trials[0]["iterations"] <= 1
    assert far(model_of(again)[0], model_of(first)[0]) < 1e-6


def test_an_interrupted_solver_keeps_what_there_is(tmp_path):
    spec = BASE | {
        "optimizer": {"name": "lbfgs", "tol": 1e-9},
        "sweep": {"parameters": {"penalty.C": [1, 10]}},
    }
    run = carry_out(spec, out=tmp_path / "r", should_stop=signal_after(6))
    assert run.status == "interrupted"
    assert {t["status"] for t in run.trials} == {"interrupted"}
    assert all(t["val_loss"] < np.log(10) for t in run.trials)


@pytest.mark.parametrize("waits", [False, True])
def test_a_solver_that_is_interrupted_before_its_first_round_says_so(waits, tmp_path, monkeypatch):
    """Where it is about to begin, or while its rows are turned, which nobody waits for."""
    ended, turn = Event(), rotated_rows.rotate
    monkeypatch.setattr(threads, "_LOOK", 0.001)
    if waits:
        monkeypatch.setattr(build, "_QUICK", (0, 0))
        monkeypatch.setattr(rotated_rows, "rotate", lambda *given: ended.wait(60) and turn(*given))
    spec = BASE | {"optimizer": {"name": "lbfgs"}, "device": "cpu"}
    run = carry_out(spec, out=tmp_path / "r", should_stop=lambda: 15)
    ended.set()
    (trial,) = run.trials
    assert (run.status, trial["status"]) == ("interrupted", "interrupted")
    assert trial["reason"] == "interrupted before its first step"
    assert len(run.steps()["step"]) == 0


def test_few_rows_are_turned_without_a_thread(tmp_path, monkeypatch):
    waited = []
    monkeypatch.setattr(Device, "abandonable", lambda _, task, stop: waited.append(1) or task())
    spec = BASE | {"optimizer": {"name": "lbfgs", "max_iter": 1}, "device": "cpu"}
    carry_out(spec, out=tmp_path / "few")
    assert waited == []
    monkeypatch.setattr(build, "_QUICK", (1 << 20, 5))
    carry_out(spec, out=tmp_path / "many")
    assert waited == [1]


def test_an_interruption_before_any_trial_has_all_its_folds_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(share_rows, "_pays", lambda group: False)  # or all have some steps
    spec = BASE | {
        "repeat": {"folds": 4},
        "optimizer": {"name": "lbfgs", "tol": 1e-9},
        "sweep": {"parameters": {"penalty.l2": [1e-4, 1e-5]}},
    }
    run = carry_out(spec, out=tmp_path / "r", should_stop=signal_after(3))
    assert run.status == "interrupted"
    assert not (run.folder / "model.json").exists()
    manifest = json.loads((run.folder / "manifest.json").read_text())
    assert manifest["reason"].startswith("no trial has all its columns trained, so there is no")


def test_halving_is_refused_beside_a_solver():
    spec = BASE | {
        "sweep": {
            "parameters": {"optimizer.name": ["sgd", "lbfgs"]},
            "early_terminate": {"type": "hyperband"},
        }
    }
    with pytest.raises(SpecError, match="lbfgs has one evaluation, at its end; remove it"):
        load_spec(spec)


@pytest.mark.parametrize("solver", ["auto", "lbfgs", "newton", "exact"])
@pytest.mark.parametrize("bias", [True, False])
def test_rows_without_any_direction_are_no_mistake(solver, bias, tmp_path):
    spec = {
        "model": "linear",
        "data": {"train": "arrays", "scale": "none"},
        "bias": bias,
        "optimizer": {"name": solver},
        "penalty": {"l2": 0},
        "device": DEVICE.kind,
    }
    rows = (np.full((20, 3), float(bias)), np.arange(20.0))
    run = trainer.run(spec, data={"train": rows}, out=tmp_path / "r", terminal=Terminal(quiet=True))
    assert run.status == "finished"
