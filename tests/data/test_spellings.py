"""One value, several spellings: one label and one category, wherever it comes from."""

from __future__ import annotations

import unicodedata
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from data_helpers import from_arrays, prepared, spec_of, write

from trainer.data.class_weights import row_weights
from trainer.data.prepare import prepare_refit, prepare_split
from trainer.data.sources.for_predict import read_for_predict
from trainer.data.sources.read import read
from trainer.data.splits.holdout import plain_split
from trainer.errors import DataError
from trainer.text.labels import label_positions, label_text
from trainer.text.suggest import nearest_name

TRUTH = [True, False, True, True, False, False]
CODES = [[1.0], [0.0], [1.0], [1.0], [0.0], [0.0]]


def boolean_files(folder: Path) -> dict[str, str]:
    """One table of a column of booleans, in every spelling that files have."""
    paths = {}
    for name, true, false in (
        ("pandas", "True", "False"),
        ("R", "TRUE", "FALSE"),
        ("json", "true", "false"),
        ("numbers", "1", "0"),
        ("floats", "1.0", "0.0"),
    ):
        rows = "".join(f"{i},{true if t else false}\n" for i, t in enumerate(TRUTH))
        paths[name] = write(folder, f"{name}.csv", "x,f\n" + rows)
    mixed = ["True", "false", "1", "TRUE", "0", "FALSE"]
    paths["mixed"] = write(
        folder, "mixed.csv", "x,f\n" + "".join(f"{i},{t}\n" for i, t in enumerate(mixed))
    )
    for name, column in (
        ("bool", pa.array(TRUTH)),
        ("int", pa.array(TRUTH).cast(pa.int8())),
        ("float", pa.array(TRUTH).cast(pa.int8()).cast(pa.float64())),
        ("text", pa.array([str(t) for t in TRUTH])),
        ("category", pa.array([str(t) for t in TRUTH]).dictionary_encode()),
    ):
        pq.write_table(pa.table({"x": np.arange(6), "f": column}), folder / f"{name}.parquet")
        paths[name] = str(folder / f"{name}.parquet")
    return paths


def test_a_boolean_label_is_one_from_every_file(tmp_path: Path) -> None:
    paths = boolean_files(tmp_path)
    assert len(paths) == 11
    for train in paths.values():
        tests = [{"table": path, "target": "f", "name": name} for name, path in paths.items()]
        for model, y in (("logistic", CODES), ("softmax", [1, 0, 1, 1, 0, 0])):
            p = prepared(model, {"table": train, "target": "f"}, test=tests)
            for split in (p.train, *p.tests):
                assert split.y.tolist() == y, (train, split.name)
    p = prepared("logistic", {"table": paths["R"], "target": "f"})
    assert p.encoder.classes == [False, True]
    for path in paths.values():
        _, rows, y = read_for_predict(path, p.encoder, "logistic")
        assert (rows.tolist(), y.tolist()) == (list(range(6)), CODES)


def test_a_boolean_category_is_one_from_every_file(tmp_path: Path) -> None:
    paths = boolean_files(tmp_path)
    for name, train in paths.items():
        tests = [{"table": path, "name": other} for other, path in paths.items()]
        source = {"table": train, "target": "x", "categorical": ["f"]}
        p = prepared("linear", source, test=[{**source, **test} for test in tests])
        assert p.summary.unseen == {}, name
        for split in p.tests:
            assert np.array_equal(split.X, p.train.X), (name, split.name)


def test_a_boolean_label_from_arrays() -> None:
    X = np.eye(6)
    for first in (TRUTH, [str(t) for t in TRUTH], [int(t) for t in TRUTH]):
        for second in (TRUTH, [str(t).upper() for t in TRUTH], [float(t) for t in TRUTH]):
            p = from_arrays("logistic", X, np.array(first), more={"val": (X, np.array(second))})
            assert p.val is not None
            assert p.val.y.tolist() == CODES
    p = from_arrays("logistic", X, np.array(["True", "FALSE", "TRUE", "True", "False", "False"]))
    assert p.train.y.tolist() == CODES


@pytest.mark.parametrize("classes", [[False, True], [0, 1], ["False", "True"], ["0", "1"]])
@pytest.mark.parametrize("key", [True, "True", "TRUE", "true", 1, 1.0, "1", "1.0"])
def test_class_weights_by_any_spelling(classes: list[Any], key: Any) -> None:
    y = np.array([[0.0], [1.0], [1.0]])
    assert row_weights(y, np.ones(3), {key: 5}, classes).tolist() == [1, 5, 5]


def test_one_class_weighted_twice() -> None:
    y = np.array([[0.0], [1.0]])
    with pytest.raises(DataError, match="'true' and 'TRUE' are one class"):
        row_weights(y, np.ones(2), {True: 5, "TRUE": 2}, [False, True])
    with pytest.raises(DataError, match="'true' is no class of the training source"):
        row_weights(np.array([0, 1, 2]), np.ones(3), {True: 5}, [0, 1, 2])


