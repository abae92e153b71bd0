"""Targets that are problems of their own: each comes out as the plain run on it alone."""

import csv
import json

import numpy as np
import pyarrow.parquet as pq
import pytest
from safetensors.numpy import load_file

import trainer
from trainer.device import choose
from trainer.errors import DataError, SpecError
from trainer.predict.tables import predict_file
from trainer.sweep.sweep import set_up
from trainer.workflow import carry_out

ROWS, FEATURES, TARGETS = 120, 4, 4
TRAIN = 90
L2 = {"penalty.l2": [1e-3, 0.1, 1.0]}
FEW_STEPS = {"epochs": 4, "batch_size": 32, "lr": 0.05}

CASES = {
    "ridge": ({"model": "linear", "optimizer": {"name": "exact"}}, L2),
    "lasso": (
        {"model": "linear", "optimizer": {"name": "auto"}, "penalty": {"l2": 0}},
        {"penalty.l1": {"path": {"num": 4, "ratio": 0.1}}},
    ),
    "scaled target": (
        {"model": "linear", "optimizer": {"name": "auto"}, "data": {"scale_target": "standard"}},
        L2,
    ),
    "sgd": ({"model": "linear", "optimizer": {"name": "sgd", **FEW_STEPS}}, L2),
    "newton": ({"model": "logistic", "optimizer": {"name": "newton"}}, {"penalty.C": [0.1, 1, 10]}),
    "lbfgs": ({"model": "logistic", "optimizer": {"name": "lbfgs"}}, L2),
    "balanced": (
        {"model": "logistic", "optimizer": {"name": "lbfgs"}, "class_weight": "balanced"},
        L2,
    ),
    "adam": (
        {
            "model": "logistic",
            "optimizer": {"name": "adam", "epochs": 20, "batch_size": "full", "lr": 0.3},
            "early_stopping": {"patience": 2, "min_delta": 0.05},
        },
        L2,
    ),
    "halving": (
        {"model": "logistic", "optimizer": {"name": "sgd", **FEW_STEPS}},
        {"optimizer.lr": [0.001, 0.1, 1.0, 10.0]},
    ),
    "poisson": ({"model": "poisson", "optimizer": {"name": "auto"}}, L2),
}
HALVING = {"early_terminate": {"type": "hyperband", "min_iter": 1, "eta": 2}}


