"""Groups: read from every kind of source, whole in every split, and no feature."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from data_helpers import spec_of, write

from trainer.data import prepare, prepare_split, read
from trainer.data.splits.repeats import row_splits
from trainer.errors import DataError

rng = np.random.default_rng(0)
N = 120
X = rng.normal(size=(N, 2))
Y = rng.integers(0, 2, N)
NUMBERS = rng.integers(-3, 9, N)
TEXT = np.array([f"patient {number}" for number in NUMBERS])


def sources(folder: Path, group: np.ndarray) -> dict[str, tuple[Any, dict[str, Any] | None]]:
    """{kind of source: (data.train, arrays)} with the same rows."""
    table = pa.table({"x0": X[:, 0], "g": pa.array(group.tolist()), "x1": X[:, 1], "y": Y})
    pq.write_table(table, folder / "a.parquet")
    lines = [f"{g},{a!r},{b!r},{y}" for g, (a, b), y in zip(group, X.tolist(), Y, strict=True)]
    text = write(folder, "a.csv", "\n".join(["g,x0,x1,y", *lines]))
    np.savez(folder / "a.npz", X=X, y=Y, who=group)
    arrays = {"npy": write(folder, "X.npy", X), "target": write(folder, "y.npy", Y)}
    named = {"npz": str(folder / "a.npz"), "features": "X", "target": "y", "group": "who"}
    return {
        "parquet": ({"table": str(folder / "a.parquet"), "target": "y", "group": "g"}, None),
        "csv": ({"table": text, "target": "y", "group": "g"}, None),
        "npy": (arrays | {"group": write(folder, "g.npy", group)}, None),
        "npz": (named, None),
        "python": ("arrays", {"train": (X, Y), "group": group}),
        "list": ("arrays", {"train": (X.tolist(), Y.tolist()), "group": group.tolist()}),
    }


@pytest.mark.parametrize("group", [NUMBERS, TEXT, NUMBERS.astype(float)], ids=["int", "str", "f"])
def test_folds_take_whole_groups_of_every_source_alike(tmp_path: Path, group: np.ndarray) -> None:
    deals, digests = [], set()
    for train, arrays in sources(tmp_path, group).values():
        spec = spec_of("logistic", train, repeat={"folds": 4, "times": 2})
        source = read(spec, arrays)
        digests.add(source.digest)
        assert source.frame.names == ("x0", "x1")
        found = row_splits(source, spec)
        assert len(found) == 8
        for part in found:
            assert part.val is not None
            assert not set(group[part.train]) & set(group[part.val])
            assert prepare_split(source, spec, part).train.X.shape == (len(part.train), 2)
        for time in (0, 4):
            held = [part.val for part in found[time : time + 4] if part.val is not None]
            assert np.array_equal(np.sort(np.concatenate(held)), np.arange(N))
            assert np.ptp([len(rows) for rows in held]) < N / 8
            assert np.ptp([Y[rows].mean() for rows in held]) < 0.2
        deals.append(b"".join(part.train.tobytes() for part in found))
    assert len(deals) == 6
    assert len(set(deals)) == 1
    assert len(digests) == 5  # the two of Python are the same rows


def test_a_group_that_changes_changes_the_digest() -> None:
    spec = spec_of("logistic", "arrays")
    given = [{"train": (X, Y), "group": g} for g in (NUMBERS, NUMBERS[::-1], None)]
    assert len({read(spec, arrays).digest for arrays in given}) == 3


def test_val_and_test_fractions_take_whole_groups_too() -> None:
    groups = rng.integers(0, 40, 400)
    features = rng.normal(size=(400, 2))
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        target = (features[:, 0] > 0).astype(int)
        np.savez(f"{folder}/a.npz", X=features, y=target, g=groups)
        train = {"npz": f"{folder}/a.npz", "features": "X", "target": "y", "group": "g"}
        p = prepare(spec_of("logistic", train, val=0.2, test=0.1))
        assert p.val is not None
        splits = [p.train, p.val, p.tests[0]]
        index = np.concatenate([s.index for s in splits])
        assert np.array_equal(np.sort(index), np.arange(400))
        held = [set(groups[s.index]) for s in splits]
        assert not held[0] & held[1]
        assert not (held[0] | held[1]) & held[2]
        np.testing.assert_allclose([len(s) / 400 for s in splits], [0.7, 0.2, 0.1], atol=0.03)
        without = prepare(spec_of("logistic", train, val="none", test=0.1))
        assert np.array_equal(without.tests[0].index, p.tests[0].index)
        spec = spec_of("logistic", train, val="none", test=0.1, repeat={"folds": 3})
        source = read(spec)
        for part in row_splits(source, spec):
            assert not set(groups[part.train]) & held[2]


def test_a_source_of_its_own_needs_no_group(tmp_path: Path) -> None:
    pq.write_table(pa.table({"x": X[:, 0], "g": NUMBERS, "y": Y}), tmp_path / "a.parquet")
    pq.write_table(pa.table({"x": X[:9, 0], "y": Y[:9]}), tmp_path / "b.parquet")
    train = {"table": str(tmp_path / "a.parquet"), "target": "y", "group": "g"}
    val = {"table": str(tmp_path / "b.parquet"), "target": "y", "group": "g"}  # as from train
    p = prepare(spec_of("logistic", train, val=val))
    assert p.encoder.columns == ("x",)
    assert p.val is not None
    assert len(p.val) == 9


BAD: list[tuple[Any, str]] = [
    (np.zeros(N - 1), "data['group']: shape (119,) of float64, and data['train'] X has 120 rows;"
     " both must have the same number of rows"),
    (np.zeros((N, 2)), "data['group']: shape (120, 2) of float64; groups are one a row: shape"
     " (120,)"),
    (np.where(np.arange(N) == 7, 0.5, 1), "data['group']: row 7: 0.5 is no group; text and whole"
     " numbers are"),
    (np.where(np.arange(N) == 8, np.inf, 1), "data['group']: row 8: inf is no group; text and"
     " whole numbers are"),
    (np.where(np.arange(N) == 9, np.nan, 1), "data['group']: row 9: the group is missing or NaN;"
     " give every row its group, or set data.missing to drop"),
    (np.ones(N, dtype=complex), "data['group']: complex128 is no kind of group; text and whole"
     " numbers are"),
    (np.arange(N) % 2, "repeat.folds: 3 folds of 2 groups in data['group']; at most 2 folds, or"
     " more groups are right"),
    (np.ones(N), "repeat.folds: 3 folds of 1 group in data['group']; more groups are right"),
]  # fmt: skip


def test_bad_groups_are_one_line() -> None:
    assert len(BAD) == 8
    for group, message in BAD:
        spec = spec_of("logistic", "arrays", repeat={"folds": 3})
        with pytest.raises(DataError) as error:
            row_splits(read(spec, {"train": (X, Y), "group": group}), spec)
        assert str(error.value) == message


def test_bad_group_columns_are_one_line(tmp_path: Path) -> None:
    data = write(tmp_path, "a.csv", "x,y,g,w\n1,a,p,1\n2,b,,1\n3,b,q,1\n")
    base = {"table": data, "target": "y"}
    for keys, message in (
        ({"group": "gg"}, ": group: there is no column 'gg'; 'g' is the nearest name"),
        ({"group": "y"}, ": group: 'y' is the target; another column is right"),
        ({"group": "w", "weight": "w"}, ": group: 'w' is the weight; another column is right"),
        (
            {"group": "g", "columns": ["x", "g"]},
            ": columns: 'g' is the group, no feature; take it out of columns",
        ),
        (
            {"group": "g"},
            ": row 1 (line 3), column 'g': the group is missing or NaN; give every row its group,"
            " or set data.missing to drop",
        ),
    ):
        with pytest.raises(DataError) as error:
            prepare(spec_of("logistic", {**base, **keys}))
        assert str(error.value) == data + message
    dropped = prepare(spec_of("logistic", {**base, "group": "g"}, missing="drop"))
    assert dropped.train.index.tolist() == [0, 2]
    with pytest.raises(DataError, match=r"data.val: 1 group: too few to set some apart; more"):
        prepare(spec_of("logistic", {**base, "group": "w"}, val=0.5))
