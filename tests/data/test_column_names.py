"""Names of columns: one in every form of Unicode, one feature each, no header among the rows."""

from __future__ import annotations

import unicodedata
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from data_helpers import from_arrays, prepared, write

from trainer.data.encode.encoder import Encoder
from trainer.data.sources.for_predict import read_for_predict
from trainer.errors import DataError

ONE, TWO = (unicodedata.normalize(form, "größe") for form in ("NFC", "NFD"))


def table_file(folder: Path, kind: str, columns: dict[str, list[Any]]) -> str:
    if kind == "parquet":
        pq.write_table(pa.table(columns), folder / "a.parquet")
        return str(folder / "a.parquet")
    lines = [
        ",".join(columns),
        *(",".join(map(str, row)) for row in zip(*columns.values(), strict=True)),
    ]
    return write(folder, "a.csv", "\n".join(lines) + "\n")


@pytest.mark.parametrize("kind", ["csv", "parquet"])
@pytest.mark.parametrize(("written", "meant"), [(ONE, TWO), (TWO, ONE)], ids=["NFC", "NFD"])
def test_composed_and_decomposed_letters_are_one_name(
    kind: str, written: str, meant: str, tmp_path: Path
) -> None:
    assert written != meant
    columns = {written: [1.0, 2.0, 3.0], "t": ["a", "b", "a"], "é" + written: [1.0, 2.0, 4.0]}
    path = table_file(tmp_path, kind, columns)
    for keys, features in (
        ({"target": meant}, ("t=a", "t=b", "é" + ONE)),
        ({"target": "t", "columns": [meant]}, (ONE,)),
        ({"target": "t", "drop": [meant]}, ("é" + ONE,)),
        (
            {"target": "é" + meant, "categorical": [meant]},
            (f"{ONE}=1", f"{ONE}=2", f"{ONE}=3", "t=a", "t=b"),
        ),
        ({"target": "t", "weight": meant}, ("é" + ONE,)),
        ({"target": "t", "group": meant}, ("é" + ONE,)),
    ):
        model = "logistic" if keys["target"] == "t" else "linear"
        p = prepared(model, {"table": path, **keys})
        assert p.encoder.features == features
        frame, rows, _ = read_for_predict(path, p.encoder, model)
        assert frame.names == p.encoder.columns
        assert len(rows) == 3
    with pytest.raises(DataError, match="columns 1 and 4 are both called"):
        prepared(
            "linear",
            {"table": table_file(tmp_path, kind, {**columns, meant: [1, 2, 3]}), "target": "t"},
        )


def test_a_model_of_names_in_two_letters_finds_its_columns(tmp_path: Path) -> None:
    p = prepared(
        "linear", {"table": table_file(tmp_path, "csv", {ONE: [1, 2], "y": [1, 2]}), "target": "y"}
    )
    fields = {**p.encoder.to_json(), "columns": [TWO], "features": [TWO]}
    old = Encoder.from_json(fields, "linear", p.encoder.mean, p.encoder.scale)
    frame, _, _ = read_for_predict(str(tmp_path / "a.csv"), old, "linear")
    assert np.array_equal(old.transform(frame, np.dtype(np.float64)).X, p.train.X)
    assert from_arrays("linear", pa.table({TWO: [1.0, 2.0]}), [1.0, 2.0]).encoder.features == (ONE,)


def test_two_features_of_one_name(tmp_path: Path) -> None:
    for columns, says in (
        ({"a=b": [1, 2], "a": ["b", "c"]}, "column 'a=b' and the value 'b' of column 'a'"),
        ({"a": ["b", "c"], "a=b": [1, 2]}, "the value 'b' of column 'a' and column 'a=b'"),
        (
            {"a": ["b=c", "d"], "a=b": ["c", "e"]},
            "the value 'b=c' of column 'a' and the value 'c' of column 'a=b'",
        ),
    ):
        path = table_file(tmp_path, "csv", {**columns, "y": [1, 2]})
        with pytest.raises(DataError, match=f"{says} make two features called 'a=b"):
            prepared("linear", {"table": path, "target": "y"})
    path = table_file(tmp_path, "csv", {"a=c": [1, 2], "a": ["b", "d"], "y": [1, 2]})
    assert prepared("linear", {"table": path, "target": "y"}).encoder.features == (
        "a=c",
        "a=b",
        "a=d",
    )


@pytest.mark.parametrize(
    ("content", "model"),
    [
        ("x,t,y\n1,a,0\n2,b,1\nx,t,y\n3,a,1\n", "linear"),
        ("x,t,y\n1,a,u\n2,b,v\nx,t,y\n3,a,u\n", "softmax"),
        ("s,t,y\na,a,u\nb,b,v\ns,t,y\nc,a,u\n", "softmax"),
        ("0,1,y\n1,2,u\n2,3,v\n0,1,y\n4,5,u\n", "softmax"),  # the name of a feature is a number
        ('"s","t","y"\na,a,u\nb,b,v\ns,t,y\nc,a,u\n', "softmax"),
    ],
)
def test_a_header_in_the_middle(content: str, model: str, tmp_path: Path) -> None:
    source = {"table": write(tmp_path, "a.csv", content), "target": "y"}
    with pytest.raises(DataError, match=r"a.csv: row 2 \(line 4\): repeats the header"):
        prepared(model, source)
    p = prepared(model, {**source, "table": write(tmp_path, "b.csv", _without_line_4(content))})
    with pytest.raises(DataError, match=r"row 2 \(line 4\): repeats the header"):
        read_for_predict(source["table"], p.encoder, model)


def _without_line_4(content: str) -> str:
    lines = content.splitlines()
    return "\n".join([*lines[:3], *lines[4:]]) + "\n"


def test_a_row_of_some_names_is_no_header(tmp_path: Path) -> None:
    for content in (
        "s,t,y\ns,b,y\nt,t,y\na,b,v\n",
        "0,1,y\n0,1,u\n0,2,y\n",
        "s,t,y\ns,b,1\na,t,2\n",
    ):
        source = {"table": write(tmp_path, "a.csv", content), "target": "y"}
        assert len(prepared("softmax", source).train) == content.count("\n") - 1
    source = {
        "table": write(tmp_path, "a.csv", "a,b\na,b\nc,d\n"),
        "target": "x1",
        "header": "none",
    }
    assert len(prepared("softmax", source).train) == 3


def test_names_that_differ_where_they_are_cut(tmp_path: Path) -> None:
    names = [f"{'a' * 60}{i}{'b' * 60}" for i in range(3)]
    text = ",".join([*names, "y"]) + "\n5%,6%,7%,1\n8%,9%,5%,2\n"
    with pytest.raises(DataError) as caught:
        prepared("linear", {"table": write(tmp_path, "a.csv", text), "target": "y"})
    shown = [line.split("column ")[1].split(": ")[0] for line in str(caught.value).splitlines()[:3]]
    assert len(set(shown)) == 3
    assert all(len(name) <= 62 for name in shown)
    with pytest.raises(DataError) as caught:
        prepared("linear", {"table": write(tmp_path, "a.csv", text), "target": "q"})
    listed = str(caught.value).split("there are ")[1].split(", ")
    assert len(set(listed)) == 4
