"""Repeats whose rows lack something for a target: left out for it alone, counted and said."""

import csv

import numpy as np
import pytest

import trainer
from trainer.data import read
from trainer.data.separate import splits_of
from trainer.data.splits.repeats import row_splits
from trainer.errors import DataError
from trainer.workflow import carry_out

ROWS = 90
RARE = 1  # the target of few positive rows


@pytest.fixture(autouse=True)
def _no_page(request, monkeypatch):
    """Runs without the half second of their pages, but where a test is about them."""
    if "page" not in request.node.name:
        monkeypatch.setattr(carry_out, "draw_report", lambda place: b"")


def rare(positive=(2, 33), targets=3):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(ROWS, 4))
    Y = (X @ rng.normal(size=(4, targets)) + rng.normal(size=(ROWS, targets)) > 0) * 1.0
    Y[:, RARE] = 0
    Y[list(positive), RARE] = 1
    return X, Y


def spec(repeat, **keys):
    return {
        "model": "logistic",
        "data": {"train": "arrays"},
        "optimizer": {"name": "newton"},
        "precision": "float64",
        "device": "cpu",
        "repeat": repeat,
        "sweep": {"parameters": {"penalty.l2": [0.01, 1.0]}},
        **keys,
    }


def rows_of(run, name):
    with open(run.folder / name, encoding="utf-8") as file:
        return list(csv.DictReader(file))


REPEATS = {
    "resamples": {"bootstrap": 6},
    "resamples of several seeds": {"bootstrap": 2, "seeds": 3},
    "folds of a column": {"folds": {"column": "fold"}},
    "draws": {"few_shot": {"rows": 30, "tries": 6}},
}


@pytest.mark.parametrize("kind", REPEATS)
def test_a_target_has_the_repeats_that_it_has_as_a_plain_run(kind, tmp_path):
    in_fold_0 = (0, 30, 60)  # without which there is one class
    X, Y = rare(in_fold_0 if "column" in kind else (2, 33))
    rows = {"fold": np.arange(ROWS) % 3} if "column" in kind else {}
    block = spec(REPEATS[kind])
    if "draws" in kind:
        block["data"] = {"train": "arrays", "stratify": False}
        rows |= {"val": (X, Y)}
    rows["test"] = rare(positive=range(0, ROWS, 7))
    whole = trainer.run({**block, "targets": "separate"}, tmp_path / "a", {"train": (X, Y), **rows})
    groups = {group["target"]: group for group in whole.results["groups"]}
    for t in range(Y.shape[1]):
        one = {k: (v[0], v[1][:, t]) if isinstance(v, tuple) else v for k, v in rows.items()}
        alone = trainer.run(block, tmp_path / str(t), {"train": (X, Y[:, t]), **one})
        best = alone.best
        assert groups[f"y{t}"]["trial"] == best["trial"]
        for name, value in best["metrics"].items():
            known = groups[f"y{t}"]["metrics"][name]
            assert known == (value and pytest.approx(value, rel=1e-6, abs=1e-9)), name
        assert groups[f"y{t}"]["std"] == pytest.approx(best["std"], rel=1e-6, abs=1e-9)
        again = groups[f"y{t}"].get("refit", {}).get("metrics", {})
        assert again == pytest.approx((best["refit"] or {}).get("metrics", {}), rel=1e-6, abs=1e-9)
        cells = next(row for row in rows_of(whole, "groups.csv") if row["target"] == f"y{t}")
        for name, std in best["std"].items():
            if name.startswith("test_"):
                assert float(cells[name]) == pytest.approx(best["metrics"][name], rel=1e-6)
                assert float(cells[f"{name}_std"]) == pytest.approx(std, rel=1e-6, abs=1e-9)
        fewer = whole.results.get("repeats_left_out", {}).get(f"y{t}", {})
        assert sum(fewer.values()) == len(alone.results.get("left_out", {}))
        coef = whole.model().coef_[t]
        np.testing.assert_allclose(coef, alone.model().coef_[0], rtol=1e-5, atol=1e-7)
    assert len(rows_of(whole, "trials.csv")) == 2
    assert "test_accuracy over 3 targets; each the mean of the" in (
        " ".join((whole.folder / "run.log").read_text().split())
    )


