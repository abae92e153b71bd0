from __future__ import annotations

import gzip
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from data_helpers import from_arrays, prepared, write
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sklearn.preprocessing import StandardScaler

from trainer.data.sources import csv_text
from trainer.data.sources.registry import BUNDLED
from trainer.errors import DataError

rng = np.random.default_rng(0)


# The bundled sets


@pytest.mark.parametrize(
    ("name", "model", "rows", "D", "C"),
    [
        ("digits", "softmax", 1797, 64, 10),
        ("breast_cancer", "logistic", 569, 30, 1),
        ("diamonds", "linear", 53940, 26, 1),
    ],
)
def test_bundled(name: str, model: str, rows: int, D: int, C: int) -> None:
    p = prepared(model, name, val=0.2, test=0.1, scale="standard", precision="float32")
    assert BUNDLED[name][1] == model
    assert p.val is not None
    assert (p.train.name, p.val.name, p.tests[0].name) == ("train", "val", "test")
    splits = [p.train, p.val, *p.tests]
    index = np.concatenate([split.index for split in splits])
    assert np.array_equal(np.sort(index), np.arange(rows))
    assert len(p.val) == round(0.2 * rows)
    assert p.summary.rows == {s.name: len(s) for s in splits}
    assert (p.summary.source, p.summary.features, p.summary.outputs) == (name, D, C)
    assert len(p.encoder.features) == D
    assert len(p.encoder.outputs) == C
    for split in splits:
        assert split.X.shape == (len(split), D)
        assert split.X.dtype == np.float32
        assert split.X.flags.c_contiguous
        kinds = {"softmax": np.int64, "logistic": np.float32, "linear": np.float64}
        assert split.y.dtype == kinds[model]
        assert split.y.shape == ((len(split),) if model == "softmax" else (len(split), 1))
        assert split.weight.tolist() == [1.0] * len(split)
        assert split.index.dtype == np.int64
    assert len(p.digest) == 64


def test_bundled_against_scikit_learn() -> None:
    from sklearn.datasets import load_breast_cancer, load_digits

    digits = prepared("softmax", "digits")
    assert np.array_equal(digits.train.X, load_digits().data)
    assert np.array_equal(digits.train.y, load_digits().target)
    assert digits.encoder.classes == list(range(10))
    cancer, theirs = prepared("logistic", "breast_cancer"), load_breast_cancer()
    assert np.array_equal(cancer.train.X, theirs.data)
    assert cancer.encoder.classes == ["benign", "malignant"]
    assert np.array_equal(cancer.train.y[:, 0], 1 - theirs.target)  # there, 1 is benign


def test_diamonds_text_columns_are_one_hot_columns_of_0_and_1() -> None:
    p = prepared("linear", "diamonds", val=0.2, scale="standard")
    assert p.summary.expansions == {"cut": 5, "color": 7, "clarity": 8}
    assert p.summary.columns == 9
    one_hot = [i for i, name in enumerate(p.encoder.features) if "=" in name]
    assert len(one_hot) == 20
    assert set(np.unique(p.train.X[:, one_hot])) == {0.0, 1.0}
    assert np.array_equal(p.train.X[:, one_hot].sum(axis=1), np.full(len(p.train), 3.0))
    assert (p.encoder.mean[one_hot] == 0).all()
    assert (p.encoder.scale[one_hot] == 1).all()


def test_softmax_on_diamonds_is_refused() -> None:
    with pytest.raises(DataError, match=r"price, is a number.*linear"):
        prepared("softmax", "diamonds")


