"""Sentences on columns that a precision has few steps for, and on fits worse than the mean."""

import pytest

from trainer.wording.caveats import coarse_texts, worse_than_mean_text

TARGET = {
    "name": "arrival",
    "is_target": True,
    "size": 1.7e9,
    "spread": 1200.0,
    "precision": "float32",
    "as_read": False,
}
TOLD = "its values are about 1.7e9 and differ by 1.2e3, where float32 has steps of 128: "
FEATURE = TARGET | {"name": "t", "is_target": False}

COARSE = [
    (
        TARGET,
        "linear",
        f"target 'arrival': {TOLD}precision: float64, data.scale_target: standard or bias: true"
        " are right",
    ),
    (TARGET, "poisson", f"target 'arrival': {TOLD}precision: float64 is right"),
    (
        FEATURE,
        "softmax",
        f"feature 't': {TOLD}data.scale: standard or precision: float64 are right",
    ),
    (
        TARGET | {"as_read": True},
        "linear",
        f"target 'arrival': {TOLD}take a constant from it before it is rounded to them",
    ),
    (
        FEATURE | {"as_read": True},
        "linear",
        f"feature 't': {TOLD}take a constant from it before it is rounded to them, or leave it out"
        " with `drop`",
    ),
    (
        FEATURE | {"size": 3.0, "spread": 0.03, "precision": "float16", "as_read": True},
        "linear",
        "feature 't': its values are about 3 and differ by 0.03, where float16 has steps of"
        " 0.00195: take a constant from it before it is rounded to them, or leave it out with"
        " `drop`",
    ),
]


@pytest.mark.parametrize(("column", "model", "sentence"), COARSE)
def test_a_column_with_few_steps_is_told_with_its_cure(column, model, sentence):
    assert coarse_texts([column], model) == [sentence]


def test_of_many_columns_the_first_are_told_and_the_rest_counted():
    many = [FEATURE | {"name": f"column {i}" + "x" * 50} for i in range(9)]
    found = coarse_texts(many, "linear")
    assert len(found) == 4
    assert len(set(found)) == 4
    assert found[-1] == "6 more columns like this"
    assert coarse_texts([], "linear") == []


FIT = {
    "metric": "r2",
    "train": -4.5e11,
    "val": -5e11,
    "model": "linear",
    "scale_target": "none",
    "rose": False,
    "bias": True,
    "solves": False,
}
WORSE = "the fit is worse than the mean of the target: r2 -4.5e11 on training rows, val_r2 -5e11"
FITS = [
    ({}, f"{WORSE} (0 is what the mean of the target has); data.scale_target=standard or"
    " 'optimizer={name: auto}' would help"),
    ({"scale_target": "standard"}, f"{WORSE} (0 is what the mean of the target has);"
    " 'optimizer={name: auto}' would help"),
    ({"rose": True}, f"{WORSE} (0 is what the mean of the target has); 'optimizer={{name: auto}}'"
    " would help"),
    ({"solves": True, "bias": False}, f"{WORSE} (0 is what the mean of the target has);"
    " bias=true would help"),
    ({"solves": True}, f"{WORSE} (0 is what the mean of the target has); more iterations would"
    " help"),
    ({"val": None}, "the fit is worse than the mean of the target: r2 -4.5e11 on training rows (0"
    " is what the mean of the target has); data.scale_target=standard or 'optimizer={name: auto}'"
    " would help"),
    ({"train": 0.9, "val": -0.25}, "worse than the mean on held-out rows: val_r2 -0.25 (0 is what"
    " the mean of the target has), and r2 0.9 on training rows; a stronger penalty, fewer features"
    " or more rows would help"),
    ({"metric": "d2", "model": "poisson", "train": -1.5, "val": None}, "the fit is worse than the"
    " mean of the target: d2 -1.5 on training rows (0 is what the mean of the target has);"
    " 'optimizer={name: auto}' would help"),
    ({"train": 0.0, "val": 0.0}, None),
    ({"train": 0.5, "val": None}, None),
]  # fmt: skip


@pytest.mark.parametrize(("facts", "sentence"), FITS)
def test_a_fit_worse_than_the_mean_is_told_with_its_cure(facts, sentence):
    assert worse_than_mean_text(FIT | facts) == sentence
