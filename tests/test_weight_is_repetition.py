"""Weights mean repetition: a row of weight 2 is the row twice, one of weight 0 is not there.

200 random problems, each as a table with a column of weights and as one with its rows written out,
from the file to the model: model x penalty x solver or full batch x scaling x missing values.
`python tests/test_weight_is_repetition.py` prints what was compared.
"""

from __future__ import annotations

import itertools
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from trainer import device as devices
from trainer.config import load_spec
from trainer.predict.fitted_model import FittedModel
from trainer.sweep.refit import first_models
from trainer.sweep.results import trial_results
from trainer.sweep.sweep import SweepRun, set_up, train
from trainer.workflow.recorder import NullObserver

PROBLEMS = 200
CLOSE = 1e-6  # of the largest score
DEVICE = devices.choose("cpu")
MODELS: dict[str, dict[str, Any]] = {
    "linear": {"model": "linear"},
    "two targets": {"model": "linear"},
    "logistic": {"model": "logistic"},
    "several labels": {"model": "logistic"},
    "softmax": {"model": "softmax"},
    "poisson": {"model": "poisson"},
    "squared error": {"model": "logistic", "loss": "squared_error"},
}
TARGETS = {"two targets": ["y", "far"], "several labels": ["a", "b"], "softmax": ["class"]}
TARGETS |= {"logistic": ["label"], "poisson": ["count"], "squared error": ["label"]}
PENALTIES: dict[str, dict[str, float]] = {
    "l2": {"l2": 0.02, "l1": 0},
    "l1": {"l2": 0, "l1": 0.02},
    "C": {"C": 0.7, "l1_ratio": 0},
    "elastic C": {"C": 0.7, "l1_ratio": 0.5},
    "alpha": {"alpha": 0.05, "l1_ratio": 0.3},
}
STEPS = {"lr": 0.05, "batch_size": "full", "steps": 25}
OPTIMIZERS: dict[str, dict[str, Any]] = {
    "auto": {"name": "auto", "tol": 1e-11},
    "lbfgs": {"name": "lbfgs", "tol": 1e-11},
    "newton": {"name": "newton", "tol": 1e-11},
    "exact": {"name": "exact", "tol": 1e-11},
    "sgd": {"name": "sgd", "momentum": 0.5, **STEPS},
    "adam": {"name": "adam", **STEPS},
}
SCALES = ("none", "standard", "unit")
MISSING = ("error", "mean", "drop")


def cases(count: int) -> list[dict[str, str]]:
    """So many of the product of all, as many of each optimizer: what a config would take."""
    product = itertools.product(MODELS, PENALTIES, OPTIMIZERS, SCALES, MISSING)
    keys = ("model", "penalty", "optimizer", "scale", "missing")
    found = [dict(zip(keys, one, strict=True)) for one in product]
    order = np.random.default_rng(0).permutation(len(found)).tolist()
    shuffled = [found[i] for i in order if takes(found[i])]
    by_optimizer = [[c for c in shuffled if c["optimizer"] == name] for name in OPTIMIZERS]
    dealt = itertools.chain.from_iterable(itertools.zip_longest(*by_optimizer))
    return [case for case in dealt if case is not None][:count]


def takes(case: dict[str, str]) -> bool:
    """Whether the model, the penalty and the optimizer go together."""
    sparse = case["penalty"] in ("l1", "elastic C", "alpha")
    if case["optimizer"] == "exact":
        return case["model"] in ("linear", "two targets") and not sparse
    if case["model"] == "squared error":  # several optima: steps alone are the same
        return case["optimizer"] in ("sgd", "adam")
    return True


def table(rng: np.random.Generator, missing: str) -> pa.Table:
    """40 rows of numbers and text, perhaps with gaps, targets of all kinds, weights 0 to 3."""
    n = 40
    u = rng.normal(size=n)
    gaps = rng.random((2, n)) < (0 if missing == "error" else 0.15)
    text = np.array(["red", "green", "blue"])[rng.integers(0, 3, n)]
    w = rng.integers(0, 4, n).astype(float)
    absent = w == 0  # what is not there would be seen if it were, or be an error
    wild = np.where(absent, 1e3, 0.0)
    z = u + (text == "red") + rng.normal(size=n)
    return pa.table(
        {
            "u": np.where(gaps[0], np.nan, u + wild),
            "v": rng.normal(3, 2, n) + wild,
            "t": pa.array(
                np.where(gaps[1], None, np.where(absent, "gone", text)).tolist(), pa.string()
            ),
            "y": np.where(absent, np.nan, z),
            "far": 1000 + z + wild,
            "label": np.where(absent, "perhaps", np.where(z > 0.3, "yes", "no")),
            "class": np.array(["a", "b", "c", "d"])[np.digitize(z + wild, [0.0, 1.0, 99.0])],
            "count": np.where(absent, -1.0, rng.poisson(np.exp(0.3 * z))),
            "a": np.where(absent, 7.0, z > 0),
            "b": (z + rng.normal(size=n) > 0.5).astype(float),
            "w": w,
        }
    )


