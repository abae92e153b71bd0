"""Broken data: each case is one line that says where, and what would be right."""

from __future__ import annotations

import gzip
import io
import os
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from data_helpers import from_arrays, prepared, write
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from trainer.errors import DataError


@dataclass(frozen=True)
class Case:
    name: str
    says: tuple[str, ...]
    model: str = "linear"
    csv: str | bytes | None = None
    file: str = "a.csv"
    source: dict[str, Any] = field(default_factory=dict)
    data: dict[str, Any] = field(default_factory=dict)


GOOD = "x,y\n1,2\n3,4\n5,7\n"
TABLES = [
    Case("empty file", ("a.csv", "is empty"), csv=b""),
    Case("blank lines only", ("a.csv", "is empty"), csv="\n\n\n"),
    Case("BOM only", ("a.csv", "is empty"), csv=b"\xef\xbb\xbf"),
    Case("header only", ("a.csv", "no rows"), csv="x,y\n"),
    Case("ragged, long", ("row 1 (line 3)", "3 cells", "header has 2"), csv="x,y\n1,2\n3,4,5\n"),
    Case("ragged, short", ("row 2 (line 5)", "1 cell", "header has 2"), csv="x,y\n1,2\n\n3,4\n5\n"),
    Case("not UTF-8", ("line 3, cell 1", "0xe9", "UTF-8", "encoding"), csv=b"x,y\n1,2\n\xe9,4\n"),
    Case("UTF-16", ("UTF-16", "`encoding: utf-16`"), csv=GOOD.encode("utf-16")),
    Case("open quote", ("line 3", "quote"), csv='x,y\n1,2\n3,"4\n5,6\n'),
    Case("duplicate names", ("columns 1 and 3", "'x'"), csv="x,y,x\n1,2,3\n"),
    Case("nameless column", ("column 1", "no name", "drop"), csv=",x,y\n0,1,2\n1,3,4\n"),
    Case("spaces", ("spaces between", '`separator: " "` is right'), csv="x y\n1 2\n"),
    Case("semicolons", ("semicolons between", '`separator: ";"` is right'), csv="x;y\n1;2\n"),
    Case(
        "target missing",
        ("target", "'Y2'", "'y2' is the nearest"),
        csv="x,y2\n1,2\n",
        source={"target": "Y2"},
    ),
    Case("target far from all", ("'label'", "'x', 'y'"), csv=GOOD, source={"target": "label"}),
    Case("column missing", ("columns", "'xx'", "'x'"), csv=GOOD, source={"columns": ["xx"]}),
    Case("drop missing", ("drop", "'z'"), csv=GOOD, source={"drop": ["z"]}),
    Case("weight missing", ("weight", "'w'"), csv=GOOD, source={"weight": "w"}),
    Case(
        "target as feature", ("columns", "'y'", "target"), csv=GOOD, source={"columns": ["x", "y"]}
    ),
    Case(
        "weight as feature",
        ("columns", "'x'", "weight"),
        csv="x,y,z\n1,2,3\n",
        source={"columns": ["x", "z"], "weight": "x"},
    ),
    Case("target as weight", ("weight", "'y'", "target"), csv=GOOD, source={"weight": "y"}),
    Case(
        "categorical not a feature", ("categorical", "'y'"), csv=GOOD, source={"categorical": ["y"]}
    ),
    Case(
        "dropped and listed",
        ("drop", "'x'", "columns"),
        csv=GOOD,
        source={"columns": ["x"], "drop": ["x"]},
    ),
    Case("listed twice", ("columns", "'x'", "twice"), csv=GOOD, source={"columns": ["x", "x"]}),
    Case("no feature left", ("no column is left",), csv=GOOD, source={"drop": ["x"]}),
    Case("missing cell", ("row 1 (line 3)", "'x'", "missing"), csv="x,y\n1,2\nNA,4\n5,6\n"),
    Case("missing target", ("row 1 (line 3)", "'y'", "missing"), csv="x,y\n1,2\n3,\n5,6\n"),
    Case("missing text", ("row 1 (line 3)", "'x'", "missing"), csv="x,y\na,2\n,4\nb,6\n"),
    Case(
        "missing target under mean",
        ("row 1", "'y'", "drop"),
        csv="x,y\n1,2\n3,\n5,6\n",
        data={"missing": "mean"},
    ),
    Case(
        "nothing left to keep", ("every row", "drop"), csv="x,y\n,2\n3,\n", data={"missing": "drop"}
    ),
    Case(
        "column without values",
        ("'x'", "no training row has a value"),
        csv="x,y\n,2\n,3\n",
        data={"missing": "mean"},
    ),
    Case("infinite", ("row 2 (line 4)", "'x'", "infinite"), csv="x,y\n1,2\n2,4\ninf,6\n"),
    Case("overflow", ("row 0 (line 2)", "'x'", "infinite"), csv="x,y\n1e999,2\n2,4\n"),
    Case(
        "infinite under mean",
        ("row 2", "'x'", "infinite"),
        csv="x,y\n1,2\n,4\n-inf,6\n",
        data={"missing": "mean"},
    ),
    Case(
        "infinite under drop",
        ("row 2", "'x'", "infinite"),
        csv="x,y\n1,2\n,4\n-inf,6\n",
        data={"missing": "drop"},
    ),
    Case("infinite target", ("row 0", "'y'", "inf"), csv="x,y\n1,inf\n2,4\n"),
    Case(
        "mostly numbers",
        ("row 2 (line 4)", "'x'", "'oops'", "not a number", "categorical"),
        csv="x,y\n1,2\n3,4\noops,6\n7,8\n",
    ),
    Case("text target, linear", ("row 0", "'y'", "'yes'", "logistic"), csv="x,y\n1,yes\n2,no\n"),
    Case(
        "too many categories",
        ("'x'", "3 categories", "drop: [x]"),
        csv="x,y\na,1\nb,2\nc,3\n",
        data={"max_categories": 2},
    ),
    Case(
        "three classes, logistic", ("3 classes", "softmax"), "logistic", csv="x,y\n1,a\n2,b\n3,c\n"
    ),
    Case(
        "many numbers, logistic",
        ("30 classes", "softmax", "linear"),
        "logistic",
        csv="x,y\n" + "".join(f"{i},{i}\n" for i in range(30)),
    ),
    Case("one class, logistic", ("'a'", "two classes"), "logistic", csv="x,y\n1,a\n2,a\n"),
    Case("one class, softmax", ("'1'", "two classes"), "softmax", csv="x,y\n1,1\n2,1.0\n"),
    Case(
        "fraction as a label",
        ("row 1 (line 3)", "2.5", "linear"),
        "softmax",
        csv="x,y\n1,1\n2,2.5\n",
    ),
    Case(
        "probabilities off",
        ("row 1 (line 3)", "sum to 0.9"),
        "softmax",
        csv="x,p,q\n1,.5,.5\n2,.5,.4\n",
        source={"target": ["p", "q"]},
    ),
    Case(
        "probability below 0",
        ("row 0", "'p'", "-0.5"),
        "softmax",
        csv="x,p,q\n1,-.5,1.5\n2,.5,.5\n",
        source={"target": ["p", "q"]},
    ),
    Case(
        "several labels, not 0 or 1",
        ("row 1", "'q'", "2 in"),
        "logistic",
        csv="x,p,q\n1,0,1\n2,1,2\n",
        source={"target": ["p", "q"]},
    ),
    Case(
        "text in one of several targets",
        ("row 0", "'q'", "'a'"),
        "linear",
        csv="x,p,q\n1,0,a\n2,1,b\n",
        source={"target": ["p", "q"]},
    ),
    Case(
        "negative weight",
        ("row 1 (line 3)", "'w'", "weight is -1"),
        csv="x,y,w\n1,2,1\n2,3,-1\n",
        source={"weight": "w"},
    ),
    Case(
        "missing weight",
        ("row 1 (line 3)", "'w'", "weight is missing"),
        csv="x,y,w\n1,2,1\n2,3,\n",
        source={"weight": "w"},
    ),
    Case(
        "infinite weight",
        ("row 0", "inf", "weight"),
        csv="x,y,w\n1,2,inf\n2,3,1\n",
        source={"weight": "w"},
    ),
    Case(
        "zero weights",
        ("every row has weight 0",),
        csv="x,y,w\n1,2,0\n2,3,0\n",
        source={"weight": "w"},
    ),
    Case(
        "text weight",
        ("row 0", "'w'", "'big'"),
        csv="x,y,w\n1,2,big\n2,3,small\n",
        source={"weight": "w"},
    ),
    Case(
        "weights leave one class",
        ("'b'", "two classes"),
        "logistic",
        csv="x,y,w\n1,a,0\n2,b,1\n",
        source={"weight": "w"},
    ),
    Case("too few to split", ("data.val", "1 row"), csv="x,y\n1,2\n", data={"val": 0.2}),
    Case("stratify numbers", ("stratify",), csv=GOOD, data={"stratify": True}),
    Case(
        "too large to standardise",
        ("'x'", "too large or too small"),
        csv="x,y\n1e308,1\n-1e308,2\n",
        data={"scale": "standard"},
    ),
    Case(
        "too small to standardise",
        ("'x'", "too large or too small"),
        csv="x,y\n1e-200,1\n2e-200,2\n",
        data={"scale": "standard"},
    ),
    Case(
        "target too large to standardise",
        ("'y'", "too large or too small"),
        csv="x,y\n1,1e308\n2,-1e308\n",
        data={"scale_target": "standard"},
    ),
    Case(
        "gzip cut short",
        ("a.csv.gz", "damaged"),
        csv=gzip.compress(GOOD.encode() * 100)[:-10],
        file="a.csv.gz",
    ),
    Case("gzip in name only", ("a.csv.gz", "damaged"), csv=GOOD, file="a.csv.gz"),
    Case("no Parquet", ("a.parquet", "Parquet"), csv=GOOD, file="a.parquet"),
    Case("unknown kind", ("a.xlsx", ".csv"), csv=GOOD, file="a.xlsx"),
    Case("digits of another script", ("row 0", "'x'", "other digits"), csv="x,y\n１,2\n3,4\n5,6\n"),
    Case(
        "probabilities off by a little",
        ("row 1", "sum to 0.999;"),
        "softmax",
        csv="x,p,q\n1,.5,.5\n2,.5,.499\n",
        source={"target": ["p", "q"]},
    ),
    Case("no header", ("first line holds numbers", "`header: none`"), csv="1,2\n3,4\n"),
    Case("tabs under .csv", ("tabs between", r'`separator: "\t"`'), csv=GOOD.replace(",", "\t")),
]


