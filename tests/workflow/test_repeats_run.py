"""Runs with repeats of every kind: their rows, their names, what is said of them, and resumes."""

import io

import numpy as np
import pyarrow.parquet as pq
import pytest

import trainer
from trainer.console.terminal import Terminal
from trainer.runs.names import ROWS
from trainer.runs.reader import RunReader
from trainer.workflow import row_sets

rng = np.random.default_rng(11)
N = 80
X = rng.normal(size=(N, 3))
Y = np.where(X[:, 0] + rng.normal(size=N) > 0, "yes", "no")
CITY = np.array(["Rome", "Oslo", "Bern", "001"])[np.arange(N) % 4]
FOLD = rng.integers(-1, 3, N)
BASE = {
    "model": "logistic",
    "data": {"train": "arrays"},
    "optimizer": {"name": "lbfgs"},
    "device": "cpu",
    "sweep": {"parameters": {"penalty.l2": [0.1, 0.01]}},
}


def told(repeat, out, data=None, **more):
    shown = io.StringIO()
    passed = {"train": (X, Y), **(data or {})}
    terminal = Terminal(stream=shown)
    run = trainer.run(BASE | {"repeat": repeat, **more}, out, passed, terminal=terminal)
    return run, " ".join(shown.getvalue().split())


@pytest.fixture(scope="module")
def groups(tmp_path_factory):
    repeat = {"leave_one_group_out": True}
    return told(repeat, tmp_path_factory.mktemp("g") / "run", {"group": CITY})


def rows_of(run):
    return pq.read_table(run.folder / ROWS)


def columns_of(run):
    return {
        name: np.array(column.to_pylist())
        for name, column in zip(rows_of(run).column_names, rows_of(run).columns, strict=True)
    }


def test_a_group_has_its_name_in_the_table_on_the_page_and_in_the_terminal(groups):
    run, shown = groups
    rows = RunReader(run.folder).repeats()
    assert [row["group"] for row in rows] == ["001", "Bern", "Oslo", "Rome"] * 2
    best = [row for row in rows if row["trial"] == run.best["trial"]]
    worst = max(best, key=lambda row: row["val_loss"])["group"]
    assert f"val_loss by group, the worst first: {worst} 0." in shown
    page = (run.folder / "report.html").read_text()
    assert "The winner on each group" in page
    assert page.index(f">{worst}<") < min(page.index(f">{name}<") for name in set(CITY) - {worst})
    assert run.best["refit"] == {"rows": "train", "epochs": run.best["epochs"]}


def test_the_resolved_config_of_groups_loads_as_the_same_run(groups):
    run, _ = groups
    config = run.folder / "config.yaml"
    assert trainer.load_spec(config).repeat.folds == "leave_one_group_out"


def test_rows_say_which_a_fold_holds_out(groups):
    run, _ = groups
    table = rows_of(run)
    assert table.column_names == [
        "trial",
        "source",
        "row",
        "split",
        *(f"repeat_{i}" for i in range(4)),
    ]
    assert table["row"].to_pylist() == list(range(N))
    assert set(table["split"].to_pylist()) == {"train"}
    for i, city in enumerate(["001", "Bern", "Oslo", "Rome"]):
        right = np.where(city == CITY, "val", "train").tolist()
        assert table[f"repeat_{i}"].to_pylist() == right


def test_rows_of_a_plain_run_have_their_split(tmp_path):
    passed = {"train": (X, Y), "val": (X[:9], Y[:9]), "test": {"far": (X[:5], Y[:5])}}
    weight = np.ones(N)
    weight[3] = 0
    config = {key: value for key, value in BASE.items() if key != "sweep"}
    run = trainer.run(config, tmp_path / "r", {**passed, "weight": weight})
    table = rows_of(run)
    assert table.column_names == ["trial", "source", "row", "split"]
    split = dict(
        zip(
            zip(*(table[n].to_pylist() for n in ("source", "row")), strict=True),
            table["split"].to_pylist(),
            strict=True,
        )
    )
    assert len(split) == N + 9 + 5
    for (source, row), word in split.items():
        right = "unused" if (source, row) == ("train", 3) else source
        assert word == ("test" if right == "far" else right)


