"""Columns of several row sets in one stack: each comes out as in a stack of its own row set."""

import numpy as np
import pytest
from double import Cupy
from shim import TWIN
from stacks import DEVICE

from trainer import device as devices
from trainer.config import load_spec
from trainer.sweep import fit_memory, share_rows
from trainer.sweep.columns import Sources, lay_out, stacks_of
from trainer.sweep.jobs import halve
from trainer.sweep.results import trial_results
from trainer.sweep.sweep import set_up, train
from trainer.wording.opening import sweep_text
from trainer.workflow.facts import training_facts
from trainer.workflow.recorder import NullObserver

ROWS, FEATURES = 90, 4
FULL = {"name": "sgd", "epochs": 12, "batch_size": "full", "lr": 0.3, "momentum": 0.9}
AUTO = {"name": "auto"}
L2 = {"penalty.l2": [0.01, 0.1]}
TARGETS = {"targets": "separate"}

# (keys of the config, axes, which rows there are beside X and y)
CASES = {
    "logistic, folds": ({"optimizer": AUTO, "repeat": {"folds": 4}}, L2, ""),
    "logistic, times": ({"optimizer": FULL, "repeat": {"folds": 3, "times": 2}}, L2, ""),
    "logistic, resamples": ({"optimizer": FULL, "repeat": {"bootstrap": 4}}, L2, ""),
    "logistic, C and weights": (
        {"optimizer": AUTO, "repeat": {"bootstrap": 4}},
        {"penalty.C": [0.1, 10.0]},
        "weight",
    ),
    "logistic, groups": ({"optimizer": AUTO, "repeat": {"folds": 4}}, L2, "group"),
    "logistic, draws": (
        {"optimizer": FULL, "repeat": {"few_shot": {"rows": 40, "tries": 3}}},
        L2,
        "val",
    ),
    "logistic, seeds": ({"optimizer": AUTO, "repeat": {"bootstrap": 2, "seeds": 2}}, L2, ""),
    "logistic, balanced": (
        {"optimizer": AUTO, "repeat": {"folds": 4}, "class_weight": "balanced"},
        L2,
        "",
    ),
    "logistic, swept class weights": (
        {"optimizer": FULL, "repeat": {"folds": 4}},
        {"class_weight": ["none", "balanced"]},
        "",
    ),
    "logistic, no bias": ({"optimizer": AUTO, "repeat": {"folds": 4}, "bias": False}, L2, ""),
    "logistic, unit": (
        {"optimizer": FULL, "repeat": {"folds": 4}, "data": {"scale": "unit"}},
        L2,
        "",
    ),
    "logistic, l1": (
        {"optimizer": FULL, "repeat": {"folds": 4}, "penalty": {"l2": 0.0}},
        {"penalty.l1": [0.01, 0.05]},
        "",
    ),
    "logistic, early stopping": (
        {
            "optimizer": FULL | {"epochs": 40},
            "repeat": {"folds": 4},
            "early_stopping": {"patience": 2, "min_delta": 0.005},
        },
        L2,
        "",
    ),
    "logistic, halving": (
        {"optimizer": FULL, "repeat": {"folds": 4}},
        {"optimizer.lr": [0.001, 0.03, 0.3, 1.0]},
        "",
    ),
    "logistic, named metrics": (
        {"optimizer": FULL, "repeat": {"folds": 4}, "metrics": ["brier", "mcc"]},
        L2,
        "",
    ),
    "logistic, undefined": (
        {"optimizer": FULL, "repeat": {"folds": 4}, "data": {"stratify": False}},
        L2,
        "rare",
    ),
    "softmax, folds": ({"optimizer": AUTO, "repeat": {"folds": 4}}, L2, ""),
    "softmax, balanced": (
        {"optimizer": FULL, "repeat": {"folds": 4}, "class_weight": "balanced"},
        L2,
        "",
    ),
    "softmax, resamples": ({"optimizer": FULL, "repeat": {"bootstrap": 3}}, L2, ""),
    "poisson, folds": ({"optimizer": FULL, "repeat": {"folds": 4}}, L2, ""),
    "poisson, resamples": ({"optimizer": AUTO, "repeat": {"bootstrap": 3}}, L2, ""),
    "linear, no bias": ({"optimizer": FULL, "repeat": {"folds": 4}, "bias": False}, L2, ""),
    "logistic, targets": (TARGETS | {"optimizer": AUTO, "repeat": {"folds": 3}}, L2, "targets"),
    "poisson, targets": (TARGETS | {"optimizer": FULL, "repeat": {"folds": 3}}, L2, "targets"),
    "logistic, balanced targets": (
        TARGETS | {"optimizer": FULL, "repeat": {"folds": 3}, "class_weight": "balanced"},
        L2,
        "targets",
    ),
    "logistic, targets of some rows": (
        TARGETS | {"optimizer": FULL, "repeat": {"folds": 3}},
        L2,
        "targets, missing",
    ),
}