def test_importing_the_package_is_light() -> None:
    code = (
        "import sys, trainer.data, trainer.predict.fitted_model;"
        "print({'pyarrow', 'pydantic', 'safetensors', 'cupy', 'sklearn'} & set(sys.modules))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "set()"


# Scaling


def test_standard_is_scikit_learns_on_the_training_rows_alone() -> None:
    X = rng.normal(5, [1, 1e-3, 1e6], size=(5000, 3))
    p = from_arrays("linear", X, X[:, 0], scale="standard", more={"val": (X * 2 + 1, X[:, 0])})
    assert p.val is not None
    theirs = StandardScaler().fit(X)
    np.testing.assert_allclose(p.encoder.mean, theirs.mean_, rtol=1e-13)
    np.testing.assert_allclose(p.encoder.scale, theirs.scale_, rtol=1e-12)
    np.testing.assert_allclose(p.train.X, theirs.transform(X), rtol=0, atol=1e-9)
    np.testing.assert_allclose(p.val.X, theirs.transform(X * 2 + 1), rtol=1e-9)


def test_statistics_of_many_chunks_are_those_of_all_rows() -> None:
    X = rng.normal(size=(3000, 1000)) + np.linspace(0, 50, 3000)[:, None]  # each chunk its mean
    X[5, 7] = np.nan
    p = from_arrays("linear", X, X[:, 0], scale="standard", missing="mean")
    filled = np.where(np.isnan(X), np.nanmean(X, axis=0), X)
    theirs = StandardScaler().fit(filled)
    np.testing.assert_allclose(p.encoder.mean, theirs.mean_, rtol=1e-12)
    np.testing.assert_allclose(p.encoder.scale, theirs.scale_, rtol=1e-12)
    np.testing.assert_allclose(p.train.X, theirs.transform(filled), rtol=0, atol=1e-12)


def test_no_statistic_sees_a_row_that_is_set_apart() -> None:
    """The same training rows give the same encoder, whatever the rows of val and test are."""
    n = 200
    X, y = rng.normal(size=(n, 2)), rng.normal(size=n)
    text = np.array(["a", "b"])[rng.integers(0, 2, n)]
    settings: dict[str, Any] = {
        "val": 0.2, "test": 0.1, "scale": "standard", "scale_target": "standard", "missing": "mean",
    }  # fmt: skip

    def encoder(X: np.ndarray, y: np.ndarray, text: np.ndarray, folder: Path) -> Any:
        table = pa.table({"u": X[:, 0], "v": X[:, 1], "t": text, "y": y})
        pq.write_table(table, folder / "a.parquet")
        return prepared("linear", {"table": str(folder / "a.parquet"), "target": "y"}, **settings)

    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        first = encoder(X, y, text, Path(folder))
        held = np.setdiff1d(np.arange(n), first.train.index)
        assert len(held) == 60
        X[held], y[held], text[held] = 1e6, -1e6, "c"
        X[held[0], 0] = np.nan
        second = encoder(X, y, text, Path(folder))
    assert np.array_equal(first.train.index, second.train.index)
    assert np.array_equal(first.train.X, second.train.X)
    assert first.encoder.to_json() == second.encoder.to_json()
    assert np.array_equal(first.encoder.mean, second.encoder.mean)
    assert second.val is not None
    assert second.summary.unseen["val"] == {"t": len(second.val)}


def test_constant_column_becomes_0_not_1() -> None:
    X = np.full((100_000, 2), 0.1, dtype=np.float32)
    X[:, 1] = rng.normal(size=100_000)
    for rows in (X, X.astype(np.float64), np.full((1000, 2), 0.1) * [1, 0] + X[:1000] * [0, 1]):
        p = from_arrays("linear", rows, X[: len(rows), 1], scale="standard", precision="float32")
        assert (p.train.X[:, 0] == 0).all()
        assert p.encoder.mean[0] == rows[0, 0]
        assert p.encoder.scale[0] == 1
        assert p.summary.constant == ("x0",)


def test_unit_brings_each_row_to_length_1() -> None:
    X = rng.normal(size=(50, 4))
    X[7] = 0
    p = from_arrays("linear", X, X[:, 0], scale="unit")
    lengths = np.linalg.norm(p.train.X, axis=1)
    np.testing.assert_allclose(np.delete(lengths, 7), 1, rtol=1e-14)
    assert lengths[7] == 0
    assert p.encoder.unit
    assert (p.encoder.mean == 0).all()
    assert (p.encoder.scale == 1).all()


def test_unit_of_values_whose_squares_overflow() -> None:
    p = from_arrays("linear", np.array([[3e200, 4e200], [3e-200, 4e-200]]), [0, 1], scale="unit")
    np.testing.assert_allclose(p.train.X, [[0.6, 0.8], [0.6, 0.8]], rtol=1e-14)


def test_scale_target() -> None:
    y = rng.normal(100, 5, size=(80, 2))
    p = from_arrays("linear", rng.normal(size=(80, 3)), y, scale_target="standard")
    np.testing.assert_allclose(p.train.y * p.encoder.target_scale + p.encoder.target_mean, y)
    np.testing.assert_allclose(p.train.y.std(axis=0), 1)
    constant = from_arrays("linear", np.eye(3), np.full(3, 7.0), scale_target="standard")
    assert constant.train.y.tolist() == [[0.0]] * 3
    assert constant.encoder.target_scale.tolist() == [1.0]


# Array files


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", ">f4", "i1", "u1", "i4", "u8", "?"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_npy_of_any_number_and_order(dtype: str, order: Any, tmp_path: Path) -> None:
    X = np.asarray(rng.integers(0, 2, size=(30, 4)).astype(dtype), order=order)
    y = rng.integers(0, 3, size=30)
    source = {"npy": write(tmp_path, "X.npy", X), "target": write(tmp_path, "y.npy", y)}
    p = prepared("softmax", source, precision="float32", val=0.2)
    assert p.val is not None
    assert p.train.X.dtype == np.float32
    assert p.train.X.flags.c_contiguous
    assert np.array_equal(p.train.X, X[p.train.index].astype(np.float32))
    assert np.array_equal(p.val.y, y[p.val.index])
    assert p.encoder.features == ("x0", "x1", "x2", "x3")


def test_npy_is_streamed(tmp_path: Path) -> None:
    """Little more than the result is ever held: no float64 copy of it, no copy of the file."""
    import tracemalloc

    X = np.ones((40_000, 100), dtype=np.float32)
    X[::2] = 0
    source = {
        "npy": write(tmp_path, "X.npy", X),
        "target": write(tmp_path, "y.npy", X[:, 0]),
    }
    tracemalloc.start()
    p = prepared("linear", source, precision="float32", scale="standard")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < p.train.X.nbytes + 40e6  # chunks of 8 MB and their temporaries


def test_npz_and_weights(tmp_path: Path) -> None:
    X, y, w = rng.normal(size=(20, 3)), rng.normal(size=(20, 2)), rng.uniform(size=20)
    np.savez_compressed(tmp_path / "f.npz", X=X, y=y, w=w)
    source = {"npz": str(tmp_path / "f.npz"), "features": "X", "target": "y", "weight": "w"}
    p = prepared("linear", source)
    assert np.array_equal(p.train.X, X)
    assert np.array_equal(p.train.y, y)
    assert np.array_equal(p.train.weight, w)
    assert p.encoder.outputs == ("y0", "y1")


# Tables


CSV = "id,n,t,w,y\n7,1.5,a,1,yes\n8,2,b,2,no\n9,-1e3,a,0.5,yes\n"


def check_table(p: Any) -> None:
    assert p.encoder.features == ("n", "t=a", "t=b")
    assert p.train.X.tolist() == [[1.5, 1, 0], [2, 0, 1], [-1000, 1, 0]]
    assert p.train.y.tolist() == [[1], [0], [1]]
    assert p.train.weight.tolist() == [1, 2, 0.5]
    assert p.encoder.classes == ["no", "yes"]
    assert p.encoder.outputs == ("y",)


def test_csv_tsv_gzip_parquet_hold_the_same(tmp_path: Path) -> None:
    quoted = CSV.replace("a,", '"a",').replace("id", '"id"').replace("\n", "\r\n")
    paths = [
        write(tmp_path, "a.csv", CSV),
        write(tmp_path, "bom.CSV", b"\xef\xbb\xbf" + quoted.encode()),
        write(tmp_path, "B.CSV.GZ", gzip.compress(CSV.encode())),
        write(tmp_path, "a.tsv", CSV.replace(",", "\t")),
        write(tmp_path, "a.tsv.gz", gzip.compress(CSV.replace(",", "\t").encode())),
        write(tmp_path, "no_end.csv", CSV[:-1]),
    ]
    table = pa.csv.read_csv(paths[0])
    for name, t in {
        "a.parquet": table,
        "dictionary.parquet": table.set_column(2, "t", table["t"].dictionary_encode()),
        "large.parquet": table.set_column(2, "t", table["t"].cast(pa.large_string())),
    }.items():
        pq.write_table(t, tmp_path / name)
        paths.append(str(tmp_path / name))
    for path in paths:
        source = {"table": path, "target": "y", "drop": ["id"], "weight": "w"}
        check_table(prepared("logistic", source))
        source = {"table": path, "target": "y", "columns": ["n", "t"], "weight": "w"}
        check_table(prepared("logistic", source))


def test_columns_keep_the_order_asked_for(tmp_path: Path) -> None:
    path = write(tmp_path, "a.csv", "a,b.c,y\n1,2,3\n4,5,6\n")
    p = prepared("linear", {"table": path, "target": "y", "columns": ["b.c", "a"]})
    assert p.encoder.features == ("b.c", "a")
    assert p.train.X.tolist() == [[2, 1], [5, 4]]
    pq.write_table(pa.csv.read_csv(path), tmp_path / "a.parquet")
    source = {"table": str(tmp_path / "a.parquet"), "target": "y", "columns": ["b.c", "a"]}
    assert prepared("linear", source).train.X.tolist() == [[2, 1], [5, 4]]


def test_numbers_late_in_a_long_column(tmp_path: Path) -> None:
    """A reader that guesses a type from the first block takes this column for whole numbers."""
    rows = 300_000
    lines = "".join(f"{i},{i}\n" for i in range(rows)) + "0.5,1\n"
    p = prepared("linear", {"table": write(tmp_path, "a.csv", "x,y\n" + lines), "target": "y"})
    assert p.train.X[-1, 0] == 0.5
    assert p.train.X[rows - 1, 0] == rows - 1


def test_cells_that_are_numbers(tmp_path: Path) -> None:
    cells = ["+1", " 2 ", ".5", "5.", "1E3", "-0", "true", "9007199254740993"]
    for cell in cells[:6] + cells[7:]:
        path = write(tmp_path, "a.csv", f"x,y\n{cell},1\n0,2\n")
        p = prepared("linear", {"table": path, "target": "y"})
        assert p.train.X[0, 0] == float(cell)
    path = write(tmp_path, "a.csv", "x,y\nTrue,1\nfalse,2\n")
    assert prepared("linear", {"table": path, "target": "y"}).train.X.tolist() == [[1], [0]]


def test_categorical_numbers(tmp_path: Path) -> None:
    path = write(tmp_path, "a.csv", "zip,y\n02139,1\n10001,2\n02139,3\n")
    p = prepared("linear", {"table": path, "target": "y", "categorical": ["zip"]})
    assert p.encoder.features == ("zip=02139", "zip=10001")
    pq.write_table(pa.table({"k": [3, 10, 3], "y": [1.0, 2.0, 3.0]}), tmp_path / "a.parquet")
    source = {"table": str(tmp_path / "a.parquet"), "target": "y", "categorical": ["k"]}
    assert prepared("linear", source).encoder.features == ("k=10", "k=3")


def test_line_breaks_and_separators_in_quotes(tmp_path: Path) -> None:
    path = write(tmp_path, "a.csv", 't,y\n"a,\nb",1\n"say ""hi""",2\n5"",3\n')
    p = prepared("linear", {"table": path, "target": "y"})
    assert p.encoder.categories["t"] == ('5""', "a,\nb", 'say "hi"')
    assert p.train.y[:, 0].tolist() == [1, 2, 3]


def test_line_breaks_where_blocks_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_text, "_BLOCK", 64)
    path = write(tmp_path, "a.csv", "t,y\n" + '"a\n1,2\nb",3\n' * 200)
    p = prepared("linear", {"table": path, "target": "y"})
    assert p.train.y[:, 0].tolist() == [3] * 200
    assert p.encoder.categories["t"] == ("a\n1,2\nb",)