@pytest.mark.parametrize("case", TABLES, ids=lambda case: case.name)
def test_table(case: Case, tmp_path: Path) -> None:
    path = write(tmp_path, case.file, case.csv if case.csv is not None else GOOD)
    source = {"table": path, "target": "y", **case.source}
    with pytest.raises(DataError) as caught:
        prepared(case.model, source, **case.data)
    check(caught.value, path, *case.says)


def test_every_table_case_is_run() -> None:
    assert len(TABLES) == 67
    assert len({case.name for case in TABLES}) == len(TABLES)


def npy_bytes(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=True)
    return buffer.getvalue()


X4 = np.arange(12.0).reshape(4, 3)
Y4 = np.array([0.0, 1.0, 0.0, 1.0])
LYING = npy_bytes(X4).replace(b"(4, 3)", b"(9, 3)")
HUGE = npy_bytes(X4).replace(b"(4, 3), }         ", b"(4000000000000, 3),}")
ARRAYS: list[tuple[str, Any, Any, tuple[str, ...]]] = [
    ("truncated", npy_bytes(X4)[:-8], Y4, ("X.npy", "cut short", "96 bytes", "88")),
    ("header promises more", LYING, Y4, ("X.npy", "cut short", "(9, 3)")),
    ("header promises terabytes", HUGE, Y4, ("X.npy", "cut short")),
    ("header promises less", npy_bytes(X4) + b"\0" * 8, Y4, ("X.npy", "longer")),
    ("header cut", npy_bytes(X4)[:40], Y4, ("X.npy", "header")),
    ("negative shape", npy_bytes(X4).replace(b"(4, 3)", b"(-4,3)"), Y4, ("X.npy", "header")),
    ("shape of booleans", npy_bytes(X4).replace(b"(4, 3)", b"(True,"), Y4, ("X.npy", "header")),
    ("no dtype", npy_bytes(X4).replace(b"<f8", b"<q9"), Y4, ("X.npy", "header")),
    ("no .npy", b"nothing of the kind", Y4, ("X.npy", "no .npy file")),
    ("objects", np.array([[1, "a"]] * 4, dtype=object), Y4, ("X.npy", "objects")),
    ("object target", X4, np.array(["a", None] * 2, dtype=object), ("y.npy", "objects")),
    ("text", np.array([["a"]] * 4), Y4, ("X.npy", "numbers")),
    ("complex", X4 + 1j, Y4, ("X.npy", "complex128", "numbers")),
    ("dates", X4.astype("M8[s]"), Y4, ("X.npy", "numbers")),
    ("a record", np.zeros(4, dtype=[("a", "f8")]), Y4, ("X.npy", "numbers")),
    ("one dimension", X4[:, 0], Y4, ("X.npy", "(4,)", "(4, 1)")),
    ("three dimensions", X4.reshape(4, 3, 1), Y4, ("X.npy", "(4, 3, 1)", "(4, 3)")),
    ("a scalar", np.array(1.0), Y4, ("X.npy", "()")),
    ("no rows", X4[:0], Y4[:0], ("X.npy", "no rows")),
    ("no columns", X4[:, :0], Y4, ("X.npy", "no columns")),
    ("fewer targets", X4, Y4[:3], ("y.npy", "(3,)", "4 rows")),
    ("scalar target", X4, np.array(1.0), ("y.npy", "4 rows")),
    ("target of three dimensions", X4, Y4.reshape(4, 1, 1), ("y.npy", "(N, C)")),
    ("complex target", X4, Y4 + 1j, ("y.npy", "complex128")),
    ("NaN", np.where(X4 == 7, np.nan, X4), Y4, ("X.npy", "row 2", "'x1'", "NaN")),
    ("Inf", np.where(X4 == 7, -np.inf, X4), Y4, ("X.npy", "row 2", "'x1'", "infinite")),
    ("NaN target", X4, np.where(Y4 == 1, np.nan, Y4), ("y.npy", "row 1", "NaN")),
    ("Inf target", X4, np.where(Y4 == 1, np.inf, Y4), ("y.npy", "row 1", "inf")),
    ("text target", X4, np.array(["a", "b"] * 2), ("y.npy", "softmax")),
]  # fmt: skip


