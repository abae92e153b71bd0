"""Test rows by every repeat of a winner, and rows by the fold that held them out.

scikit-learn says what is right, in loops: a repeat a model, each scaled by its own rows.
"""

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.model_selection import cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import trainer
from trainer.config import load_spec
from trainer.data import read
from trainer.data.splits.holdout import hold_out
from trainer.data.splits.repeats import row_splits
from trainer.runs.reader import RunReader
from trainer.sweep.winner_tests import means_and_stds

DIGITS = {
    "model": "softmax",
    "data": {"train": "digits", "val": "none", "test": 0.3},
    "device": "cpu",
    "precision": "float64",
    "optimizer": {"name": "lbfgs", "tol": 1e-7},
    "penalty": {"C": 0.1},
}
CANCER = DIGITS | {"model": "logistic", "data": {"train": "breast_cancer", "val": "none"}}
GRID = {"parameters": {"penalty.C": [0.001, 0.1, 10]}}


def peer(C):
    """The same model of scikit-learn's."""
    return make_pipeline(StandardScaler(), LogisticRegression(C=C, tol=1e-9, max_iter=5000))


def splits_of(spec):
    """The rows of each repeat, and those of test."""
    spec = load_spec(spec)
    source = read(spec, None)
    return row_splits(source, spec), hold_out(source, spec).test


def column(table, name):
    return np.array(table[name].to_pylist())


def test_few_shot_is_the_mean_of_every_draws_own_model(tmp_path):
    few_shot = {"k": [1, 4], "tries": 10}
    run = trainer.run(DIGITS | {"repeat": {"few_shot": few_shot}}, out=tmp_path / "r")
    X, y = load_digits(return_X_y=True)
    assert len(run.results["groups"]) == 2
    for group in run.results["groups"]:
        one = {"few_shot": few_shot | {"k": group["per"]["repeat.few_shot.k"]}}
        draws, test = splits_of(DIGITS | {"repeat": one})
        fits = [peer(0.1).fit(X[draw.train], y[draw.train]) for draw in draws]
        accuracy = [fit.score(X[test], y[test]) for fit in fits]
        loss = [log_loss(y[test], fit.predict_proba(X[test])) for fit in fits]
        for name, of in {"test_accuracy": accuracy, "test_loss": loss}.items():
            assert len(of) == 10
            assert group["metrics"][name] == pytest.approx(np.mean(of), rel=1e-5)
            assert group["std"][name] == pytest.approx(np.std(of, ddof=1), rel=1e-4)
    rows = {row["repeat.few_shot.k"]: row for row in run.trials}
    assert rows.keys() == {1, 4}  # each has a winner, and so a score
    for group in run.results["groups"]:
        row = rows[group["per"]["repeat.few_shot.k"]]
        assert row["test_accuracy"] == group["metrics"]["test_accuracy"]
        assert row["test_accuracy_std"] == group["std"]["test_accuracy"]
        assert "test_accuracy_refit" not in row


def test_folds_predict_what_they_held_out_and_a_refit_has_a_score_of_its_own(tmp_path):
    spec = CANCER | {"data": {"train": "breast_cancer", "val": "none", "test": 0.25}}
    spec |= {"repeat": {"folds": 3, "times": 2}, "sweep": GRID}
    run = trainer.run(spec, out=tmp_path / "r")
    data = load_breast_cancer()
    X, y = data.data, data.target_names[data.target]
    folds, test = splits_of(spec)
    C, pooled = run.best["settings"]["penalty.C"], np.sort(np.concatenate([f.val for f in folds]))
    table = run.predictions()
    assert table.column_names[:4] == ["split", "row", "repeat", "time"]
    split, repeat, time = (column(table, name) for name in ("split", "repeat", "time"))
    held = split == "val"
    assert np.array_equal(np.sort(column(table, "row")[held]), pooled)
    assert len(pooled) == 2 * len(np.unique(pooled))
    assert (np.diff(repeat[held].astype(int)) >= 0).all()
    assert np.array_equal(time[held], repeat[held] // 3)
    assert set(repeat[~held]) == {None}  # the refit is of no repeat
    own = column(table, "p_malignant")
    fits = [peer(C).fit(X[fold.train], y[fold.train]) for fold in folds]
    for r, (fold, fit) in enumerate(zip(folds, fits, strict=True)):
        mine = held & (repeat == r)
        assert np.array_equal(column(table, "row")[mine], fold.val)
        assert np.allclose(own[mine], fit.predict_proba(X[fold.val])[:, 1], atol=1e-5)
    every = np.unique(pooled)
    cv = [np.searchsorted(every, rows) for fold in folds[:3] for rows in (fold.train, fold.val)]
    cv = list(zip(cv[::2], cv[1::2], strict=True))
    theirs = cross_val_predict(peer(C), X[every], y[every], cv=cv, method="predict_proba")[:, 1]
    by_row = np.argsort(column(table, "row")[held & (time == 0)])
    assert np.allclose(own[held & (time == 0)][by_row], theirs, atol=1e-5)
    tested = [fit.score(X[test], y[test]) for fit in fits]
    best = run.best
    assert best["metrics"]["test_accuracy"] == pytest.approx(np.mean(tested), rel=1e-9)
    assert best["std"]["test_accuracy"] == pytest.approx(np.std(tested, ddof=1), rel=1e-9)
    whole = peer(C).fit(X[every], y[every])
    refit = whole.score(X[test], y[test])
    assert best["refit"]["metrics"]["test_accuracy"] == pytest.approx(refit, rel=1e-9)
    assert np.allclose(own[~held], whole.predict_proba(X[test])[:, 1], atol=1e-5)
    row = next(row for row in run.trials if row["trial"] == best["trial"])
    assert row["test_accuracy_refit"] == pytest.approx(refit, rel=1e-9)
    others = [r for r in run.trials if r["trial"] != best["trial"]]
    assert all(r["test_accuracy"] is None for r in others)  # scored once, by the chosen


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"repeat": {"folds": 3, "seeds": 2}, "early_stopping": {"patience": 2}},
        {"early_stopping": {"patience": 1, "metric": "val_auc", "restore_best": False}},
    ],
    ids=str,
)
def test_predictions_are_of_the_evaluation_that_counts(change, tmp_path):
    adam = {"name": "adam", "lr": 0.3, "epochs": 6}
    run = trainer.run(CANCER | {"repeat": {"folds": 3}, "optimizer": adam} | change, tmp_path / "r")
    table, rows = run.predictions(), RunReader(run.folder).repeats()
    split, repeat = column(table, "split"), column(table, "repeat")
    right = column(table, "target") == column(table, "prediction")
    assert len(rows) == len(set(repeat)) == run.results["repeats"]
    assert set(split) == {"val"}
    for row in rows:
        assert row["val_accuracy"] == pytest.approx(right[repeat == row["repeat"]].mean())
    assert set(column(table, "time")) == {0}
    if change.get("early_stopping", {}).get("patience") == 2:
        assert any(row["best_epoch"] < row["epochs"] for row in rows)


