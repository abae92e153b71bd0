"""Metrics that some validation rows leave undefined: what is ranked, stopped, halved and told."""

import io
import math
import re

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

import trainer
import trainer.errors
import trainer.runs.reader
from trainer import cli
from trainer.console.terminal import Terminal

L2 = [100.0, 1.0, 0.1, 0.01]


def labelled(pure, groups=6, rows=10, seed=0):
    """X (N, 2), y (N,) and group (N,): of the groups `pure` {group: label} each row has one."""
    draw = np.random.default_rng(seed)
    X = draw.standard_normal((groups * rows, 2))
    y = (X[:, 0] + draw.standard_normal(len(X)) > 0).astype(int)
    group = np.repeat(np.arange(groups), rows)
    y[::rows], y[1::rows] = 0, 1  # the others have both
    for one, label in pure.items():
        y[group == one] = label
    return {"train": (X, y), "group": group}


def numbers(constant, groups=6, rows=8, seed=0, counts=False):
    """X, y and group: in the groups `constant` the target has one value."""
    draw = np.random.default_rng(seed)
    X = draw.standard_normal((groups * rows, 2))
    y = X[:, 0] + 0.3 * draw.standard_normal(len(X))
    y = draw.poisson(np.exp(y)).astype(float) if counts else y
    group = np.repeat(np.arange(groups), rows)
    for one in constant:
        y[group == one] = 2.0
    return {"train": (X, y), "group": group}


def spec(model="logistic", metric="val_auc", folds=6, **more):
    sweep = {"metric": {"name": metric}, "parameters": {"penalty.l2": L2}}
    plain = {"model": model, "optimizer": {"name": "auto"}, "sweep": sweep, "data": {}}
    return plain | {"repeat": {"folds": folds}} | more


def run(tmp_path, arrays, **keys):
    """The run and what its terminal said."""
    stream = io.StringIO()
    done = trainer.run(spec(**keys), tmp_path / "out", arrays, terminal=Terminal(stream=stream))
    return done, stream.getvalue()


def by_hand(done, name):
    """{trial: (mean, std, count)} of a metric over its repeats that are numbers."""
    values = {}
    for row in trainer.runs.reader.RunReader(done.folder).repeats():
        values.setdefault(row["trial"], []).append(row[name])
    known = {t: [v for v in of if math.isfinite(v)] for t, of in values.items()}
    return {t: (np.mean(of), np.std(of, ddof=1), len(of)) for t, of in known.items()}


CASES = [
    ("logistic", "val_auc", labelled({3: 1}), 5),
    ("logistic", "val_auc", labelled({0: 0, 3: 1}), 4),
    ("logistic", "val_average_precision", labelled({3: 0}), 5),
    ("logistic", "val_f1", labelled({1: 0, 2: 0}), 4),
    ("linear", "val_r2", numbers([2]), 5),
    ("linear", "val_r2", numbers([0, 1, 2]), 3),
    ("poisson", "val_d2", numbers([4], counts=True), 5),
]


@pytest.mark.parametrize(("model", "metric", "data", "count"), CASES)
def test_means_are_over_the_folds_that_have_the_metric(model, metric, data, count, tmp_path):
    done, said = run(tmp_path, data, model=model, metric=metric)
    right = by_hand(done, metric)
    assert {of[2] for of in right.values()} == {count}
    order = sorted(right, key=lambda t: -right[t][0])
    assert [row["trial"] for row in done.trials] == order
    assert [row["rank"] for row in done.trials] == [1, 2, 3, 4]
    for row in done.trials:
        mean, std, _ = right[row["trial"]]
        assert row[metric] == pytest.approx(mean, rel=1e-12)
        assert row[f"{metric}_std"] == pytest.approx(std, rel=1e-12)
        assert row[f"{metric}_count"] == count
    best = done.results["best"]
    assert (best["trial"], best["defined"][metric]) == (order[0], count)
    assert best["metrics"][metric] == pytest.approx(right[order[0]][0])
    told = f"defined in {count} of 6 folds"
    assert re.search(rf"{metric}[^;]* {told}", " ".join(said.split()))
    assert told in (done.folder / "report.html").read_text()
    assert f"({count} of 6)" in said