@pytest.mark.parametrize(("name", "X", "y", "says"), ARRAYS, ids=[row[0] for row in ARRAYS])
def test_npy(name: str, X: Any, y: Any, says: tuple[str, ...], tmp_path: Path) -> None:
    source = {"npy": write(tmp_path, "X.npy", X), "target": write(tmp_path, "y.npy", y)}
    with pytest.raises(DataError) as caught:
        prepared("linear", source)
    check(caught.value, str(tmp_path), *says)


def test_every_array_case_is_run() -> None:
    assert len(ARRAYS) == 29


def test_pickle_is_never_loaded(tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[Callable[..., Any], tuple[str]]:
            return os.mkdir, (str(tmp_path / "bomb"),)

    bomb = np.array([Bomb()] * 4, dtype=object)
    source = {"npy": write(tmp_path, "X.npy", bomb), "target": write(tmp_path, "y.npy", Y4)}
    with pytest.raises(DataError, match="objects"):
        prepared("linear", source)
    np.savez(tmp_path / "f.npz", X=bomb, y=Y4)
    with pytest.raises(DataError, match="objects"):
        prepared("linear", {"npz": str(tmp_path / "f.npz"), "features": "X", "target": "y"})
    assert not (tmp_path / "bomb").exists()


def test_every_cut_of_an_npy_file_is_one_line(tmp_path: Path) -> None:
    content = npy_bytes(X4)
    target = write(tmp_path, "y.npy", Y4)
    for length in range(len(content)):
        path = write(tmp_path, "X.npy", content[:length])
        with pytest.raises(DataError) as caught:
            prepared("linear", {"npy": path, "target": target})
        check(caught.value, path)


def test_npz(tmp_path: Path) -> None:
    path = tmp_path / "f.npz"
    np.savez(path, X=X4, labels=Y4)
    source = {"npz": str(path), "features": "X", "target": "label"}
    with pytest.raises(DataError) as caught:
        prepared("linear", source)
    check(caught.value, str(path), "'label'", "'labels' is the nearest")

    content = path.read_bytes()
    path.write_bytes(content[:-30])
    with pytest.raises(DataError) as caught:
        prepared("linear", {**source, "target": "labels"})
    check(caught.value, str(path), "damaged")

    flipped = bytearray(content)
    flipped[content.index(X4.tobytes()) + 5] ^= 1  # the archive's checksum sees it
    path.write_bytes(flipped)
    with pytest.raises(DataError) as caught:
        prepared("linear", {**source, "target": "labels"})
    check(caught.value, str(path), "damaged")

    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("X.npy", LYING)
        archive.writestr("labels.npy", b"no array")
    with pytest.raises(DataError) as caught:
        prepared("linear", {**source, "target": "labels"})
    check(caught.value, str(path), "cut short")

    path.write_bytes(b"nothing like it")
    with pytest.raises(DataError) as caught:
        prepared("linear", source)
    check(caught.value, str(path), "no .npz archive")


def test_missing_file_says_the_spelling_that_would_work(tmp_path: Path) -> None:
    right = write(tmp_path, "experiments/train_rows.csv", GOOD)
    for wrong in (
        "experiments/train_row.csv",
        "experiment/train_rows.csv",
        "Experiments/train_rows.CSV",
        "experiments/train_rows",
    ):
        with pytest.raises(DataError) as caught:
            prepared("linear", {"table": str(tmp_path / wrong), "target": "y"})
        check(caught.value, str(tmp_path / wrong), "no such file", f"did you mean {right}?")
    with pytest.raises(DataError) as caught:
        prepared("linear", {"table": str(tmp_path / "experiments/q.tsv"), "target": "y"})
    check(caught.value, "no such file", "holds 'train_rows.csv'")
    with pytest.raises(DataError) as caught:
        prepared("linear", {"table": f"{right}/deeper.csv", "target": "y"})
    check(caught.value, f"{right}/deeper.csv", "no such file")


def test_folder_in_place_of_a_file(tmp_path: Path) -> None:
    for source in (
        {"table": str(tmp_path), "target": "y"},
        {"npy": str(tmp_path), "target": "y.npy"},
        {"npz": str(tmp_path), "features": "X", "target": "y"},
    ):
        with pytest.raises(DataError) as caught:
            prepared("linear", source)
        check(caught.value, str(tmp_path), "is a folder")


def test_a_folder_of_one_kind_is_told_as_a_pattern(tmp_path: Path) -> None:
    source = {"table": str(tmp_path), "target": "y"}
    for name, pattern in (("a.csv", "*.csv"), ("b.csv", "*.csv"), ("c.parquet", "")):
        (tmp_path / name).write_text("x,y\n1,0\n2,1\n3,0\n4,1\n")
        with pytest.raises(DataError) as caught:
            prepared("logistic", source)
        assert ("or all: " in str(caught.value)) == bool(pattern)
        assert pattern in str(caught.value)


def test_pipe_in_place_of_a_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.csv")
    with pytest.raises(DataError) as caught:
        prepared("linear", {"table": str(tmp_path / "a.csv"), "target": "y"})
    check(caught.value, "a.csv", "no regular file")


def test_unreadable_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise PermissionError(13, "Permission denied")

    path = write(tmp_path, "a.csv", GOOD)
    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(DataError) as caught:
        prepared("linear", {"table": path, "target": "y"})
    check(caught.value, path, "cannot be read (Permission denied)")


def test_parquet_columns_that_are_no_numbers(tmp_path: Path) -> None:
    path = str(tmp_path / "a.parquet")
    for column, says in (
        (pa.array([1, 2], pa.timestamp("s")), "timestamp"),
        (pa.array([["u"], ["v"]]), "lists of string"),
        (pa.array([{"k": 1}, {"k": 2}]), "struct<"),
        (pa.array([b"1", b"2"]), "binary"),
    ):
        pq.write_table(pa.table({"x": column, "y": [1.0, 2.0]}), path)
        with pytest.raises(DataError) as caught:
            prepared("linear", {"table": path, "target": "y"})
        check(caught.value, path, "'x'", says, "drop")


def test_parquet_cut_short(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"x": [1.0, 2.0], "y": [1.0, 2.0]}), path)
    content = path.read_bytes()
    for length in range(1, len(content), 50):
        path.write_bytes(content[:length])
        with pytest.raises(DataError) as caught:
            prepared("linear", {"table": str(path), "target": "y"})
        check(caught.value, str(path))


