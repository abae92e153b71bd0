import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from trainer.text.parquet_size import decoded_bytes

MOST = 1 << 40


def size(path, *names, most=MOST):
    with pq.ParquetFile(path) as file:
        return decoded_bytes(path, file, names, most)


def test_numbers_take_their_width(tmp_path):
    columns = {"a": np.zeros(1000), "b": np.zeros(1000, np.int32), "c": np.zeros(1000, bool)}
    pq.write_table(pa.table(columns), tmp_path / "a")
    assert size(tmp_path / "a", "a") == 8000
    assert size(tmp_path / "a", "a", "b") == 12_000
    assert size(tmp_path / "a", "c") == 1000  # a bit each, of which NumPy makes a byte


@pytest.mark.parametrize("store_schema", [False, True])
def test_a_long_word_counts_in_each_row_that_has_it(tmp_path, store_schema):
    codes = pa.array([0, 1, None, 0] * 500, pa.int32())
    words = pa.DictionaryArray.from_arrays(codes, ["x" * 10_000, "yy"])
    pq.write_table(pa.table({"a": words}), tmp_path / "a", store_schema=store_schema)
    assert (tmp_path / "a").stat().st_size < 3000
    assert size(tmp_path / "a", "a", most=100_000) > 100_000
    letters = 1000 * 10_000 + 500 * 2
    assert size(tmp_path / "a", "a", most=15_000_000) == letters + 4 * 2000
