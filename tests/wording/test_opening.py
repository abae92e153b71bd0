"""The start of a run on the terminal, from plain dicts alone."""

from pathlib import Path

import pytest

from trainer.wording.opening import opening

SGD = {"name": "sgd", "lr": 0.1, "steps": None, "epochs": 1, "batch_size": 1280}
CONFIG = {
    "name": "a run",
    "model": "softmax",
    "optimizer": SGD,
    "trials": 1,
    "axes": {},
    "notes": (),
}
DATA = {
    "model": "logistic",
    "source": "rows.csv",
    "rows": {"train": 1438, "val": 359},
    "weightless": {},
    "coarse": (),
    "columns": 3,
    "features": 5,
    "outputs": 1,
    "expansions": {},
    "class_counts": {},
    "dropped": {},
    "imputed": {},
    "unseen": {},
    "index": (),
    "remarks": (),
    "copies": (),
}
OBJECTIVE = {
    "model": "softmax",
    "loss": "auto",
    "weights": "none",
    "several": False,
    "l2": 0.0,
    "l1": 0.0,
    "weight_decay": 0.0,
    "inverse_c": 0.5,
    "ridge_alpha": 18.0,
}
PENALTY = {"l2": 0.03, "l1": 0.01}

SENTENCES = [
    ("config", CONFIG, "a run: softmax, sgd with lr 0.1, 1 epoch, batches of 1,280"),
    (
        "config",
        CONFIG | {"optimizer": SGD | {"steps": 1200, "batch_size": "full"}},
        "a run: softmax, sgd with lr 0.1, 1,200 steps, full batch",
    ),
    (
        "config",
        CONFIG | {"optimizer": {"name": "auto", "tol": 1e-6, "max_iter": 1000}},
        "a run: softmax, auto to max|dJ/dW| 1e-06, at most 1,000 iterations",
    ),
    (
        "config",
        CONFIG | {"trials": 1200, "axes": {"optimizer.lr": 1200, "penalty.l2": 3}},
        "a run: softmax, 1,200 trials of optimizer.lr (1,200), penalty.l2 (3)",
    ),
    ("data", DATA, "rows.csv: 1,797 rows x 3 columns; 1,438 train, 359 val"),
    (
        "data",
        DATA | {"class_counts": {"train": {"no": 1200, "y" * 50: 238}}},
        "rows.csv: 1,797 rows x 3 columns; 1,438 train, 359 val; training classes no: 1,200,"
        f" {'y' * 20}…{'y' * 19}: 238 (positive)",
    ),
    (
        "data",
        DATA | {"model": "softmax", "class_counts": {"train": {str(i): i for i in range(1, 7)}}},
        "rows.csv: 1,797 rows x 3 columns; 1,438 train, 359 val; 6 classes of 1 to 6 training rows",
    ),
    (
        "data",
        DATA
        | {
            "outputs": 3,
            "expansions": {"cut": 3},
            "dropped": {"rows.csv": 2},
            "imputed": {"val": 4},
            "unseen": {"val": {"cut": 5}},
        },
        "rows.csv: 1,797 rows x 3 columns (5 features; one-hot: cut → 3); 1,438 train, 359 val;"
        " 3 outputs; 2 rows of rows.csv dropped for missing values; 4 missing values of val filled"
        " in; 5 rows of val have a cut that training does not: all zeros",
    ),
    (
        "data",
        DATA | {"remarks": ("-999 stands in 2 rows of x",)},
        "rows.csv: 1,797 rows x 3 columns; 1,438 train, 359 val; -999 stands in 2 rows of x",
    ),
    (
        "data",
        DATA
        | {
            "columns": 1,
            "features": 1200,
            "expansions": {"cut": 1200},
            "dropped": {"rows.csv": 1},
            "imputed": {"val": 1},
            "unseen": {"val": {"cut": 1}},
        },
        "rows.csv: 1,797 rows x 1 column (1,200 features; one-hot: cut → 1200); 1,438 train, 359"
        " val; 1 row of rows.csv dropped for missing values; 1 missing value of val filled in; 1"
        " row of val has a cut that training does not: all zeros",
    ),
    (
        "data",
        DATA | {"copies": ("val",)},
        "rows.csv: 1,797 rows x 3 columns; 1,438 train, 359 val; val reads the training source"
        " again, so it measures rows that were learnt",
    ),
    (
        "data",
        DATA | {"index": ("Unnamed: 0",)},
        "rows.csv: 1,797 rows x 3 columns; 1,438 train, 359 val; row index Unnamed: 0 is no"
        " feature",
    ),
    ("device", {"kind": "cpu", "name": "NumPy", "reason": "asked for"}, "cpu: NumPy (asked for)"),
    (
        "device",
        {"kind": "cpu", "name": "NumPy", "reason": "asked for", "steps": "compiled step: avx2"},
        "cpu: NumPy (asked for); compiled step: avx2",
    ),
    ("objective", OBJECTIVE, "J = mean cross-entropy   (no penalty)"),
    (
        "objective",
        OBJECTIVE | {"weight_decay": 0.1},
        "J = mean cross-entropy   (weight decay 0.1, outside J)",
    ),
    (
        "objective",
        OBJECTIVE | PENALTY | {"weights": "rows"},
        "J = weighted mean cross-entropy + 0.03/2·‖W‖² + 0.01·‖W‖₁   (C = 0.5 in scikit-learn)",
    ),
    (
        "objective",
        OBJECTIVE | {"model": "linear", "l2": 0.1, "weights": "classes"},
        "J = class-weighted mean ½(ŷ − y)² + 0.1/2·‖W‖²   (Ridge's alpha = 18 in scikit-learn)",
    ),
    (
        "objective",
        OBJECTIVE | PENALTY | {"model": "linear"},
        "J = mean ½(ŷ − y)² + 0.03/2·‖W‖² + 0.01·‖W‖₁   (ElasticNet's alpha = 0.04,"
        " l1_ratio = 0.25 in scikit-learn)",
    ),
    (
        "objective",
        OBJECTIVE | PENALTY | {"several": True},
        "J = mean cross-entropy + l2/2·‖W‖² + l1·‖W‖₁, each trial with its own l2 and l1",
    ),
    ("solver", {"name": "newton", "reason": "small"}, "newton in float64: small"),
    (
        "solver",
        {"name": "newton", "reason": "small", "float64_cost": 64},
        "newton in float64: small; float64 takes this GPU 64 times as long as float32, so"
        " device: cpu may be quicker, and so may an optimizer, which trains in float32",
    ),
    (
        "sweep",
        {"trials": 500, "repeats": 3, "stacks": 1, "log_every": 1},
        "500 trials x 3 repeats = 1,500 columns in 1 stack",
    ),
    (
        "sweep",
        {"trials": 1, "repeats": 1, "stacks": 1, "log_every": 20},
        "1 trial x 1 repeat = 1 column in 1 stack; one step in 20 is logged",
    ),
]


