"""Frames of pandas and polars, and ml_dtypes' arrays, where they are installed."""

import datetime

import numpy as np
import pytest
from data_helpers import from_arrays

from trainer.errors import DataError

rng = np.random.default_rng(1)
N = 24
X = rng.normal(size=(N, 3))
Y = np.where(X[:, 0] > 0, "p", "q")
WORDS = ["u", "v", "w"] * (N // 3)
HOLES = [None if i % 5 == 0 else word for i, word in enumerate(WORDS)]
NUMBERS = [None if i % 5 == 0 else float(i % 4) for i in range(N)]
CELLS = np.array([[np.nan if v is None else v] for v in NUMBERS])
HOT = np.eye(3)[np.arange(N) % 3]


def pandas_columns(pd):
    """{name: (a column, the matrix it is, or words of its fault)}."""
    import pyarrow as pa

    dates = pd.date_range("2020", periods=N)
    return {
        "Float64": (pd.array(NUMBERS, dtype="Float64"), CELLS),
        "Int64": (pd.array(NUMBERS, dtype="Int64"), CELLS),
        "double[pyarrow]": (pd.Series(NUMBERS, dtype=pd.ArrowDtype(pa.float64())), CELLS),
        "string": (pd.array(WORDS, dtype="string"), HOT),
        "string[python]": (pd.array(WORDS, dtype="string[python]"), HOT),
        "string[pyarrow]": (pd.Series(WORDS, dtype=pd.ArrowDtype(pa.string())), HOT),
        "object": (np.array(WORDS, dtype=object), HOT),
        "category": (pd.Categorical(WORDS, categories=["w", "v", "u", "none"]), HOT),
        "lists": (pd.Series(list(X)), X),
        "list[pyarrow]": (pd.Series(X.tolist(), dtype=pd.ArrowDtype(pa.list_(pa.float64()))), X),
        "Sparse": (pd.arrays.SparseArray(X[:, 0]), "column 'a': is sparse; dense columns are"),
        "complex": (X[:, 0] + 1j, "cannot be read as a table"),
        "mixed": (np.array([1, "b"] * 12, dtype=object), "row 0 is a number, row 1 text"),
        "objects": ([object()] * N, "row 0 is an object; numbers"),
        "interval": (pd.cut(X[:, 0], 3), "column 'a'"),
        "period": (pd.period_range("2020", periods=N), "column 'a'"),
        "datetime": (dates, "column 'a'"),
        "timedelta": (dates - dates[0], "column 'a'"),
        "bytes": ([b"a"] * N, "column 'a': holds binary"),
        "dicts": ([{"k": 1}] * N, "column 'a': holds struct"),
    }


def polars_columns(pl):
    day = datetime.date(2020, 1, 1)
    return {
        "Categorical": (pl.Series(WORDS, dtype=pl.Categorical), HOT),
        "Enum": (pl.Series(WORDS, dtype=pl.Enum(["w", "v", "u", "none"])), HOT),
        "String": (pl.Series(WORDS), HOT),
        "Float64": (pl.Series(NUMBERS), CELLS),
        "List": (pl.Series(X.tolist()), X),
        "Array": (pl.Series(X.tolist(), dtype=pl.Array(pl.Float64, 3)), X),
        "Struct": (pl.Series([{"k": 1}] * N), "column 'a': holds struct"),
        "Date": (pl.Series([day] * N), "column 'a'"),
        "Duration": (pl.Series([datetime.timedelta(1)] * N), "column 'a'"),
        "Binary": (pl.Series([b"x"] * N), "column 'a': holds binary"),
        "Int128": (pl.Series([1] * N, dtype=pl.Int128), "cannot be read as a table"),
    }


@pytest.mark.parametrize(
    ("library", "columns", "count"),
    [("pandas", pandas_columns, 20), ("polars", polars_columns, 11)],
)
def test_each_type_of_column_is_read_or_refused(library, columns, count):
    module = pytest.importorskip(library)
    found = columns(module)
    assert len(found) == count
    for name, (column, expected) in found.items():
        frame = module.DataFrame({"a": column})
        if isinstance(expected, str):
            with pytest.raises(DataError) as caught:
                from_arrays("logistic", frame, Y)
            assert expected in str(caught.value), name
            assert "\n" not in str(caught.value), name
        else:
            kept = ~np.isnan(expected).any(axis=1)
            rows = from_arrays("logistic", frame, Y, missing="drop").train
            np.testing.assert_array_equal(rows.X, expected[kept], err_msg=name)


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_labels_with_gaps(library):
    module = pytest.importorskip(library)
    labels = [module.Series(HOLES)]
    if library == "pandas":
        labels += [module.Series(HOLES, dtype=t) for t in ("category", "string", "object")]
        labels += [module.DataFrame({"y": HOLES})]
    else:
        labels += [module.Series(HOLES, dtype=module.Categorical)]
        labels += [module.Series(HOLES, dtype=module.Enum(["w", "v", "u"]))]
    for y in labels:
        found = from_arrays("softmax", X, y, missing="drop")
        assert found.encoder.classes == ["u", "v", "w"]
        assert found.train.y.tolist() == [i % 3 for i in range(N) if i % 5]


def test_pandas_frames():
    pd = pytest.importorskip("pandas")
    pairs = pd.MultiIndex.from_tuples([("a", "x"), ("a", "y"), ("b", "x")])
    assert len(from_arrays("logistic", pd.DataFrame(X, columns=pairs), Y).encoder.features) == 3
    for frame, words in (
        (pd.DataFrame(X, columns=["a", "a", "b"]), "columns 1 and 2 are both called 'a'"),
        (pd.DataFrame(X, columns=["1", 1, "b"]), "columns 1 and 2 are both called '1'"),
        (pd.DataFrame(X)[:0], "no rows"),
        (pd.DataFrame(), "no column is left"),
        (pd.DataFrame({"a": WORDS}).groupby("a"), "is a DataFrameGroupBy; .obj of it is right"),
    ):
        with pytest.raises(DataError, match=words):
            from_arrays("logistic", frame, Y)


@pytest.mark.filterwarnings("ignore:The 'future.infer_string' option is deprecated")
@pytest.mark.parametrize("modern", [True, False])
def test_pandas_options(modern):
    pd = pytest.importorskip("pandas")
    with pd.option_context("future.infer_string", modern):
        frame = pd.DataFrame({"a": WORDS})
        y = pd.Series([None if v is None else str(v) for v in HOLES])
        found = from_arrays("softmax", frame, y, missing="drop")
    assert found.encoder.features == ("a=u", "a=v", "a=w")
    assert found.encoder.classes == ["u", "v", "w"]


def test_polars_lazy_frames_are_not_asked():
    pl = pytest.importorskip("polars")
    with pytest.raises(DataError, match=r"is a LazyFrame; \.collect\(\) of it"):
        from_arrays("logistic", pl.DataFrame({"a": WORDS}).lazy(), Y)


@pytest.mark.parametrize("name", ["bfloat16", "float8_e4m3fn", "int4"])
def test_small_floats(tmp_path, name):
    kind = getattr(pytest.importorskip("ml_dtypes"), name)
    small = X.astype(kind)
    expected = small.astype(np.float64)
    for held in (small, {"e": small}):
        found = from_arrays("logistic", held, Y, scale="none")
        np.testing.assert_array_equal(found.train.X, expected)
    if name == "bfloat16":
        np.save(tmp_path / "X.npy", small)
        with pytest.raises(DataError, match="which is how NumPy writes bfloat16"):
            from_arrays("logistic", np.load(tmp_path / "X.npy"), Y)


def test_objects_that_do_not_go_together_are_told_with_their_rows():
    pd = pytest.importorskip("pandas")
    for values, words in (
        ([1, "u"] * (N // 2), "row 0 is a number, row 1 text; one kind is right"),
        ([object()] * N, "row 0 is an object; numbers, text or booleans are right"),
    ):
        with pytest.raises(DataError) as caught:
            from_arrays("logistic", pd.DataFrame({"b": X[:, 0], "a": values}), Y)
        assert f"column 'a': {words}" in str(caught.value)
