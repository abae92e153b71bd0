"""Nested cross-validation: what each fold chooses by inner folds, and what its own rows say of it.

scikit-learn says what is right, in loops over the very rows that rows.parquet names.
"""

import json
import signal
from functools import partial

import numpy as np
import pyarrow.parquet as pq
import pytest
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import log_loss
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import trainer
from trainer.errors import DataError, SpecError
from trainer.text.csv_json import parse_csv
from trainer.workflow import carry_out

GRID = [0.003, 0.03, 0.3, 3.0]
BASE = {
    "model": "logistic",
    "data": {"val": "none"},
    "device": "cpu",
    "precision": "float64",
    "optimizer": {"name": "lbfgs", "tol": 1e-9},
    "penalty": {"C": 1},
    "repeat": {"folds": 4, "inner_folds": 3},
    "sweep": {"parameters": {"penalty.C": GRID}},
    "intervals": "none",
}


@pytest.fixture(autouse=True)
def _no_page(request, monkeypatch):
    """Runs without the half second of their pages, but those that a test looks at."""
    if "tmp_path" in request.fixturenames:
        monkeypatch.setattr(carry_out, "draw_report", lambda place: b"")


def noisy(n=150, D=6, seed=9):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, D)) * rng.uniform(0.1, 10, D) + rng.normal(size=D)
    z = (X - X.mean(0)) / X.std(0)
    return X, (z[:, 0] - z[:, 1] + 2 * rng.normal(size=n) > 0).astype(int)


def inner_of(folder):
    return parse_csv((folder / "inner.csv").read_text(), words={"status", "reason", "target"})


def split_of(folder, name):
    """(train, val) rows of a column of rows.parquet."""
    words = np.array(pq.read_table(folder / "rows.parquet")[name].to_pylist())
    return np.flatnonzero(words == "train"), np.flatnonzero(words == "val")


def nested_splits(folder, repeats, folds):
    """By repeat its rows and its inner folds; last all training rows' inner folds."""
    outer = [split_of(folder, f"repeat_{r}") for r in range(repeats)]
    inner = [
        [split_of(folder, f"repeat_{r}_inner_{i}") for i in range(folds)] for r in range(repeats)
    ]
    return outer, inner, [split_of(folder, f"inner_{i}") for i in range(folds)]


@pytest.fixture(scope="module")
def logistic(tmp_path_factory):
    data = {"train": noisy()}
    return trainer.run(BASE, out=tmp_path_factory.mktemp("nested") / "r", data=data)


def peer(C=1.0):
    return make_pipeline(StandardScaler(), LogisticRegression(C=C, tol=1e-9, max_iter=5000))


def search(X, y, rows, inner):
    """scikit-learn's choice among the grid by these inner folds of these rows."""
    place = np.full(len(X), -1)
    place[rows] = np.arange(len(rows))
    cv = [(place[train], place[val]) for train, val in inner]
    assert all((part >= 0).all() for pair in cv for part in pair)
    grid = {"logisticregression__C": GRID}
    return GridSearchCV(peer(), grid, scoring="neg_log_loss", cv=cv).fit(X[rows], y[rows])


def test_choices_and_scores_are_nested_grid_search_cvs(logistic):
    X, y = noisy()
    outer, inner, final = nested_splits(logistic.folder, 4, 3)
    own = logistic.results["per_repeat"][0]
    losses = []
    for (train, val), folds, trial in zip(outer, inner, own["trials"], strict=True):
        found = search(X, y, train, folds)
        assert GRID[trial] == found.best_params_["logisticregression__C"]
        losses.append(log_loss(y[val], found.predict_proba(X[val])))
        assert np.array_equal(np.sort(np.concatenate([v for _, v in folds])), train)
        for t, v in folds:  # as stratified as outer ones
            assert abs(y[v].mean() - y[train].mean()) < 0.05
            assert np.array_equal(np.union1d(t, v), train)
    assert len(set(own["trials"])) > 1  # not all agree, or else nothing is shown here
    assert own["metrics"]["val_loss"] == pytest.approx(np.mean(losses), rel=1e-6)
    assert own["std"]["val_loss"] == pytest.approx(np.std(losses, ddof=1), rel=1e-5)
    whole = search(X, y, np.arange(len(X)), final)
    best = logistic.best
    assert best["settings"]["penalty.C"] == whole.best_params_["logisticregression__C"]
    assert best["inner"]["metrics"]["val_loss"] == pytest.approx(-whole.best_score_, rel=1e-6)
    theirs = whole.predict_proba(X)[:, 1]
    ours = trainer.load_model(logistic.folder).predict_proba(X)[:, 1]
    assert ours == pytest.approx(theirs, abs=1e-6)  # the refit, on all rows


