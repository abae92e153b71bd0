"""Predict what can be predicted, count the rest: files that are less than a training file."""

from __future__ import annotations

import csv
import io
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from safetensors.numpy import save

from trainer.config.schema.spec import Spec
from trainer.data import prepare
from trainer.errors import DataError, UserError
from trainer.predict.fitted_model import FittedModel
from trainer.predict.tables import predict_file

rng = np.random.default_rng(5)
a, b = rng.normal(size=(2, 40)).round(2)
COLUMNS: dict[str, Any] = {
    "a": a,
    "b": b,
    "t": ["u", "v"] * 20,
    "words": ["no", "yes"] * 20,
    "codes": [0, 1] * 20,
    "truth": ["True", "False"] * 20,
    "number": (a + b + 5).round(3),
    "count": rng.poisson(2, 40),
    "first": [0, 1, 1, 0] * 10,
    "second": [1, 0, 1, 1] * 10,
    "share": a.clip(0, 1),
    "rest": 1 - a.clip(0, 1),
    "w": rng.integers(1, 4, 40),
}
MODELS = {  # name: (model, target, more keys of the source, more keys of data)
    "words": ("logistic", "words", {}, {"missing": "drop"}),
    "words, filled in": ("softmax", "words", {}, {"missing": "mean"}),
    "codes": ("logistic", "codes", {}, {}),
    "truth": ("logistic", "truth", {}, {}),
    "number": ("linear", "number", {}, {"missing": "drop"}),
    "weighted": ("linear", "number", {"weight": "w"}, {}),
    "count": ("poisson", "count", {}, {}),
    "shares": ("softmax", ["share", "rest"], {}, {}),
    "several": ("linear", ["number", "count"], {}, {}),
    "labels": ("logistic", ["first", "second"], {}, {}),
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder a model, of columns a, b and t."""
    folder = tmp_path_factory.mktemp("models")
    lines = [",".join(COLUMNS), *(",".join(map(str, row)) for row in zip(*COLUMNS.values()))]  # noqa: B905
    (folder / "train.csv").write_text("\n".join(lines) + "\n")
    for name, (model, target, keys, data) in MODELS.items():
        source = {"table": str(folder / "train.csv"), "target": target, **keys}
        source["columns"] = ["a", "b", "t"]
        fields = {"train": source, "val": "none", **data}
        p = prepare(Spec.model_validate({"model": model, "data": fields}))
        shape = (p.train.X.shape[1], len(p.encoder.outputs))
        weights = rng.normal(size=shape).astype(np.float32)
        (folder / name).mkdir()
        bias = np.zeros(shape[1], np.float32)
        FittedModel(model, weights, bias, p.encoder).save(folder / name)
    return folder


def predicted(run: Path, path: Path, **keys: Any) -> tuple[list[dict[str, str]], str]:
    """The rows of the CSV text, and what was said."""
    text, told = predict_file(run, str(path), **keys)
    assert text is not None
    return list(csv.DictReader(io.StringIO(text))), told or ""


def rows(target: str, cells: list[Any]) -> str:
    """A file to predict: as many rows as cells of the target."""
    return f"a,b,t,{target}\n" + "".join(f"{i},1,u,{cell}\n" for i, cell in enumerate(cells))


PLACEHOLDERS = [  # model, its target, cells, how many are scored, what is said
    ("words", "words", ["?"] * 3, 0, r"every row has a label that training did not have \('\?'\)"),
    ("words", "words", [""] * 3, 0, "no row has a target"),
    ("words", "words", ["NaN"] * 3, 0, "no row has a target"),
    ("words", "words", ["unknown"] * 3, 0, r"\('unknown'\)"),
    ("words", "words", [0] * 3, 0, r"\('0'\)"),
    ("words", "words", ["2020-01-01"] * 2, 0, "label that training did not have"),
    ("words", "words", ["yes", "dog", ""], 1, "1 row has no target\n1 row has a label .*'dog'"),
    ("words", "words", ["no", "no"], 2, ""),
    ("codes", "codes", [-1] * 3, 0, r"\('-1'\)"),
    ("codes", "codes", [0] * 3, 0, "every row has the target 0, as if it stood for none"),
    ("codes", "codes", [0, "?", 0], 0, "all of the other 2 rows have the target 0"),
    ("codes", "codes", [0], 1, ""),
    ("codes", "codes", ["1.0", "0.0", "0.5"], 2, r"1 row has a label .*\('0.5'\)"),
    ("codes", "codes", ["yes", "no"], 0, r"\('no', 'yes'\)"),
    ("codes", "codes", ["true", "FALSE"], 2, ""),
    ("truth", "truth", [1, 0, "?"], 2, r"1 row has a label .*\('\?'\)"),
    ("number", "number", ["?"] * 3, 0, "no row has a number as its target"),
    ("number", "number", [5, "unknown", ""], 1, "2 rows have no number as its target"),
    ("number", "number", [-1] * 2, 0, "every row has the target -1, as if it stood for none"),
    ("number", "number", [5, "inf"], 1, r"1 row has a target that the model cannot have \(inf\)"),
    ("count", "count", [-1, -1, 3], 1, r"2 rows have a target that the model cannot have \(-1\)"),
    ("labels", "first,second", ["1,0", "3,0"], 1, r"cannot have \(3, 0\)"),
    ("several", "number,count", ["5,1", "?,2"], 1, "1 row has no number as its target"),
    ("shares", "share,rest", ["0.5,0.5", "0.7,0.7", "?,1"], 1, r"cannot have \(0.7, 0.7\)"),
    ("shares", "share,rest", ["0,0", "0,0"], 0, r"every row has a target .* cannot have \(0, 0\)"),
    ("several", "number", [5, 6], None, "there is no 'count', so that nothing is scored"),
    ("weighted", "number,w", ["5,1", "6,-1", "7,?"], 1, "2 rows have no weight"),
    ("weighted", "number,w", ["5,0", "6,0"], 0, "every weight is 0"),
    ("weighted", "number", [5, 6], 2, "there is no 'w', so that each row counts once"),
    ("weighted", "w", ["?", "-1"], None, ""),
]


@pytest.mark.parametrize(("model", "target", "cells", "scored", "words"), PLACEHOLDERS)
def test_a_target_that_is_none_costs_no_prediction(
    runs: Path, tmp_path: Path, model: str, target: str, cells: Any, scored: Any, words: str
) -> None:
    (tmp_path / "new.csv").write_text(rows(target, cells))
    found, told = predicted(runs / model, tmp_path / "new.csv")
    assert [row["row"] for row in found] == [str(i) for i in range(len(cells))]
    assert all("" not in row.values() for row in found)
    assert re.search(words, told), told
    assert told.startswith("not scored") == (scored == 0)
    assert ("loss" in told) == bool(scored)
    some = f"(of {scored} of {len(cells)} rows)"
    assert (some in told) == (bool(scored) and scored != len(cells))
    again, quiet = predicted(runs / model, tmp_path / "new.csv", with_target=False)
    assert (again, quiet) == (found, "")


def test_placeholders_are_counted() -> None:
    assert len(PLACEHOLDERS) == 30
    assert {row[0] for row in PLACEHOLDERS} == MODELS.keys() - {"words, filled in"}


def test_the_rest_is_scored_as_if_the_others_were_not_there(runs: Path, tmp_path: Path) -> None:
    (tmp_path / "all.csv").write_text("a,b,t,words\n1,2,u,yes\n,1,u,no\n3,1,v,?\n2,0,v,no\n1,,u,\n")
    (tmp_path / "known.csv").write_text("a,b,t,words\n1,2,u,yes\n2,0,v,no\n")
    _, told = predicted(runs / "words", tmp_path / "all.csv")
    _, known = predicted(runs / "words", tmp_path / "known.csv")
    assert told.splitlines()[0] == f"{known} (of 2 of 5 rows)"


TYPED = {
    "dates": pa.array([18000, 18001], pa.date32()),
    "null": pa.nulls(2),
    "text": pa.array(["?", "?"]),
    "lists": pa.array([[1], [2]]),
    "fractions": pa.array([0.5, 0.25]),
    "binary": pa.array([b"a", b"b"]),
}


@pytest.mark.parametrize("kind", TYPED)
@pytest.mark.parametrize("model", ["words", "count"])
def test_no_type_of_the_target_costs_a_prediction(
    runs: Path, tmp_path: Path, kind: str, model: str
) -> None:
    features = {"a": [1.0, 2.0], "b": [1, 2], "t": ["u", "v"]}
    pq.write_table(pa.table({**features, model: TYPED[kind]}), tmp_path / "new.parquet")
    found, told = predicted(runs / model, tmp_path / "new.parquet")
    assert len(found) == 2
    assert "loss" in told if (model, kind) == ("count", "fractions") else "not scored" in told


GAPS = [  # rows, which are predicted, by a model that fills in nothing
    ("1,2,u|,2,u|3,2,u", [True, False, True]),
    ("1,2,|3,2,u", [False, True]),
    ("1,inf,u|3,NA,u|3,2,u", [False, False, True]),
    ("1,?,u|1,unknown,u|3,2,u", [False, False, True]),
    (",,|,,", [False, False]),
]


@pytest.mark.parametrize(("lines", "complete"), GAPS)
def test_a_row_with_a_gap_is_empty_or_filled_in(
    runs: Path, tmp_path: Path, lines: str, complete: list[bool]
) -> None:
    (tmp_path / "new.csv").write_text("a,b,t\n" + lines.replace("|", "\n") + "\n")
    found, told = predicted(runs / "words", tmp_path / "new.csv")
    assert [row["prediction"] != "" for row in found] == complete
    assert [row["p_yes"] != "" for row in found] == complete
    count = complete.count(False)
    assert f"{count} row{'s' * (count > 1)} ha{'ve' if count > 1 else 's'} no prediction" in told
    assert f"row {complete.index(False)} (line {complete.index(False) + 2})" in told
    assert "data." not in told
    filled, said = predicted(runs / "words, filled in", tmp_path / "new.csv")
    assert [row["prediction"] == "" for row in filled] == ["inf" in x for x in lines.split("|")]
    assert "filled in as in training" in said


BLANK = [  # text, the number of rows, the numbers of those without a value
    ("a,b,t\n1,2,u\n\n3,4,v\n", 3, [1]),
    ("a,b,t\r\n1,2,u\r\n\r\n\r\n3,4,v\r\n", 4, [1, 2]),
    ("\na,b,t\n\n3,4,v\n\n\n", 2, [0]),
    ('a,b,t,note\n1,2,u,"x\n\ny"\n\n3,4,v,z\n', 3, [1]),
    ("a,b,t\n1,2,u\n3,4,v\n\n\n", 2, []),
]


@pytest.mark.parametrize(("text", "count", "blank"), BLANK)
def test_rows_keep_their_numbers_behind_blank_lines(
    runs: Path, tmp_path: Path, text: str, count: int, blank: list[int]
) -> None:
    (tmp_path / "new.csv").write_text(text, newline="")
    found, told = predicted(runs / "words", tmp_path / "new.csv")
    assert [int(row["row"]) for row in found] == list(range(count))
    assert [int(row["row"]) for row in found if row["prediction"] == ""] == blank
    assert ("blank line" in told) == bool(blank)


ONE_COLUMN = [
    ("a\n1\n\n3\n", 3),
    ("a\r\n1\r\n\r\n3\r\n", 3),
    ("a\n\n1\n", 2),
    ("a\n1\n\n", 2),
    ('a\n1\n""\n3\n', 3),
    ("a\n1\n  \n3\n", 3),
    ("a\n1\nNA\n3\n\n", 4),
    ("a\n\n\n", 2),
]


@pytest.mark.parametrize(("text", "count"), ONE_COLUMN)
def test_a_blank_line_of_one_column_is_a_row(tmp_path: Path, text: str, count: int) -> None:
    (tmp_path / "train.csv").write_text("a,y\n1,2\n2,4\n3,7\n")
    source = {"table": str(tmp_path / "train.csv"), "target": "y"}
    fields = {"train": source, "val": "none", "missing": "mean", "scale": "none"}
    p = prepare(Spec.model_validate({"model": "linear", "data": fields}))
    FittedModel("linear", np.ones((1, 1)), np.zeros(1), p.encoder).save(tmp_path)
    (tmp_path / "new.csv").write_text(text, newline="")
    found, told = predicted(tmp_path, tmp_path / "new.csv")
    assert [int(row["row"]) for row in found] == list(range(count))
    cells = [cell.strip().strip('"') for cell in text.splitlines()[1:]]
    filled = [2.0 if cell in ("", "NA") else float(cell) for cell in cells]
    assert [float(row["prediction"]) for row in found] == filled
    assert "filled in" in told


def test_a_blank_row_among_booleans_and_line_numbers(runs: Path, tmp_path: Path) -> None:
    (tmp_path / "new.csv").write_text("a,b,t\n1,true,u\n\n0,false,v\n")
    found, _ = predicted(runs / "words", tmp_path / "new.csv")
    assert [row["prediction"] != "" for row in found] == [True, False, True]
    numbers = "1,1,u\n" * 60  # only then a word: the column is read as text
    (tmp_path / "new.csv").write_text(f"a,b,t\n{numbers}\n0,false,v\n")
    found, _ = predicted(runs / "words", tmp_path / "new.csv")
    assert [row["prediction"] for row in found].index("") == 60
    (tmp_path / "new.csv").write_text("a,b,t\n1,2,u\n\n1,x,v\n")
    with pytest.raises(DataError, match=r"row 2 \(line 4\), column 'b': 'x' is text"):
        predicted(runs / "words", tmp_path / "new.csv")
    (tmp_path / "new.csv").write_text("a,b,t\n1,2,u\n\n1\n")
    with pytest.raises(DataError, match=r"row 2 \(line 4\): has 1 cell"):
        predicted(runs / "words", tmp_path / "new.csv")


FAULTS = {  # files that cannot be predicted, and what is said
    "other separator": ("a;b;t\n1;2;u\n", "with semicolons between names; commas are right"),
    "no header": ("1,2,3\n4,5,6\n", "a header line with the columns' names is right$"),
    "thousands": ('a,b,t\n1,"1,234",u\n', "between thousands; write a plain number"),
    "text": ("a,b,t\n1,two,u\n", "'two' is text where a number should be"),
    "encoding": ("a,b,t\n1,2,\udce9\n", "save the file in the training file's encoding, UTF-8"),
    "columns": ("a,x\n1,2\n", "there are no columns 'b', 't', which the training source has;"),
    "twice": ("a,b,a,t\n1,2,3,u\n", "columns 1 and 3 are both called 'a'"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_no_advice_that_prediction_cannot_take(runs: Path, tmp_path: Path, name: str) -> None:
    text, words = FAULTS[name]
    (tmp_path / "new.csv").write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(DataError, match=words) as caught:
        predicted(runs / "words", tmp_path / "new.csv")
    assert "`" not in str(caught.value)
    assert "data." not in str(caught.value)


def test_a_file_without_a_header_is_followed_by_such(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text("1,2,no\n2,5,yes\n4,3,yes\n")
    save_ones({"table": str(tmp_path / "train.csv"), "target": 2, "header": "none"}, tmp_path)
    (tmp_path / "new.csv").write_text("1,2,?\n\n3,1,?\n")
    found, told = predicted(tmp_path, tmp_path / "new.csv")
    assert [row["prediction"] != "" for row in found] == [True, False, True]
    assert "row 1 (line 2)" in told
    (tmp_path / "new.csv").write_text("p,q\n3,1\n")
    with pytest.raises(DataError, match=r"'p' is text .*; the training file has no header line"):
        predicted(tmp_path, tmp_path / "new.csv")


def test_digits_as_text_are_numbers(runs: Path, tmp_path: Path) -> None:
    texts = {"a": ["1", " 2.5", "?"], "b": ["1", None, "3"], "t": ["u", "u", "u"]}
    pq.write_table(pa.table(texts), tmp_path / "text.parquet")
    found, told = predicted(runs / "words, filled in", tmp_path / "text.parquet")
    (tmp_path / "new.csv").write_text("a,b,t\n1,1,u\n2.5,,u\n,3,u\n")
    assert found == predicted(runs / "words, filled in", tmp_path / "new.csv")[0]
    assert "'?' in column 'a' is taken for a missing value" in told


def test_other_columns_may_be_anything(runs: Path, tmp_path: Path) -> None:
    (tmp_path / "plain.csv").write_text("a,b,t\n1,2,u\n")
    (tmp_path / "more.csv").write_text("t,id,id,b,when,a\nu,7,8,2,2020-01-01,1\n")
    assert predicted(runs / "words", tmp_path / "plain.csv") == predicted(
        runs / "words", tmp_path / "more.csv"
    )


def test_unseen_categories_are_counted(runs: Path, tmp_path: Path) -> None:
    (tmp_path / "new.csv").write_text("a,b,t\n1,2,new\n1,2,other\n1,2,u\n")
    found, told = predicted(runs / "words", tmp_path / "new.csv")
    assert len(found) == 3
    assert told == "2 rows have a t that training did not"


def test_numbers_too_large_for_the_models_precision_are_predicted(
    runs: Path, tmp_path: Path
) -> None:
    (tmp_path / "new.csv").write_text("a,b,t\n1e39,0,u\n1e-3,0,u\n")
    found, told = predicted(runs / "number", tmp_path / "new.csv")
    weight = FittedModel.load(runs / "number").coef_[0, 0]
    assert float(found[0]["prediction"]) == pytest.approx(1e39 * weight)
    assert told == ""


def test_parquet_has_nulls_where_nothing_is_predicted(runs: Path, tmp_path: Path) -> None:
    (tmp_path / "new.csv").write_text("a,b,t\n1,2,u\n,2,u\n")
    for model in ("words", "codes", "truth", "number"):
        predict_file(runs / model, str(tmp_path / "new.csv"), tmp_path / "p.parquet")
        table = pq.ParquetFile(tmp_path / "p.parquet").read()
        for name in table.column_names[1:]:
            assert table[name].is_valid().to_pylist() == [True, False]


def test_the_file_to_predict_is_not_overwritten(runs: Path, tmp_path: Path) -> None:
    path = tmp_path / "new.csv"
    path.write_text("a,b,t\n1,2,u\n")
    for data in (path, tmp_path / "n*.csv"):
        with pytest.raises(UserError, match="is the file to predict; name another"):
            predict_file(runs / "words", str(data), path)
    assert path.read_text() == "a,b,t\n1,2,u\n"


def npz(tmp_path: Path, **arrays: Any) -> Path:
    np.savez(tmp_path / "new.npz", **arrays)
    return tmp_path / "new.npz"


def save_ones(source: dict[str, Any], folder: Path, model: str = "logistic") -> None:
    """Save a model of two features, both with the weight 1."""
    fields = {"model": model, "data": {"train": source, "val": "none"}}
    encoder = prepare(Spec.model_validate(fields)).encoder
    FittedModel(model, np.ones((2, 1)), np.zeros(1), encoder).save(folder)


def test_arrays_to_predict(tmp_path: Path) -> None:
    X, y = rng.normal(size=(20, 2)), np.array(["no", "yes"] * 10)
    source = {"npz": str(npz(tmp_path, X=X, y=y)), "features": "X", "target": "y"}
    save_ones(source, tmp_path)
    gap = np.array([[1.0, 2], [np.nan, 1], [0, 1]])
    targets = {
        "every row has a label": np.array(["?"] * 3),
        "1 row has no target": np.array([0.5, 1, 2]),
        "the target 'y' is not read: shape": np.zeros(7),
        r"the target 'y' is not read: .*\(pickled\)": np.array([None, 1, "a"], dtype=object),
        "another kind": np.zeros((3, 2)),
        "no kind of label": np.array(["2020-01-01"] * 3, "M8[D]"),
        "of 2 of 3 rows": np.array(["yes", "yes", "no"]),
    }
    for words, target in targets.items():
        found, told = predicted(tmp_path, npz(tmp_path, X=gap, y=target))
        assert [row["prediction"] != "" for row in found] == [True, False, True]
        assert re.search(words, told)
        assert "row 1, column 'x0'" in told
    (tmp_path / "named.csv").write_text("p,q,y\n1,2,?\n0,1,?\n")
    found, told = predicted(tmp_path, tmp_path / "named.csv")
    assert len(found) == 2
    assert "its columns are taken in their order" in told


def test_text_for_numbers_in_an_array(tmp_path: Path) -> None:
    arrays = npz(tmp_path, X=np.eye(4)[:, :2], y=np.arange(4.0), w=np.ones(4))
    keys = {"npz": str(arrays), "features": "X", "target": "y", "weight": "w"}
    save_ones(keys, tmp_path, "linear")
    new = npz(tmp_path, X=np.ones((4, 2)), y=np.array(["1", "?", "3", "4"]), w=[1, 1, -1, np.nan])
    found, told = predicted(tmp_path, new)
    assert len(found) == 4
    assert "(of 1 of 4 rows)\n1 row has no number as its target\n2 rows have no weight" in told


def test_shards_of_which_some_have_the_target(runs: Path, tmp_path: Path) -> None:
    (tmp_path / "s1.csv").write_text("a,b,t\n1,1,u\n\n1,1,u\n")
    (tmp_path / "s2.csv").write_text(rows("words", ["yes", "no"]))
    (tmp_path / "s3.csv").write_text("a,b,t\n\n\n1,1,u\n")
    found, told = predicted(runs / "words", tmp_path / "s?.csv")
    assert [row["prediction"] != "" for row in found] == [
        True,
        False,
        *[True] * 3,
        *[False] * 2,
        True,
    ]
    assert "(of 2 of 8 rows)\n6 rows have no target\n" in told
    assert f"\n{tmp_path}/s1.csv: 1 blank line is a row" in told
    assert f"\n{tmp_path}/s3.csv: 2 blank lines are rows" in told


def test_shards_whose_targets_are_of_two_kinds(tmp_path: Path) -> None:
    source = {"npz": str(npz(tmp_path, X=np.eye(2), y=["a", "b"])), "features": "X", "target": "y"}
    save_ones(source, tmp_path)
    for name, target in (("s1", np.eye(2)), ("s2", ["a", "b"]), ("s3", np.array([{}]))):
        np.savez(tmp_path / f"{name}.npz", X=np.eye(2), y=target)
    found, told = predicted(tmp_path, tmp_path / "s?.npz")
    assert len(found) == 6
    assert "(of 2 of 6 rows)\n4 rows have no target\n" in told
    assert "s1.npz: X: its target is of another kind than the others'" in told
    assert "s3.npz: X: the target 'y' is not read" in told


def test_no_target_leaves_out_its_column_in_order_too(tmp_path: Path) -> None:
    source = {"npz": str(npz(tmp_path, X=np.eye(2), y=["a", "b"])), "features": "X", "target": "y"}
    save_ones(source, tmp_path)
    (tmp_path / "named.csv").write_text("p,q,y\n1,2,a\n")
    found, told = predicted(tmp_path, tmp_path / "named.csv", with_target=False)
    assert (len(found), "loss" in told) == (1, False)


LIBSVM = [
    ("? 1:2 2:3\n1 1:2\n", 2, "1 row has no target"),
    ("1:2 2:3\n2:2\n", 2, "no row has a target"),
    ("1,2 1:3\n-1 2:1\n1 2:1\n", 3, r"\(of 2 of 3 rows\)"),
    ("-1 1:2 3:5\n1 2:2 4:1\n", 2, "2 values of indices above 2, which training did not have"),
    ("0 1:2\n0 1:3\n", 2, r"every row has a label that training did not have \('0'\)"),
    ("1 1:nan\n-1 2:1\n", 2, r"row 0 \(line 1\), column 'x1'"),
]


@pytest.mark.parametrize(("text", "count", "words"), LIBSVM)
def test_libsvm_text_to_predict(tmp_path: Path, text: str, count: int, words: str) -> None:
    (tmp_path / "train.svm").write_text("1 1:1 2:2\n-1 1:3\n1 2:1\n-1 1:1\n")
    source = {"libsvm": str(tmp_path / "train.svm")}
    save_ones(source, tmp_path)
    (tmp_path / "new.svm").write_text(text)
    found, told = predicted(tmp_path, tmp_path / "new.svm")
    assert len(found) == count
    assert re.search(words, told), told
    for table in ("x1,x2\n1,2\n", "1,2\n3,4\n"):  # a row without values each, if it were read
        (tmp_path / "new.svm").write_text(table)
        with pytest.raises(DataError, match="line 1: "):
            predicted(tmp_path, tmp_path / "new.svm")


STANDARD_INPUT = [
    ("libsvm", b"x0,x1\n1,2\n"),
    ("libsvm", b"0:1 1:2\n"),
    ("npz", b"\n\nx0\tx1\n1\t2\n"),
    ("npz", save({"X": np.array([[1.0, 2]])})),
]


@pytest.mark.parametrize(("form", "content"), STANDARD_INPUT)
def test_what_standard_input_is_is_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str, content: bytes
) -> None:
    source = {"npz": str(npz(tmp_path, X=np.eye(2), y=[1, -1])), "features": "X", "target": "y"}
    if form == "libsvm":
        (tmp_path / "train.svm").write_text("1 0:1\n-1 1:1\n")
        source = {"libsvm": str(tmp_path / "train.svm")}
    save_ones(source, tmp_path)
    (tmp_path / "new.csv").write_text("x0,x1\n1,2\n")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))
    found, _ = predicted(tmp_path, Path("-"))
    assert found == predicted(tmp_path, tmp_path / "new.csv")[0]