def test_rows_of_a_holdout_are_those_that_are_predicted(tmp_path):
    config = {"model": "softmax", "data": {"train": "digits", "test": 0.2}, "device": "cpu"}
    run = trainer.run(config | {"optimizer": {"epochs": 1}}, tmp_path / "r")
    table, predicted = rows_of(run), run.predictions()
    for split in ("val", "test"):
        chosen = np.array(table["split"].to_pylist()) == split
        rows = np.array(predicted["row"])[np.array(predicted["split"].to_pylist()) == split]
        assert sorted(rows) == np.flatnonzero(chosen).tolist()


def test_a_draw_of_more_rows_is_another_trial_s(tmp_path):
    run, shown = told(
        {"few_shot": {"rows": [10, 30], "tries": 3}}, tmp_path / "r", {"val": (X[:20], Y[:20])}
    )
    table = columns_of(run)
    assert len(table["row"]) == 2 * (N + 20)
    for trial, rows in ((0, 10), (1, 30)):
        own = (table["trial"] == trial) & (table["source"] == "train")
        assert [(table[f"repeat_{i}"][own] == "train").sum() for i in range(3)] == [rows] * 3
        held = (table["trial"] == trial) & (table["source"] == "val")
        assert (table["repeat_2"][held] == "val").all()
    groups = RunReader(run.folder).groups()
    assert [row["repeat.few_shot.rows"] for row in groups] == [10, 30]
    assert "rows 10: val_loss" in shown
    assert "val_loss_std" in groups[0]
    page = (run.folder / "report.html").read_text()
    assert "by rows" in page
    assert "with the standard deviation over repeats" in page


def test_the_rows_of_val_that_a_draw_takes_are_its_own(tmp_path):
    run, _ = told(
        {"few_shot": {"k": 2, "tries": 2, "val_k": 3}}, tmp_path / "r", {"val": (X[:20], Y[:20])}
    )
    table = columns_of(run)
    held = table["source"] == "val"
    assert (table["split"][held] == "val").all()
    assert [(table[f"repeat_{i}"][held] == "val").sum() for i in range(2)] == [6, 6]
    assert set(table["repeat_0"][held]) == {"val", "unused"}


def test_a_bootstrap_says_what_it_is_and_how_often_rows_were_drawn(tmp_path):
    run, shown = told({"bootstrap": 7}, tmp_path / "r")
    table = rows_of(run)
    drawn = np.array([table[f"drawn_{i}"].to_pylist() for i in range(7)])
    assert (drawn.sum(axis=1) == N).all()
    assert (drawn == 0).any(axis=1).all()
    assert run.results["repeats"] == 7
    assert run.best["refit"]["rows"] == "train"
    page = (run.folder / "report.html").read_text()
    for said in ("val is pessimistic", "7 resamples are few"):
        assert said in shown
        assert said in page


def test_resamples_without_a_class_are_left_out_counted_and_said(tmp_path):
    y = np.array(["no"] * 12 + ["yes"] * 2)
    passed = {"train": (X[:14], y)}
    shown = io.StringIO()
    run = trainer.run(
        BASE | {"repeat": {"bootstrap": 60}}, tmp_path / "r", passed,
        terminal=Terminal(stream=shown),
    )  # fmt: skip
    left_out = run.results["left_out"]
    assert set(left_out.values()) == {"the class 'yes'"}
    assert 1 <= len(left_out) <= 20  # 60 times (6/7)^14
    assert run.results["repeats"] == 60 - len(left_out)
    said = f"{len(left_out)} of 60 resamples left out of every trial: {len(left_out)} resample"
    assert said in " ".join(shown.getvalue().split())
    assert said in (run.folder / "report.html").read_text()
    assert len(RunReader(run.folder).repeats()) == 2 * run.results["repeats"]
    table = rows_of(run)
    first = np.array(table["drawn_0"].to_pylist())
    assert first[12:].any()


def test_a_fold_without_a_class_is_left_out(tmp_path):
    y = np.where(np.arange(N) % 4 == 2, "yes", "no")  # all of Bern's
    run, shown = told(
        {"folds": {"column": "fold"}}, tmp_path / "r", {"train": (X, y), "fold": np.arange(N) % 4}
    )
    assert run.results["left_out"] == {"fold 2": "the class 'yes'"}
    assert [row["fold"] for row in RunReader(run.folder).repeats()[:3]] == ["0", "1", "3"]
    assert "1 of 4 folds left out of every trial: 1 fold without the class 'yes'" in shown


