"""Numbers and counts, as people read them and as they type them."""

import math

import pytest

from trainer.text.numbers import counted, number, plain_number


@pytest.mark.parametrize(
    ("value", "digits", "typed", "read"),
    [
        (0.00001, 4, "1e-5", "1e-05"),
        (-0.25, 4, "-0.25", "−0.25"),
        (123456.0, 4, "1.235e5", "123,456"),
        (1e20, 3, "1e20", "1e+20"),
        (0.123456, 2, "0.12", "0.12"),
        (100.0, 4, "100", "100"),
        (math.inf, 4, "inf", "∞"),
        (math.nan, 4, "nan", "not a number"),
    ],
)
def test_a_number_is_typed_in_one_way_and_read_in_another(value, digits, typed, read):
    assert plain_number(value, digits) == typed
    assert number(value, digits) == read
    if math.isfinite(value):
        assert float(typed) == pytest.approx(value, rel=10.0 ** (1 - digits))


def test_things_are_counted():
    assert counted(1, "repeat") == "1 repeat"
    assert counted(0, "repeat") == "0 repeats"
    assert counted(1200, "column") == "1,200 columns"
    assert counted(2, "class", "classes") == "2 classes"
