"""Permutation tests of whole runs: against slow loops of single runs on permuted labels."""

import csv
import signal
from functools import partial
from types import SimpleNamespace
from unittest import mock

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import PredefinedSplit, permutation_test_score

import trainer
from trainer import device as devices
from trainer.data.permuted import permuted_order
from trainer.errors import DataError, SpecError
from trainer.streams import PERMUTATIONS, VAL_PERMUTATIONS
from trainer.sweep.results import trial_results
from trainer.sweep.select import choose
from trainer.sweep.sweep import set_up, train
from trainer.sweep.unheard import Unheard
from trainer.workflow import carry_out, permutations
from trainer.workflow.given_spec import as_spec
from trainer.workflow.plan import plan


@pytest.fixture(autouse=True)
def _no_page(request, monkeypatch):
    """Runs without the time that their pages take, but those that a test looks at."""
    if "tmp_path" in request.fixturenames:
        monkeypatch.setattr(carry_out, "draw_report", lambda place: b"")


N = 60
SEED = 3
COUNT = 20


def rows(seed=0, n=N):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 3))
    return X, (X[:, 0] + rng.normal(size=n) > 0).astype(int), rng.uniform(0.5, 2, n)


def config(**more):
    return {
        "model": "logistic",
        "seed": SEED,
        "data": {"train": "arrays"},
        "optimizer": {"name": "lbfgs"},
        "repeat": {"folds": 3},
        "sweep": {
            "parameters": {"penalty.l2": [1.0, 0.01]},
            "metric": {"name": "val_accuracy"},
        },
        "intervals": "none",
        "permutation_test": COUNT,
    } | more


def scores_of(run):
    with open(run.folder / "permutations.csv") as file:
        return [float(row["score"]) for row in csv.DictReader(file)]


def moved(y, number, group=None):
    codes = np.unique(y, return_inverse=True)[1]
    return y[permuted_order(codes, group, SEED, PERMUTATIONS + number)]


@pytest.fixture(scope="module")
def stratified(tmp_path_factory):
    X, y, w = rows()
    folder = tmp_path_factory.mktemp("stratified") / "r"
    return trainer.run(config(), folder, {"train": (X, y), "weight": w})


def choice(spec, data):
    """What a run on these rows chooses."""
    spec = as_spec(spec | {"permutation_test": "none"}, data)
    sweep = set_up(spec, data, devices.choose("cpu"))
    train(sweep, Unheard(lambda: False))
    return choose(trial_results(sweep), spec, sweep.rules.metric)


def accuracy(spec, data):
    return choice(spec, data).best.metrics["val_accuracy"]


def slow_scores(spec, X, y, w, numbers):
    """What runs on rows with permuted labels choose; weights stay with their rows."""
    return [accuracy(spec, {"train": (X, moved(y, n)), "weight": w}) for n in numbers]


def test_stratified_permutations_are_single_runs_on_permuted_labels(stratified):
    X, y, w = rows()
    found, slow = scores_of(stratified), slow_scores(config(), X, y, w, range(4))
    assert len(found) == COUNT
    assert found[:4] == pytest.approx(slow, abs=1e-12)
    test = stratified.results["permutation_test"]
    score = stratified.best["metrics"]["val_accuracy"]
    as_good = sum(one >= score - 1e-9 for one in found)
    assert test == {
        "metric": "val_accuracy", "count": COUNT, "fewest": 19, "score": score, "as_good": as_good,
        "p_value": (1 + as_good) / (1 + COUNT),
    }  # fmt: skip
    assert len(set(found)) > 3


def test_permutations_side_by_side_are_the_same_runs(tmp_path):
    X, y, w = rows()
    spec = config(data={"train": "arrays", "stratify": False, "positive": 0})
    spec |= {"permutation_test": 5, "class_weight": "balanced"}
    found = scores_of(trainer.run(spec, tmp_path / "r", {"train": (X, y), "weight": w}))
    assert found == pytest.approx(slow_scores(spec, X, y, w, range(5)), abs=1e-12)
    assert len(set(found)) > 2