HALVED = {
    "optimizer": {"name": "sgd", "epochs": 8, "batch_size": 32},
    "sweep": {
        "parameters": {"optimizer.lr": [0.001, 0.1, 1.0, 10.0]},
        "early_terminate": {"type": "hyperband", "min_iter": 1, "eta": 2},
    },
}
STOPPED = {
    "optimizer": {"name": "adam", "epochs": 20, "batch_size": "full", "lr": 0.3},
    "early_stopping": {"patience": 2, "min_delta": 0.02},
}


@pytest.mark.parametrize("more", [HALVED, STOPPED], ids=["halved", "stopped early"])
def test_trials_are_judged_by_the_repeats_that_a_target_has(more, tmp_path):
    X, Y = rare()
    block = spec({"bootstrap": 6}, **more)
    whole = trainer.run({**block, "targets": "separate"}, tmp_path / "a", {"train": (X, Y)})
    alone = trainer.run(block, tmp_path / "b", {"train": (X, Y[:, RARE])})
    assert alone.results["left_out"]
    group = next(g for g in whole.results["groups"] if g["target"] == f"y{RARE}")
    assert group["trial"] == alone.best["trial"]
    assert group["metrics"] == pytest.approx(dict(alone.best["metrics"]), rel=1e-6)
    own = [row["status"] for row in rows_of(whole, "repeats.csv") if row["target"] == f"y{RARE}"]
    assert own == [row["status"] for row in rows_of(alone, "repeats.csv")]


def test_what_a_target_does_not_have_is_counted_and_said(tmp_path):
    X, Y = rare()
    folder = tmp_path / "r"
    run = trainer.run(spec({"bootstrap": 6}, targets="separate"), folder, {"train": (X, Y)})
    lacking = run.results["repeats_left_out"]
    (n,) = lacking["y1"].values()
    assert lacking == {"y1": {"training rows of both classes": n}}
    assert 0 < n < 6
    columns = [row for row in rows_of(run, "repeats.csv") if row["target"] == "y1"]
    assert len(columns) == 2 * (6 - n)
    log = " ".join((folder / "run.log").read_text(encoding="utf-8").split())
    left = (
        f"over those that are left: y1 {6 - n} (the others have no training rows of both classes)"
    )
    assert f"1 target has not all 6 repeats, and means {left}" in log
    assert f"= 36 columns, without {2 * n} whose rows lack something: {36 - 2 * n} in" in log


def test_a_page_tells_of_targets_with_fewer_repeats(tmp_path):
    X, Y = rare()
    run = trainer.run(
        spec({"bootstrap": 6}, targets="separate"), tmp_path, {"train": (X, Y), "test": (X, Y)}
    )
    page = (run.folder / "report.html").read_text(encoding="utf-8")
    assert "1 target has not all 6 repeats" in page
    assert "Each is the mean of the own models of 6 repeats, ± " in page
    assert "Models that were trained again have " in page
    assert "test accuracy, refit" in page
    assert '"dtick":1' in page.replace(" ", "")  # three targets in bars of one or two


def test_a_target_whose_labels_one_fold_holds_has_the_others(tmp_path):
    X, Y = rare()
    Y[np.arange(ROWS) % 3 == 1, 0] = np.nan
    block = spec({"folds": {"column": "fold"}}, model="linear", targets="separate")
    block["optimizer"] = {"name": "exact"}
    run = trainer.run(block, tmp_path, {"train": (X, Y), "fold": np.arange(ROWS) % 3})
    assert run.results["repeats_left_out"] == {"y0": {"held-out rows with a label": 1}}
    assert "targets_left_out" not in run.results


