"""Text columns that are numbers to a reader, dates, names and ids: told, and the cure works."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from data_helpers import from_arrays, prepared, write

from trainer.config.yaml.read import read_yaml
from trainer.data.sources.csv_options import DEFAULT, CsvOptions
from trainer.data.sources.number_spellings import doubt
from trainer.errors import DataError

# (cells, words of the fault, keys that read them)
SPELLED: list[tuple[list[str], str, dict[str, Any]]] = [
    (['="0012"', '="7.5"'], "spreadsheet", {}),
    (["'12.5", "'7"], "spreadsheet", {}),
    (["1.257D+01", "-.5d0", "2.D-3"], "Fortran", {}),
    (["١٢٫٥", "٧"], "other digits", {}),
    (["１２", "-７"], "other digits", {}),
    (["\u200b12.5", "7"], "cannot be seen", {}),
    (["1.5k", "2M", "300", "1.2B"], "a number with a unit, 'k'", {}),
    (["1.5×10^3", "2 x 10-4", "7"], "a power of ten", {}),
    (["-\u200e3", "1,5\ufeff"], "cannot be seen", {}),
    (["True", "false", "None"], "among true and false", {"na_values": ["None"]}),
    (["1", "?", "TRUE"], "among true and false", {"na_values": ["?"]}),
    (["0,00", "0,30", "-0,27"], "decimal comma", {"decimal": ","}),
    (["3,14", "5", "2,5e3"], "decimal comma", {"decimal": ","}),
    (["86,686", "37,599"], "',' between thousands", {"thousands": ","}),
    (["1,234.5", "3.14"], "',' between thousands", {"thousands": ","}),
    (["12,34,567", "89"], "',' between thousands", {"thousands": ","}),
    (["1.234,5", "0,5"], "decimal comma and '.' between", {"thousands": ".", "decimal": ","}),
    (["1.234.567", "1.234"], "'.' between thousands", {"thousands": ".", "decimal": ","}),
    (["1 234", "5"], "' ' between thousands", {"thousands": " "}),
    (["1\u202f234,5", "0,5"], "decimal comma and", {"thousands": "\u202f", "decimal": ","}),
    (["1_000", "2"], "'_' between thousands", {"thousands": "_"}),
    (["1'000.5", "2"], "between thousands", {"thousands": "'"}),
    (["86.7%", "3 %"], "percentage", {}),
    (["4,2 %"], "percentage", {}),
    (["$5", "$1,234.50"], "money", {}),
    (["5 €", "-3€"], "money", {}),
    (["(5)", "3"], "another sign", {}),
    (["−5", "3"], "another sign", {}),
    (["5-", "3"], "another sign", {}),
    (["<0.5", "3", "4"], "bound", {}),
    (["12 kg", "3.5kg"], "a unit, 'kg'", {}),
    (["1.5k", "20k", "5k", "7k", "9k"], "a unit, 'k'", {}),
    (["3,14", "2.5"], "another spelling than others", {}),
    (["5%", "$3", "1"], "another spelling than others", {}),
    (["86686", "None"], "word for a missing value", {"na_values": ["None"]}),
    (["?", "5", "-"], "word for a missing value", {"na_values": ["?", "-"]}),
    (["1,5", "none", "2"], "decimal comma", {"decimal": ",", "na_values": ["none"]}),
    (["1", "oops", "3", "4"], "not a number, as most", {}),
    (["5%", "6%", "7%", "oops"], "not a number, as most", {}),
    (["2020-01-02", "2021-03-04"], "date", {}),
    (["31.01.2020"], "date", {}),
    (["1/2/20 10:30", "1/3/20 9:15 pm"], "date", {}),
    (["12:30", "1:05:07.5"], "date", {}),
    (["Jan 2, 2020", "2 Feb 2020"], "date", {}),
    (["2020Q1", "2020-W05"], "date", {}),
    (["2020-01-02T10:00:00Z"], "date", {}),
    ([f"Ann {i}" for i in range(20)], "20 of 20 cells differ", {}),
]
CATEGORIES = [
    ["a", "b"],
    ["SI1", "VS2", "IF"],
    ["18-25", "26-35"],
    ["<5", "5-10", ">10"],
    ["<=50K", ">50K"],
    ["1A", "1B", "2A"],
    ["1st", "2nd", "3rd"],
    ["2WD", "4WD"],
    ["1.2.3", "1.2.4"],
    ["10.0.0.1", "10.0.0.2"],
    ["1,2,3", "1,2"],
    ["None", "a"],
    ["None", "yes", "no"],
    ["?", "-"],
    ["jan", "feb"],
    [f"Ann {i}" for i in range(19)],
]


@pytest.mark.parametrize(("cells", "says", "keys"), SPELLED, ids=[row[0][0] for row in SPELLED])
def test_spellings(cells: list[str], says: str, keys: dict[str, Any]) -> None:
    for options in (DEFAULT, None):
        found = doubt(cells, [1] * len(cells), options)
        assert found is not None
        assert says in found.what
        assert found.keys == (keys if options else {})


def test_every_spelling_is_tried() -> None:
    assert len(SPELLED) == 47


@pytest.mark.parametrize("cells", CATEGORIES, ids=[row[0] for row in CATEGORIES])
def test_categories_are_left_alone(cells: list[str]) -> None:
    assert doubt(cells, [1] * len(cells), DEFAULT) is None
    assert doubt(cells, [1] * len(cells), None) is None


def test_nine_in_ten_that_differ_are_no_names() -> None:
    assert doubt([str(chr(97 + i)) for i in range(18)], [2, 2, *[1] * 16], DEFAULT) is None
    found = doubt([f"n{chr(97 + i)}" for i in range(19)], [2, *[1] * 18], DEFAULT)
    assert found is not None
    assert "19 of 20 cells differ" in found.what


def test_what_is_said_is_not_said_anew() -> None:
    comma = CsvOptions(decimal=",")
    found = doubt(["1.234", "2,5"], [1, 1], comma)
    assert found is not None
    assert found.keys == {"thousands": "."}
    found = doubt(["1.5", "7"], [1, 1], comma)
    assert found is not None
    assert (found.what, found.keys) == ("is a number with a decimal point", {})
    found = doubt(["1.234", "7"], [1, 1], comma)
    assert found is not None
    assert found.keys == {"thousands": "."}
    found = doubt(["1 234", "7"], [1, 1], CsvOptions(thousands=","))
    assert found is not None
    assert found.keys == {}


def paste(text: str, source: dict[str, Any]) -> dict[str, Any]:
    """The source with the keys that a message puts between backticks, as YAML reads them."""
    pasted = text.split("`")[1]
    return {**source, **read_yaml("{" + pasted + "}", "", "").value}


@pytest.mark.parametrize(
    ("cells", "says", "keys"),
    [row for row in SPELLED if row[2]],
    ids=[row[0][0] for row in SPELLED if row[2]],
)
def test_the_cure_reads_numbers(
    cells: list[str], says: str, keys: dict[str, Any], tmp_path: Path
) -> None:
    rows = "".join(f"{cell}\t{i}\n" for i, cell in enumerate(cells))
    source = {"table": write(tmp_path, "a.tsv", "x\ty\n" + rows), "target": "y"}
    with pytest.raises(
        DataError, match=r"row \d \(line \d\), column 'x': .*`categorical: \[x\]`"
    ) as e:
        prepared("linear", source, missing="mean")
    assert says in str(e.value)
    p = prepared("linear", paste(str(e.value), source), missing="mean")
    assert p.encoder.features == ("x",)
    taken = prepared("linear", {**source, "categorical": ["x"]}, missing="mean")
    assert len(taken.encoder.categories["x"]) == len(set(cells))


PEOPLE = "name,city,born,income,share,n,y\n" + "".join(
    f'P{i},C{i % 12},19{i + 10}-01-02,"{i + 1},000",{i}%,{i},{i}\n' for i in range(24)
)


def test_faults_of_columns_are_told_at_once_with_one_cure(tmp_path: Path) -> None:
    source = {"table": write(tmp_path, "a.csv", PEOPLE), "target": "y", "drop": ["n"]}
    with pytest.raises(DataError) as caught:
        prepared("linear", source, max_categories=10, val=0.2)
    *lines, cure = str(caught.value).splitlines()
    assert [line.split("column ")[1].split(":")[0] for line in lines] == [
        "'name'", "'city'", "'born'", "'income'", "'share'",
    ]  # fmt: skip
    assert all(line.startswith(source["table"]) for line in (*lines, cure))
    assert "row 0 (line 2), column 'income': '1,000'" in lines[3]
    assert "has 11 categories, more than data.max_categories: 10" in lines[1]  # of training rows
    assert '`thousands: ",", drop: ["n", name, city, born, share]`' in cure
    p = prepared("linear", paste(cure, source), max_categories=10)
    assert p.encoder.features == ("income",)
    assert p.train.X[:3, 0].tolist() == [1000, 2000, 3000]


def test_the_cure_of_columns_that_were_listed(tmp_path: Path) -> None:
    source = {"table": write(tmp_path, "a.csv", PEOPLE), "target": "y", "columns": ["name", "n"]}
    with pytest.raises(DataError, match=r"column 'name'") as caught:
        prepared("linear", source)
    assert prepared("linear", paste(str(caught.value), source)).encoder.features == ("n",)


def test_keys_that_would_not_read_the_other_columns(tmp_path: Path) -> None:
    """Where others have a point, a decimal comma is no key; two keys that clash leave one out."""
    point = 'a,b,y\n"1,5",0.5,1\n"2,5",1,2\n'
    source = {"table": write(tmp_path, "a.csv", point), "target": "y"}
    with pytest.raises(DataError, match=r"decimal comma; `drop: \[a\]` leaves it out"):
        prepared("linear", source)
    clash = 'a,b,y\n"1,5","1,000",1\n"2,5","2,000",2\n'
    source = {"table": write(tmp_path, "b.csv", clash), "target": "y"}
    with pytest.raises(DataError) as caught:
        prepared("linear", source)
    cure = str(caught.value).splitlines()[-1]
    assert '`decimal: ",", drop: [b]`' in cure
    assert prepared("linear", paste(cure, source)).train.X.tolist() == [[1.5], [2.5]]


def test_words_for_missing_values_beside_those_there_are(tmp_path: Path) -> None:
    """`na_values` replaces the words: those that other columns may need are among the proposal."""
    text = "a,b,y\n1,NA,1\nNone,2,2\n3,4,3\n"
    source = {"table": write(tmp_path, "a.csv", text), "target": "y"}
    with pytest.raises(DataError) as caught:
        prepared("linear", source, missing="mean")
    p = prepared("linear", paste(str(caught.value), source), missing="mean")
    assert p.train.X.tolist() == [[1, 3], [2, 2], [3, 4]]
    with pytest.raises(DataError) as caught:
        prepared("linear", {**source, "na_values": ["NA"]}, missing="mean")
    assert paste(str(caught.value), source)["na_values"] == ["NA", "None"]


def test_text_of_a_table_with_types(tmp_path: Path) -> None:
    y = pa.array([1.0, 2.0, 3.0])
    for column, says in (
        (["0.5", "1.5", "2"], "row 0, column 'x': '0.5' is a number, stored as text"),
        (["1,5", "2,5", "3"], "row 0, column 'x': '1,5' is a number with a decimal comma"),
        (["None", "2.5", "3"], "row 0, column 'x': 'None' stands among numbers"),
        (pa.array([1, 2, 3], pa.timestamp("s")), "column 'x': holds dates or times (timestamp["),
        (pa.array([1, 2, 3], pa.date32()), "column 'x': holds dates or times (date32"),
    ):
        t = pa.table({"x": column, "z": [1, 2, 3], "y": y})
        pq.write_table(t, tmp_path / "a.parquet")
        source = {"table": str(tmp_path / "a.parquet"), "target": "y"}
        with pytest.raises(DataError) as caught:
            prepared("linear", source)
        assert says in str(caught.value)
        assert "`drop: [x]`" in str(caught.value)
        assert prepared("linear", paste(str(caught.value), source)).encoder.features == ("z",)
        with pytest.raises(DataError) as caught:
            from_arrays("linear", t.drop(["y"]), y)
        assert "leave it out of the table" in str(caught.value)
        assert "`" not in str(caught.value)


def test_what_is_a_category_by_its_type_is_one(tmp_path: Path) -> None:
    codes = pa.array([f"{i},5" for i in range(30)]).dictionary_encode()
    t = pa.table({"x": codes, "y": np.arange(30.0)})
    pq.write_table(t, tmp_path / "a.parquet")
    p = prepared("linear", {"table": str(tmp_path / "a.parquet"), "target": "y"})
    assert len(p.encoder.features) == 30
    zips = pa.table({"zip": ["02139", "10001"] * 2, "y": [1.0, 2, 3, 4]})
    assert from_arrays("linear", zips.drop(["y"]), zips["y"]).encoder.features == (
        "zip=02139",
        "zip=10001",
    )


def test_a_target_in_another_spelling(tmp_path: Path) -> None:
    text = 'x,y\n1,"1,234"\n2,"2,345"\n'
    source = {"table": write(tmp_path, "a.csv", text), "target": "y"}
    with pytest.raises(DataError, match=r"row 0 \(line 2\), column 'y': '1,234' is a number") as e:
        prepared("linear", source)
    assert prepared("linear", paste(str(e.value), source)).train.y.tolist() == [[1234], [2345]]
    source = {"table": write(tmp_path, "b.csv", "x,y\n1,5%\n2,6%\n"), "target": "y"}
    with pytest.raises(DataError, match=r"'5%' is a percentage; write a plain number"):
        prepared("linear", source)


def test_a_fault_of_columns_is_not_of_a_fold(tmp_path: Path) -> None:
    from data_helpers import spec_of

    from trainer.data.prepare import prepare_split
    from trainer.data.sources.read import read
    from trainer.data.splits.repeats import row_splits

    source = {"table": write(tmp_path, "a.csv", PEOPLE), "target": "y"}
    spec = spec_of("linear", source, repeat={"folds": 3})
    rows = read(spec)
    with pytest.raises(DataError) as caught:
        prepare_split(rows, spec, row_splits(rows, spec)[0])
    assert "fold" not in str(caught.value)