@pytest.mark.parametrize(("part", "facts", "sentence"), SENTENCES)
def test_each_part_has_its_sentence(part, facts, sentence):
    assert opening({part: facts}) == [(part, sentence)]


def test_the_table_of_sentences_is_whole():
    assert len(SENTENCES) == 24
    assert {part for part, _, _ in SENTENCES} == {
        "config",
        "data",
        "device",
        "objective",
        "solver",
        "sweep",
    }


def test_the_parts_that_are_there_in_the_order_of_a_run():
    parts = {part: facts for part, facts, _ in SENTENCES}
    folder = Path("runs/a")
    facts = dict(reversed(parts.items())) | {"folder": folder}
    facts["config"] = CONFIG | {"notes": ["one", "two"]}
    lines = opening(facts)
    assert [label for label, _ in lines] == [
        "config",
        "sweep",
        "sweep",
        "data",
        "device",
        "objective",
        "solver",
        "sweep",
        "folder",
    ]
    assert [value for label, value in lines if label == "sweep"][:2] == ["one", "two"]
    assert lines[-1] == ("folder", folder)  # a path, which is never wrapped
    assert opening({}) == []


def test_data_that_a_config_does_not_note():
    lines = opening({"noted_data": {"noted": "ab" * 32, "read": "cd" * 32}})
    ((name, text),) = lines
    assert name == "data"
    assert "sha256 cdcdcdcdcdcd… was read, abababababab… is noted" in text
