"""pandas' row index is no feature, in whatever spelling; its categories are categories."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest
from data_helpers import from_arrays, prepared, write

from trainer.data.sources.for_predict import read_for_predict
from trainer.errors import DataError
from trainer.text.labels import nfc

N = 6


def table(index: str | None, **columns: Any) -> pa.Table:
    """A table as pandas writes it: `index` is its row index, by the metadata alone."""
    held = {} if index is None else {index: np.arange(N)[::-1]}
    data = {"x": np.linspace(0, 1, N), **columns, **held, "y": np.arange(float(N))}
    told: dict[str, Any] = {
        "index_columns": [{"kind": "range", "start": 0, "stop": N}] if index is None else [index],
        "columns": [{"name": name, "field_name": name, "pandas_type": "int64"} for name in data],
    }
    return pa.table(data).replace_schema_metadata({"pandas": json.dumps(told)})


def parquet(t: pa.Table, folder: Path) -> dict[str, Any]:
    pq.write_table(t, folder / "a.parquet")
    return {"table": str(folder / "a.parquet"), "target": "y"}


@pytest.mark.parametrize("index", ["__index_level_0__", "id", "e\u0301tat", None])
def test_an_index_in_the_metadata_is_no_feature(index: str | None, tmp_path: Path) -> None:
    t = table(index)
    source = parquet(t, tmp_path)
    p = prepared("linear", source)
    assert p.encoder.features == ("x",)
    assert p.summary.index == (() if index is None else (nfc(index),))
    q = from_arrays("linear", t.drop(["y"]), t["y"])
    assert (q.encoder.features, q.summary.index) == (p.encoder.features, p.summary.index)


def test_columns_drop_group_and_target_may_name_it(tmp_path: Path) -> None:
    source = parquet(table("id"), tmp_path)
    for keys, features, told in (
        ({"columns": ["id", "x"]}, ("id", "x"), ()),
        ({"drop": ["id"]}, ("x",), ()),
        ({"group": "id"}, ("x",), ()),
        ({"weight": "id"}, ("x",), ()),
        ({"target": "id"}, ("x", "y"), ()),
        ({"columns": ["x"]}, ("x",), ("id",)),
    ):
        p = prepared("linear", {**source, **keys})
        assert p.encoder.features == features
        assert p.summary.index == told
    with pytest.raises(DataError, match="categorical: 'id' is not among the features"):
        prepared("linear", {**source, "categorical": ["id"]})


def test_a_level_of_an_index_is_known_by_its_name_alone(tmp_path: Path) -> None:
    """As polars or a CSV keeps it: the metadata are gone."""
    t = table("__index_level_0__", __index_level_1__=np.arange(N)).replace_schema_metadata(None)
    pa_csv.write_csv(t, tmp_path / "a.csv")
    for source in (parquet(t, tmp_path), {"table": str(tmp_path / "a.csv"), "target": "y"}):
        p = prepared("linear", source)
        assert p.encoder.features == ("x",)
        assert p.summary.index == ("__index_level_1__", "__index_level_0__")


@pytest.mark.parametrize("kind", ["csv", "parquet", "memory"])
@pytest.mark.parametrize(
    ("name", "cells"),
    [
        ("", range(N)),
        ("Unnamed: 0", range(N)),
        ("Unnamed: 0", [7, 3, 11, 0, 2, 5]),  # rows of a split that was shuffled
        ("Unnamed: 0.1", range(1, N + 1)),
        ("Unnamed: 0_level_0", range(N)),
    ],
)
def test_an_index_without_a_name(kind: str, name: str, cells: Any, tmp_path: Path) -> None:
    t = pa.table({name: list(cells), "x": np.linspace(0, 1, N), "y": np.arange(float(N))})
    source = parquet(t, tmp_path)
    if kind == "csv":
        pa_csv.write_csv(t, tmp_path / "a.csv")
        source = {**source, "table": str(tmp_path / "a.csv")}
    if kind == "memory":
        with pytest.raises(DataError, match=f"column '{name}'.*index.*leave it out of the table"):
            from_arrays("linear", t.drop(["y"]), t["y"])
        return
    with pytest.raises(DataError, match=f"column '{name}'.*index") as caught:
        prepared("linear", source)
    assert f'`drop: ["{name}"]`' in str(caught.value)
    assert prepared("linear", {**source, "drop": [name]}).encoder.features == ("x",)
    if name:
        assert prepared("linear", {**source, "columns": [name]}).encoder.features == (name,)


def test_a_column_that_pandas_named_and_that_counts_nothing(tmp_path: Path) -> None:
    for cells in ([0, 1, 1, 2, 3, 4], [0.5, 1, 2, 3, 4, 5], [-1, 0, 1, 2, 3, 4], list("abcdea")):
        t = pa.table({"Unnamed: 3": cells, "x": np.linspace(0, 1, N), "y": np.arange(float(N))})
        assert "Unnamed: 3" in prepared("linear", parquet(t, tmp_path)).encoder.columns


def test_a_category_of_integers_is_one_from_every_source(tmp_path: Path) -> None:
    """pandas' category of integers is plain integers in Parquet: its metadata tell."""
    codes = pa.array([3, 10, 3, None, 10, 3]).dictionary_encode()
    told = {"columns": [{"name": "k", "field_name": "k", "pandas_type": "categorical"}]}
    memory = pa.table({"k": codes, "y": np.arange(float(N))})
    plain = pa.table({"k": codes.cast(pa.int64()), "y": np.arange(float(N))})
    file = plain.replace_schema_metadata({"pandas": json.dumps(told)})
    p = prepared("linear", parquet(file, tmp_path), missing="mean")
    q = from_arrays("linear", memory.drop(["y"]), memory["y"], missing="mean")
    assert p.encoder.features == q.encoder.features == ("k=10", "k=3")
    assert np.array_equal(p.train.X, q.train.X)
    assert prepared("linear", parquet(plain, tmp_path), missing="mean").encoder.features == ("k",)


