"""What people hold in Python: read for what it is, or refused in a line that says what is right."""

import array
import decimal
import fractions

import numpy as np
import pyarrow as pa
import pytest
import scipy.sparse
from data_helpers import from_arrays, prepared, same_rows, write

from trainer.data.frame import Like
from trainer.data.sources.arrays import array_frame
from trainer.data.sources.host import host_array
from trainer.data.sources.registry import features_frame
from trainer.errors import DataError, UserError
from trainer.predict.fitted_model import load_model
from trainer.workflow.run import run

rng = np.random.default_rng(0)
N = 24
X = rng.normal(size=(N, 3))
Y = np.where(X[:, 0] > 0, "p", "q")
HOLES = [None if i % 5 == 0 else str(label) for i, label in enumerate(Y)]
KEPT = [i for i in range(N) if i % 5]


class Tensor:
    """As torch's: no DLPack while it wants gradients, and no NumPy type for bfloat16."""

    def __init__(self, values, dtype="torch.float32", grad=True):
        self.values, self.dtype, self.grad = values, dtype, grad

    def detach(self):
        return Tensor(self.values, self.dtype, grad=False)

    def cpu(self):
        return self

    def float(self):
        return Tensor(self.values, grad=self.grad)

    def __dlpack__(self, **options):
        if self.grad or self.dtype != "torch.float32":
            raise BufferError("wants gradients, or has no such type")
        return self.values.__dlpack__(**options)

    def __dlpack_device__(self):
        return (1, 0)


# --- features -------------------------------------------------------------------------------------

same = np.ascontiguousarray
MATRICES = {
    "lists": X.tolist(),
    "tuples": tuple(map(tuple, X)),
    "memoryview": memoryview(same(X)),
    "read-only": np.frombuffer(X.tobytes()).reshape(X.shape),
    "big-endian": X.astype(">f8"),
    "Fortran": np.asfortranarray(X),
    "strided": np.repeat(X, 2, axis=0)[::2],
    "reversed": same(X[::-1])[::-1],
    "objects": X.astype(object),
    "decimals": [[decimal.Decimal(repr(v)) for v in row] for row in X.tolist()],
    "fractions": [[fractions.Fraction(v) for v in row] for row in X.tolist()],
    "masked, none of it": np.ma.masked_array(X, mask=False),
    "tensor with gradients": Tensor(X),
    "matrix of Arrow": {f"x{i}": pa.array(X[:, i]) for i in range(3)},
    "dict of a matrix and a column": {"e": X[:, :2], "f": X[:, 2]},
    "dict of lists": {"a": X[:, 0].tolist(), "b": list(X[:, 1]), "c": tuple(X[:, 2])},
    "dict of tensors": {"a": Tensor(X[:, 0]), "b": X[:, 1], "c": X[:, 2]},
    "dict of array.array": {i: array.array("d", X[:, i].tolist()) for i in range(3)},
    "run ends": pa.table(
        {
            str(i): pa.RunEndEncodedArray.from_arrays(pa.array(range(1, N + 1)), pa.array(X[:, i]))
            for i in range(3)
        }
    ),
    "record batch": pa.record_batch({f"x{i}": X[:, i] for i in range(3)}),
    "stream": pa.RecordBatchReader.from_batches(
        pa.schema([(f"x{i}", pa.float64()) for i in range(3)]),
        [pa.record_batch({f"x{i}": X[:, i] for i in range(3)})],
    ),
}


@pytest.mark.parametrize("name", MATRICES)
def test_a_matrix_however_it_is_held(name):
    found = from_arrays("logistic", MATRICES[name], Y, scale="none")
    np.testing.assert_array_equal(found.train.X, X)


def test_small_floats_of_others_become_float32():
    tensor = Tensor(X.astype(np.float32), "torch.bfloat16")
    np.testing.assert_array_equal(host_array(tensor, "X"), X.astype(np.float32))