def test_validation_source_that_does_not_match(tmp_path: Path) -> None:
    train = {"table": write(tmp_path, "a.csv", "n,t,y\n1,a,u\n2,b,v\n"), "target": "y"}
    for content, says in (
        ("n,y\n1,u\n", ("there is no column 't'", "training source")),
        ("n,t,y\nx,a,u\n", ("row 0 (line 2)", "'n'", "'x'", "numbers in this column")),
        ("n,t,y\n1,a,w\n", ("row 0 (line 2)", "'w'", "classes are u, v")),
        ("n,t\n1,a\n", ("there is no column 'y'",)),
    ):
        path = write(tmp_path, "b.csv", content)
        with pytest.raises(DataError) as caught:
            prepared("logistic", train, val={"table": path, "target": "y"})
        check(caught.value, path, *says)


def test_arrays_from_python() -> None:
    y = np.array([0, 1, 0, 1])
    cases: list[tuple[dict[str, Any], tuple[str, ...]]] = [
        ({"val": (X4[:, :2], y)}, ("'val'", "2 columns", "3")),
        ({"val": X4}, ("'val'", "pair")),
        ({"valid": (X4, y)}, ("'valid'", "'val' is the nearest")),
        ({"weight": y[:2]}, ("weight", "(2,)", "4 rows")),
        ({"weight": -y}, ("weight", "row 1", "-1")),
        ({"test": {"shifted": (X4 * np.nan, y)}}, ("shifted", "row 0")),
        ({"test": (X4, y + 5)}, ("'test'", "row 0", "'5'")),
        ({"val": (X4, np.eye(4))}, ("'val'", "4 target columns")),
    ]
    for more, says in cases:
        with pytest.raises(DataError) as caught:
            from_arrays("logistic", X4, y, more=more)
        check(caught.value, "data[", *says)
    with pytest.raises(DataError, match="'train'"):
        prepared("linear", "arrays", arrays={"val": (X4, y)})
    with pytest.raises(DataError, match="pass data="):
        prepared("linear", "arrays")
    with pytest.raises(DataError, match="row 0 is a number, row 1 text; one kind is right"):
        from_arrays("logistic", X4, np.array([1, "a", 2, None], dtype=object))