def test_a_row_longer_than_a_block(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_text, "_BLOCK", 64)
    path = write(tmp_path, "a.csv", f"t,y\n{'a' * 500},3\nb,4\n")
    assert prepared("linear", {"table": path, "target": "y"}).train.y[:, 0].tolist() == [3, 4]


def test_missing_is_dropped(tmp_path: Path) -> None:
    text = "n,t,y\n1,a,1\n,b,2\n3,NA,3\n4,b,\n5,a,5\nnan,a,6\n"
    p = prepared("linear", {"table": write(tmp_path, "a.csv", text), "target": "y"}, missing="drop")
    assert p.train.index.tolist() == [0, 4]
    assert p.train.X.tolist() == [[1, 1], [5, 1]]
    assert list(p.summary.dropped.values()) == [4]
    X = np.array([[1.0, 2], [np.nan, 3], [4, 5]])
    q = from_arrays("linear", X, [1.0, 2, np.nan], missing="drop")
    assert q.train.index.tolist() == [0]
    assert q.summary.dropped == {"data['train'] X": 2}


def test_missing_becomes_the_mean_and_the_most_frequent(tmp_path: Path) -> None:
    text = "n,t,y\n1,b,1\n,a,2\n3,,3\n8,b,4\n"
    p = prepared("linear", {"table": write(tmp_path, "a.csv", text), "target": "y"}, missing="mean")
    assert p.train.X.tolist() == [[1, 0, 1], [4, 1, 0], [3, 0, 1], [8, 0, 1]]
    assert p.encoder.impute == (4.0, "b")
    assert p.summary.imputed == {"train": 2}
    X = np.array([[1.0, 2], [np.nan, 4], [4, np.nan]])
    q = from_arrays("linear", X, [1.0, 2, 3], missing="mean", scale="standard")
    filled = np.array([[1.0, 2], [2.5, 4], [4, 3]])
    np.testing.assert_allclose(q.train.X, StandardScaler().fit_transform(filled), rtol=1e-14)


