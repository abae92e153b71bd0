"""The rows of a last fit: train, or train and val, without validation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from data_helpers import same_encoder, same_rows, spec_of, write

from trainer.data import Prepared, prepare, prepare_refit, read
from trainer.data.frame import Stacked
from trainer.data.splits.repeats import row_splits
from trainer.errors import DataError

rng = np.random.default_rng(0)


def same(a: Prepared, b: Prepared) -> bool:
    return (
        same_rows(a.train, b.train)
        and same_encoder(a.encoder, b.encoder)
        and a.val is None is b.val
        and len(a.tests) == len(b.tests)
        and all(same_rows(x, y) for x, y in zip(a.tests, b.tests, strict=True))
        and np.array_equal(a.train.index, b.train.index)
    )


@pytest.mark.parametrize("test", ["none", 0.1])
def test_train_and_a_fraction_are_the_rows_of_a_run_without_val(test: Any) -> None:
    for model, train in (("softmax", "digits"), ("linear", "diamonds")):
        spec = spec_of(model, train, val=0.2, test=test)
        both = prepare_refit(read(spec), spec, "train+val")
        without = prepare(spec_of(model, train, val="none", test=test))
        assert same(both, without)
        assert both.summary == without.summary
        assert both.digest == without.digest
        alone = prepare_refit(read(spec), spec, "train")
        plain = prepare(spec)
        assert same_rows(alone.train, plain.train)
        assert alone.val is None
        assert alone.summary.rows["train"] == plain.summary.rows["train"]
        assert "val" not in alone.summary.rows


def test_with_groups_too(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", X=rng.normal(size=(200, 3)), y=np.arange(200) % 2,
             g=rng.integers(0, 30, 200))  # fmt: skip
    train = {"npz": str(tmp_path / "a.npz"), "features": "X", "target": "y", "group": "g"}
    spec = spec_of("logistic", train, val=0.2, test=0.2)
    without = spec_of("logistic", train, test=0.2)
    assert same(prepare_refit(read(spec), spec, "train+val"), prepare(without))


def test_with_folds_train_is_all_rows_of_the_folds() -> None:
    spec = spec_of("softmax", "digits", test=0.2, repeat={"folds": 5})
    source = read(spec)
    for rows in ("train", "train+val"):
        refit = prepare_refit(source, spec, rows)
        assert same(refit, prepare(spec_of("softmax", "digits", test=0.2)))
        for part in row_splits(source, spec):
            assert part.val is not None
            assert np.array_equal(np.union1d(part.train, part.val), refit.train.index)


@pytest.mark.parametrize("scale", ["standard", "unit"])
def test_matrices_of_two_files_are_joined_without_a_copy(tmp_path: Path, scale: str) -> None:
    A = rng.normal(2, 5, (3000, 400)).astype(np.float32)
    B = rng.normal(-2, 5, (500, 400))
    A[5, 3], B[7, 2] = np.nan, np.nan
    y, z = rng.integers(0, 3, 3000), rng.integers(0, 3, 500)
    w = rng.integers(1, 4, 3000)
    train = {
        "npy": write(tmp_path, "A.npy", A),
        "target": write(tmp_path, "y.npy", y),
        "weight": write(tmp_path, "w.npy", w),
    }
    val = {"npy": write(tmp_path, "B.npy", B), "target": write(tmp_path, "z.npy", z)}
    spec = spec_of("softmax", train, val=val, test=0.1, scale=scale, missing="mean")
    source = read(spec)
    refit, plain = prepare_refit(source, spec, "train+val"), prepare(spec)
    rows = plain.train.index
    arrays = {
        "train": (np.concatenate([A[rows], B]), np.concatenate([y[rows], z])),
        "weight": np.concatenate([w[rows], np.ones(500)]),
    }
    alone = spec_of("softmax", "arrays", scale=scale, missing="mean", val="none")
    expected = prepare(alone, arrays)
    assert same_rows(refit.train, expected.train)
    assert same_encoder(refit.encoder, expected.encoder)
    assert refit.summary.rows == {"train": 2700 + 500, "test": 300}
    assert refit.summary.imputed["train"] in (1, 2)
    assert refit.summary.dropped == {}
    assert len(refit.tests[0]) == 300
    assert refit.train.index[-1] == 3499
    dropping = spec_of("softmax", train, val=val, missing="drop")
    refit = prepare_refit(source, dropping, "train+val")
    assert refit.summary.rows == {"train": 2999 + 499}
    assert refit.summary.dropped == {train["npy"]: 1, val["npy"]: 1}


def test_tables_with_text_are_joined_by_their_words(tmp_path: Path) -> None:
    a = {"t": ["u", "v", None, "u"], "n": [1, 2, 3, 4], "y": ["p", "q", "p", "q"]}
    b = {"n": [5.5, None, 7.5], "y": ["q", "q", "p"], "t": ["a", "v", "z"]}
    pq.write_table(pa.table(a), tmp_path / "a.parquet")
    write(tmp_path, "b.csv", "n,y,t\n5.5,q,a\n,q,v\n7.5,p,z\n")  # the same as b, of another format
    train = {"table": str(tmp_path / "a.parquet"), "target": "y"}
    val = {"table": str(tmp_path / "b.csv"), "target": "y"}
    spec = spec_of("logistic", train, val=val, missing="mean", scale="standard")
    refit = prepare_refit(read(spec), spec, "train+val")
    both = pa.table({name: [*a[name], *b[name]] for name in ("t", "n")})
    expected = prepare(spec, {"train": (both, np.array([*a["y"], *b["y"]]))})
    assert same_rows(refit.train, expected.train)
    assert refit.encoder.categories == {"t": ("a", "u", "v", "z")}
    assert refit.encoder.impute == expected.encoder.impute
    assert refit.encoder.classes == ["p", "q"]
    assert refit.train.index.tolist() == list(range(7))


def test_libsvm_and_python_sources_are_joined(tmp_path: Path) -> None:
    a = write(tmp_path, "a.libsvm", "1 1:1 3:2\n-1 2:5\n1 2:1\n")
    b = write(tmp_path, "b.libsvm", "-1 1:4\n1 3:3\n")
    dense = np.array([[1, 0, 2], [0, 5, 0], [0, 1, 0], [4, 0, 0], [0, 0, 3.0]])
    y = np.array([1, -1, 1, -1, 1])
    spec = spec_of("logistic", {"libsvm": a}, val={"libsvm": b}, scale="standard")
    expected = prepare(spec_of("logistic", "arrays"), {"train": (dense, y)})
    refit = prepare_refit(read(spec), spec, "train+val")
    assert same_rows(refit.train, expected.train)
    arrays = {"train": (dense[:3], y[:3]), "val": (dense[3:], y[3:])}
    refit = prepare_refit(read(spec, arrays), spec, "train+val")
    assert same_rows(refit.train, expected.train)


def test_classes_are_those_of_both_as_the_training_source_writes_them() -> None:
    X = np.eye(5)
    spec = spec_of("softmax", "arrays")
    arrays = {"train": (X, [0, 3, 3, 0, 0]), "val": (X[:3], np.array(["3", "11", "0"]))}
    refit = prepare_refit(read(spec, arrays), spec, "train+val")
    assert refit.encoder.classes == [0, 3, "11"]
    assert refit.train.y.tolist() == [0, 1, 1, 0, 0, 1, 2, 0]


def test_targets_that_differ_in_kind_are_not_joined() -> None:
    X, spec = np.eye(4), spec_of("logistic", "arrays")
    arrays = {"train": (X, [0, 1, 1, 0]), "val": (X, X[:, :2])}
    with pytest.raises(DataError, match=r"^data\['val'\] y: its target is of another kind or"):
        prepare_refit(read(spec, arrays), spec, "train+val")


def test_a_fault_of_the_joined_rows_names_its_source() -> None:
    spec = spec_of("linear", "arrays")
    arrays = {"train": (np.eye(4), np.ones(4)), "val": (np.full((4, 4), np.inf), np.ones(4))}
    with pytest.raises(DataError, match=r"X: row 0 of data\['val'\] X, column 'x0': is infinite"):
        prepare_refit(read(spec, arrays), spec, "train+val")


def test_targets_of_several_columns_are_joined_and_scaled() -> None:
    X, y = rng.normal(size=(30, 2)), rng.normal(5, 2, (30, 3))
    spec = spec_of("linear", "arrays", scale_target="standard")
    arrays = {"train": (X[:20], y[:20]), "val": (X[20:], y[20:])}
    refit = prepare_refit(read(spec, arrays), spec, "train+val")
    assert same_rows(refit.train, prepare(spec, {"train": (X, y)}).train)
    assert same(prepare_refit(read(spec, arrays), spec, "train"),
                prepare(spec, {"train": (X[:20], y[:20])}))  # fmt: skip


def test_stacked_rows_are_those_of_the_concatenation() -> None:
    a, b = rng.normal(size=(7, 2)).astype(np.float32), rng.normal(size=(5, 2))
    stacked, whole = Stacked(a, b), np.concatenate([a, b])
    assert stacked.shape == whole.shape
    assert stacked.dtype == whole.dtype
    for start in range(13):
        for stop in range(start, 13):
            assert np.array_equal(stacked[start:stop], whole[start:stop])
    for _ in range(50):
        rows = np.flatnonzero(rng.random(12) < 0.4)
        assert np.array_equal(stacked[rows], whole[rows])


def test_many_matrices_stacked() -> None:
    parts = [rng.normal(size=(n, 2)) for n in (3, 1, 0, 4, 1)]
    stacked, whole = Stacked(Stacked(*parts[:2]), *parts[2:]), np.concatenate(parts)
    assert stacked.shape == (9, 2)
    for start in range(10):
        for stop in range(10):
            assert np.array_equal(stacked[start:stop], whole[start:stop])
    for _ in range(200):
        rows = np.flatnonzero(rng.random(9) < 0.5)
        assert np.array_equal(stacked[rows], whole[rows])


def test_the_order_of_a_matrix_in_memory_does_not_count() -> None:
    X = rng.normal(3, 7, (3000, 400)).astype(np.float32)
    X[3] = np.nan
    y = rng.normal(2, 3, (3000, 3))
    spec = spec_of("linear", "arrays", scale="standard", scale_target="standard", missing="mean")
    rows, columns = (
        prepare(spec, {"train": (np.asarray(X, order=order), np.asarray(y, order=order))})
        for order in ("C", "F")
    )
    assert same(rows, columns)