def test_too_large_for_float32() -> None:
    X = np.array([[1.0], [1e39], [2.0]])
    assert np.isfinite(from_arrays("linear", X, np.arange(3)).train.X).all()
    with pytest.raises(DataError, match=r"row 1, column 'x0': .*precision: float64"):
        from_arrays("linear", X, np.arange(3), precision="float32")
    with pytest.raises(DataError, match=r"row 1, column 'y': .*precision: float64"):
        from_arrays("linear", X / 1e39, X, precision="float32")


def test_class_weights_that_fit_no_class() -> None:
    y = np.array(["cat", "dog", "cat", "dog"])
    with pytest.raises(DataError, match=r"'cats' is no class.*'cat' is the nearest"):
        from_arrays("logistic", X4, y, class_weight={"cats": 2})
    with pytest.raises(DataError, match="every training row has weight 0"):
        from_arrays("logistic", X4, y, class_weight={"cat": 0, "dog": 0})
    with pytest.raises(DataError, match="two classes"):
        from_arrays("logistic", X4, y, class_weight={"cat": 0})
    with pytest.raises(DataError, match="no single-label classes"):
        from_arrays("softmax", X4, np.full((4, 2), 0.5), class_weight="balanced")


def test_more_than_memory_holds() -> None:
    made = {"synthetic": {"rows": 2**40, "columns": 2**20, "outputs": 1}}
    with pytest.raises(DataError, match=r"synthetic: .* GiB, and .* their copy in float32, more"):
        prepared("linear", made)