def test_unseen_category_is_all_zeros_and_counted(tmp_path: Path) -> None:
    train = {"table": write(tmp_path, "a.csv", "t,y\na,1\nb,2\n"), "target": "y"}
    val = {"table": write(tmp_path, "b.csv", "t,y\nb,1\nz,2\nq,3\n"), "target": "y"}
    p = prepared("linear", train, val=val, test=[{**val, "name": "later"}])
    assert p.val is not None
    assert p.val.X.tolist() == [[0, 1], [0, 0], [0, 0]]
    assert p.summary.unseen == {"val": {"t": 2}, "later": {"t": 2}}
    assert [t.name for t in p.tests] == ["later"]


def test_another_source_is_read_by_name_and_like_the_training_source(tmp_path: Path) -> None:
    train = {"table": write(tmp_path, "a.csv", "n,t,y\n1,a,0\n2,1,1\n3,b,1\n"), "target": "y"}
    path = write(tmp_path, "b.csv", "extra,y,t,n\nq,1,1,7\n")  # t is all numbers here
    p = prepared("linear", train, val={"table": path, "target": "y"})
    assert p.val is not None
    assert p.val.X.tolist() == [[7, 1, 0, 0]]


# Labels


@pytest.mark.parametrize(
    ("labels", "classes"),
    [
        (np.array(["dog", "cat", "dog", "eel"]), ["cat", "dog", "eel"]),
        (np.array([7, -3, 7, 1000]), [-3, 7, 1000]),
        (np.array([2.0, 5.0, 2.0, 9.0]), [2, 5, 9]),
        (np.array([2**63 + 5, 3, 3, 4], dtype=np.uint64), [3, 4, 2**63 + 5]),
        (np.array([b"x", b"y", b"x", b"z"]), ["x", "y", "z"]),
        (np.array(["x", "y", "x", "z"], dtype=object), ["x", "y", "z"]),
    ],
)
def test_labels_are_encoded_and_kept(labels: np.ndarray, classes: list[Any]) -> None:
    for y in (labels, labels[:, None]):
        p = from_arrays("softmax", np.eye(4), y)
        assert p.encoder.classes == classes
        assert [type(c) for c in p.encoder.classes] == [type(c) for c in classes]
        wanted = [b.decode() if isinstance(b, bytes) else b for b in labels.tolist()]
        assert [classes[code] for code in p.train.y] == wanted
        assert p.encoder.outputs == tuple(str(c) for c in classes)


