"""Small files that hold more than the memory, and labels that floats do not tell apart."""

from __future__ import annotations

import gzip
import io
import zipfile

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from data_helpers import prepared, write

from trainer.data.sources import csv_faults, npy, tables
from trainer.errors import DataError

LIMIT = 1 << 20
MODULES = (tables, npy)


@pytest.fixture
def little_memory(monkeypatch):
    for module in MODULES:
        monkeypatch.setattr(module, "memory_limit", lambda: LIMIT)


def data(path, **source):
    return {"table": str(path), "target": "y", **source}


def test_packed_text_larger_than_the_memory(tmp_path, little_memory):
    lines = b"a,y\n" + b"1,0\n2,1\n" * 200_000
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(lines))
    for more in ({}, {"quote": "none"}):
        with pytest.raises(DataError, match="is over 1,048,576 bytes of text, more than the mem"):
            prepared("logistic", data(tmp_path / "a.csv.gz", **more))


def test_a_line_that_never_ends(tmp_path, monkeypatch):
    monkeypatch.setattr(csv_faults, "_LONGEST_LINE", 1000)
    path = write(tmp_path, "a.csv", "a" * 1001 + ",y\n1,0\n2,1\n")
    with pytest.raises(DataError, match="a line of 1,000 letters or more"):
        prepared("logistic", data(path))


def test_a_cell_longer_than_python_takes(tmp_path):
    rows = "".join(f"{i},{'pq'[i % 2]},{i % 2}\n" for i in range(12))
    path = write(tmp_path, "a.csv", "a,b,y\n" + rows + f"1,{'x' * 200_000},1\n")
    assert "b" in prepared("logistic", data(path)).encoder.categories
    numbers = rows.replace("p", "1").replace("q", "2")
    path = write(tmp_path, "b.csv", "a,b,y\n" + numbers + f"1,{'x' * 200_000},1\n")
    with pytest.raises(DataError, match=r"row 12 \(line 14\), column 'b'"):
        prepared("logistic", data(path))


def test_few_words_in_many_rows(tmp_path, little_memory):
    codes = pa.array(np.arange(2000, dtype=np.int32) % 2)
    words = pa.DictionaryArray.from_arrays(codes, ["x" * 1000, "z"])
    table = pa.table({"a": words, "y": codes})
    pq.write_table(table, tmp_path / "a.parquet", store_schema=False)
    assert (tmp_path / "a.parquet").stat().st_size < 5000
    with pytest.raises(DataError, match=r"take .* MiB or more, more than 0\.5 MiB, half of"):
        prepared("logistic", data(tmp_path / "a.parquet"))


def test_an_archive_larger_than_the_memory(tmp_path, little_memory):
    with zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        for name, array in (("X", np.zeros((1000, 100))), ("y", np.arange(1000) % 2)):
            out = io.BytesIO()
            np.save(out, array)
            archive.writestr(f"{name}.npy", out.getvalue())
    source = {"npz": str(tmp_path / "a.npz"), "features": "X", "target": "y"}
    with pytest.raises(DataError, match=r"X: takes 0\.763 MiB, more than 0\.5 MiB, half"):
        prepared("logistic", source)


def test_classes_larger_than_the_memory():
    made = {"rows": 5, "columns": 5, "outputs": 10**12}
    with pytest.raises(DataError, match="numbers of float64 take 149,012 GiB, more than there is"):
        prepared("softmax", {"synthetic": made})


@pytest.mark.parametrize("ending", ["csv", "parquet", "npy"])
def test_labels_that_floats_do_not_tell_apart(tmp_path, ending):
    labels = [1e300, -1e300, 2.0] * 4
    x = np.arange(12.0)
    if ending == "csv":
        rows = "".join(f"{a},{b!r}\n" for a, b in zip(x, labels, strict=True))
        source = {"table": write(tmp_path, "a.csv", "a,y\n" + rows), "target": "y"}
    elif ending == "parquet":
        pq.write_table(pa.table({"a": x, "y": labels}), tmp_path / "a.parquet")
        source = {"table": str(tmp_path / "a.parquet"), "target": "y"}
    else:
        np.save(tmp_path / "X.npy", x[:, None])
        np.save(tmp_path / "y.npy", np.array(labels))
        source = {"npy": str(tmp_path / "X.npy"), "target": str(tmp_path / "y.npy")}
    with pytest.raises(DataError, match=r"row 0.*1e\+300 is no label; whole numbers up to 9,007"):
        prepared("softmax", source)