def test_all_of_them_left_out_is_one_line(tmp_path):
    data = {"train": (X[:2], Y[:2]), "fold": np.array([0, 1])}
    data["train"] = (X[:2], np.array(["no", "yes"]))
    with pytest.raises(trainer.TrainerError) as error:
        told({"folds": {"column": "fold"}}, tmp_path / "r", data)
    assert "fold 0 has no" in str(error.value)
    assert "so it is with all 2 repeats" in str(error.value)
    assert "\n" not in str(error.value)


def test_resamples_of_every_seed_are_counted(tmp_path):
    passed = {"train": (X[:14], np.array(["no"] * 12 + ["yes"] * 2))}
    run, shown = told({"bootstrap": 30, "seeds": 2}, tmp_path / "r", passed)
    left_out = run.results["left_out"]
    assert len(left_out) + run.results["repeats"] == 60
    assert {name.partition(", ")[2] for name in left_out} == {"seed 0", "seed 1"}
    assert f"{len(left_out)} of 60 resamples left out" in shown


def test_more_groups_than_a_run_can_list_are_one_line(tmp_path):
    n = 10_001
    data = {"train": (np.ones((n, 1)), Y[np.arange(n) % N]), "group": np.arange(n)}
    with pytest.raises(trainer.TrainerError, match=r"^repeat: 10,001 repeats; at most 10,000"):
        told({"folds": "leave_one_group_out"}, tmp_path / "r", data)


def test_rows_that_no_fold_holds_out_are_told(tmp_path):
    _, shown = told({"folds": {"column": "fold"}}, tmp_path / "r", {"fold": FOLD})
    assert f"{(FOLD == -1).sum()} rows are in every fold's training rows" in shown


def test_too_many_repeats_of_rows_are_left_out_and_said(tmp_path, monkeypatch):
    monkeypatch.setattr(row_sets, "MOST_CELLS", N * 3)
    run, shown = told({"folds": 4}, tmp_path / "r")
    assert rows_of(run).column_names == ["trial", "source", "row", "split"]
    assert "rows.parquet has each row's split alone: 80 rows x 4 repeats" in shown


def test_best_yaml_has_no_feature_of_the_folds(tmp_path):
    lines = "".join(f"{x[0]},{x[1]},{f},{y}\n" for x, f, y in zip(X, FOLD, Y, strict=True))
    (tmp_path / "a.csv").write_text("a,b,fold,y\n" + lines)
    data = {"train": {"table": str(tmp_path / "a.csv"), "target": "y"}}
    folded = BASE | {"data": data, "repeat": {"folds": {"column": "fold"}}}
    run = trainer.run(folded, tmp_path / "r")
    again = trainer.run(trainer.load_spec(run.folder / "best.yaml"), tmp_path / "b")
    one, other = (trainer.load_model(each.folder) for each in (run, again))
    assert one.coef_.shape == (1, 2)
    np.testing.assert_array_equal(one.coef_, other.coef_)


def stop_after(calls):
    asked = 0

    def should_stop():
        nonlocal asked
        asked += 1
        return 15 if asked > calls else None

    return should_stop


KINDS = {
    "groups": ({"folds": "leave_one_group_out"}, {"group": CITY}),
    "time": ({"folds": {"forward": 3, "by": "t"}}, {"t": np.arange(N)}),
    "rows": ({"few_shot": {"rows": [10, 20], "tries": 2}}, {"val": (X[:20], Y[:20])}),
    "bootstrap": ({"bootstrap": 4}, {}),
}
SAME = ("model.safetensors", "steps.parquet", "history.csv", "trials.csv", "repeats.csv",
        "results.json", ROWS)  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_that_is_stopped_and_gone_on_with_has_the_same_bytes(kind, tmp_path):
    assert len(KINDS) == 4
    repeat, more = KINDS[kind]
    data, asked = {"train": (X, Y), **more}, []
    config = BASE | {"repeat": repeat, "optimizer": {"epochs": 6, "batch_size": "full"}}
    whole = trainer.run(config, tmp_path / "whole", data, should_stop=lambda: asked.append(1))
    run = trainer.run(config, tmp_path / "run", data, should_stop=stop_after(len(asked) // 2))
    assert run.status == "interrupted"
    done = trainer.resume(run.folder, data=data, should_stop=lambda: None)
    assert done.status == "finished"
    for name in SAME:
        assert (done.folder / name).read_bytes() == (whole.folder / name).read_bytes(), name