def test_permutations_are_in_no_table_of_the_run(stratified, tmp_path):
    X, y, w = rows()
    without = trainer.run(
        config(permutation_test="none"), tmp_path / "r", {"train": (X, y), "weight": w}
    )
    for name in ("trials.csv", "history.csv", "repeats.csv", "model.safetensors", "steps.parquet"):
        ours = (stratified.folder / name).read_bytes()
        assert ours == (without.folder / name).read_bytes(), name
    assert not (without.folder / "permutations.csv").exists()
    assert "permutation_test" not in without.results


def test_the_page_and_the_terminal_have_the_p_value(stratified):
    p = stratified.results["permutation_test"]["p_value"]
    page = (stratified.folder / "report.html").read_text()
    assert "Permutation test" in page
    assert f"P = {p:.3g}" in page
    assert f"<dt>Permutations</dt><dd>p = {p:.3g}: " in page  # in the head
    assert f"p = {p:.3g}" in (stratified.folder / "run.log").read_text()


def test_p_is_that_of_scikit_learn_on_the_same_permutations(tmp_path):
    X, y, _ = rows()
    fold = np.arange(N) % 3
    spec = config(sweep="none", permutation_test=30)
    spec |= {"repeat": {"folds": {"column": "fold"}}, "penalty": {"C": 1.0}}
    spec |= {"sweep": {"parameters": {"penalty.C": [1.0]}, "metric": {"name": "val_accuracy"}}}
    spec["data"] = {"train": "arrays", "scale": "none", "stratify": False}
    found = trainer.run(spec, tmp_path / "r", {"train": (X, y), "fold": fold})
    order = [permuted_order(y, None, SEED, PERMUTATIONS + i) for i in range(30)]

    class Same:
        """A random state that permutes as the run did."""

        def __init__(self):
            self.left = list(order)

        def permutation(self, n):
            assert n == N
            return self.left.pop(0)

    score, null, p = permutation_test_with(X, y, PredefinedSplit(fold), Same())
    test = found.results["permutation_test"]
    assert test["score"] == pytest.approx(score, abs=1e-12)
    np.testing.assert_allclose(scores_of(found), null, atol=1e-12)
    assert test["p_value"] == p


def permutation_test_with(X, y, folds, state):
    model = LogisticRegression(C=1.0, tol=1e-10, max_iter=1000)
    with mock.patch("sklearn.model_selection._validation.check_random_state", return_value=state):
        return permutation_test_score(
            model, X, y, cv=folds, n_permutations=30, scoring="accuracy", n_jobs=1
        )


def test_labels_of_a_val_of_its_own_move_among_its_rows(tmp_path):
    X, y, _ = rows()
    V, v, _ = rows(7, 40)
    spec = config(permutation_test=3) | {"repeat": "none", "data": {"train": "arrays"}}
    found = trainer.run(spec, tmp_path / "r", {"train": (X, y), "val": (V, v)})
    for number, score in enumerate(scores_of(found)):
        other = v[permuted_order(v, None, SEED, VAL_PERMUTATIONS + number)]
        data = {"train": (X, moved(y, number)), "val": (V, other)}
        assert score == pytest.approx(accuracy(spec, data), abs=1e-12)


def test_each_of_separate_targets_has_its_own_p(tmp_path):
    X, y, _ = rows()
    noise = np.random.default_rng(5).integers(0, 2, N)
    spec = config(targets="separate", permutation_test=19)
    both = {"train": (X, np.column_stack([y, noise]))}
    found = trainer.run(spec, tmp_path / "r", both).results["permutation_test"]
    assert len(found["targets"]) == 2
    told, noisy = found["targets"].values()
    assert told["p_value"] == 0.05
    assert noisy["p_value"] > 0.1
    with open(tmp_path / "r" / "permutations.csv") as file:
        assert len(list(csv.DictReader(file))) == 2 * 19


