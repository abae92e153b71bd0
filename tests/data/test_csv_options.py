"""Keys that say how the text of a table is written; val, test and predict read in the same way."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from data_helpers import prepared, write
from hypothesis import given
from hypothesis import strategies as st

from trainer.data.sources.csv_options import CsvOptions
from trainer.data.sources.for_predict import read_for_predict
from trainer.errors import DataError

# (name, content, keys of the source, the features as read)
WRITTEN: list[tuple[str, str | bytes, dict[str, Any], list[list[float]]]] = [
    ("semicolons", "x;z;y\n1.5;2;0\n3;4;1\n", {"separator": ";"}, [[1.5, 2], [3, 4]]),
    ("tabs in .csv", "x\tz\ty\n1.5\t2\t0\n3\t4\t1\n", {"separator": "\t"}, [[1.5, 2], [3, 4]]),
    (
        "decimal commas",
        'x;z;y\n1,5;-,25e1;0\n"3";4,;1\n',
        {"separator": ";", "decimal": ","},
        [[1.5, -2.5], [3, 4]],
    ),
    ("quoted decimal commas", 'x,y\n"1,5",0\n"0,25",1\n', {"decimal": ","}, [[1.5], [0.25]]),
    (
        "thousands",
        'x,z,y\n"1,234",2,0\n"-1,234,567.5",4,1\n',
        {"thousands": ","},
        [[1234, 2], [-1234567.5, 4]],
    ),
    ("lakhs", 'x,y\n"12,34,567",0\n89,1\n', {"thousands": ","}, [[1234567], [89]]),
    ("apostrophes", "x,y\n1'234,0\n5,1\n", {"thousands": "'"}, [[1234], [5]]),
    ("thin spaces", "x,y\n1\u202f234,0\n5,1\n", {"thousands": "\u202f"}, [[1234], [5]]),
    (
        "both, the other way round",
        "x;y\n1.234.567,25;0\n0,5;1\n",
        {"separator": ";", "decimal": ",", "thousands": "."},
        [[1234567.25], [0.5]],
    ),
    ("no header", "1.5,2,0\n3,4,1\n", {"header": "none", "target": 2}, [[1.5, 2], [3, 4]]),
    (
        "no header, by name",
        "0,1.5,2\n1,3,4\n",
        {"header": "none", "target": "x0", "drop": ["x2"]},
        [[1.5], [3]],
    ),
    ("latin-1", "größe,y\n1.5,0\n3,1\n".encode("latin-1"), {"encoding": "latin-1"}, [[1.5], [3]]),
    ("UTF-16", "größe,y\n1.5,0\n3,1\n".encode("utf-16"), {"encoding": "utf-16"}, [[1.5], [3]]),
    (
        "single quotes",
        "x,'a, b',y\n'1.5','2',0\n3,4,1\n",
        {"quote": "'"},
        [[1.5, 2], [3, 4]],
    ),
    ("no quotes", '5",z,y\n1.5,2,0\n3,4,1\n', {"quote": "none"}, [[1.5, 2], [3, 4]]),
]


@pytest.mark.parametrize(("name", "content", "keys", "X"), WRITTEN, ids=[w[0] for w in WRITTEN])
@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
def test_ways_to_write_numbers(
    name: str,
    content: str | bytes,
    keys: dict[str, Any],
    X: list[list[float]],
    packed: bool,
    tmp_path: Path,
) -> None:
    text = content if isinstance(content, bytes) else content.encode()
    path = (
        write(tmp_path, "a.csv.gz", gzip.compress(text))
        if packed
        else write(tmp_path, "a.csv", text)
    )
    p = prepared("logistic", {"table": path, "target": "y", **keys})
    assert p.train.X.tolist() == X
    assert p.train.y.tolist() == [[0], [1]]
    again, rows, y = read_for_predict(path, p.encoder, "logistic")
    assert p.encoder.transform(again, np.dtype(np.float64)).X.tolist() == X
    assert (rows.tolist(), y.tolist()) == ([0, 1], [[0], [1]])
    assert CsvOptions.from_keys(p.encoder.keys).to_keys() == {
        name: word for name, word in p.encoder.keys.items() if name != "weight"
    }


def test_every_way_is_tried() -> None:
    assert len(WRITTEN) == 15


@pytest.mark.parametrize(
    ("cell", "keys"),
    [
        ("1,5", {"thousands": ","}),  # no group of three
        ("1,2345", {"thousands": ","}),
        ("1.5", {"decimal": ","}),
        ("1 234", {"thousands": ","}),
        ("1,234", {"thousands": "_"}),
        ("1,234.5", {"decimal": ",", "thousands": "."}),
        (",", {"thousands": ","}),
    ],
)
def test_what_is_no_number_in_the_way_that_was_said(
    cell: str, keys: dict[str, Any], tmp_path: Path
) -> None:
    path = write(tmp_path, "a.tsv", f"x\ty\n5\t1\n7\t2\n{cell}\t3\n")
    with pytest.raises(DataError, match=r"row 2 \(line 4\), column 'x'"):
        prepared("linear", {"table": path, "target": "y", **keys})


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "cp1252"])
def test_words_that_mean_missing(encoding: str, tmp_path: Path) -> None:
    """Namibia's NA is a country where `na_values` says other words; a number is one with its .0."""
    text = "x,land,y\n?,NA,1\n-999,?,2\n-999.0,DE,3\n4,null,4\n,NA,5\n"
    path = write(tmp_path, "a.csv", text.encode(encoding))
    source = {"table": path, "target": "y", "na_values": ["?", -999], "encoding": encoding}
    p = prepared("linear", source, missing="mean")
    assert p.encoder.categories == {"land": ("DE", "NA", "null")}
    assert p.train.X.tolist() == [
        [4, 0, 1, 0],
        [4, 0, 1, 0],
        [4, 1, 0, 0],
        [4, 0, 0, 1],
        [4, 0, 1, 0],
    ]
    assert p.summary.imputed == {"train": 5}
    frame, _, _ = read_for_predict(path, p.encoder, "linear")
    assert np.array_equal(p.encoder.transform(frame, np.dtype(np.float64)).X, p.train.X)