def test_the_files_of_a_nested_run_agree(logistic):
    rows = inner_of(logistic.folder)
    assert len(rows) == len(GRID) * (4 + 1) * 3
    assert {row["repeat"] for row in rows} == {0, 1, 2, 3, None}
    history = logistic.history()
    assert set(history["repeat"].to_pylist()) == set(range(4))  # no inner column among them
    assert set(logistic.steps()["repeat"].to_pylist()) == set(range(4))
    groups = logistic.results["groups"]
    own = logistic.results["per_repeat"][0]
    assert [group["trial"] for group in groups] == own["trials"]
    for repeat, trial in enumerate(own["trials"]):
        means = [
            np.mean([r["val_loss"] for r in rows if (r["repeat"], r["trial"]) == (repeat, t)])
            for t in range(len(GRID))
        ]
        assert trial == np.argmin(means)
    counts = {one["trial"]: one["repeats"] for one in own["nested"]["chosen"]}
    assert counts == {trial: own["trials"].count(trial) for trial in own["trials"]}
    table = logistic.predictions()
    held = [r for r in table["repeat"].to_pylist() if r == 0]
    assert len(held) == len(split_of(logistic.folder, "repeat_0")[1])
    page = (logistic.folder / "report.html").read_text()
    assert "nested cross-validation" in page
    assert "(standard deviation over 4 repeats); it was chosen by these rows too" in page
    assert "(selected)" not in page
    log = (logistic.folder / "run.log").read_text()
    assert "nested" in log
    assert "60 columns of inner folds" in log


def test_out_of_fold_predictions_are_of_each_folds_own_choice(logistic):
    X, y = noisy()
    table, own = logistic.predictions(), logistic.results["per_repeat"][0]["trials"]
    repeat = np.array([-1 if r is None else r for r in table["repeat"].to_pylist()])
    p, row = (np.array(table[name].to_pylist()) for name in ("p_1", "row"))
    for r, trial in enumerate(own):
        train, val = split_of(logistic.folder, f"repeat_{r}")
        fit = peer(GRID[trial]).fit(X[train], y[train])
        assert np.array_equal(row[repeat == r], val)
        assert p[repeat == r] == pytest.approx(fit.predict_proba(X[val])[:, 1], abs=1e-6)


def test_ridge_is_a_loop_of_ridge(tmp_path):
    X, _ = noisy(60)
    y = X[:, 0] + 3 * np.random.default_rng(5).normal(size=60)
    grid = [0.01, 0.1, 1.0, 10.0]
    spec = BASE | {"model": "linear", "optimizer": {"name": "exact"}, "penalty": {"l2": 1}}
    spec |= {"sweep": {"parameters": {"penalty.l2": grid}}}
    run = trainer.run(spec, out=tmp_path / "r", data={"train": (X, y)})
    outer, inner, _ = nested_splits(run.folder, 4, 3)

    def loss(l2, train, val):
        fit = make_pipeline(StandardScaler(), Ridge(alpha=l2 * len(train))).fit(X[train], y[train])
        return 0.5 * np.mean((fit.predict(X[val]) - y[val]) ** 2)

    own = run.results["per_repeat"][0]
    for r, (train, val) in enumerate(outer):
        means = [np.mean([loss(l2, *fold) for fold in inner[r]]) for l2 in grid]
        assert own["trials"][r] == np.argmin(means)
        found = run.results["groups"][r]["metrics"]["val_loss"]
        assert found == pytest.approx(loss(grid[np.argmin(means)], train, val), rel=1e-9)


