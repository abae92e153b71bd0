"""CSV and JSON texts: what is written reads back as the same numbers."""

from __future__ import annotations

import json
import math
import re
import struct

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from trainer.text.csv_json import csv_header, csv_lines, json_text, number, parse_csv


def written(rows: list[dict]) -> str:
    return csv_header(list(rows[0])) + csv_lines(rows, list(rows[0]))


@given(st.lists(st.floats(width=64), min_size=1, max_size=5))
@example([5e-324, -0.0, 1e-7, 1e22, math.inf, -math.inf, math.nan])
def test_floats_come_back_bit_for_bit(values):
    back = parse_csv(written([{"x": value, "trial": 0} for value in values]))
    for row, value in zip(back, values, strict=True):
        if math.isnan(value):
            assert math.isnan(row["x"])
        else:
            assert struct.pack("d", row["x"]) == struct.pack("d", value)


@given(st.floats(width=32, allow_nan=False))
@example(0.1)
@example(1000001.0)
def test_a_float32_has_no_digits_of_its_float64(value):
    number = np.float32(value)
    cell = csv_lines([{"x": number}], ["x"]).strip()
    assert np.float32(cell) == number
    digits = re.sub(r"e.*|[^0-9]", "", cell).strip("0")
    assert len(digits) <= 9  # all that a float32 can need


def test_the_shortest_forms():
    row = {"a": 0.1, "b": np.float32(0.1), "c": 1e-7, "d": 3, "e": np.int64(4), "f": 2.0}
    assert csv_lines([row], list(row)) == "0.1,0.1,1e-07,3,4,2.0\n"


def test_none_is_empty_and_nan_is_nan():
    rows = [{"a": None, "b": math.nan, "c": -math.inf}]
    assert written(rows) == "a,b,c\n,nan,-inf\n"
    (back,) = parse_csv(written(rows))
    assert back["a"] is None
    assert math.isnan(back["b"])
    assert back["c"] == -math.inf


def test_a_column_is_read_as_a_whole():
    text = "i,f,w,t,n\n1,1,1,true,\n-2,2.5,x,false,\n"
    first, second = parse_csv(text)
    assert first == {"i": 1, "f": 1.0, "w": "1", "t": True, "n": None}
    assert [type(value) for value in first.values()] == [int, float, str, bool, type(None)]
    assert second == {"i": -2, "f": 2.5, "w": "x", "t": False, "n": None}


def test_words_stay_words():
    assert parse_csv("reason,rank\n1e3,1\n", words=frozenset({"reason"})) == [
        {"reason": "1e3", "rank": 1}
    ]


@pytest.mark.parametrize("cell", ["1_000", "0x10", " 1", "infinity", "1e", "."])
def test_what_only_resembles_a_number_stays_text(cell):
    assert parse_csv(f"x\n{cell}\n") == [{"x": cell}]


@given(st.text(st.characters(exclude_categories=("Cs",)), min_size=1))
@example('a,"b"\r\nc')
@example("\r")
@example("=1+1")
def test_any_text_comes_back(text):
    rows = [{"status": text, "trial": 1}]
    assert parse_csv(written(rows), words=frozenset({"status"})) == rows


VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.floats(width=32).map(np.float32),
    st.text(max_size=3),
    st.lists(st.integers(), max_size=2),
)


@given(st.lists(st.lists(VALUES, min_size=3, max_size=3), max_size=5))
@example([[1.0, 1, True], [math.nan, 2, False]])
@example([[1.0, 1, 1], [-math.inf, True, 1.0]])
def test_a_column_of_one_kind_is_written_as_its_cells_alone(table):
    columns = ["a", "b", "c"]
    rows = [dict(zip(columns, line, strict=True)) for line in table]
    alone = [[csv_lines([{"x": value}], ["x"])[:-1] for value in line] for line in table]
    assert csv_lines(rows, columns) == "".join(",".join(line) + "\n" for line in alone)


def test_numbers_that_many_rows_share_are_written_as_each_alone():
    few = [0.0, -0.0, 0.1, 1e-7, math.nan, -math.inf, 0.0, 3.0]
    for values in ([*few * 5], [0, -7, 10**20] * 9):
        lines = csv_lines([{"x": value} for value in values], ["x"]).splitlines()
        assert lines == [repr(value) for value in values]


@given(st.one_of(st.integers(), st.floats()))
def test_a_number_is_read_as_it_was_written(value):
    again = number(csv_lines([{"x": value}], ["x"])[:-1])
    assert type(again) is type(value)
    assert repr(again) == repr(value)


NO_NUMBERS = ["1_000", " 1", "010", "1.50", "1e5", "1E-05", "+1", "Inf", "infinity", "695e0514", ""]


@pytest.mark.parametrize("cell", [*NO_NUMBERS, "9" * 5000])
def test_other_spellings_of_a_number_are_text(cell):
    assert number(cell) is None


def test_lists_and_mappings_are_json():
    rows = [{"x": [1, 2.5], "y": {"a": None}}]
    assert written(rows) == 'x,y\n"[1, 2.5]","{""a"": null}"\n'


def test_a_row_with_other_columns_is_a_mistake():
    with pytest.raises(ValueError, match="has the columns"):
        csv_lines([{"a": 1}, {"b": 1}], ["a"])


@pytest.mark.parametrize("text", ["", "a,b\n1\n", 'a\n"x\n'])
def test_a_damaged_table_is_a_value_error(text):
    with pytest.raises(ValueError, match=r"different length|unexpected end|not enough values"):
        parse_csv(text)


def test_a_table_without_rows():
    assert parse_csv("a,b\n") == []


def test_json_has_no_nan():
    record = {
        "a": math.nan,
        "b": [np.float32(0.5), np.int64(3), np.float64("inf")],
        "c": {1: np.arange(2), "ŷ": True, "none": None},
    }
    text = json_text(record)
    assert json.loads(text, parse_constant=lambda word: pytest.fail(word)) == {
        "a": None,
        "b": [0.5, 3, None],
        "c": {"1": [0, 1], "ŷ": True, "none": None},
    }
    assert "ŷ" in text
