"""Numbers that stand for a missing value are told, and never taken away."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from data_helpers import prepared, write

from trainer.data.sources.sentinels import sentinel

TOLD = [
    ([0.1, -999, 0.3, -999], -999),
    ([20, 999, 55, 999], 999),
    ([5000, -99, 12, -99], -99),  # the one value below 0
    ([1.5, np.nan, 99999, 99999], 99999),
    ([1, -9999.0, 2, -9999.0], -9999),
]
LEFT = [
    [0.1, -999, 0.3],  # in one row
    [990, 995, 999, 999],  # where such values are
    [-500, -999, 3, -999],
    [1, 2, 9, 9],  # a grade
    [0.1, 98, 98],
    [999, 999, 999],  # nothing else
    [0.5, 99.9, 99.9],
    [np.nan, np.nan],
    [],
]


@pytest.mark.parametrize(("values", "found"), TOLD)
def test_values_of_nines_far_from_all_else(values: list[float], found: int) -> None:
    assert sentinel(np.array(values, float)) == found


@pytest.mark.parametrize("values", LEFT, ids=str)
def test_values_that_may_be_what_they_say(values: list[float]) -> None:
    assert sentinel(np.array(values, float)) is None


def test_both_tables_are_tried() -> None:
    assert (len(TOLD), len(LEFT)) == (5, 9)


def test_the_cure_reads_them_as_missing(tmp_path: Path) -> None:
    text = "a,b,y\n1,NA,0\n-999,2,1\n2,3,0\n-999,4,1\n"
    source = {"table": write(tmp_path, "a.csv", text), "target": "y"}
    p = prepared("logistic", source, missing="mean")
    (remark,) = p.summary.remarks
    assert remark.startswith("-999 stands in 2 rows of a, far from all else")
    assert '`na_values: [NA, N/A, n/a, NaN, nan, "null", "NULL", -999]`' in remark
    words = ["NA", "N/A", "n/a", "NaN", "nan", "null", "NULL", -999]
    p = prepared("logistic", {**source, "na_values": words}, missing="mean")
    assert p.summary.remarks == ()
    assert p.encoder.impute == (1.5, 3.0)
    assert p.train.X[:, 0].tolist() == [1.0, 1.5, 2.0, 1.5]
