"""Whole numbers as labels: near ones are coded by NumPy, others by Arrow, to the same end."""

import numpy as np
import pyarrow as pa
import pytest

from trainer.data.sources import columns
from trainer.data.sources.columns import ColumnReader

CASES = {
    "digits": pa.array([3, 1, 3, 0, 9], pa.int64()),
    "both ends of a type": pa.array([127, -128, 0, 127], pa.int8()),
    "unsigned": pa.array([7, 2, 7], pa.uint8()),
    "far apart": pa.array([2**62, -(2**62), 5], pa.int64()),
    "past int64": pa.array([2**64 - 1, 2**64 - 2], pa.uint64()),
    "a null": pa.array([4, None, 4, 1], pa.int32()),
    "none": pa.array([], pa.int32()),
    "a slice": pa.array([9, 9, 5, 6, 5], pa.int16()).slice(2),
}


@pytest.mark.parametrize("name", CASES)
def test_labels_are_those_of_arrows_encoding(name, monkeypatch):
    column = pa.chunked_array([CASES[name], CASES[name]])
    reader = ColumnReader("t")
    found = reader._values(column, "y")
    monkeypatch.setattr(columns, "_APART", 0)
    right = reader._values(column, "y")
    assert found[0] == right[0]
    assert found[1].tolist() == right[1].tolist()
    assert found[1].dtype == right[1].dtype == np.int32