def test_two_labels_for_logistic() -> None:
    for labels, classes in (
        (np.array([False, True, True]), [False, True]),
        (np.array([-1, 1, 1]), [-1, 1]),
        (np.array(["n", "y", "y"]), ["n", "y"]),
    ):
        p = from_arrays("logistic", np.eye(3), labels)
        assert p.encoder.classes == classes
        assert p.train.y.tolist() == [[0], [1], [1]]
        assert p.encoder.outputs == ("y",)


def test_labels_of_text_files(tmp_path: Path) -> None:
    for cells, classes in (
        (["3", "10", "3"], [3, 10]),
        (["1.0", "0", "1"], [0, 1]),
        (["01", "2", "01"], ["01", "2"]),
        (["b", "1", "b"], ["1", "b"]),
        (
            ["12345678901234567890", "12345678901234567891"] * 2,
            ["12345678901234567890", "12345678901234567891"],
        ),
        (["True", "False", "True"], [False, True]),
        (
            ["12345678901234567", "12345678901234568", "1"],
            [1, 12345678901234567, 12345678901234568],
        ),
    ):
        content = "x,y\n" + "".join(f"{i},{cell}\n" for i, cell in enumerate(cells))
        source = {"table": write(tmp_path, "a.csv", content), "target": "y"}
        assert prepared("softmax", source).encoder.classes == classes


