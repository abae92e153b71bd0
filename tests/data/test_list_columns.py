"""Columns of lists: a block of features, as embeddings are shipped."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from data_helpers import prepared, same_rows, spec_of

from trainer.data import prepare
from trainer.data.sources.list_columns import block
from trainer.errors import DataError
from trainer.predict.fitted_model import load_model
from trainer.workflow.run import run

rng = np.random.default_rng(2)
N, W = 40, 5
E = rng.normal(size=(N, W)).astype(np.float32)
AGE = rng.integers(18, 80, N)
Y = np.where(E[:, 0] > 0, "a", "b").tolist()
NAMES = tuple(f"emb[{i}]" for i in range(W))


def lists(kind, values=E):
    """The rows of a matrix as an Arrow column of this type."""
    if kind == "fixed_size_list":
        return pa.FixedSizeListArray.from_arrays(pa.array(values.ravel()), values.shape[1])
    if kind == "sliced":
        return lists("fixed_size_list", np.vstack([values[::-1], values])).slice(len(values))
    if kind == "chunks":
        return pa.chunked_array([lists("list", values[:7]), lists("list", values[7:])])
    if kind == "tensor":
        return pa.FixedShapeTensorArray.from_numpy_ndarray(np.ascontiguousarray(values))
    return pa.array(values.tolist(), getattr(pa, kind if kind != "list" else "list_")(pa.float32()))


KINDS = ["list", "large_list", "list_view", "fixed_size_list", "sliced", "chunks", "tensor"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("scale", ["none", "standard", "unit"])
def test_a_block_is_the_matrix(kind, scale):
    table = pa.table({"emb": lists(kind)})
    expected = prepared("logistic", "arrays", arrays={"train": (E, Y)}, scale=scale)
    found = prepared("logistic", "arrays", arrays={"train": (table, Y)}, scale=scale)
    assert found.encoder.features == NAMES
    assert same_rows(found.train, expected.train)


@pytest.mark.parametrize("kind", KINDS)
def test_a_block_among_other_columns(tmp_path, kind):
    table = pa.table({"id": [f"r{i}" for i in range(N)], "emb": lists(kind), "age": AGE, "y": Y})
    pq.write_table(table, tmp_path / "a.parquet")
    source = {"table": str(tmp_path / "a.parquet"), "target": "y", "drop": ["id"]}
    found = prepare(spec_of("logistic", source, scale="none"))
    assert found.encoder.features == (*NAMES, "age")
    np.testing.assert_array_equal(found.train.X, np.column_stack([E, AGE]))
    alone = prepare(spec_of("logistic", {**source, "drop": [], "columns": ["emb"]}, scale="none"))
    np.testing.assert_array_equal(alone.train.X, E)
    without = prepare(spec_of("logistic", {**source, "drop": ["id", "emb"]}))
    assert without.encoder.features == ("age",)


def test_files_and_tables_from_python_give_one_model(tmp_path):
    table = pa.table({"emb": lists("list"), "age": AGE})
    pq.write_table(table.append_column("y", pa.array(Y)), tmp_path / "a.parquet")
    config = {"model": "logistic", "optimizer": {"name": "auto"}}
    source = {"table": str(tmp_path / "a.parquet"), "target": "y"}
    file = run({**config, "data": {"train": source, "val": "none"}}, out=tmp_path / "file")
    held = run(config, out=tmp_path / "held", data={"train": ({"emb": E, "age": AGE}, Y)})
    models = [load_model(one.folder) for one in (file, held)]
    assert models[0].weights.tobytes() == models[1].weights.tobytes()
    flat = {name: E[:, i] for i, name in enumerate(NAMES)} | {"age": AGE}
    for X in (table, flat, np.column_stack([E, AGE])):
        assert models[0].predict(X).tolist() == models[1].predict(table).tolist()
    with pytest.raises(DataError) as caught:
        models[0].predict({"emb": E[:, :3], "age": AGE})
    assert "holds lists of 3 numbers, in the training source of 5" in str(caught.value)


def test_a_block_finds_its_columns_wherever_they_were_in_training(tmp_path):
    """A text file may have them in any order, with others among them."""
    names = ["emb[1]", "age", "emb[0]"]
    text = "".join(f"{E[i, 1]},{AGE[i]},{E[i, 0]},{Y[i]}\n" for i in range(N))
    (tmp_path / "a.csv").write_text(",".join([*names, "y"]) + "\n" + text)
    config = {"model": "logistic", "optimizer": {"name": "auto"}}
    source = {"table": str(tmp_path / "a.csv"), "target": "y"}
    done = run({**config, "data": {"train": source, "val": "none"}}, out=tmp_path / "run")
    model = load_model(done.folder)
    table = {"age": AGE, "emb": E[:, :2]}
    flat = {"emb[0]": E[:, 0], "emb[1]": E[:, 1], "age": AGE}
    assert np.array_equal(model.scores(table), model.scores(flat))
    pq.write_table(pa.table({**table, "emb": E[:, :2].tolist(), "y": Y}), tmp_path / "b.parquet")
    val = {"table": str(tmp_path / "b.parquet"), "target": "y"}
    held = prepared("logistic", source, val=val)
    assert np.allclose(held.val.X, held.train.X)


def test_rows_to_predict_may_have_no_list_at_all(tmp_path):
    config = {"model": "logistic", "optimizer": {"name": "auto"}}
    done = run(config, out=tmp_path / "run", data={"train": ({"emb": E}, Y)})
    empty = pa.table({"emb": pa.array([None, None], pa.list_(pa.float32()))})
    with pytest.warns(UserWarning, match="2 rows have no prediction"):
        assert load_model(done.folder).predict(empty).tolist() == [None, None]


def test_a_block_is_no_columns_of_other_indices():
    text = pa.table({"emb[0]": ["u", "v"] * 20, "emb[1]": E[:, 0]})
    for train, name in ((pa.table({"emb[0]": E[:, 0], "emb[2]": E[:, 1]}), "2"), (text, "0")):
        arrays = {"train": (train, Y), "val": ({"emb": E[:, :2]}, Y)}
        with pytest.raises(DataError) as caught:
            prepared("logistic", "arrays", arrays=arrays)
        assert f"of which the training source's column 'emb[{name}]' is none" in str(caught.value)


@pytest.mark.parametrize("kind", ["list", "large_list", "fixed_size_list", "list_view"])
def test_what_is_missing(kind):
    rows = [None, [None, 1.0], [2.0, 3.0]]
    types = {"list": pa.list_(pa.float32()), "large_list": pa.large_list(pa.float32()),
             "list_view": pa.list_view(pa.float32()),
             "fixed_size_list": pa.list_(pa.float32(), 2)}  # fmt: skip
    column = pa.chunked_array([pa.array(rows, types[kind])])
    found = block(column, "e", str)
    np.testing.assert_array_equal(found, [[np.nan] * 2, [np.nan, 1], [2, 3]])


def test_whole_numbers_booleans_and_decimals():
    rows = {pa.int16(): [[1, 2], [3, 4]], pa.bool_(): [[True, False], [False, True]],
            pa.decimal128(5, 2): [[1, 2], [3, 4]], pa.int64(): [[1, None], None],
            pa.float16(): [[1.5, 2], [3, 4]]}  # fmt: skip
    for kind, values in rows.items():
        found = block(pa.chunked_array([pa.array(values, pa.list_(kind))]), "e", str)
        expected = [v if v is not None else [None] * 2 for v in values]
        np.testing.assert_array_equal(found, np.array(expected, dtype=np.float64))


FAULTS = [
    (
        [[1.0, 2.0], [1.0]],
        "row 1, column 'e': holds a list of 1, row 0 one of 2; one length is right; leave",
    ),
    (
        [["u"], ["v"]],
        "column 'e': holds lists of string, where lists of numbers are right; leave it out of",
    ),
    ([[[1.0]], [[2.0]]], "holds lists of list<item: double>"),
    (pa.array([[], []], pa.list_(pa.float32())), "column 'e': holds lists without elements"),
    (pa.array([None, None], pa.list_(pa.float32())), "column 'e': has no list in any row"),
]


@pytest.mark.parametrize(("values", "words"), FAULTS)
def test_other_lists_are_one_line(values, words):
    with pytest.raises(DataError) as caught:
        prepared("logistic", "arrays", arrays={"train": (pa.table({"e": values}), ["a", "b"])})
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_names_that_meet():
    table = {"e": E, "e[1]": AGE}
    with pytest.raises(DataError, match="both called"):
        prepared("logistic", "arrays", arrays={"train": (table, Y)})


def test_a_list_for_a_target_or_a_category(tmp_path):
    pq.write_table(pa.table({"e": lists("list"), "x": AGE}), tmp_path / "a.parquet")
    path = str(tmp_path / "a.parquet")
    for source in ({"target": "e"}, {"target": "x", "categorical": ["e"]}):
        with pytest.raises(DataError, match="column 'e': holds list<element: float>"):
            prepare(spec_of("softmax", {"table": path, **source}))


@pytest.mark.parametrize("show", [str, lambda row: str(np.array(row)), lambda row: str(tuple(row))])
def test_lists_as_text_are_no_names(tmp_path, show):
    lines = [f'"{show(row)}",{y}' for row, y in zip(E.tolist(), Y, strict=True)]
    (tmp_path / "a.csv").write_text("emb,y\n" + "\n".join(lines) + "\n")
    with pytest.raises(DataError) as caught:
        prepare(spec_of("logistic", {"table": str(tmp_path / "a.csv"), "target": "y"}))
    assert "is a list of numbers as text; `drop: [emb]` leaves it out, or keep lists in a" in str(
        caught.value
    )