def test_each_repeat_chooses_for_itself_and_its_own_choice_is_scored(tmp_path):
    k = {"k": [1, 2], "tries": 4}
    data = {"train": "digits", "val": 0.2, "test": 0.3}
    spec = DIGITS | {"data": data, "repeat": {"few_shot": k}, "sweep": GRID}
    spec |= {"select": {"per": ["repeat"]}}
    run = trainer.run(spec, out=tmp_path / "r")
    X, y = load_digits(return_X_y=True)
    reader = RunReader(run.folder)
    tried, groups = reader.repeats(), reader.groups()
    assert [(g["repeat.few_shot.k"], g["repeat"]) for g in groups] == [
        (k, r) for k in (1, 2) for r in range(4)
    ]
    for group in groups:
        here = ("repeat.few_shot.k", "repeat")
        rivals = [row for row in tried if all(row[name] == group[name] for name in here)]
        assert len(rivals) == 3
        assert group["val_loss"] == min(row["val_loss"] for row in rivals)
    chosen = {(g["repeat.few_shot.k"], g["trial"]) for g in groups}
    assert len(chosen) > 2  # not all agree, or else nothing is shown here
    for own in run.results["per_repeat"]:
        mine = [g for g in groups if g["repeat.few_shot.k"] == own["per"]["repeat.few_shot.k"]]
        one = spec | {"repeat": {"few_shot": k | {"k": mine[0]["repeat.few_shot.k"]}}, "sweep": {}}
        draws, test = splits_of({**one, "select": {}, "sweep": "none"})
        tested = [
            peer(group["penalty.C"]).fit(X[draw.train], y[draw.train]).score(X[test], y[test])
            for group, draw in zip(mine, draws, strict=True)
        ]
        assert [g["test_accuracy"] for g in mine] == pytest.approx(tested, rel=1e-9)
        assert own["trials"] == [g["trial"] for g in mine]
        assert own["metrics"]["test_accuracy"] == pytest.approx(np.mean(tested))
        assert own["std"]["test_accuracy"] == pytest.approx(np.std(tested, ddof=1))
        assert own["metrics"]["val_loss"] == pytest.approx(np.mean([g["val_loss"] for g in mine]))
    page = (run.folder / "report.html").read_text()
    assert "validation (selected)" in page
    assert "mean of the own winners of 4 repeats" in page
    assert "settings that each repeat chose for itself" in page


def test_what_is_undefined_in_a_repeat_has_no_mean_and_what_is_infinite_no_deviation():
    of = [{"test_loss": 1.0, "test_auc": 0.5}, {"test_loss": np.inf, "test_auc": np.nan}]
    means, stds = means_and_stds(of)
    assert means["test_loss"] == np.inf
    assert np.isnan(means["test_auc"])
    assert stds == {}
    assert means_and_stds(of[:1]) == (of[0], {})
    equal = [{"test_accuracy": 0.98}] * 5
    assert np.array([0.98] * 5).std(ddof=1) > 0  # as the mean is a bit beside it
    assert means_and_stds(equal)[1] == {"test_accuracy": 0.0}


def test_a_page_says_where_it_pools(tmp_path):
    spec = CANCER | {"repeat": {"folds": 3, "times": 2}}
    run = trainer.run(spec, out=tmp_path / "r")
    page = (run.folder / "report.html").read_text()
    assert "3 folds pooled, the first of 2 drawings" in page
    assert "569 rows" in page  # each once
    assert "1,138 rows" not in page
    own = {"data": {"train": "breast_cancer", "val": "none", "test": 0.3}, "sweep": GRID}
    run = trainer.run(spec | own | {"select": {"per": ["penalty.C"]}}, out=tmp_path / "per")
    groups, page = RunReader(run.folder).groups(), (run.folder / "report.html").read_text()
    assert len({group["test_accuracy_refit"] for group in groups}) > 1
    for group, found in zip(run.results["groups"], groups, strict=True):
        assert found["test_accuracy_std"] == group["std"]["test_accuracy"]
        assert found["test_accuracy_refit"] == group["refit"]["metrics"]["test_accuracy"]
    assert ">test accuracy, refit<" in page
    assert ">test, refit<" in page
    run = trainer.run(CANCER | {"data": {"train": "breast_cancer"}}, out=tmp_path / "plain")
    assert "pooled" not in (run.folder / "report.html").read_text()
    assert run.predictions().column_names[2] == "target"
