"""Intervals of a run: those of a slow loop over its predictions, and what is said of them."""

import io
import json

import numpy as np
import pytest
from sklearn import metrics as sk
from stacks import DEVICE

import trainer
from trainer.console.terminal import Terminal
from trainer.errors import SpecError
from trainer.statistics import operations
from trainer.statistics.draws import row_draws
from trainer.wording.intervals import interval_texts, margin_text
from trainer.workflow import uncertainty

N = 300
L2 = "penalty.l2"


def rows(classes=2, seed=0):
    draw = np.random.default_rng(seed)
    X = draw.standard_normal((N, 4))
    z = X @ draw.standard_normal((4, classes)) + draw.gumbel(size=(N, classes))
    return X, z.argmax(axis=1)


def run(out, more=None, arrays=None, told=None, **keys):
    """A run on the arrays X and y of a file, and perhaps on its groups."""
    X, y = rows()
    arrays = {"X": X, "y": y} | (arrays or {})
    path = out.with_suffix(".npz")
    np.savez(path, **arrays)
    source = {"npz": str(path), "features": "X", "target": "y"}
    source |= {"group": "group"} if "group" in arrays else {}
    spec = {
        "model": "logistic",
        "data": {"train": source, "val": 0.3, "test": 0.3} | (more or {}),
        "optimizer": {"name": "newton"},
        "device": DEVICE.kind,
        **keys,
    }
    terminal = Terminal(stream=told) if told is not None else None
    return trainer.run(spec, out=out, terminal=terminal)


def of_split(found, split):
    table = found.predictions().to_pylist()
    some = [row for row in table if row["split"] == split]
    return np.array([[row["row"], row["target"], row["prediction"], row["p_1"]] for row in some]).T


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    told = io.StringIO()
    return run(tmp_path_factory.mktemp("u") / "r", told=told), told.getvalue()


def test_a_run_has_the_intervals_of_a_slow_loop(plain):
    found = plain[0]
    intervals = found.best["intervals"]
    assert {*intervals} == {name for name in found.best["metrics"] if name != "train_loss"}
    for split in ("val", "test"):
        _, y, predicted, p = of_split(found, split)
        drawn = row_draws(0, len(y), 0, 1000).astype(int)
        accuracy = [np.repeat(predicted == y, counts).mean() for counts in drawn]
        loss = -np.log(np.where(y == 1, p, 1 - p))
        for name, values in (("accuracy", accuracy), ("loss", drawn @ loss / len(y))):
            ends = np.quantile(values, [0.025, 0.975])
            np.testing.assert_allclose(intervals[f"{split}_{name}"], ends, rtol=1e-6)
        auc = [
            sk.roc_auc_score(np.repeat(y, counts), np.repeat(p, counts)) for counts in drawn[:30]
        ]
        low, high = intervals[f"{split}_auc"]
        assert sum(low <= value <= high for value in auc) >= 24


def test_how_they_were_made_is_in_results_and_said(plain):
    found, told = plain
    facts = found.results["intervals"]
    assert facts == {
        "resamples": 1000,
        "level": 0.95,
        "fewest": 100,
        "cut": False,
        "by": {"val": "row", "test": "row"},
        "undefined": {},
        "selected": [],
    }
    low, high = found.best["intervals"]["test_accuracy"]
    assert f"[{low:.3g}, {high:.3g}]" in told
    flat = " ".join(told.split())
    assert "[ ] has the middle 95 % of 1,000 draws of the rows, the model as it is" in flat
    assert "optimistic" not in flat
    assert f"[{100 * low:.1f} %, " in (found.folder / "report.html").read_text("utf-8")


def test_none_makes_none(tmp_path):
    found = run(tmp_path / "r", intervals="none")
    assert "intervals" not in found.results
    assert "intervals" not in found.best


