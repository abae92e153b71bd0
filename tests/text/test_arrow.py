"""Arrow columns by their buffers are pyarrow's own, and no command imports pandas for them."""

import subprocess
import sys

import numpy as np
import pyarrow as pa
import pytest

from trainer.text import arrow

ARRAYS = [
    *(np.arange(-2 if kind[0] == "i" else 0, 9).astype(kind) for kind in ("i1", "u2", "i4", "i8")),
    np.array([1.5, np.nan, np.inf, -0.0]),
    np.array([1.5, np.nan], "f4"),
    np.arange(12.0)[::3],
    np.array([True, False, True] * 7),
    np.array(["a", "", "größer", "𝄞", "a,b"]),
    np.array(["a", None], object),
    np.array([], np.float64),
    np.array([], np.str_),
]


@pytest.mark.parametrize("values", ARRAYS, ids=lambda values: values.dtype.str + str(len(values)))
def test_a_column_is_what_pyarrow_makes(values):
    right = pa.array(values)
    found = arrow.column(values)
    found.validate(full=True)
    assert found.type == right.type
    assert np.array_equal(found.to_pylist(), right.to_pylist(), equal_nan=values.dtype.kind == "f")


@pytest.mark.parametrize("kind", [pa.int8(), pa.uint32(), pa.int64(), pa.float32(), pa.float64()])
@pytest.mark.parametrize("chunked", [False, True])
def test_numbers_are_what_pyarrow_makes(kind, chunked):
    for cells in ([1, 2, 3, 4], [1, None, 3, None], [None, None], []):
        whole = pa.array([7, *cells, 9, None], kind)
        column = whole.slice(1, len(cells))  # an offset into the buffers
        if chunked:
            column = pa.chunked_array([column, pa.array([5], kind)])
        right, found = column.to_numpy(zero_copy_only=False), arrow.numbers(column)
        assert np.array_equal(found, right, equal_nan=True)
        assert found.dtype == right.dtype


def test_nulls_may_be_another_number_and_other_types_go_through_pyarrow():
    codes = pa.array([1, None, 2], pa.int32())
    assert arrow.numbers(codes, null=-1).tolist() == [1, -1, 2]
    assert arrow.numbers(codes, null=-1).dtype == np.int32
    assert arrow.numbers(pa.array([True, False])).tolist() == [True, False]
    assert arrow.numbers(pa.chunked_array([], pa.float64())).tolist() == []


RUNS = {
    "classes": "model: softmax\ndata: {train: digits}\noptimizer: {epochs: 1}\n",
    "a sweep": "model: logistic\ndata: {train: breast_cancer}\noptimizer: {epochs: 1}\n"
    "sweep: {parameters: {optimizer.lr: [0.1, 0.2]}}\n",
    "folds, and no rows to predict": "model: logistic\ndata: {train: breast_cancer}\n"
    "optimizer: {epochs: 1}\nrepeat: {folds: 2}\n",
    "text": "model: logistic\ndata: {train: {table: t.csv, target: y}, missing: mean}\n"
    "optimizer: {epochs: 1}\n",
}


@pytest.mark.parametrize("name", RUNS)
def test_no_command_imports_pandas_where_it_is_installed(name, tmp_path):
    """Stands in its place: a package of this name that says when it is imported."""
    (tmp_path / "pandas").mkdir()
    (tmp_path / "pandas" / "__init__.py").write_text("raise SystemExit('pandas was imported')\n")
    (tmp_path / "t.csv").write_text("a,b,y\n" + "1,x,yes\n,y,no\n3,x,yes\n4,y,no\n" * 9)
    (tmp_path / "c.yaml").write_text(RUNS[name])
    code = (
        "import sys; sys.path.insert(0, '.'); from trainer.cli import main;"
        " code = main(['run', 'c.yaml', '--out', 'run']);"
        f" code = code or {name == 'text'} and main(['predict', 'run', 't.csv']);"
        " print(*sys.modules); sys.exit(code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "run" / "report.html").exists(), done.stdout
    loaded = done.stdout.split()
    assert "pyarrow.parquet" in loaded
    if name == "classes":  # 30 ms that numbers do without
        assert not {"pyarrow.compute", "numpy.ma", "numpy.random"} & set(loaded)