def rows_of(model, kinds, seed=0):
    """Rows in place of files, of features that lie far from 0 or vary little."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(ROWS, FEATURES)) * [1, 5, 0.2, 1] + [0, 3, 10, -1]
    Z = (X - X.mean(axis=0)) / X.std(axis=0) @ rng.normal(size=(FEATURES, 3))
    Z += rng.normal(size=Z.shape)
    y = {"logistic": (Z > 0) * 1.0, "softmax": Z.argmax(axis=1)}.get(model, Z)
    if model == "poisson":
        y = np.floor(np.exp(np.clip(0.4 * Z, -3, 2)))
    if "rare" in kinds:  # of which a fold may hold out none
        y[3:] = 0
        y[:3] = 1
    if model != "softmax" and "targets" not in kinds:
        y = y[:, 0]
    if "missing" in kinds:
        y[::5, 1] = np.nan
    return X, y


def arrays_of(model, kinds):
    found = {"train": rows_of(model, kinds)}
    if "val" in kinds:
        found["val"] = rows_of(model, kinds, seed=1)
    if "weight" in kinds:
        found["weight"] = np.random.default_rng(2).integers(0, 3, ROWS).astype(float)
    if "group" in kinds:
        found["group"] = np.arange(ROWS) // 5
    return found


def start(case, device=DEVICE):
    keys, axes, kinds = CASES[case]
    sweep = {"parameters": axes}
    if "halving" in case:
        sweep["early_terminate"] = {"type": "hyperband", "min_iter": 2, "eta": 2}
    model = case.split(",")[0]
    tree = {"model": model, "precision": "float64", **keys, "sweep": sweep}
    tree["data"] = {"train": "arrays", **keys.get("data", {})}
    if "val" in kinds:
        tree["data"]["stratify"] = False
    return set_up(load_spec(tree), arrays_of(model, kinds), device)


def fitted(sweep):
    """What came of each column, by its name."""
    train(sweep, NullObserver(lambda: None))
    found = {}
    for job in sweep.jobs:
        fit = job.training.result
        for k, column in enumerate(job.planned.columns):
            assert (
                job.planned.rows_of(k).key
                == job.planned.row_sets[
                    0 if job.planned.row_set is None else job.planned.row_set[k]
                ].key
            )
            found[column.name] = {
                "weights": fit.weights[..., k],
                "bias": fit.bias[..., k],
                "metrics": {name: of[k] for name, of in fit.metrics.items()},
                "gap": fit.facts["gap"][k] if "gap" in fit.facts else 0.0,
                "outcome": (fit.outcomes[k].status, fit.outcomes[k].step),
                "l2": job.facts.l2[k],
                "S": job.facts.weight_sum[k],
                "ratio": job.planned.rows_of(k).fold,
            }
    return found


@pytest.fixture(autouse=True)
def _all_that_can(monkeypatch):
    """Row sets share a stack where they can: these are few, and small."""
    monkeypatch.setattr(share_rows, "_pays", lambda group: True)


def apart(case, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(share_rows, "_pays", lambda group: False)
        sweep = start(case)
        assert sweep.shared_row_sets == 0
        return fitted(sweep), sweep


def are_alike(some, others, tol=1e-12):
    assert set(some) == set(others)
    for name, one in some.items():
        other = others[name]
        assert one["S"] == pytest.approx(other["S"], rel=1e-14)
        assert one["l2"] == pytest.approx(other["l2"], rel=1e-14)
        assert one["ratio"] == other["ratio"]
        off = np.abs(one["weights"] - other["weights"]).max()
        if one["gap"] or other["gap"]:  # ‖W − W*‖² ≤ 2·(J − J*)/l2
            far = sum(np.sqrt(2 * of["gap"] / one["l2"]) for of in (one, other))
            assert off <= 2 * far + 1e-12
        else:
            assert one["outcome"] == other["outcome"]
            assert off <= tol * max(1, np.abs(one["weights"]).max())
            assert np.abs(one["bias"] - other["bias"]).max() <= tol
        rel = 1e-4 if one["gap"] else 1e-10
        assert one["metrics"] == pytest.approx(other["metrics"], rel=rel, abs=rel, nan_ok=True)


@pytest.mark.parametrize("case", CASES)
def test_columns_of_all_row_sets_come_out_as_apart(case, monkeypatch):
    sweep = start(case)
    shared = fitted(sweep)
    alone, separate = apart(case, monkeypatch)
    assert sweep.shared_row_sets > 1
    assert len(sweep.arrangement.stacks) < len(separate.arrangement.stacks)
    are_alike(shared, alone)
    lacking = {bool(job.undefined) for job in sweep.jobs} if "undefined" in case else {True}
    assert lacking == {True}
    for one, other in zip(trial_results(sweep), trial_results(separate), strict=True):
        own = [(c.repeat, c.held_ratio, c.undefined, c.parts) for c in one.columns]
        assert own == [(c.repeat, c.held_ratio, c.undefined, c.parts) for c in other.columns]
        assert [c.C for c in one.columns] == pytest.approx([c.C for c in other.columns])


def test_there_are_cases_of_every_kind():
    assert len(CASES) == 26


def test_stacks_that_are_cut_or_halved_have_the_same_rows(monkeypatch):
    whole = fitted(start("logistic, early stopping"))
    monkeypatch.setattr(fit_memory, "cores", lambda: 2)
    monkeypatch.setattr(fit_memory, "_SCORES", 1)
    sweep = start("logistic, early stopping")
    assert len(sweep.jobs) == (2 if DEVICE.kind == "cpu" else 1)
    halve(sweep.jobs, sweep.arrangement, 0)
    assert {len(job.planned.row_sets) for job in sweep.jobs} == {4}
    are_alike(fitted(sweep), whole)


def test_a_column_alone_on_shared_rows_has_its_own_weights():
    sweep = start("logistic, C and weights")
    for _ in range(3):
        halve(sweep.jobs, sweep.arrangement, 0)
    assert len(sweep.jobs[0].planned.columns) == 1
    are_alike(fitted(sweep), fitted(start("logistic, C and weights")))


def planned(keys, rows=ROWS, features=FEATURES):
    rng = np.random.default_rng(0)
    tree = {"model": "logistic", "data": {"train": "arrays"}, **keys}
    arrays = {"train": (rng.normal(size=(rows, features)), rng.integers(0, 2, rows) * 1.0)}
    if "few_shot" in str(keys):
        arrays["val"] = arrays["train"]
    sources = Sources(arrays)
    return stacks_of(lay_out(load_spec(tree).trials, sources).columns)


@pytest.mark.parametrize(
    "keys",
    [
        {"optimizer": FULL | {"batch_size": 8}, "repeat": {"folds": 3}},
        {"optimizer": FULL | {"base_batch_size": 32}, "repeat": {"folds": 3}},
        {"optimizer": FULL, "repeat": {"folds": 3}, "log": {"gradients": 2}},
        {"optimizer": FULL, "repeat": {"folds": 3}, "class_weight": {0: 0, 1: 1}},
        {"optimizer": FULL, "repeat": {"folds": 3}, "data": {"train": "arrays", "scale": "none"}},
        {"optimizer": FULL, "repeat": {"folds": 3}, "data": {"train": "arrays", "missing": "mean"}},
        {"optimizer": FULL, "repeat": {"folds": 3}, "model": "linear"},
        {"optimizer": AUTO, "repeat": {"folds": 3}, "model": "linear", "bias": False},
    ],
    ids=lambda keys: "-".join(str(value) for value in keys.values())[-40:],
)
def test_what_is_learnt_from_rows_or_goes_by_batches_has_stacks_of_its_own(keys):
    assert len(planned(keys)) == 3


def test_row_sets_share_a_stack_where_that_costs_less(monkeypatch):
    monkeypatch.undo()
    folds = {"optimizer": AUTO, "repeat": {"bootstrap": 9}}
    assert len(planned(folds)) == 1
    assert len(planned(folds | {"optimizer": {"name": "lbfgs"}}, rows=20_000, features=10)) == 1
    draws = {"few_shot": {"rows": 10, "tries": 9}}  # of 2,000 rows few are anybody's twice
    many = {"parameters": {"penalty.l2": {"geomspace": {"start": 0.01, "stop": 1, "num": 200}}}}
    assert len(planned({"optimizer": AUTO, "repeat": draws, "sweep": many}, 2000, 600)) == 9


def test_the_opening_says_how_many_row_sets_share_their_rows(tmp_path, monkeypatch):
    facts = training_facts(start("logistic, times"), tmp_path)["sweep"]
    assert "= 12 columns in 1 stack, 6 row sets on one copy of their rows" in sweep_text(facts)
    monkeypatch.setattr(share_rows, "_pays", lambda group: False)
    facts = training_facts(start("logistic, times"), tmp_path)["sweep"]
    assert "row sets" not in sweep_text(facts)


def test_draws_with_rows_of_val_beside_them_are_scored_on_one_table_of_weights():
    rows = start("logistic, draws").first.device_rows
    assert rows.rows.q.shape[2] == 3
    assert rows.held.rows_of(rows.rows) is rows.held.rows
    assert rows.held.rows.q.shape[2] == 1


# a CPU copies no X, whoever asks, and takes an index for what it is
ON_A_GPU = {"logistic, swept class weights": 2, "logistic, balanced targets": 3}
ALSO = "softmax, folds", "logistic, C and weights"


@pytest.mark.parametrize("case", [*ON_A_GPU, *ALSO])
def test_a_gpu_has_the_rows_of_row_sets_once(case):
    double = devices.from_cupy(Cupy(), "the double", twin=TWIN)
    sweep = start(case, double)
    laid = [sweep.cache.laid(job.planned) for job in sweep.jobs]
    assert len(laid) == ON_A_GPU.get(case, 1)
    assert len({id(one.rows.X) for one in laid}) == 1
    assert len({id(one.held.rows.X) for one in laid}) == 1
    are_alike(fitted(sweep), fitted(start(case, devices.cpu("the tests"))))


@pytest.mark.parametrize("size", [1e306, 1e-322])
def test_row_weights_near_the_ends_of_float64_are_of_no_size(size, monkeypatch):
    arrays = arrays_of("logistic", "") | {"weight": np.full(ROWS, size)}

    def sized(pays):
        monkeypatch.setattr(share_rows, "_pays", lambda group: pays)
        tree = {"model": "logistic", "precision": "float64", "data": {"train": "arrays"}}
        tree |= {"optimizer": FULL, "repeat": {"bootstrap": 3}, "sweep": {"parameters": L2}}
        return fitted(set_up(load_spec(tree), arrays, DEVICE))

    are_alike(sized(True), sized(False))