@pytest.mark.parametrize("targets", ["joint", "separate"])
def test_a_run_cut_short_before_all_inner_folds_goes_on(targets, tmp_path):
    """Stopped after outer folds alone it has no choice, and is not at its end."""
    X, y = noisy(40)
    spec = BASE | {"repeat": {"folds": 2, "inner_folds": 2}, "targets": targets}
    spec |= {"optimizer": {"name": "sgd", "lr": 0.1, "batch_size": 16, "epochs": 2}}
    spec |= {"sweep": {"parameters": {"penalty.C": [0.1, 1.0]}}}
    data = {"train": (X, y if targets == "joint" else np.column_stack([y, 1 - y]))}
    whole = trainer.run(spec, out=tmp_path / "w", data=data)
    found = set()
    for at in (14, 18, 26):
        left = iter(range(at))
        stop = partial(lambda left: None if next(left, None) is not None else signal.SIGINT, left)
        folder = tmp_path / f"{at}"
        cut = trainer.run(spec, out=folder, data=data, should_stop=stop)
        found.add((cut.status, bool(cut.results["groups"])))
    assert ("interrupted", False) in found
    assert {status for status, _ in found} <= {"interrupted", "finished"}
    again = trainer.resume(folder, data) if cut.status == "interrupted" else cut
    for name in ("results.json", "inner.csv", "model.safetensors"):
        assert (again.folder / name).read_bytes() == (whole.folder / name).read_bytes(), name


def planted(wild):
    """Rows of three folds of a column; those of the first, which it holds out, may be wild."""
    X, y = noisy(90)
    fold = np.repeat(["a", "b", "c"], 30)
    X[::7, 2] = np.nan
    if wild:
        X[:30] = 1e4 * np.arange(30)[:, None] + 77
        y[:30] = np.r_[np.zeros(2), np.ones(28)]
    return {"train": (X, y), "fold": fold}


def test_what_a_fold_holds_out_never_reaches_its_choice(tmp_path):
    """Neither by scaling, fill-ins, the beginning of a path, class weights nor inner folds."""
    spec = BASE | {"data": {"val": "none", "missing": "mean"}, "class_weight": "balanced"}
    spec |= {"repeat": {"folds": {"column": "fold"}, "inner_folds": 3}, "penalty": {"l1": 0}}
    path = {"path": {"num": 4, "ratio": 0.05}}
    spec |= {"sweep": {"parameters": {"penalty.l1": path}}}
    found = []
    for wild in (False, True):
        run = trainer.run(spec, out=tmp_path / str(wild), data=planted(wild))
        repeats = [row for row in inner_of(run.folder) if row["repeat"] == 0]
        own = [dict(row) for row in repeats]
        for row in own:  # the path of the table begins where all rows say
            del row["penalty.l1"]
        table = parse_csv((run.folder / "repeats.csv").read_text(), words={"status", "reason"})
        l1 = sorted(row["penalty.l1"] for row in table if row["repeat"] == 0)
        strengths = sorted({row["penalty.l1"] for row in repeats})
        assert strengths == l1  # those of its inner folds, too
        found.append((own, l1, run.results["per_repeat"][0]["trials"][0]))
        others = [row["val_loss"] for row in inner_of(run.folder) if row["repeat"] == 1]
        found[-1] += (others,)
    assert found[0][:3] == found[1][:3]
    assert found[0][3] != found[1][3]  # it does reach what trains on it