def targets(model, seed=0):
    """X, and Y with labels missing in the second and third of its columns, in rows of their own."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(ROWS, FEATURES)) * [1, 5, 0.2, 1] + [0, 3, 0, -1]
    Z = (X - X.mean(axis=0)) / X.std(axis=0) @ rng.normal(size=(FEATURES, TARGETS))
    Z += rng.normal(size=Z.shape)
    Y = {"linear": Z * [1, 10, 0.1, 1] + [3, 3, 3, 900], "logistic": (Z > 0) * 1.0}.get(
        model, np.floor(np.exp(np.clip(0.4 * Z, -3, 2)))
    )
    Y[::5, 1] = np.nan
    Y[3::7, 2] = np.nan
    return X, Y


def config(case, **more):
    given, axes = CASES[case]
    sweep = {"parameters": axes} | (HALVING if case == "halving" else {})
    data = {"train": "arrays", **given.get("data", {})}
    return {"precision": "float64", **given, "data": data, "sweep": sweep, **more}


def split(X, Y):
    return {"train": (X[:TRAIN], Y[:TRAIN]), "val": (X[TRAIN:], Y[TRAIN:])}


def known(X, y):
    """The rows of a target that have its label."""
    parts = {"train": slice(0, TRAIN), "val": slice(TRAIN, None)}
    rows = {name: np.flatnonzero(~np.isnan(y[part])) for name, part in parts.items()}
    return {name: (X[parts[name]][at], y[parts[name]][at]) for name, at in rows.items()}


def rows_of(run, name):
    with open(run.folder / name, encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.fixture(autouse=True)
def _no_page(request, monkeypatch):
    """Runs without the half second of their pages, but where a test is about them."""
    if "page" not in request.node.name:
        monkeypatch.setattr(carry_out, "draw_report", lambda place: b"")


@pytest.mark.parametrize("case", CASES)
def test_each_target_is_the_plain_run_on_it_alone(tmp_path, case):
    X, Y = targets(CASES[case][0]["model"])
    whole = trainer.run(config(case, targets="separate"), tmp_path / "all", split(X, Y))
    assert whole.status == "finished"
    groups, columns = whole.results["groups"], rows_of(whole, "repeats.csv")
    assert [group["target"] for group in groups] == [f"y{t}" for t in range(TARGETS)]
    assert len(columns) == TARGETS * len(whole.trials)
    for t, group in enumerate(groups):
        alone = trainer.run(config(case), tmp_path / str(t), known(X, Y[:, t]))
        best = alone.best
        assert group["trial"] == best["trial"]
        assert group["settings"] == pytest.approx(best["settings"], rel=1e-6)
        for name, value in best["metrics"].items():
            assert group["metrics"][name] == pytest.approx(value, rel=1e-6, abs=1e-8), name
        own = [row for row in columns if row["target"] == f"y{t}"]
        assert [row["rank"] for row in own] == [str(row["rank"] or "") for row in alone.trials]
        assert [row["status"] for row in own] == [row["status"] for row in alone.trials]
        model, plain = whole.model(), alone.model()
        tolerance = {"rtol": 1e-5, "atol": 1e-6 * np.abs(plain.coef_).max()}
        np.testing.assert_allclose(model.coef_[t], plain.coef_[0], **tolerance)
        np.testing.assert_allclose(model.intercept_[t], plain.intercept_[0], rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(model.predict(X)[:, t], plain.predict(X), rtol=1e-5, atol=1e-6)


def small(model="linear", **keys):
    """A spec of few steps on a table of the test's own."""
    given = {"model": model, "targets": "separate", "optimizer": {"epochs": 3, "batch_size": 32}}
    return {**given, "data": {"train": "arrays"}, "device": "cpu", **keys}


def test_files_of_a_run_say_which_target_a_column_is_of(tmp_path):
    X, Y = targets("linear")
    spec = small(
        sweep={"parameters": {"optimizer.lr": [0.01, 0.1]}},
        data={"train": "arrays", "val": "none"},
        repeat={"folds": 2},
        log={"weights": "all"},
    )
    rows = {"train": (X[:TRAIN], Y[:TRAIN]), "test": (X[TRAIN:], Y[TRAIN:])}
    run = trainer.run(spec, tmp_path / "r", rows)
    names, count = ["y0", "y1", "y2", "y3"], 2 * 2 * TARGETS
    assert not (run.folder / "best.yaml").exists()
    assert run.results["best"] is None
    assert run.results["runner_up"] is None
    assert run.results["targets"] == names
    steps, history = run.steps(), run.history()
    assert steps.column_names[:5] == ["step", "epoch", "trial", "repeat", "target"]
    columns = set(zip(*(steps[n].to_pylist() for n in ("trial", "repeat", "target")), strict=True))
    assert columns == {(t, r, k) for t in (0, 1) for r in (0, 1) for k in range(TARGETS)}
    assert history.column_names[:5] == ["trial", "repeat", "target", "epoch", "step"]
    assert set(history["target"].to_pylist()) == set(names)
    weights = load_file(run.folder / "weights.safetensors")
    assert weights["weights"].shape == (FEATURES, 1, count)
    assert sorted(weights["target"].tolist()) == sorted([0, 1, 2, 3] * 4)
    groups, repeats = rows_of(run, "groups.csv"), rows_of(run, "repeats.csv")
    assert list(groups[0])[:2] == ["target", "trial"]
    assert [row["target"] for row in groups] == names
    assert all(float(row["test_r2"]) <= 1 for row in groups)
    assert list(repeats[0])[:3] == ["trial", "repeat", "target"]
    assert len(repeats) == count
    trials = rows_of(run, "trials.csv")
    assert [row["rank"] for row in trials] == ["", ""]
    for row in trials:
        own = [float(r["val_loss"]) for r in repeats if r["trial"] == row["trial"]]
        assert float(row["val_loss"]) == pytest.approx(np.mean(own))
    table = run.predictions()
    assert table.num_rows == ROWS - TRAIN
    missing = np.isnan(Y[TRAIN:])
    assert table["target_y1"].null_count == table["prediction_y1"].null_count == missing[:, 1].sum()
    assert run.model().predict(X).shape == (ROWS, TARGETS)