def test_the_table_of_metrics_is_whole():
    assert len(CASES) == 7


def test_the_lead_and_the_error_are_of_the_folds_that_have_the_metric(tmp_path):
    done, said = run(tmp_path, labelled({3: 1}), select={"rule": "one_std_err"})
    rows = trainer.runs.reader.RunReader(done.folder).repeats()
    auc = {t: [r["val_auc"] for r in rows if r["trial"] == t] for t in range(4)}
    auc = {t: np.array(of)[np.isfinite(of)] for t, of in auc.items()}
    first = max(auc, key=lambda t: (auc[t].mean(), -t))
    error = auc[first].std(ddof=1) / math.sqrt(5)
    near = [t for t in auc if auc[t].mean() >= auc[first].mean() - error]
    best, other = done.results["best"], done.results["runner_up"]
    assert best["trial"] == max(near, key=lambda t: L2[t])
    difference = auc[best["trial"]] - auc[other["trial"]]
    assert other["margin"] == pytest.approx(difference.mean())
    if difference.std() > 0:
        assert other["held_ratio"] == pytest.approx(1 / 5, rel=0.01)  # six folds
        error = difference.std(ddof=1) * math.sqrt(1 / 5 + other["held_ratio"])
        assert other["standard_errors"] == pytest.approx(difference.mean() / error)
    assert "over 5 repeats" in said or "over 5 of 6 repeats" in said


NOWHERE = [
    ("logistic", "val_auc", labelled({i: i % 2 for i in range(6)}), "both classes"),
    ("logistic", "val_average_precision", labelled({i: i % 2 for i in range(6)}), "both classes"),
    ("linear", "val_r2", numbers(range(6)), "more than one value"),
    ("poisson", "val_d2", numbers(range(6), counts=True), "more than one value"),
]


@pytest.mark.parametrize(("model", "metric", "data", "needs"), NOWHERE)
def test_a_metric_that_no_fold_has_is_refused_before_training(model, metric, data, needs, tmp_path):
    data["train"][1][data["group"] == 0] = 0 if model == "logistic" else 3.0
    with pytest.raises(trainer.errors.DataError, match=rf"^sweep\.metric\.name: {metric}") as fault:
        run(tmp_path, data, model=model, metric=metric)
    assert needs in str(fault.value)
    assert "val_loss" in str(fault.value)
    assert not (tmp_path / "out").exists()


def test_the_tables_of_faults_are_whole():
    assert len(NOWHERE) == 4


def write_csv(path, data):
    (X, y), group = data["train"], data["group"]
    lines = [f"{a:.4f},{b:.4f},{g},{t}" for (a, b), t, g in zip(X, y, group, strict=True)]
    path.write_text("\n".join(["a,b,g,y", *lines]) + "\n")