def test_classes_are_those_of_the_whole_source() -> None:
    y = np.array([0] * 30 + [1] * 30 + [2])
    for seed in range(5):
        p = from_arrays("softmax", np.eye(61), y)
        assert p.encoder.classes == [0, 1, 2]
        q = prepared("softmax", "digits", val=0.5, stratify=False, seed=seed)
        assert q.encoder.classes == list(range(10))


def test_a_label_of_dropped_rows_alone_is_no_class() -> None:
    X = np.array([[1.0], [2.0], [np.nan], [4.0]])
    p = from_arrays("logistic", X, np.array(["a", "b", "c", "b"]), missing="drop")
    assert p.encoder.classes == ["a", "b"]
    assert p.train.y.tolist() == [[0], [1], [1]]


def test_several_labels_a_row_and_probabilities(tmp_path: Path) -> None:
    Y = rng.integers(0, 2, size=(20, 3))
    p = from_arrays("logistic", np.eye(20), Y)
    assert np.array_equal(p.train.y, Y)
    assert p.encoder.classes is None
    assert p.encoder.outputs == ("y0", "y1", "y2")
    P = rng.dirichlet(np.ones(3), size=20)
    q = from_arrays("softmax", np.eye(20), P.astype(np.float32))
    np.testing.assert_allclose(q.train.y, P, atol=1e-7)
    np.testing.assert_allclose(q.train.y.sum(axis=1), 1, rtol=1e-15)
    assert q.encoder.classes == [0, 1, 2]
    for names in (["red", "blue"], ["c0", "c1"]):
        text = f"x,{','.join(names)}\n1,1,0\n2,.25,.75\n"
        source = {"table": write(tmp_path, "a.csv", text), "target": names}
        r = prepared("softmax", source)
        assert r.encoder.classes == names
        assert r.train.y.tolist() == [[1, 0], [0.25, 0.75]]