def test_a_target_that_no_repeat_can_train_is_left_out(tmp_path):
    X, Y = rare((0, 30))
    Y[1::3, RARE] = Y[2::3, RARE] = np.nan  # labels in one fold alone
    block = spec({"folds": {"column": "fold"}}, targets="separate")
    run = trainer.run(block, tmp_path, {"train": (X, Y), "fold": np.arange(ROWS) % 3})
    assert run.results["targets"] == ["y0", "y2"]
    assert "none of 3 has all that it needs" in run.results["targets_left_out"]["y1"]


def test_a_target_of_too_few_rows_to_draw_from_is_left_out_alone(tmp_path):
    X, Y = rare()
    block = spec({"few_shot": {"k": 5, "tries": 2}}, targets="separate")
    rows = {"train": (X, Y), "val": (X, Y)}
    run = trainer.run(block, tmp_path / "r", rows)
    assert run.results["targets"] == ["y0", "y2"]
    assert "has 2 training rows" in run.results["targets_left_out"]["y1"]
    block["repeat"] = {"few_shot": {"k": 500, "tries": 2}}
    with pytest.raises(
        DataError, match=r"target 'y0': repeat.few_shot.k: 500 rows.*; 2 more cannot"
    ):
        trainer.run(block, tmp_path / "q", rows)


@pytest.mark.parametrize("axis", [[1, 5], [5, 1]])
def test_a_target_that_some_trials_alone_can_train_is_left_out_of_all(axis, tmp_path):
    X, Y = rare()
    block = spec({"few_shot": {"k": axis, "tries": 2}}, targets="separate")
    block["sweep"] = {"parameters": {"penalty.l1": {"path": {"num": 3, "ratio": 0.1}}}}
    block["optimizer"] = {"name": "auto"}
    run = trainer.run(block, tmp_path / "r", {"train": (X, Y), "val": (X, Y)})
    assert run.results["targets"] == ["y0", "y2"]
    (told,) = run.results["targets_left_out"].items()
    assert told[0] == "y1"
    assert told[1].startswith("repeat.few_shot.k: 5 rows of each class")
    assert told[1].endswith(f"(trial {axis.index(5)})")
    there = trainer.run(block, tmp_path / "s", {"train": (X, Y[:, ::2]), "val": (X, Y[:, ::2])})
    for a, b in zip(run.results["groups"], there.results["groups"], strict=True):
        assert a["target"][1] == str(2 * int(b["target"][1]))  # y0, y2 of y0, y1
        assert {**a, "target": 0} == {**b, "target": 0}
    with pytest.raises(DataError, match=r"target 'y': repeat.few_shot.k: 5 rows of each class"):
        trainer.run(block, tmp_path / "q", {"train": (X, Y[:, [1]]), "val": (X, Y[:, [1]])})


def test_a_target_without_a_repeat_of_all_trials_is_left_out_of_all(tmp_path):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(12, 2))
    Y = np.stack([np.arange(12) % 2, np.arange(12) >= 10], axis=1) * 1.0
    block = spec({"few_shot": {"rows": 6, "tries": 1}}, targets="separate")
    block["data"] = {"train": "arrays", "stratify": False}
    block |= {"sweep": {"parameters": {"seed": [0, 1, 2, 3, 4, 5]}}, "select": {"per": ["seed"]}}
    run = trainer.run(block, tmp_path / "r", {"train": (X, Y), "val": (X, Y)})
    assert run.results["targets"] == ["y0"]
    told = {"y1": "no repeat of all trials has training rows of both classes"}
    assert run.results["targets_left_out"] == told


def test_rows_of_many_repeats_are_not_held_at_once(tmp_path):
    X, Y = rare()
    Y[::5, 0] = np.nan
    rows = {"train": (X, Y)}
    block = trainer.load_spec(spec({"bootstrap": 6}, targets="separate"))
    source = read(block, rows)
    (first, *_), *others = splits_of(source, block, row_splits)
    assert len(others) == 5
    assert len(first.part.train) == 0
    whole = first.part.whole()
    assert len(whole.train) == len(whole.counts) > 0
    assert not np.isnan(Y[whole.train, 0]).any()