def test_targets_that_share_their_rows_share_a_stack(tmp_path):
    X, Y = targets("linear")
    spec = trainer.load_spec(small(sweep={"parameters": {"optimizer.lr": [0.01, 0.1]}}))
    sweep = set_up(spec, split(X, Y), choose("cpu"))
    stacks = [{c.target for c in one.columns} for one in sweep.arrangement.stacks]
    assert sorted(map(sorted, stacks)) == [[0, 3], [1], [2]]


def test_a_model_of_targets_has_one_scaling_and_each_its_classes(tmp_path):
    X, Y = targets("logistic")
    table = {f"x{d}": X[:, d] for d in range(FEATURES)}
    Y = Y[:, :3]
    words = [("no", "yes"), (-1, 1), ("b", "a")]
    columns = {
        f"t_{t}": ["" if np.isnan(y) else str(words[t][int(y)]) for y in Y[:, t]] for t in range(3)
    }
    with open(tmp_path / "a.csv", "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([*table, *columns])
        writer.writerows(zip(*table.values(), *columns.values(), strict=True))
    spec = small("logistic", optimizer={"name": "auto"})
    spec["data"] = {"train": {"table": str(tmp_path / "a.csv"), "target": "t_*"}}
    run = trainer.run(spec, tmp_path / "r")
    predicted = run.model().predict(X)
    assert [set(predicted[:, t].tolist()) for t in range(3)] == [set(pair) for pair in words]
    for t in range(3):
        seen = ~np.isnan(Y[:, t])
        pairs = zip(predicted[:, t], columns[f"t_{t}"], strict=True)
        right = [str(word) == cell for word, cell in pairs]
        share = max(Y[seen, t].mean(), 1 - Y[seen, t].mean())
        assert np.mean(np.array(right)[seen]) > share  # "a" is before "b": 1 is "b" there
    fields = json.loads((run.folder / "model.json").read_text())
    assert fields["pairs"] == [["no", "yes"], [-1, 1], ["a", "b"]]
    told = predict_file(run.folder, str(tmp_path / "a.csv"))[1]
    assert told.startswith("means over 3 targets: loss ")


def test_the_page_of_many_targets_has_all_of_them(tmp_path):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 3))
    Y = X @ rng.normal(size=(3, 30)) + rng.normal(size=(60, 30))
    spec = small(optimizer={"name": "exact"}, sweep={"parameters": {"penalty.l2": [0.01, 1.0]}})
    run = trainer.run(spec, tmp_path / "r", {"train": (X[:40], Y[:40]), "val": (X[40:], Y[40:])})
    page = (run.folder / "report.html").read_text(encoding="utf-8")
    for words in ("The metric over targets", "The worst", "All targets", "Winners by l2"):
        assert words in page
    assert all(f'["y{t}",' in page for t in range(30))
    assert "median R²" in page


def stop_after(calls):
    """What says stop from so many questions on."""
    asked = []
    return lambda: 15 if asked.append(1) or len(asked) > calls else None