def test_a_target_that_a_permutation_cannot_train_takes_no_other_with_it(tmp_path):
    X, y, _ = rows()
    rare = np.zeros(N, int)
    rare[[4, 40]] = 1
    spec = config(targets="separate", permutation_test=19) | {"repeat": "none"}
    spec["data"] = {"train": "arrays", "val": 0.5}
    run = trainer.run(spec, tmp_path / "r", {"train": (X, np.column_stack([y, rare]))})
    full, some = run.results["permutation_test"]["targets"].values()
    assert "undefined" not in full
    assert 0 < some["undefined"] < 19
    assert some["as_good"] >= some["undefined"]
    log = (run.folder / "run.log").read_text()
    assert "for 1 target some permutations led to no choice, and counted as good" in log


def test_softmax_is_permuted_with_groups_kept_whole(tmp_path):
    rng = np.random.default_rng(1)
    group = np.repeat(np.arange(20), 3)
    y = np.repeat(rng.permutation(np.arange(20) % 3), 3)
    X = rng.normal(size=(60, 2)) + 2 * (y == 1)[:, None]
    spec = config(model="softmax", permutation_test=4)
    data = {"train": (X, y), "group": group}
    found = trainer.run(spec, tmp_path / "r", data)
    for number, score in enumerate(scores_of(found)):
        other = moved(y, number, group)
        assert (other.reshape(20, 3) == other.reshape(20, 3)[:, :1]).all()
        one = accuracy(spec, {"train": (X, other), "group": group})
        assert score == pytest.approx(one, abs=1e-12)


def test_what_each_repeat_chooses_is_chosen_in_each_permutation(tmp_path):
    X, y, _ = rows()
    spec = config(select={"per": ["repeat"]}, permutation_test=2)
    spec["data"] = {"train": "arrays", "test": "arrays"}
    T, t, _ = rows(9, 30)
    data = {"train": (X, y), "test": (T, t)}
    found = trainer.run(spec, tmp_path / "r", data)
    means = []
    for number in range(2):
        one = choice(spec, {"train": (X, moved(y, number)), "test": (T, t)})
        of = [group.trial.metrics["val_accuracy"] for group in one.groups]
        assert len(of) == 3
        means.append(np.mean(of))
    assert scores_of(found) == pytest.approx(means, abs=1e-12)


def test_how_far_it_is_is_said_now_and_then(tmp_path, monkeypatch):
    hours = iter(range(0, 3600 * 99, 3600))
    clock = SimpleNamespace(monotonic=lambda: next(hours))
    monkeypatch.setattr(permutations, "time", clock)
    X, y, w = rows()
    spec = config(permutation_test=3)
    run = trainer.run(spec, tmp_path / "r", {"train": (X, y), "weight": w})
    log = (run.folder / "run.log").read_text()
    assert "1 of 3, about 2:00:00 left" in log
    assert "2 of 3, about 1:00:00 left" in log
    assert "3 of 3" not in log


@pytest.mark.parametrize(("stratify", "how"), [(True, "one after another"), (False, "side by s")])
def test_a_plan_tells_what_the_test_takes(stratify, how):
    block = config(data={"train": "breast_cancer", "stratify": stratify}, permutation_test=40)
    told = plan(trainer.load_spec(block | {"optimizer": {"name": "adam", "epochs": 2}}))
    line = next(line for line in told.splitlines() if line.startswith("permutations: "))
    assert line.startswith("permutations: 40 x 6 columns = 240 more, ")
    assert how in line
    assert float(line.split()[-2].replace(",", "")) > 0
    assert "permutations" not in plan(trainer.load_spec(block | {"permutation_test": "none"}))


def nested_score(spec, data):
    """The mean of what each repeat chose by its inner folds, on rows without a part in it."""
    own = [group.trial for group in choice(spec, data).groups]
    assert len(own) == 3
    assert all(len(trial.columns) == 1 for trial in own)
    return np.mean([trial.metrics["val_accuracy"] for trial in own])