# Arrow's text in its many types, some of them polars'.
WORDS = pa.array(["p", "q"] * (N // 2))
CODES = [i % 2 for i in range(N)]
TEXTS = {
    "string_view": WORDS.cast(pa.string_view()),
    "large_string": WORDS.cast(pa.large_string()),
    "dictionary": WORDS.dictionary_encode(),
    "polars Categorical": pa.DictionaryArray.from_arrays(
        pa.array(CODES, pa.uint32()), pa.array(["p", "q"], pa.string_view())
    ),
    "polars Enum": pa.DictionaryArray.from_arrays(
        pa.array(CODES, pa.uint8()), pa.array(["p", "q", "unused"], pa.string_view()), ordered=True
    ),
    "runs": pa.RunEndEncodedArray.from_arrays(pa.array(range(1, N + 1)), WORDS),
    "chunks": pa.chunked_array([WORDS[:5].dictionary_encode(), WORDS[5:].dictionary_encode()]),
}


@pytest.mark.parametrize("name", TEXTS)
def test_text_in_all_of_arrows_types(name):
    column = TEXTS[name]
    found = from_arrays("logistic", pa.table({"c": column, "x": X[:, 0]}), Y)
    assert found.encoder.features == ("c=p", "c=q", "x")
    assert found.train.X[:, 1].tolist() == CODES
    labels = from_arrays("logistic", X, column)
    assert labels.encoder.classes == ["p", "q"]
    assert labels.train.y[:, 0].tolist() == CODES


def test_categories_with_gaps():
    codes = pa.array([None if i % 5 == 0 else i % 2 for i in range(N)], pa.uint32())
    column = pa.DictionaryArray.from_arrays(codes, pa.array(["p", "q"], pa.string_view()))
    found = from_arrays("logistic", pa.table({"c": column}), Y, missing="mean")
    assert found.encoder.features == ("c=p", "c=q")
    assert found.summary.imputed == {"train": 5}


# --- labels with gaps -----------------------------------------------------------------------------

GAPS = {
    "list": HOLES,
    "objects": np.array(HOLES, dtype=object),
    "NaN among text": np.array([np.nan if v is None else v for v in HOLES], dtype=object),
    "list of NaN and text": [float("nan") if v is None else v for v in HOLES],
    "masked text": np.ma.masked_array(Y, mask=[v is None for v in HOLES]),
    "Arrow": pa.array(HOLES),
    "Arrow chunks": pa.chunked_array([HOLES[:7], HOLES[7:]]),
    "Arrow dictionary": pa.array(HOLES).dictionary_encode(),
    "StringDType": np.array(HOLES, dtype=np.dtypes.StringDType(na_object=None)),
}


@pytest.mark.parametrize("name", GAPS)
@pytest.mark.parametrize("model", ["logistic", "softmax"])
def test_rows_without_a_label_are_dropped_or_told(name, model):
    found = from_arrays(model, X, GAPS[name], missing="drop")
    assert found.train.index.tolist() == KEPT
    assert found.encoder.classes == ["p", "q"]
    assert found.train.y.reshape(-1).tolist() == [float(HOLES[i] == "q") for i in KEPT]
    with pytest.raises(DataError, match="row 0, target 'y': is missing or NaN; give a value, or"):
        from_arrays(model, X, GAPS[name])


@pytest.mark.parametrize(
    "labels",
    [
        [None if v is None else v == "q" for v in HOLES],
        pa.array([None if v is None else v == "q" for v in HOLES]),
        np.array([None if v is None else v == "q" for v in HOLES], dtype=object),
    ],
)
def test_booleans_with_gaps_stay_booleans(labels):
    found = from_arrays("logistic", X, labels, missing="drop")
    assert found.encoder.classes == [False, True]
    numbers = from_arrays("linear", X, labels, missing="drop")
    np.testing.assert_array_equal(numbers.train.y, found.train.y)


def test_whole_numbers_with_gaps():
    labels = pa.array([None if v is None else int(v == "q") for v in HOLES])
    assert from_arrays("logistic", X, labels, missing="drop").encoder.classes == [0, 1]


def test_groups_and_weights_with_gaps():
    groups = [None if i == 3 else f"g{i % 4}" for i in range(N)]
    found = from_arrays("logistic", X, Y, more={"group": groups}, missing="drop", val=0.5)
    assert 3 not in found.train.index
    with pytest.raises(DataError, match="row 3: the group is missing"):
        from_arrays("logistic", X, Y, more={"group": groups})
    weights = np.ones((N, 1))
    assert from_arrays("logistic", X, Y, more={"weight": weights}).train.weight.sum() == N


# --- refused --------------------------------------------------------------------------------------

SPARSE = [getattr(scipy.sparse, f"{f}_{k}")(X)
          for f in ("csr", "csc", "coo", "bsr", "dok", "lil", "dia")
          for k in ("matrix", "array")]  # fmt: skip


@pytest.mark.parametrize("matrix", SPARSE, ids=lambda matrix: type(matrix).__name__)
def test_a_sparse_matrix_is_called_so(matrix):
    words = f"is a sparse {type(matrix).__name__} of shape (24, 3); a dense array is right"
    for place, read in {
        "data['train'] X": lambda: from_arrays("logistic", matrix, Y),
        "data['train'] X['e']": lambda: from_arrays("logistic", {"e": matrix}, Y),
        "data['train'] y": lambda: from_arrays("linear", X, matrix),
        "data['weight']": lambda: from_arrays("logistic", X, Y, more={"weight": matrix}),
    }.items():
        with pytest.raises(DataError) as caught:
            read()
        assert str(caught.value).startswith(f"{place}: {words}: .toarray() of it")


def test_what_a_sparse_matrix_takes_and_a_saved_one(tmp_path):
    wide = scipy.sparse.csr_matrix((100_000, 10_000))
    with pytest.raises(DataError, match=r"\.toarray\(\) of it, which takes 7.45 GiB"):
        from_arrays("logistic", wide, Y)
    scipy.sparse.save_npz(tmp_path / "f.npz", scipy.sparse.csr_matrix(X))
    source = {"npz": str(tmp_path / "f.npz"), "features": "X", "target": "y"}
    with pytest.raises(DataError, match=r"is a sparse matrix \(scipy.sparse.save_npz\); a dense"):
        prepared("logistic", source)


def test_bfloat16_in_an_npy_file_is_called_so(tmp_path):
    np.save(tmp_path / "X.npy", np.zeros((N, 3), dtype="V2"))  # as ml_dtypes' are saved
    np.save(tmp_path / "y.npy", Y)
    source = {"npy": str(tmp_path / "X.npy"), "target": str(tmp_path / "y.npy")}
    with pytest.raises(DataError) as caught:
        prepared("logistic", source)
    assert "X.npy: holds raw bytes (|V2), which is how NumPy writes bfloat16: save" in str(
        caught.value
    )


class Odd:
    """An object of nobody's, that raises where it is asked."""

    def __array__(self, *_, **__):
        raise ZeroDivisionError("not for you")


class LazyFrame:
    """As polars' and dask's: to ask for its columns costs a query."""

    @property
    def columns(self):
        raise AssertionError("nobody may ask")


REFUSED = {
    "a path": ("a.csv", "is a str 'a.csv', no array; NumPy, CuPy or any DLPack array, a list or a"),
    "None": (None, "is None, no array"),
    "a set": ({1, 2}, "is a set, no array"),
    "a generator": ((v for v in X), "is a generator, no array"),
    "an odd object": (Odd(), "an Odd cannot be read as an array (not for you)"),
    "any object": (object(), "is an object, no array"),
    "a lazy frame": (LazyFrame(), "is a LazyFrame; .collect() of it is right"),
    "ragged": ([[1, 2], [3]], "a list cannot be read as an array"),
    "one row": (X[0], "shape (3,) of float64; features have shape (rows, columns)"),
    "a number": (3.0, "shape () of float64; features have shape (rows, columns)"),
    "no rows": (X[:0], "has no rows; at least one is needed"),
    "no columns": (X[:, :0], "has no columns; at least one is needed"),
    "three axes": (np.zeros((N, 2, 2)), "reshape it to (24, 4)"),
    "complex": (X.astype(complex), "holds complex numbers (complex128)"),
    "dates": (np.full((N, 1), np.datetime64("2020-01-01")), "holds dates (datetime64[D])"),
    "records": (np.zeros(N, [("a", "f4")]), "holds records ([('a', '<f4')])"),
    "a recarray": (np.rec.fromarrays([X[:, 0]], names="a"), "holds records ("),
    "bytes a value": (np.zeros((N, 1), "V1"), "which is how NumPy writes float8 and int4"),
    "text": (Y[:, None], "holds text (<U1); features are numbers"),
    "text with gaps": (np.array(HOLES, dtype=object)[:, None], "holds text or booleans, some of"),
    "text and numbers": ([[1, "a"]] * N, "row 0 holds a number and text; one kind is right, or a"),
    "dicts": ([{"x": 1.0}] * N, "is a list of rows by name; a table is right: pyarrow"),
    "dict of unequal columns": ({"a": X[:, 0], "b": X[:5, 1]},
                                "column 'a' has 24 rows, column 'b' 5; all must have the same"),
    "dict of one value": ({"a": 1.0}, "has a value a name; a list a name is right, of one row"),
    "dict of two names": ({1: X[:, 0], "1": X[:, 0]}, "another column is called '1' too"),
    "dict of mixed values": ({"a": [1, "b"] * 12}, "['a']: row 0 is a number, row 1 text"),
    "dict of objects": ({"a": [object()] * N}, "['a']: row 0 is an object; numbers, text or"),
    "dict of three axes": ({"a": np.zeros((N, 2, 2))}, "['a']: shape (24, 2, 2); a column has"),
    "no columns at all": ({}, "no column is left as a feature"),
    "a struct": (pa.table({"a": [{"k": 1}] * N}), "column 'a': holds struct<k: int64>"),
    "binary": (pa.table({"a": [b"x"] * N}), "column 'a': holds binary"),
    "two of one name": (pa.Table.from_arrays([pa.array(X[:, 0])] * 2, names=["a", "a"]),
                        "columns 1 and 2 are both called 'a'"),
}  # fmt: skip


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", REFUSED)
def test_what_is_none_is_refused_in_one_line(name):
    value, words = REFUSED[name]
    with pytest.raises(DataError) as caught:
        from_arrays("logistic", value, Y)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith("data['train'] X")


@pytest.mark.parametrize("data", [(X, Y), [1], "a.csv", pa.table({"x": X[:, 0]}), X])
def test_data_that_is_no_mapping(data):
    with pytest.raises(UserError, match=r"a mapping is right, {'train': \(X, y\)} the least"):
        run({"model": "logistic"}, data=data)


def test_a_name_of_an_array_is_no_other_column(tmp_path):
    text = "x0,x1,y\n" + "".join(
        f"{a:.3f},{b:.3f},{y}\n" for (a, b, _), y in zip(X, Y, strict=True)
    )
    source = {"table": write(tmp_path, "a.csv", text), "target": "y"}
    run({"model": "logistic", "data": {"train": source}}, out=tmp_path / "run")
    with pytest.raises(DataError, match="there is no column 'x1'"):
        load_model(tmp_path / "run").predict({"x0": X[:, 0], "b": X[:, 1]})


def test_a_column_without_values_has_no_key_to_be_left_out_by():
    for empty in ({"a": X[:, 0], "b": [None] * N}, np.column_stack([X, np.full(N, np.nan)])):
        with pytest.raises(DataError, match=r"no training row has a value; leave it out$"):
            from_arrays("logistic", empty, Y, missing="mean")


def test_one_row_of_a_pandas_table_is_told():
    class Series(list):  # as `table.iloc[0]` of pandas
        index = ("b", "a")
        to_frame = None

    like = Like(("a", "b"), frozenset())
    with pytest.raises(DataError, match=r"is one row as a Series; .*X.to_frame\(\).T"):
        features_frame(Series([1.0, 2]), like, "X")
    with pytest.raises(DataError, match=r"row 0 holds a number and text; one kind is right"):
        features_frame([[1, "a"]], like, "X")
    with pytest.raises(DataError, match=r"^X: has no rows; at least one row is needed"):
        features_frame(pa.table({"a": pa.array([], pa.float64()), "b": [1.0][:0]}), like, "X")


def test_frames_share_what_arrays_check():
    table = features_frame({"a": X[:, 0]}, None, "X")
    matrix = array_frame(X, None, None, where="X")
    assert (table.rows, matrix.rows) == (N, N)
    assert same_rows(from_arrays("logistic", X, Y).train, from_arrays("logistic", X, list(Y)).train)


def test_the_tables_are_whole():
    counts = len(MATRICES), len(TEXTS), len(GAPS), len(SPARSE), len(REFUSED)
    assert counts == (21, 7, 9, 14, 32)