@pytest.mark.parametrize("share", [0.3, 0.97])
def test_a_run_of_targets_that_goes_on_has_the_same_bytes(share, tmp_path):
    X, Y = targets("linear")
    spec = small(sweep={"parameters": {"optimizer.lr": [0.01, 0.1]}}, repeat={"folds": 2})
    spec["optimizer"]["epochs"], spec["data"]["val"] = 12, "none"
    given, asked = {"train": (X, Y)}, []
    whole = trainer.run(spec, tmp_path / "a", given, should_stop=lambda: asked.append(1))
    stopped = stop_after(int(share * (len(asked) - 5)))
    run = trainer.run(spec, tmp_path / "b", given, should_stop=stopped)
    assert run.status == "interrupted"
    done = trainer.resume(run.folder, given, should_stop=lambda: None)
    assert done.status == "finished"
    names = ("groups.csv", "repeats.csv", "steps.parquet", "history.csv", "model.safetensors")
    for name in (*names, "trials.csv", "results.json", "predictions.parquet"):
        assert (done.folder / name).read_bytes() == (whole.folder / name).read_bytes(), name


FAULTS = {
    "softmax": (
        {"model": "softmax", "targets": "separate", "data": {"train": "digits"}},
        "separate is for linear, logistic and poisson",
    ),
    "stratify": (small("logistic", data={"train": "arrays", "stratify": True}), "write auto"),
    "init": (small(init="runs/x"), "the weights of a run are for targets: joint"),
    "swept": (small(sweep={"parameters": {"targets": ["joint"]}}), "cannot be swept"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_does_not_go_with_separate_targets_is_a_line(fault):
    spec, words = FAULTS[fault]
    with pytest.raises(SpecError) as caught:
        trainer.load_spec(spec)
    assert len(caught.value.faults) == 1
    assert words in str(caught.value)


def test_a_missing_label_of_joint_targets_proposes_separate(tmp_path):
    X, Y = targets("linear")
    with pytest.raises(DataError, match="targets to separate"):
        trainer.run({"model": "linear", "data": {"train": "arrays"}}, tmp_path / "r", split(X, Y))


def test_a_target_that_cannot_be_trained_is_left_out_with_a_word(tmp_path):
    X, Y = targets("logistic")
    Y = Y[:, :3]
    Y[:, 0], Y[:, 1] = 1, np.nan
    run = trainer.run(small("logistic"), tmp_path / "r", split(X, Y))
    assert run.results["targets"] == ["y2"]
    left_out = run.results["targets_left_out"]
    assert left_out["y0"] == "every row has the label '1'; two classes are needed"
    assert left_out["y1"] == "no row has a label"
    Y[:, 2] = np.nan
    with pytest.raises(DataError, match="target 'y0': every row has the label '1'"):
        trainer.run(small("logistic"), tmp_path / "q", split(X, Y))


def test_a_target_without_a_label_in_validation_rows_is_left_out(tmp_path):
    X, Y = targets("linear")
    Y[TRAIN:, 0] = np.nan
    run = trainer.run(small(), tmp_path / "r", split(X, Y))
    assert run.results["targets_left_out"] == {"y0": "no validation row has a label"}
    assert run.results["targets"] == ["y1", "y2", "y3"]


BROKEN = {
    "three classes": (
        "logistic",
        lambda Y: np.where(Y == 1, Y + (Y[::-1] == 1), Y),
        "2, …|0, 1, 2",
    ),
    "fractions": ("logistic", lambda Y: Y + 0.5, "is no label"),
    "below 0": ("poisson", lambda Y: Y - 9, "poisson takes"),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_target_that_does_not_fit_the_model_is_named(kind, tmp_path):
    model, change, words = BROKEN[kind]
    X, Y = targets(model)
    Y[:, 1] = change(Y)[:, 1]
    with pytest.raises(DataError, match=words) as caught:
        trainer.run(small(model), tmp_path / "r", split(X, Y))
    assert "y1" in str(caught.value)


def test_a_pattern_names_the_target_columns(tmp_path):
    (tmp_path / "a.csv").write_text("x,g_1,w,g_2,h\n1,2,1,3,4\n2,3,1,5,1\n3,1,1,0,2\n4,4,2,1,0\n")
    source = {"table": str(tmp_path / "a.csv"), "target": ["g_*", "h"], "weight": "w"}
    spec = small(data={"train": source, "val": "none"})
    assert trainer.run(spec, tmp_path / "r").results["targets"] == ["g_1", "g_2", "h"]
    source["target"] = "gg_*"
    with pytest.raises(DataError, match=r"no column fits the pattern 'gg_\*'; there are"):
        trainer.run(small(data={"train": source, "val": "none"}), tmp_path / "q")


def test_rows_are_as_they_are_for_the_targets_whose_label_they_have(tmp_path):
    X, Y = targets("linear")
    spec = {"model": "linear", "targets": "separate", "data": {"train": "arrays"}}
    run = trainer.run(spec | {"repeat": {"folds": 3}}, tmp_path / "r", {"train": (X, Y)})
    table = pq.read_table(run.folder / "rows.parquet")
    assert table.column("split").to_pylist() == ["train"] * ROWS  # also those without some label
    held = [table.column(f"repeat_{number}").to_pylist() for number in range(3)]
    assert {row.count("val") for row in zip(*held, strict=True)} == {1}
    drawn = {"model": "logistic", "repeat": {"few_shot": {"k": 3, "tries": 2}}}
    X, Y = targets("logistic")
    run = trainer.run(
        spec | drawn | {"optimizer": {"name": "newton"}, "data": {"train": "arrays", "val": 0.2}},
        tmp_path / "d",
        {"train": (X, Y)},
    )
    names = pq.read_table(run.folder / "rows.parquet").column_names
    assert names == ["trial", "source", "row", "split"]  # every target has draws of its own


def test_bootstraps_of_a_target_are_of_the_rows_whose_labels_it_knows(tmp_path):
    draw = np.random.default_rng(0)
    X = draw.standard_normal((60, 3))
    y = (X @ draw.standard_normal((3, 2)) > 0).astype(float)
    y[:7, 1] = np.nan
    spec = {"model": "logistic", "targets": "separate", "optimizer": {"name": "lbfgs"},
            "data": {"val": "none"}, "repeat": {"bootstrap": 20}}  # fmt: skip
    trainer.run(spec, data={"train": (X, y)}, out=tmp_path / "run")
    with (tmp_path / "run" / "groups.csv").open() as file:
        assert [row["target"] for row in csv.DictReader(file)] == ["y0", "y1"]


def test_a_test_set_without_any_label_of_a_target_leaves_it_unscored(tmp_path):
    X, Y = targets("linear")
    told = Y[TRAIN:].copy()
    told[:, 0] = np.nan
    rows = split(X, Y) | {"test": (X[TRAIN:], told)}
    found = trainer.run(small("linear"), tmp_path / "r", rows)
    table = csv.DictReader((found.folder / "groups.csv").read_text().splitlines())
    scores = {row["target"]: row["test_loss"] for row in table}
    assert scores["y0"] == ""
    assert all(float(scores[name]) > 0 for name in ("y1", "y2"))


def test_named_metrics_are_of_the_test_rows_of_each_target_too(tmp_path):
    X, Y = targets("linear")
    rows = split(X, Y) | {"test": (X[TRAIN:], Y[TRAIN:])}
    spec = small("linear") | {"metrics": ["mae"]}
    found = trainer.run(spec, tmp_path / "r", rows)
    text = (found.folder / "groups.csv").read_text()
    for row in csv.DictReader(text.splitlines()):
        assert float(row["test_mae"]) == pytest.approx(float(row["val_mae"]))
    np.savez(tmp_path / "held.npz", X=X[TRAIN:], y=Y[TRAIN:])
    _, told = predict_file(tmp_path / "r", str(tmp_path / "held.npz"))
    assert told is not None
    mean = np.mean([float(row["test_mae"]) for row in csv.DictReader(text.splitlines())])
    assert f"mae {mean:.6g}" in told