def test_stratify() -> None:
    y = np.array([0] * 900 + [1] * 100)
    rows = {}
    for stratify in ("auto", True, False):
        p = _split_labels(y, stratify)
        rows[stratify] = p.val.index.tolist()
        if stratify:
            assert (y[p.val.index] == 1).sum() == 20
            assert p.summary.class_counts["val"] == {"0": 180, "1": 20}
    assert rows["auto"] == rows[True] != rows[False]


def _split_labels(y: np.ndarray, stratify: Any) -> Any:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        source = {
            "npy": write(Path(folder), "X.npy", np.arange(float(len(y)))[:, None]),
            "target": write(Path(folder), "y.npy", y),
        }
        return prepared("logistic", source, val=0.2, stratify=stratify)


# In memory


def test_arrays_take_the_place_of_the_sources() -> None:
    X, y, w = rng.normal(size=(30, 2)), rng.integers(0, 3, 30), rng.uniform(size=30)
    more = {"val": (X[:5], y[:5]), "test": {"a": (X, y), "b": (X[:3], y[:3])}, "weight": w}
    p = prepared("softmax", "digits", val=0.3, arrays={"train": (X, y), **more})
    assert p.val is not None
    assert (len(p.train), len(p.val)) == (30, 5)
    assert [(t.name, len(t)) for t in p.tests] == [("a", 30), ("b", 3)]
    assert np.array_equal(p.train.weight, w)
    assert p.val.weight.tolist() == [1.0] * 5
    q = prepared("softmax", "digits", val=0.3, test=0.2, arrays={"train": (X, y), "test": (X, y)})
    assert (q.val is not None, [(t.name, len(t)) for t in q.tests]) == (True, [("test", 30)])
    assert (q.summary.rows["train"], q.summary.rows["val"]) == (21, 9)


def test_other_kinds_of_arrays() -> None:
    class OnlyDLPack:
        def __init__(self, array: np.ndarray) -> None:
            self.array = array

        def __dlpack__(self, **settings: Any) -> Any:
            return self.array.__dlpack__(**settings)

        def __dlpack_device__(self) -> Any:
            return self.array.__dlpack_device__()

    class OnGPU(OnlyDLPack):
        __cuda_array_interface__ = None

        def get(self) -> np.ndarray:
            return self.array

        def __array__(self) -> None:
            raise TypeError("implicit conversion")

    X, y = rng.normal(size=(6, 2)), np.array([0, 1, 2, 0, 1, 2])

    class OnDevice(OnlyDLPack):
        """Gives its bytes to the host only where a copy is asked for."""

        def __dlpack__(self, *, dl_device: Any = None, **settings: Any) -> Any:
            if dl_device is None:
                raise BufferError("on a device")
            return self.array.__dlpack__()

    for kind in (OnlyDLPack, OnGPU, OnDevice, list, np.asfortranarray):
        p = from_arrays("softmax", kind(X), kind(y))
        assert np.array_equal(p.train.X, X)
        assert np.array_equal(p.train.y, y)
    table = pa.table({"a": X[:, 0], "t": ["u", "v"] * 3})
    q = from_arrays("softmax", table, pa.array(y), more={"val": (table.slice(0, 2), y[:2])})
    assert q.encoder.features == ("a", "t=u", "t=v")
    assert q.val is not None
    masked = np.ma.masked_array(X, mask=X[0, 0] == X)
    assert from_arrays("softmax", masked, y, missing="mean").summary.imputed == {"train": 1}