def test_groups_are_drawn_whole(tmp_path):
    group = np.arange(N) // 6
    data = {"group": group}
    found = run(tmp_path / "r", arrays=data, intervals={"resamples": 200, "level": 0.8})
    assert found.results["intervals"]["by"] == {"val": "group", "test": "group"}
    row, y, predicted, _ = of_split(found, "test")
    _, own = np.unique(group[row.astype(int)], return_inverse=True)
    counts = row_draws(0, own.max() + 1, 0, 200)[:, own]
    accuracy = counts @ (predicted == y) / counts.sum(axis=1)
    ends = np.quantile(accuracy, [0.1, 0.9])
    np.testing.assert_allclose(found.best["intervals"]["test_accuracy"], ends, rtol=1e-12)
    by_row = run(tmp_path / "s", arrays=data, intervals={"resamples": 200, "by": "row"})
    assert by_row.results["intervals"]["by"] == {"val": "row", "test": "row"}


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    parameters = {"parameters": {L2: [1e-3, 1.0]}}
    out = tmp_path_factory.mktemp("u") / "s"
    return run(out, sweep=parameters, log={"weights": "all"}, seed=4)


def test_the_lead_is_paired(swept):
    """By the predictions of both trials, each as a run of its own."""
    best, other = swept.best["trial"], swept.results["runner_up"]["trial"]
    losses = []
    for trial in (best, other):
        l2 = [1e-3, 1.0][trial]
        alone = run(swept.folder.parent / f"alone{trial}", penalty={"l2": l2}, seed=4)
        _, y, _, p = of_split(alone, "val")
        losses.append(-np.log(np.where(y == 1, p, 1 - p)))
    drawn = row_draws(4, len(y), 0, 1000)
    ends = np.quantile(drawn @ (losses[1] - losses[0]) / len(y), [0.025, 0.975])
    record = swept.results["runner_up"]
    np.testing.assert_allclose(record["margin_interval"], ends, rtol=1e-3, atol=1e-7)
    assert record["margin"] == pytest.approx((losses[1] - losses[0]).mean(), rel=1e-3)
    text = margin_text(swept.results, lambda value: f"{value:.3f}")
    tie = ends[0] <= 0 <= ends[1]
    assert text.endswith(": a tie by these") == tie
    assert f"[{ends[0]:.3f}, {ends[1]:.3f}]" in text


def test_val_that_chose_is_optimistic_and_test_is_not(swept):
    assert swept.results["intervals"]["selected"] == ["val"]
    assert any(
        "of val it is selected, optimistic" in told for told in interval_texts(swept.results)
    )


def test_an_unwritten_number_is_cut_by_a_count_and_a_written_one_never(tmp_path, monkeypatch):
    monkeypatch.setattr(operations, "_START", 6e7)
    cut = run(tmp_path / "cut").results["intervals"]
    assert cut["cut"]
    assert 100 <= cut["resamples"] < 1000
    assert any("in place of 1,000" in told for told in interval_texts({"intervals": cut}))
    written = run(tmp_path / "written", intervals={"resamples": 1000}).results["intervals"]
    assert (written["resamples"], written["cut"]) == (1000, False)
    monkeypatch.setattr(operations, "_START", 0)
    none = run(tmp_path / "none")
    assert none.results["intervals"]["resamples"] == 0
    assert none.best["intervals"] == {}
    told = interval_texts(none.results)
    assert told == [
        "left out: 100 draws of the rows would take more than 5 % of the run; written,"
        " intervals.resamples: 100 is never cut"
    ]


def test_a_config_that_is_run_again_has_the_same_number(tmp_path):
    first = run(tmp_path / "r", intervals={"level": 0.9})
    config = (first.folder / "config.yaml").read_text("utf-8")
    assert "resamples" not in config
    assert "level: 0.9" in config


def test_few_draws_are_told(tmp_path):
    found = run(tmp_path / "r", intervals={"resamples": 20, "level": 0.99})
    told = interval_texts(found.results)
    assert told[-1] == "20 draws are few for 99 %; 500 or more are right"


def test_draws_without_a_class_are_left_out_and_counted(tmp_path):
    y = np.zeros(N, int)
    y[:160:40] = 1  # few of them, and one or two in a split
    found = run(tmp_path / "r", arrays={"y": y}, more={"stratify": True})
    lacking = found.results["intervals"]["undefined"]
    assert 0 < lacking["test_auc"] < 1000
    assert "test_accuracy" not in lacking
    last = interval_texts(found.results)[-1]
    assert last.startswith("not defined, and left out: ")
    assert f"test_auc in {lacking['test_auc']:,}" in last