@pytest.mark.parametrize("stratify", [True, False], ids=["alone", "side by side"])
def test_each_permutation_has_the_inner_folds_of_a_nested_run(stratify, tmp_path):
    X, y, w = rows(8)
    spec = config(repeat={"folds": 3, "inner_folds": 2}, permutation_test=4)
    spec |= {"data": {"train": "arrays", "stratify": stratify}}
    run = trainer.run(spec, tmp_path / "r", {"train": (X, y), "weight": w})
    own = run.results["per_repeat"][0]
    assert len(set(own["trials"])) == 2  # or else every choice comes to the same
    score = run.results["permutation_test"]["score"]
    assert score == pytest.approx(own["metrics"]["val_accuracy"], abs=1e-12)
    assert score == pytest.approx(nested_score(spec, {"train": (X, y), "weight": w}), abs=1e-12)
    assert score != pytest.approx(run.best["metrics"]["val_accuracy"], abs=1e-3)
    slow = [nested_score(spec, {"train": (X, moved(y, n)), "weight": w}) for n in range(4)]
    assert scores_of(run) == pytest.approx(slow, abs=1e-12)
    assert len(set(slow)) > 2


def test_a_run_cut_short_goes_on_to_the_same_bytes(stratified, tmp_path):
    X, y, w = rows()
    asked = []
    folder = tmp_path / "r"

    def stop():
        seen = (folder / "run.log").exists() and "permuting" in (folder / "run.log").read_text()
        asked.append(1) if seen else None
        return signal.SIGINT if len(asked) > 30 else None

    data = {"train": (X, y), "weight": w}
    cut = trainer.run(config(), folder, data, should_stop=stop)
    assert cut.status == "interrupted"
    assert "permutation_test" not in cut.results
    marks = sorted(folder.glob("checkpoint/*.json"), key=lambda path: int(path.stem))
    assert '"permutations"' in marks[-1].read_text()
    again = trainer.resume(folder, data)
    assert again.status == "finished"
    for name in ("permutations.csv", "results.json", "trials.csv"):
        assert (folder / name).read_bytes() == (stratified.folder / name).read_bytes(), name


@pytest.mark.parametrize("targets", ["joint", "separate"])
def test_a_run_cut_short_before_its_permutations_makes_none(targets, tmp_path):
    """In training and in the refit: a checkpoint of permutations would say that these ended."""
    X, y, _ = rows()
    spec = config(targets=targets, permutation_test=2)
    spec |= {"optimizer": {"name": "adam", "lr": 0.1, "epochs": 4, "batch_size": "full"}}
    data = {"train": (X, y if targets == "joint" else np.column_stack([y, 1 - y]))}
    whole = trainer.run(spec, tmp_path / "w", data)
    for at in (2, 9, 16, 23):
        left = iter(range(at))
        stop = partial(lambda left: None if next(left, None) is not None else signal.SIGINT, left)
        cut = trainer.run(spec, tmp_path / f"{at}", data, should_stop=stop)
        assert cut.status == "interrupted"
        again = trainer.resume(cut.folder, data)
        assert again.status == "finished"
        for name in ("permutations.csv", "results.json", "trials.csv", "model.safetensors"):
            ours = (again.folder / name).read_bytes()
            assert ours == (whole.folder / name).read_bytes(), (at, name)


@pytest.mark.parametrize(
    ("y", "group"),
    [(np.full(N, 2.5), None), (np.full(N, 2.5), np.arange(N) // 6)],
)
def test_labels_that_cannot_move_are_an_error(y, group, tmp_path):
    X = rows()[0]
    spec = {"model": "linear", "data": {"train": "arrays"}, "permutation_test": 19}
    spec["optimizer"] = {"name": "exact"}
    data = {"train": (X, y)} | ({} if group is None else {"group": group})
    with pytest.raises(DataError, match="nothing can move"):
        trainer.run(spec | {"repeat": {"folds": 3}}, tmp_path / "r", data)
    assert not (tmp_path / "r").exists()


def test_rows_in_the_order_of_time_cannot_be_permuted():
    folds = {"folds": {"forward": 3, "by": "time"}}
    with pytest.raises(SpecError, match="permutation_test: rows in the order of time"):
        trainer.load_spec(config(repeat=folds))
