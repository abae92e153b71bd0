"""`data.positive`: the class that is 1."""

import numpy as np
import pytest
from data_helpers import from_arrays, spec_of, write

from trainer.data import prepare_refit, prepare_split, row_splits, row_weights
from trainer.data.sources.read import read
from trainer.errors import DataError

X = np.linspace(-1, 1, 8)[:, None]
FRAUD = np.array(["legit", "fraud"] * 3 + ["legit"] * 2)


@pytest.mark.parametrize(
    ("labels", "positive", "classes"),
    [
        (FRAUD, "auto", ["fraud", "legit"]),
        (FRAUD, "legit", ["fraud", "legit"]),
        (FRAUD, "fraud", ["legit", "fraud"]),
        (np.array([0, 1] * 4), 0, [1, 0]),
        (np.array([1.0, 2.0] * 4), 1, [2, 1]),
        (np.array([False, True] * 4), False, [True, False]),
        (np.array(["01", "2"] * 4), "01", ["2", "01"]),
    ],
)
def test_the_positive_class_is_the_second(labels, positive, classes):
    found = from_arrays("logistic", X, labels, positive=positive)
    assert found.encoder.classes == classes
    assert found.train.y.tolist() == [[float(label == classes[1])] for label in labels.tolist()]
    assert list(found.summary.class_counts["train"]) == [str(c).lower() for c in classes]


def test_val_and_test_follow():
    more = {"val": (X, FRAUD), "test": {"later": (X[:2], FRAUD[:2])}}
    found = from_arrays("logistic", X, FRAUD, more=more, positive="fraud")
    assert found.val is not None
    assert found.val.y.sum() == 3
    assert found.tests[0].y.tolist() == [[0.0], [1.0]]


def test_a_refit_on_val_too_keeps_it(tmp_path):
    rows = "".join(f"{x},{y}\n" for x, y in zip(X[:, 0], FRAUD, strict=True))
    table = {"table": write(tmp_path, "a.csv", "x,y\n" + rows), "target": "y"}
    spec = spec_of("logistic", table, val=dict(table), positive="fraud")
    found = prepare_refit(read(spec), spec, "train+val")
    assert found.encoder.classes == ["legit", "fraud"]
    assert found.train.y.sum() == 6


def test_splits_do_not_depend_on_it():
    a, b = (from_arrays("logistic", X, FRAUD, positive=p) for p in ("fraud", "legit"))
    assert a.train.index.tolist() == b.train.index.tolist()
    assert (a.train.y + b.train.y == 1).all()


@pytest.mark.parametrize(
    ("labels", "positive", "words"),
    [
        (FRAUD, "Fraud", "'Fraud' is no class of the training source; 'fraud' is the nearest name"),
        (FRAUD, "frod", "'fraud' is the nearest name"),
        (FRAUD, 1, "'1' is no class of the training source; there are 'fraud', 'legit'"),
        (np.eye(8)[:, :2], 1, "each row has 2 labels of its own here, 1 being positive; auto"),
    ],
)
def test_a_class_that_is_none_is_an_error(labels, positive, words):
    with pytest.raises(DataError) as caught:
        from_arrays("logistic", X, labels, positive=positive)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_class_weights_go_by_label():
    found = from_arrays("logistic", X, FRAUD, positive="fraud")
    weights = row_weights(found.train.y, found.train.weight, {"fraud": 5.0}, found.encoder.classes)
    assert weights.tolist() == [5.0 if label == "fraud" else 1.0 for label in FRAUD]


def test_one_reading_serves_both():
    specs = [spec_of("logistic", "arrays", positive=label) for label in ("fraud", "legit", "auto")]
    source = read(specs[0], {"train": (X, FRAUD)})
    parts = [prepare_split(source, spec, *row_splits(source, spec)) for spec in specs]
    assert [part.encoder.classes for part in parts] == [
        ["legit", "fraud"],
        ["fraud", "legit"],
        ["fraud", "legit"],
    ]