def parquet_bytes() -> bytes:
    buffer = io.BytesIO()
    table = pa.table({"x": [1.0, 2.0, 3.0], "t": ["u", "v", None], "y": [0, 1, 0]})
    pq.write_table(table, buffer)
    return buffer.getvalue()


def npz_bytes() -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, X=X4, y=Y4)
    return buffer.getvalue()


WHOLE = {
    "a.csv": b'x,t,y\n1,u,0\n2,"v",1\n,u,0\n3.5,w,1\n',
    "a.csv.gz": gzip.compress(GOOD.encode()),
    "a.parquet": parquet_bytes(),
    "X.npy": npy_bytes(X4)[:200],
    "f.npz": npz_bytes(),
}


@pytest.mark.parametrize("name", WHOLE)
@settings(
    derandomize=True,
    deadline=None,
    max_examples=150,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(data=st.data())
def test_any_damage_is_one_line_or_none(name: str, tmp_path: Path, data: st.DataObject) -> None:
    content = bytearray(WHOLE[name])
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(content)))
        end = data.draw(st.integers(start, min(start + 8, len(content))))
        content[start:end] = data.draw(st.binary(max_size=4) | st.sampled_from(SPLICES))
    path = write(tmp_path, name, bytes(content))
    y_path = write(tmp_path, "y.npy", Y4)
    source: dict[str, Any] = {"table": path, "target": "y"}
    if name == "X.npy":
        source = {"npy": path, "target": y_path}
    if name == "f.npz":
        source = {"npz": path, "features": "X", "target": "y"}
    try:
        prepared(data.draw(st.sampled_from(["linear", "logistic"])), source, scale="standard")
    except DataError as error:
        check(error, str(tmp_path))


SPLICES = [b'"', b",", b"\n", b"\r", b"\0", b"\xff", b"nan", b"-inf", b"1e999"]


def check(error: DataError, *says: str) -> None:
    text = str(error)
    assert text.isprintable()  # so: one line
    assert error.exit_code == 2
    for words in says:
        assert words in text, f"{words!r} not in {text!r}"