CASES = [
    {"optimizer": {"name": "sgd", "lr": 0.2, "batch_size": 16, "epochs": 3}, "seed": 4},
    {"optimizer": {"name": "adam", "lr": 0.1, "batch_size": "full", "epochs": 4}},
    {"repeat": {"folds": 2, "times": 2, "inner_folds": 2}, "class_weight": "balanced"},
    {
        "repeat": {"folds": 2, "seeds": 2, "inner_folds": 2},
        "optimizer": {"name": "sgd", "batch_size": 16, "epochs": 2},
    },
]


@pytest.mark.parametrize("change", CASES, ids=str)
def test_columns_of_inner_folds_are_plain_runs_on_their_rows(change, tmp_path):
    X, y = noisy(80)
    run = trainer.run(BASE | change, out=tmp_path / "r", data={"train": (X, y)})
    rows = inner_of(run.folder)
    rng = np.random.default_rng(1)
    for row in (rows[i] for i in rng.choice(len(rows), 3, replace=False)):
        name = f"inner_{row['inner']}"
        name = name if row["repeat"] is None else f"repeat_{row['repeat']}_{name}"
        train, val = split_of(run.folder, name)
        spec = BASE | change | {"repeat": "none", "sweep": "none"}
        spec["data"] = {}
        spec["penalty"] = {"C": GRID[row["trial"]]}
        seeds = change.get("repeat", {}).get("seeds", 1)
        if row["repeat"] is not None and seeds > 1:
            spec["seed"] = row["repeat"] // 2
        parts = {"train": (X[train], y[train]), "val": (X[val], y[val])}
        plain = trainer.run(spec, out=tmp_path / f"{name}_{row['trial']}", data=parts)
        metrics = plain.best["metrics"]
        assert row["val_loss"] == pytest.approx(metrics["val_loss"], rel=1e-7)
        assert row["val_accuracy"] == pytest.approx(metrics["val_accuracy"], rel=1e-12)


@pytest.mark.parametrize("folds", [3, "leave_one_group_out"])
def test_groups_lie_on_one_side(folds, tmp_path):
    X, y = noisy(96)
    group = np.random.default_rng(2).integers(0, 12, 96)
    spec = BASE | {"repeat": {"folds": folds, "inner_folds": 3}}
    spec |= {"optimizer": {"name": "sgd", "lr": 0.1, "epochs": 1}}
    run = trainer.run(spec, out=tmp_path / "r", data={"train": (X, y), "group": group})
    repeats = run.results["repeats"]
    assert repeats == (3 if folds == 3 else 12)
    outer, inner, final = nested_splits(run.folder, repeats, 3)
    pairs = [*outer, *final, *(fold for of in inner for fold in of)]
    assert len(pairs) == 4 * repeats + 3
    for train, val in pairs:
        assert len(val)
        assert not set(group[train]) & set(group[val])


def test_inner_folds_of_stretches_of_time_learn_from_the_past(tmp_path):
    X, y = noisy(80)
    time = np.random.default_rng(0).permutation(80)
    spec = BASE | {"repeat": {"folds": {"forward": 3, "by": "time"}, "inner_folds": 2}}
    run = trainer.run(spec, out=tmp_path / "r", data={"train": (X, y), "time": time})
    outer, inner, final = nested_splits(run.folder, 3, 2)
    for train, val in [*outer, *final, *(fold for of in inner for fold in of)]:
        assert time[train].max() < time[val].min()