def test_a_number_means_missing_however_a_cell_writes_it(tmp_path: Path) -> None:
    """Files of measurements write -999 as -999.00 where the others have two digits."""
    text = "x,t,y\n-999.00,a,1.25\n1.50,-999.0,-999\n2.50,b,2.5\n-9.99e2,a,3.75\n"
    source = {"table": write(tmp_path, "a.csv", text), "target": "y", "na_values": [-999]}
    p = prepared("linear", source, missing="drop")
    assert p.train.X.tolist() == [[2.5, 1]]
    frame, rows, _ = read_for_predict(source["table"], p.encoder, "linear")
    assert np.isnan(frame.features[0]).tolist() == [True, False, False, True]
    assert rows.tolist() == [0, 2, 3]
    truth = write(tmp_path, "c.csv", "x,y\nTrue,1\nFalse,2\n,3\n")  # of which no cell is a 0
    source = {"table": truth, "target": "y", "na_values": [0]}
    assert prepared("linear", source, missing="drop").train.X.tolist() == [[1], [0]]
    text = text.replace(".00", "").replace("-999", "1e20")
    source = {"table": write(tmp_path, "b.csv", text), "target": "y", "na_values": [1e20]}
    assert len(prepared("linear", {**source, "drop": ["t"]}, missing="drop").train) == 2


def test_labels_are_numbers_in_the_way_that_was_said(tmp_path: Path) -> None:
    """A column of 0.0 and 1.0 that is written with decimal commas."""
    keys = {"target": "y", "separator": ";", "decimal": ",", "thousands": "."}
    for text, classes in (("0,0;1,0", [0, 1]), ("1.000;2", [2, 1000]), ("a;1,0", ["1,0", "a"])):
        first, second = text.split(";")
        path = write(tmp_path, "a.csv", f"x;y\n1,5;{first}\n2,5;{second}\n")
        p = prepared("logistic", {"table": path, **keys})
        assert p.encoder.classes == classes
        assert len(read_for_predict(path, p.encoder, "logistic")[1]) == 2


def test_numbers_beside_text_in_another_way(tmp_path: Path) -> None:
    """A comma is a decimal comma in columns of numbers alone."""
    text = "x;t;k;y\n1,5;a,b;1,5;0\n2,5;c;1,5;1\n"
    source = {"table": write(tmp_path, "a.csv", text), "target": "y", "separator": ";"}
    p = prepared("logistic", {**source, "decimal": ",", "categorical": ["k"]})
    assert p.encoder.features == ("x", "t=a,b", "t=c", "k=1,5")
    assert p.train.X[:, 0].tolist() == [1.5, 2.5]


def test_val_and_test_are_read_like_train(tmp_path: Path) -> None:
    train = {
        "table": write(tmp_path, "a.csv", "x;y\n1,5;0\n2;1\n"),
        "target": "y",
        "separator": ";",
        "decimal": ",",
    }
    val = {**train, "table": write(tmp_path, "b.csv", "y;x\n1;0,5\n")}
    p = prepared("linear", train, val=val)
    assert p.val is not None
    assert p.val.X.tolist() == [[0.5]]