def test_digest_is_of_the_bytes(tmp_path: Path) -> None:
    a = {"table": write(tmp_path, "a.csv", CSV), "target": "y"}
    b = {"table": write(tmp_path, "other/b.csv", CSV), "target": "y"}
    c = {"table": write(tmp_path, "c.csv", CSV.replace("1.5", "1.6")), "target": "y"}
    digests = [prepared("logistic", source).digest for source in (a, b, c)]
    assert digests[0] == digests[1] != digests[2]
    assert prepared("logistic", a, val=c).digest not in digests
    X = np.eye(3)
    npy = {"npy": write(tmp_path, "X.npy", X), "target": write(tmp_path, "y.npy", X[0])}
    before = prepared("linear", npy).digest
    write(tmp_path, "y.npy", X[1])
    assert before != prepared("linear", npy).digest
    assert from_arrays("linear", X, X[0]).digest == from_arrays("linear", X.copy(), X[0]).digest
    assert from_arrays("linear", X, X[0]).digest != from_arrays("linear", X, X[1]).digest


def test_synthetic() -> None:
    for model, outputs in (
        ("linear", 3),
        ("logistic", 1),
        ("logistic", 3),
        ("softmax", 4),
        ("poisson", 2),
    ):
        made = {"synthetic": {"rows": 3000, "columns": 5, "outputs": outputs, "seed": 1}}
        fresh = {"synthetic": {**made["synthetic"], "seed": 2}}
        p = prepared(model, made, val=fresh)
        again = prepared(model, made)
        assert p.val is not None
        assert np.array_equal(p.train.X, again.train.X)
        assert p.digest != again.digest
        assert not np.array_equal(p.train.X, p.val.X)
        # One task: least squares of the training rows explains fresh rows.
        Y, V = (np.eye(4)[r.y] if model == "softmax" else r.y for r in (p.train, p.val))
        W = np.linalg.lstsq(np.c_[p.train.X, np.ones(3000)], Y, rcond=None)[0]
        left = V - np.c_[p.val.X, np.ones(3000)] @ W
        assert (left.var(axis=0) < 0.9 * V.var(axis=0)).all()


@settings(deadline=None)
@example([[0.0, 0.0, 9.935002370656846e-301], [0.0, 0.0, 2.225073858507203e-309]])  # σ² underflows
@given(st.lists(st.lists(st.floats(-1e6, 1e6), min_size=3, max_size=3), min_size=2, max_size=20))
def test_a_csv_written_with_repr_reads_back_bit_for_bit(cells: list[list[float]]) -> None:
    import tempfile

    X = np.array(cells)
    content = "a,b,y\n" + "".join(",".join(map(repr, row)) + "\n" for row in cells)
    with tempfile.TemporaryDirectory() as folder:
        source = {"table": write(Path(folder), "a.csv", content), "target": "y"}
        p = prepared("linear", source)
    assert np.array_equal(p.train.X, X[:, :2])
    assert np.array_equal(p.train.y + p.encoder.target_mean, X[:, 2:])  # centred where far from 0


def test_of_a_row_without_some_targets_these_are_named() -> None:
    X, Y = rng.normal(size=(9, 2)), rng.integers(0, 2, (9, 4)).astype(float)
    Y[4, [1, 3]] = np.nan
    with pytest.raises(DataError, match="row 4, target 'y1', 'y3': is missing or NaN; give"):
        prepared("logistic", "arrays", arrays={"train": (X, Y)})