def test_separate_targets_choose_each_their_own(tmp_path):
    X, _ = noisy(60)
    rng = np.random.default_rng(8)
    Y = X[:, :2] * [3.0, 0.0] + rng.normal(size=(60, 2))
    Y[:5, 1] = np.nan
    grid = [0.01, 100.0, 1.0]
    spec = BASE | {"model": "linear", "targets": "separate", "penalty": {"l2": 1}}
    spec |= {"optimizer": {"name": "exact"}, "sweep": {"parameters": {"penalty.l2": grid}}}
    tested = X[::3] + 0.5, Y[::3] - 1.0
    run = trainer.run(spec, out=tmp_path / "r", data={"train": (X, Y), "test": tested})
    groups = run.results["groups"]
    assert len(groups) == 2
    assert groups[0]["nested"]["trials"] != groups[1]["nested"]["trials"]
    rows = inner_of(run.folder)
    for group in groups:
        mine = [row for row in rows if row["target"] == group["target"]]
        assert len(mine) == 3 * 5 * 3
        for repeat, trial in [*enumerate(group["nested"]["trials"]), (None, group["trial"])]:
            means = [
                np.mean([r["val_loss"] for r in mine if (r["repeat"], r["trial"]) == (repeat, t)])
                for t in range(3)
            ]
            assert trial == np.argmin(means)
    table = (run.folder / "groups.csv").read_text()
    assert "val_loss_nested" in table
    data = {"train": (X, Y[:, 0]), "test": (tested[0], tested[1][:, 0])}
    alone = trainer.run({**spec, "targets": "joint"}, out=tmp_path / "a", data=data)
    # test rows are scored by the models of the outer folds, those of inner ones have no part in it
    test = [alone.best["metrics"]["test_loss"], alone.best["std"]["test_loss"]]
    assert [groups[0][key]["test_loss"] for key in ("metrics", "std")] == pytest.approx(test)
    own = alone.results["per_repeat"][0]
    assert own["trials"] == groups[0]["nested"]["trials"]
    assert own["metrics"]["val_loss"] == pytest.approx(groups[0]["nested"]["metrics"]["val_loss"])


def test_each_draw_and_each_value_of_per_chooses_by_its_own_inner_folds(tmp_path):
    X, y = noisy(200)
    repeat = {"few_shot": {"k": [6, 20], "tries": 3}, "inner_folds": 3}
    data = {"train": (X[:120], y[:120]), "val": (X[120:], y[120:])}
    run = trainer.run(BASE | {"data": {}, "repeat": repeat}, out=tmp_path / "r", data=data)
    rows = inner_of(run.folder)
    assert {row["repeat"] for row in rows} == {0, 1, 2}  # none of all rows: it is about few
    groups = run.results["groups"]
    assert len(groups) == 2 * (3 + 1)
    for group in groups:
        k, repeat = group["per"]["repeat.few_shot.k"], group["per"].get("repeat")
        mine = [r for r in rows if r["repeat.few_shot.k"] == k and repeat in (None, r["repeat"])]
        scores = {}
        for row in mine:
            scores.setdefault(row["trial"], []).append(row["val_loss"])
        assert len(scores) == len(GRID)
        assert group["trial"] == min(scores, key=lambda t: np.mean(scores[t]))
    assert [own["per"] for own in run.results["per_repeat"]] == [
        {"repeat.few_shot.k": k} for k in (6, 20)
    ]
    best = (run.folder / "best.yaml").read_text()
    assert "inner_folds" not in best


def forward_run(folder, y, **more):
    """Of 60 rows in the order of time: three stretches are held out, each chooses by two."""
    rng = np.random.default_rng(8)
    X = rng.normal(size=(60, 2))
    fine = (X[:, 0] + rng.normal(size=60) > 0).astype(float)
    spec = BASE | {"repeat": {"folds": {"forward": 3, "by": "time"}, "inner_folds": 2}}
    spec |= {"sweep": {"parameters": {"penalty.C": [0.1, 1.0]}}, "targets": "separate"} | more
    Y = y if spec["targets"] == "joint" else np.column_stack([fine, y])
    return trainer.run(spec, out=folder, data={"train": (X, Y), "time": np.arange(60)})