def test_a_file_without_a_header_may_lack_its_target(tmp_path: Path) -> None:
    rows = "7,1.5,0,2\n8,3,1,4\n"
    for target, without in ((2, "7,1.5,2\n8,3,4\n"), (0, "1.5,0,2\n3,1,4\n")):
        source = {"table": write(tmp_path, "a.csv", rows), "target": target, "header": "none"}
        p = prepared("linear", source)
        path = write(tmp_path, "b.csv", without)
        frame, known, _ = read_for_predict(path, p.encoder, "linear")
        assert frame.names == p.encoder.columns
        assert len(known) == 0
        assert np.array_equal(p.encoder.transform(frame, np.dtype(np.float64)).X, p.train.X)
        with pytest.raises(DataError, match=r"row 0: has 2 cells, the training file has 4"):
            read_for_predict(write(tmp_path, "c.csv", "1,2\n"), p.encoder, "linear")


def test_line_numbers_without_a_header(tmp_path: Path) -> None:
    source = {"table": write(tmp_path, "a.csv", "\n1,2\n3,4\n,6\n"), "target": 1, "header": "none"}
    with pytest.raises(DataError, match=r"row 2 \(line 4\), column 'x0': is missing"):
        prepared("linear", source)
    ragged = {**source, "table": write(tmp_path, "b.csv", "1,2\n3\n")}
    with pytest.raises(DataError, match=r"row 1 \(line 2\): has 1 cell, the first row has 2"):
        prepared("linear", ragged)


@pytest.mark.parametrize(
    ("content", "cure"),
    [
        ("x;y\n1,5;2\n", '`separator: ";", decimal: ","` is right'),
        ("x;y\n1.5;2\n", '`separator: ";"` is right'),
        ("x|y\n1|2\n", '`separator: "|"` is right'),
        ("1;2\n3;4\n", '`separator: ";"` is right'),
        ("# of May\nx,y\n1,2\n", "the first line is '# of May', one cell, and the rows have 2"),
        ("a b\n1 2\n", '`separator: " "` is right'),
    ],
)
def test_another_separator_is_recognised(content: str, cure: str, tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        prepared("linear", {"table": write(tmp_path, "a.csv", content), "target": "y"})
    assert cure in str(caught.value)
    p = prepared("linear", {"table": write(tmp_path, "b.csv", "x,y\n1,2\n2,3\n"), "target": "y"})
    if content.startswith("x"):
        with pytest.raises(DataError) as caught:
            read_for_predict(
                write(tmp_path, "c.csv", content[:1] + ";q\n1;2\n"), p.encoder, "linear"
            )
        assert "semicolons between names" in str(caught.value)


def test_bytes_that_are_not_the_encoding_that_was_said(tmp_path: Path) -> None:
    path = write(tmp_path, "a.csv", b"x,t,y\n1,a,2\n3,\x81,4\n")
    source = {"table": path, "target": "y"}
    for encoding, says in (
        ("utf-8", r"line 3, cell 2: byte 0x81 is not UTF-8 text; .*`encoding: cp1252`"),
        ("cp1252", r"line 3, cell 2: byte 0x81 is not cp1252 text"),
        ("utf-16", r"is not utf-16 text"),
    ):
        with pytest.raises(DataError, match=says):
            prepared("linear", {**source, "encoding": encoding})


options = st.builds(
    CsvOptions,
    separator=st.none() | st.sampled_from(";|\t"),
    decimal=st.sampled_from(".,"),
    thousands=st.none() | st.sampled_from("_' \u202f"),
    header=st.just(True),
    na_values=st.none() | st.lists(st.text(max_size=4), max_size=3).map(tuple),
    encoding=st.sampled_from(["utf-8", "cp1252", "utf-16"]),
    quote=st.none() | st.sampled_from("\"'"),
)


@given(options)
def test_keys_of_a_model_say_the_options_again(made: CsvOptions) -> None:
    keys = json.loads(json.dumps(made.to_keys()))
    assert all(isinstance(word, str) for word in keys.values())
    assert CsvOptions.from_keys(keys) == made


@pytest.mark.parametrize(
    "keys",
    [
        {"separator": "ab"},
        {"quote": ""},
        {"encoding": "bogus"},
        {"na_values": "NA"},
        {"na_values": "7"},
        {"header": "none", "width": "many"},
        {"decimal": "é"},
    ],
)
def test_keys_that_no_model_has(keys: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r".*"):
        CsvOptions.from_keys(keys)