def test_metadata_that_say_nothing(tmp_path: Path) -> None:
    for told in (b"", b"[]", b"{", b'{"index_columns": 3}', b'{"columns": [1, {}]}', b"\xff"):
        t = table(None).replace_schema_metadata({b"pandas": told})
        assert prepared("linear", parquet(t, tmp_path)).encoder.features == ("x",)


def test_predictions_find_the_index_where_it_was_asked_for(tmp_path: Path) -> None:
    source = parquet(table("id"), tmp_path)
    for keys in ({"columns": ["id"]}, {}):
        p = prepared("linear", {**source, **keys})
        frame, rows, _ = read_for_predict(source["table"], p.encoder, "linear")
        assert frame.names == p.encoder.columns
        assert len(rows) == N


def test_the_data_line_says_so(tmp_path: Path) -> None:
    from trainer.config.schema.spec import Spec
    from trainer.wording.opening import data_text
    from trainer.workflow.facts import data_facts

    p = prepared("linear", parquet(table("id"), tmp_path))
    spec = Spec.model_validate({"model": "linear", "data": {"train": "diamonds"}})
    assert "; row index id is no feature" in data_text(data_facts(p.summary, spec))


def test_frames_of_pandas_and_their_files_give_one_model(tmp_path: Path) -> None:
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame({"x": np.linspace(0, 1, N), "k": pd.Categorical([1, 2, 1, 2, 1, 2])})
    for index in (None, pd.Index(np.arange(N)[::-1]), pd.Index(range(N), name="id")):
        held = frame if index is None else frame.set_index(index)
        held.assign(y=np.arange(float(N))).to_parquet(tmp_path / "a.parquet")
        source = {"table": str(tmp_path / "a.parquet"), "target": "y"}
        p = prepared("linear", source)
        q = from_arrays("linear", held, np.arange(float(N)))
        assert p.encoder.features == q.encoder.features == ("x", "k=1", "k=2")
        assert p.summary.index == q.summary.index
        assert np.array_equal(p.train.X, q.train.X)


def test_a_header_of_nothing_but_the_index(tmp_path: Path) -> None:
    path = write(tmp_path, "a.csv", "__index_level_0__,y\n0,1\n1,2\n")
    with pytest.raises(DataError, match="no column is left as a feature"):
        prepared("linear", {"table": path, "target": "y"})