def fitted(case: dict[str, str], data: pa.Table, folder: Path, more: dict[str, Any]) -> FittedModel:
    """The model of a table, read from a file."""
    path = folder / "rows.parquet"
    pq.write_table(data, path)
    source = {"table": str(path), "target": TARGETS.get(case["model"], ["y"]), "weight": "w"}
    source["columns"] = ["u", "v", "t"]
    spec = load_spec(
        {
            **MODELS[case["model"]],
            "data": {
                "train": source,
                "val": "none",
                "scale": case["scale"],
                "missing": case["missing"],
                **more.get("data", {}),
            },
            "penalty": PENALTIES[case["penalty"]],
            "optimizer": OPTIMIZERS[case["optimizer"]],
            "precision": "float64",
            **{key: value for key, value in more.items() if key != "data"},
        }
    )
    sweep = set_up(spec, None, DEVICE)
    train(sweep, NullObserver(lambda: None))
    return first_models(sweep, [0])[0].fitted


def difference(case: dict[str, str], seed: int, folder: Path) -> float:
    """How far the scores of the two models are apart, of the largest."""
    rng = np.random.default_rng(seed)
    data = table(rng, case["missing"])
    more: dict[str, Any] = {}
    if case["model"] in ("logistic", "softmax") and seed % 2:
        more["class_weight"] = "balanced"
    if case["model"] in ("linear", "two targets") and seed % 2:
        more["data"] = {"scale_target": "standard"}
    if seed % 5 == 0:
        more["bias"] = False
    w = np.asarray(data["w"])
    repeated = data.take(np.repeat(np.arange(len(w)), w.astype(int)))
    ones = repeated.set_column(data.column_names.index("w"), "w", pa.array(np.ones(len(repeated))))
    X = table(np.random.default_rng(1), "error").select(["u", "v", "t"])
    by_weight = fitted(case, data, folder, more).scores(X)
    by_rows = fitted(case, ones, folder, more).scores(X)
    return float(np.abs(by_weight - by_rows).max() / np.abs(by_rows).max(initial=1e-3))


def compare(folder: Path) -> list[tuple[float, dict[str, str], int]]:
    """(difference, problem, seed) of all, the largest first."""
    found = [(difference(case, i, folder), case, i) for i, case in enumerate(cases(PROBLEMS))]
    return sorted(found, key=lambda one: -one[0])


@pytest.mark.filterwarnings("ignore:X:UserWarning")
def test_200_problems_with_weights_are_those_with_their_rows_written_out(tmp_path: Path) -> None:
    found = compare(tmp_path)
    assert len(found) == PROBLEMS
    counts = Counter(value for _, case, _ in found for value in case.values())
    names = {*MODELS, *PENALTIES, *OPTIMIZERS, *SCALES, *MISSING}
    assert {*counts} == names
    assert min(counts[name] for name in names - {"squared error"}) >= 20
    assert counts["squared error"] >= 5
    assert not [one for one in found if not one[0] <= CLOSE]


def both(tmp_path: Path, keys: dict[str, Any]) -> list[SweepRun]:
    """The same config on weighted rows and on the rows written out, trained and scored on them."""
    data = table(np.random.default_rng(7), "error")
    w = np.asarray(data["w"]).astype(int)
    repeated = data.take(np.repeat(np.arange(len(w)), w))
    ones = repeated.set_column(data.column_names.index("w"), "w", pa.array(np.ones(len(repeated))))
    found = []
    for number, rows in enumerate((data, ones)):
        path = tmp_path / f"{number}.parquet"
        pq.write_table(rows, path)
        target = TARGETS.get(keys["name"], ["y"])
        source = {"table": str(path), "target": target, "weight": "w", "columns": ["u", "v", "t"]}
        blocks = {"data": {"train": source, "val": source}, "precision": "float64"}
        sweep = set_up(load_spec({**MODELS[keys["name"]], **blocks, **keys}), None, DEVICE)
        train(sweep, NullObserver(lambda: None))
        found.append(sweep)
    return found


@pytest.mark.parametrize("name", MODELS)
def test_metrics_of_weighted_rows_are_those_of_the_rows_written_out(
    name: str, tmp_path: Path
) -> None:
    keys = {"name": name, "optimizer": OPTIMIZERS["sgd"]}
    weighted, written = (trial_results(sweep)[0].metrics for sweep in both(tmp_path, keys))
    assert len(weighted) >= 4
    assert weighted == pytest.approx(written, rel=1e-9)


@pytest.mark.parametrize("name", ["linear", "logistic", "softmax", "poisson"])
def test_paths_of_penalties_begin_at_the_same(name: str, tmp_path: Path) -> None:
    path = {"path": {"num": 3, "ratio": 0.1}}
    keys: dict[str, Any] = {"name": name, "optimizer": OPTIMIZERS["auto"]}
    keys |= {"sweep": {"parameters": {"penalty.l1": path}}}
    if name in ("logistic", "softmax"):
        keys["class_weight"] = "balanced"
    weighted, written = (
        [trial.settings["penalty.l1"] for trial in sweep.trials] for sweep in both(tmp_path, keys)
    )
    assert len(weighted) == 3
    np.testing.assert_allclose(weighted, written, rtol=1e-10)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as made:
        worst = compare(Path(made))
    total = Counter(value for _, case, _ in worst for value in case.values())
    print(f"{len(worst)} problems: " + ", ".join(f"{name} {n}" for name, n in total.items()))
    print(f"differ by at most {worst[0][0]:.1e} of the largest score; median {worst[100][0]:.1e}")
    for value, problem, number in worst[:5]:
        print(f"{value:.1e}", number, problem)
