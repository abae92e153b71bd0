"""Parts of the rows that do not belong together, and splits that are the same rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from data_helpers import from_arrays, prepared, write

from trainer.data.sources.alignment import check_alignment
from trainer.errors import DataError


class Index(list[Any]):
    """As much of pandas' Index as is asked for."""

    def equals(self, other: Index) -> bool:
        return list(self) == list(other)

    def intersection(self, other: Index) -> set[Any]:
        return set(self) & set(other)

    @property
    def has_duplicates(self) -> bool:
        return len(set(self)) < len(self)


class Series:
    """Values with an index."""

    def __init__(self, *index: Any) -> None:
        self.index = Index(index)


ALIGNED = [
    (Series(1, 2, 3), Series(1, 2, 3)),
    (Series(1, 2, 3), Series(0, 1, 2)),  # one of them made anew
    (Series("a", "b"), Series("c", "d")),
    (Series(1, 1, 2), Series(1, 2, 1)),
    (Series(1, 2), Series(2, 1, 0)),  # of another length, which has a message of its own
    (Series(1, 2), [1, 2]),  # a list's `index` is a method
    ([1, 2], Series(2, 1)),
    (Series(1, 2), None),
]


def test_an_index_in_another_order_is_refused() -> None:
    with pytest.raises(DataError, match=r"^y: has the index of X in another order \(row 1 is c"):
        check_alignment(Series("a", "b", "c"), Series("a", "c", "b"), "y", "X")


def test_other_parts_are_paired_by_their_place() -> None:
    assert len(ALIGNED) == 8
    for X, other in ALIGNED:
        check_alignment(X, other, "y", "X")


@pytest.mark.parametrize("part", ["target", "weight", "group"])
def test_pandas_parts_are_told_at_the_door(part: str) -> None:
    pd = pytest.importorskip("pandas")
    X = pd.DataFrame({"a": np.arange(8.0)})
    y = pd.Series([0, 1] * 4)
    turned = y[::-1]
    arrays: dict[str, Any] = {"train": (X, turned if part == "target" else y)}
    if part != "target":
        arrays[part] = turned
    with pytest.raises(DataError, match="in another order"):
        prepared("logistic", "arrays", arrays=arrays)


X = np.arange(12.0).reshape(6, 2)
Y = np.array([0, 1, 0, 1, 0, 1])


def test_a_split_of_the_training_rows_is_told(tmp_path: Path) -> None:
    text = "a,y\n" + "".join(f"{i},{i % 2}\n" for i in range(6))
    train = {"table": write(tmp_path, "a.csv", text), "target": "y"}
    copy = {"table": write(tmp_path, "b.csv", text), "target": "y"}
    other = {"table": write(tmp_path, "c.csv", text + "9,1\n"), "target": "y"}
    assert prepared("logistic", train, val=train).summary.copies == ("val",)
    assert prepared("logistic", train, val=other, test=copy).summary.copies == ("test",)
    assert prepared("logistic", train, val=0.5, test=other).summary.copies == ()


def test_arrays_of_one_archive_are_told_apart(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", X=X, y=Y, Z=X + 1)
    train = {"npz": str(tmp_path / "a.npz"), "features": "X", "target": "y"}
    assert prepared("logistic", train, val={**train, "features": "Z"}).summary.copies == ()
    assert prepared("logistic", train, val=train).summary.copies == ("val",)


def test_made_up_and_passed_rows_are_told() -> None:
    made = {"synthetic": {"rows": 20, "columns": 2, "seed": 1}}
    again = {"synthetic": {"rows": 20, "columns": 2, "seed": 2}}
    assert prepared("logistic", made, val=made, test=again).summary.copies == ("val",)
    p = from_arrays("logistic", X, Y, more={"val": (X + 1, Y), "test": {"t": (X.copy(), Y)}})
    assert p.summary.copies == ("t",)