def test_whole_numbers_with_and_without_a_fraction(tmp_path: Path) -> None:
    """pandas writes integers as 1.0 once a column has a missing value."""
    train = {
        "table": write(tmp_path, "a.csv", "k,c,y\n1,a,0\n2,b,1\n12,a,1\n"),
        "target": "y",
        "categorical": ["k"],
    }
    val = {**train, "table": write(tmp_path, "b.csv", "k,c,y\n1.0,a,0.0\n2.0,b,1.0\n12.,b,1\n")}
    t = pa.table({"k": [1.0, 2.0, 12.0], "c": ["a", "b", "a"], "y": [0.0, 1.0, 1.0]})
    pq.write_table(t, tmp_path / "c.parquet")
    test = {**train, "table": str(tmp_path / "c.parquet")}
    p = prepared("logistic", train, val=val, test=test)
    assert p.encoder.features == ("k=1", "k=12", "k=2", "c=a", "c=b")
    assert p.encoder.classes == [0, 1]
    assert p.summary.unseen == {}
    assert p.val is not None
    assert np.array_equal(p.val.X[:, :3], p.train.X[:, :3])


def test_codes_and_versions_stay_what_they_are(tmp_path: Path) -> None:
    text = "k,y\n01,1.10\n1,1.1\n001,1.10x\n"
    p = prepared(
        "softmax", {"table": write(tmp_path, "a.csv", text), "target": "y", "categorical": ["k"]}
    )
    assert p.encoder.features == ("k=001", "k=01", "k=1")
    assert p.encoder.classes == ["1.1", "1.10", "1.10x"]


def test_composed_and_decomposed_letters_are_one_label(tmp_path: Path) -> None:
    one, two = unicodedata.normalize("NFC", "né"), unicodedata.normalize("NFD", "né")
    assert one != two
    train = {
        "table": write(tmp_path, "a.csv", f"c,y\n{one},{two}\nb,b\n{two},{one}\n"),
        "target": "y",
    }
    val = {**train, "table": write(tmp_path, "b.csv", f"c,y\n{two},{two}\n")}
    p = prepared("logistic", train, val=val)
    assert p.encoder.categories == {"c": ("b", one)}
    assert p.encoder.classes == ["b", one]
    assert p.val is not None
    assert (p.val.y.tolist(), p.val.X.tolist()) == ([[1]], [[0, 1]])


def test_train_and_val_in_two_spellings_are_refitted_as_one(tmp_path: Path) -> None:
    paths = boolean_files(tmp_path)
    for train, val in (("R", "int"), ("numbers", "bool"), ("text", "numbers"), ("bool", "text")):
        source = {"table": paths[train], "target": "f"}
        spec = spec_of("logistic", source, val={"table": paths[val], "target": "f"})
        rows = read(spec)
        plain = prepare_split(rows, spec, plain_split(rows, spec))
        both = prepare_refit(rows, spec, "train+val")
        assert both.train.y.tolist() == CODES + CODES
        assert both.encoder.classes == plain.encoder.classes


def test_spaces_around_a_label_or_a_category_are_no_part_of_it(tmp_path: Path) -> None:
    table = {
        "c": ["u", " u", "v ", "v"],
        "x": [1.0, 2.0, 3.0, 4.0],
        "y": ["no", "no ", " yes", "yes"],
    }
    rows = "".join(f"{c},{x},{y}\n" for c, x, y in zip(*table.values(), strict=True))
    text, typed = write(tmp_path, "a.csv", "c,x,y\n" + rows), tmp_path / "a.parquet"
    pq.write_table(pa.table(table), typed)
    for path in (text, str(typed)):
        p = prepared("softmax", {"table": path, "target": "y"}, class_weight={"yes ": 2})
        assert p.encoder.classes == ["no", "yes"]
        assert p.encoder.categories == {"c": ("u", "v")}
        assert p.train.y.reshape(-1).tolist() == [0, 0, 1, 1]
    p = from_arrays("logistic", np.ones((4, 1)), np.array(table["y"]))
    assert p.encoder.classes == ["no", "yes"]


@pytest.mark.parametrize(
    ("label", "text"),
    [
        ("True", "true"), ("TRUE", "true"), ("False", "false"), ("tRUE", "tRUE"), ("1.0", "1"),
        ("+1", "1"), ("-0", "0"), ("-3.00", "-3"), ("01", "01"), ("1.50", "1.50"), ("1e3", "1e3"),
        ("12345678901234567890", "12345678901234567890"), ("", ""), (" 1", "1"), ("yes ", "yes"),
        ("\u00a0a b\t", "a b"),
    ],
)  # fmt: skip
def test_label_text(label: str, text: str) -> None:
    assert label_text(label) == text


def test_true_is_1_among_two_labels_alone() -> None:
    assert label_positions([False, True]) == {"false": 0, "true": 1, "0": 0, "1": 1}
    assert label_positions([0, 1]) == {"false": 0, "true": 1, "0": 0, "1": 1}
    assert label_positions([1]) == {"true": 0, "1": 0}
    assert label_positions([0, 1, 2]) == {"0": 0, "1": 1, "2": 2}
    assert label_positions(["true", "maybe"]) == {"true": 0, "maybe": 1}


def test_what_was_written_is_never_the_nearest_name() -> None:
    stem = "a" * 70
    for name, other in (("é", "e\u0301"), (stem + "x", stem + "y"), ("a", "a\u200b")):
        written, nearest = repr(name), nearest_name(name, [other])
        assert nearest.endswith("is the nearest name")
        assert nearest.split(" is the")[0] != written
    long = nearest_name(stem + "x" + stem, [stem + "y" + stem])
    assert "y" in long