def test_on_the_command_line_that_is_code_2_and_one_line(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_csv(tmp_path / "t.csv", labelled({}))
    write_csv(tmp_path / "v.csv", labelled(dict.fromkeys(range(6), 0)))
    (tmp_path / "c.yaml").write_text(
        "model: logistic\n"
        "data: {train: {table: t.csv, target: y, drop: [g]}, val: {table: v.csv}}\n"
        "early_stopping: {metric: val_auc}\n"
    )
    assert cli.main(["run", "c.yaml", "--out", "out"]) == 2
    fault = capsys.readouterr().err.splitlines()[-1]
    assert fault.startswith("early_stopping.metric: val_auc is not defined on the validation rows")
    assert not (tmp_path / "out").exists()
    # without it the run is a good one, and says what it has no number for
    assert cli.main(["run", "c.yaml", "--out", "out", "early_stopping=none"]) == 0
    said = capsys.readouterr().err
    assert "val_auc not defined" in said
    assert "rows of both classes" in said
    assert "nan" not in said


# --- values that are no numbers though the rows define the metric ---------------------------------


def far(model, trained=20, seed=0):
    """Rows for training, and validation rows of which one is at the end of what float32 holds."""
    draw = np.random.default_rng(seed)
    X = draw.standard_normal((trained, 2))
    y = 20 * X[:, 0] + draw.standard_normal(trained)
    y = (y > 0).astype(int) if model == "logistic" else y
    held = X.copy()
    held[0] = [3e38, 3e38]  # times a weight of 2 the score is infinite
    return {"train": (X.astype("f4"), y), "val": (held.astype("f4"), y)}


OVERFLOWS = [
    ("linear", "val_loss", L2),
    ("linear", "val_loss", None),
    ("linear", "val_r2", L2),
    ("linear", "val_rmse", L2),
]


@pytest.mark.parametrize(("model", "metric", "values"), OVERFLOWS)
def test_a_run_without_a_finite_number_has_no_model_and_says_so(model, metric, values, tmp_path):
    sweep = {"metric": {"name": metric}, "parameters": {"penalty.l2": L2[1:]}}
    keys = {"optimizer": {"epochs": 20, "lr": 0.1}, "data": {"scale": "none"}, "repeat": "none"}
    keys |= {"sweep": sweep if values else "none"}
    done, said = run(tmp_path, far(model), model=model, **keys)
    assert (done.status, done.best) == ("unranked", None)
    assert [row["rank"] for row in done.trials] == [None] * (3 if values else 1)
    assert {row["status"] for row in done.trials} == {"finished"}
    assert f"there is no model: {metric} is no finite number" in said
    assert not (done.folder / "model.json").exists()
    assert f"{metric} is no finite number" in (done.folder / "report.html").read_text()


def test_the_table_of_overflows_is_whole():
    assert len(OVERFLOWS) == 4


def test_on_the_command_line_that_is_code_3(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for split, (X, y) in far("linear").items():
        np.save(f"X{split}.npy", X)
        np.save(f"y{split}.npy", y)
    (tmp_path / "c.yaml").write_text(
        "model: linear\noptimizer: {epochs: 5}\ndata: {scale: none,"
        " train: {npy: Xtrain.npy, target: ytrain.npy}, val: {npy: Xval.npy, target: yval.npy}}\n"
    )
    assert cli.main(["run", "c.yaml", "--out", "out"]) == 3
    heard = capsys.readouterr()
    assert heard.out.strip() == str(tmp_path / "out")
    assert "Warning" not in heard.err


# --- few shots, winners by a key, outputs -------------------------------------------------------


def test_draws_on_one_class_are_ranked_by_what_it_defines(tmp_path):
    data = labelled({})
    del data["group"]
    X, y = data["train"]
    data["val"] = X[y == 1], y[y == 1]
    few = {"repeat": {"few_shot": {"k": [1, 4], "tries": 3}}, "data": {}}
    few["optimizer"] = {"name": "auto"}
    with pytest.raises(trainer.errors.DataError, match="validation rows of any draw: it needs"):
        run(tmp_path, data, metric="val_auc", **few)
    done, said = run(tmp_path, data, metric="val_f1", **few)
    assert [row["rank"] for row in done.trials] == [1, 2, 3, 4] * 2  # of each k
    assert all(math.isnan(row["val_auc"]) for row in done.trials)
    assert {row["val_auc_count"] for row in done.trials} == {0}
    assert "not defined on the validation rows of any draw: they need rows of both classes" in said


def test_a_key_whose_every_trial_lacks_the_metric_has_no_winner(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_csv(tmp_path / "both.csv", labelled({}))
    write_csv(tmp_path / "one.csv", labelled(dict.fromkeys(range(6), 1)))
    source = {"table": "both.csv", "target": "y", "drop": ["g"]}
    parameters = {"vars.held": ["one", "both"], "penalty.l2": L2}
    keys = {
        "vars": {"held": "both"},
        "data": {"train": source, "val": {"table": "${held}.csv"}},
        "sweep": {"metric": {"name": "val_auc"}, "parameters": parameters},
        "select": {"per": ["vars.held"]},
        "repeat": "none",
    }
    stream = io.StringIO()
    done = trainer.run(spec(**keys), tmp_path / "out", terminal=Terminal(stream=stream))
    assert [row["rank"] for row in done.trials] == [1, 2, 3, 4, None, None, None, None]
    assert {row["vars.held"] for row in done.trials[4:]} == {"one"}
    assert [group["per"] for group in done.results["groups"]] == [{"vars.held": "both"}]
    assert done.results["without_winner"] == [{"vars.held": "one"}]
    assert "held one: no trial has a rank" in stream.getvalue()
    assert "not defined" in stream.getvalue()


def test_macro_means_tell_over_how_many_outputs_they_are(tmp_path):
    draw = np.random.default_rng(0)
    X = draw.standard_normal((60, 3))
    y = (X + draw.standard_normal((60, 3)) > 0).astype(float)
    held = y.copy()
    held[:, 2] = 0
    data = {"train": (X, y), "val": (X, held), "test": (X, y)}
    done, said = run(tmp_path, data, repeat="none", sweep="none")
    p = trainer.load_model(done.folder).predict_proba(X)
    right = np.mean([roc_auc_score(held[:, i], p[:, i]) for i in range(2)])
    assert done.best["metrics"]["val_auc"] == pytest.approx(right)
    assert done.best["parts"] == {"val_auc": [2, 3], "val_map": [2, 3]}
    assert "val_auc and val_map are means over 2 of 3 outputs, those with rows of both" in said
    assert "means over 2 of 3 outputs" in (done.folder / "report.html").read_text()


def test_a_diverged_repeat_costs_the_rank_beside_an_undefined_one(tmp_path):
    """The two are told apart: left out of the mean, a divergence would be a reward."""
    sweep = {"metric": {"name": "val_r2"}, "parameters": {"optimizer.lr": [0.01, 0.1, 1e30]}}
    keys = {"optimizer": {"epochs": 9, "batch_size": 16}, "sweep": sweep}
    keys["early_stopping"] = {"metric": "val_r2", "patience": 2}
    done, _ = run(tmp_path, numbers([2]), model="linear", **keys)
    ranks = {row["optimizer.lr"]: (row["rank"], row["val_r2_count"]) for row in done.trials}
    assert ranks[1e30] == (None, None)
    assert sorted(ranks[lr] for lr in (0.01, 0.1)) == [(1, 5), (2, 5)]


def test_halving_and_early_stopping_go_by_the_folds_that_have_the_metric(tmp_path):
    lrs = [0.001, 0.01, 0.1, 1.0, 10.0, 100.0]
    sweep = {"metric": {"name": "val_auc"}, "parameters": {"optimizer.lr": lrs}}
    sweep["early_terminate"] = {"min_iter": 1, "eta": 2}
    optimizer = {"epochs": 4, "batch_size": 16}
    done, _ = run(tmp_path, labelled({3: 1}), optimizer=optimizer, sweep=sweep)
    history = done.history()
    table = {}
    for trial, step, auc in zip(
        *(history[name].to_pylist() for name in ("trial", "epoch", "val_auc")), strict=True
    ):
        if step == 1 and math.isfinite(auc):
            table.setdefault(trial, []).append(auc)
    right = sorted(table, key=lambda t: (-np.mean(table[t]), t))[3:]
    assert done.results["halving"][0]["dropped"] == right
    assert {len(of) for of in table.values()} == {5}


def test_a_page_drawn_before_the_end_leaves_out_the_fold_without_the_metric(tmp_path):
    from trainer.report.unfinished import last_values

    done, _ = run(tmp_path, labelled({3: 1}))
    right = by_hand(done, "val_auc")
    found = last_values(done.history(), "val_auc")
    assert found == pytest.approx({t: of[0] for t, of in right.items()})