def test_a_stop_leaves_a_written_number_to_who_goes_on(tmp_path, monkeypatch):
    real, stopped = uncertainty.resample, []

    def stops(parts, resamples, seed, *, should_stop):
        stopped.append(True)
        return real(parts, resamples, seed, should_stop=should_stop)

    monkeypatch.setattr(uncertainty, "resample", stops)
    spec = {
        "model": "logistic",
        "data": {"train": "breast_cancer"},
        "optimizer": {"name": "newton"},
        "intervals": {"resamples": 10_000},
        "device": DEVICE.kind,
    }
    found = trainer.run(spec, out=tmp_path / "r", should_stop=lambda: 15 if stopped else None)
    assert found.status == "interrupted"
    assert json.loads((found.folder / "results.json").read_text())["best"]
    assert "intervals" not in found.results


def test_groups_that_are_not_there_are_refused():
    spec = {"model": "logistic", "data": {"train": "breast_cancer"}, "intervals": {"by": "group"}}
    with pytest.raises(SpecError, match=r"data\.train has no groups; name their column with group"):
        trainer.load_spec(spec)


def test_few_groups_have_no_interval_and_it_is_said(tmp_path):
    told = io.StringIO()
    group = np.arange(N) // 30  # ten, of which val and test have three each
    found = run(tmp_path / "r", arrays={"group": group}, told=told)
    assert found.results["intervals"]["few"] == {"val": 3, "test": 3}
    assert not found.best["intervals"]
    assert "none of val: 3 groups to draw from; more groups are right, or" in told.getvalue()
    assert "draws" not in told.getvalue()
    by_row = run(tmp_path / "q", arrays={"group": group}, intervals={"by": "row"})
    assert "few" not in by_row.results["intervals"]
    assert {*by_row.best["intervals"]} > {"val_loss", "test_loss"}


def test_with_folds_the_intervals_of_test_rows_are_those_of_the_refit(tmp_path):
    told = io.StringIO()
    data = {"val": "none"}
    found = run(tmp_path / "r", data, told=told, repeat={"folds": 3}, intervals={"resamples": 200})
    assert not found.best["intervals"]  # of a mean over folds there is none
    low, high = found.best["refit"]["intervals"]["test_accuracy"]
    assert low <= found.best["refit"]["metrics"]["test_accuracy"] <= high
    line = next(one for one in told.getvalue().splitlines() if one.startswith("test, refit"))
    assert f"test_accuracy {found.best['refit']['metrics']['test_accuracy']:.4g} [" in line
    page = (found.folder / "report.html").read_text(encoding="utf-8")
    assert f"{100 * low:.1f} %, {100 * high:.1f} %]" in page


def test_what_draws_say_nothing_of_has_no_interval_and_it_is_said(tmp_path):
    spec = {
        "model": "logistic",
        "data": {"train": "breast_cancer"},
        "optimizer": {"name": "newton"},
        "metrics": ["ece", "brier"],
        "device": DEVICE.kind,
    }
    found = trainer.run(spec, out=tmp_path / "r")
    assert "val_ece" in found.best["metrics"]
    assert "val_brier" in found.best["intervals"]
    assert "val_ece" not in found.best["intervals"]
    assert found.results["intervals"]["without"] == ["ece"]
    assert "none of ece: chance makes it larger, in draws twice over" in interval_texts(
        found.results
    )


def test_a_source_of_its_own_is_drawn_by_rows_and_it_is_said(tmp_path):
    X, y = rows(seed=1)
    path = tmp_path / "other.npz"
    np.savez(path, X=X, y=y, group=np.arange(N) // 6)
    test = {"npz": str(path), "features": "X", "target": "y", "group": "group"}
    arrays = {"group": np.arange(N) // 6}
    found = run(tmp_path / "r", {"test": test}, arrays, intervals={"resamples": 100})
    facts = found.results["intervals"]
    assert facts["by"] == {"val": "group", "test": "row"}
    assert facts["ungrouped"] == ["test"]
    said = "groups are read of data.train alone: rows of test are drawn by themselves"
    assert any(told.startswith(said) for told in interval_texts(found.results))
    by_row = {"resamples": 100, "by": "row"}
    assert (
        "ungrouped"
        not in run(tmp_path / "q", {"test": test}, arrays, intervals=by_row).results["intervals"]
    )