def test_a_target_has_no_repeat_whose_inner_folds_all_lack_a_class(tmp_path):
    late = np.ones(60)
    late[13:15] = 0  # the first repeat trains on rows 0 to 14, its inner folds on 0 to 4 and to 9
    late[20::3] = 0
    run = forward_run(tmp_path / "r", late)
    lacks = "training rows of both classes in inner folds"
    assert run.results["repeats_left_out"] == {"y1": {lacks: 1}}
    assert {(row["target"], row["repeat"]) for row in inner_of(run.folder)} == {
        ("y0", 0), ("y0", 1), ("y0", 2), ("y0", None), ("y1", 1), ("y1", 2), ("y1", None),
    }  # fmt: skip
    first, second = run.results["groups"]
    assert len(first["nested"]["trials"]) == 3
    assert len(second["nested"]["trials"]) == 2
    with pytest.raises(
        DataError, match="stretch 1 of 3 lacks the class '0', and so it is with all"
    ):
        forward_run(tmp_path / "j", late, targets="joint")


def test_a_target_without_inner_folds_of_all_rows_is_left_out(tmp_path):
    labels = np.full(60, np.nan)
    labels[:18] = np.arange(18) % 2  # those of all rows hold out rows 20 to 39 and 40 to 59
    run = forward_run(tmp_path / "r", labels)
    why = run.results["targets_left_out"]["y1"]
    assert why == "it has no held-out rows with a label in inner folds"


def test_inner_folds_that_are_left_out_are_counted(tmp_path):
    """Of groups one alone may have a class."""
    X, y = noisy(60)
    group = np.arange(60) // 5
    y[:] = group == 0
    y[5:10] = 1
    spec = BASE | {"repeat": {"folds": 3, "inner_folds": 3}}
    spec |= {"sweep": {"parameters": {"penalty.C": [0.1, 1.0]}}}
    run = trainer.run(spec, out=tmp_path / "r", data={"train": (X, y), "group": group})
    lost = 3 * 4 - len({(row["repeat"], row["inner"]) for row in inner_of(run.folder)})
    assert lost >= 1
    assert run.results["inner_left_out"] == {"the class '1'": lost}
    log = (run.folder / "run.log").read_text()
    what = f"{lost} inner fold{'s' * (lost > 1)}"
    assert log.count(f"{what} left out of every trial: {what} without the class '1'") == 2


@pytest.mark.parametrize(
    ("repeat", "rows", "words"),
    [
        ({"folds": 2, "inner_folds": 9}, 16, "repeat.inner_folds: 9 folds of the training rows of"),
        ({"folds": 2, "inner_folds": 6}, 16, "the class .* has 4 rows for them; at most 4"),
    ],
)
def test_too_few_rows_are_a_line(repeat, rows, words, tmp_path):
    X, _ = noisy(rows)
    y = np.arange(rows) % 2
    with pytest.raises(DataError, match=words):
        trainer.run(BASE | {"repeat": repeat}, out=tmp_path / "r", data={"train": (X, y)})


def test_inner_folds_that_have_nothing_to_choose_are_a_line():
    with pytest.raises(SpecError, match="choose among trials, and there is one; write sweep too"):
        trainer.load_spec(BASE | {"data": {"train": "breast_cancer"}, "sweep": "none"})


def test_results_are_read_back(logistic):
    again = trainer.load_run(logistic.folder)
    assert again.results == json.loads((logistic.folder / "results.json").read_text())
    assert again.report()


def test_a_stop_while_inner_folds_train_leaves_a_run_to_go_on_with(tmp_path):
    """Also where all columns but theirs have ended, and so all ranks are there."""
    X, y = noisy(60, 3)
    data = {"train": (X, y)}
    config = BASE | {"repeat": {"folds": 2, "inner_folds": 2}}
    config |= {"optimizer": {"name": "adam", "epochs": 1, "batch_size": 32}}  # a row set a stack
    for calls in (10, 14, 18, 22):
        left = iter(range(calls))
        stop = lambda left=left: 2 if next(left, None) is None else None  # noqa: E731
        cut = trainer.run(config, tmp_path / f"{calls}", data, should_stop=stop)
        assert cut.status == "interrupted"
    assert trainer.resume(cut.folder, data).status == "finished"
