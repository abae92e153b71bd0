"""Folds that the rows say themselves, of every source; scikit-learn's where it has such."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from data_helpers import spec_of, write
from safetensors.numpy import save_file
from sklearn.model_selection import LeaveOneGroupOut, PredefinedSplit, TimeSeriesSplit

from trainer.data import prepare_split, read
from trainer.data.splits.repeats import row_splits
from trainer.errors import DataError

N = 60
rng = np.random.default_rng(3)
X, Y = rng.normal(size=(N, 2)), rng.normal(size=N)
FOLD = rng.integers(-1, 4, N)
COLUMN, FORWARD = {"folds": {"column": "f"}}, {"folds": {"forward": 4, "by": "f"}}


def splits(repeat, model="linear", data=None, train="arrays", **more):
    """[(training rows, held-out rows)] and the source."""
    if train == "arrays":
        data = {"train": (X, Y), **(data or {})}
    spec = spec_of(model, train, repeat=repeat, **more)
    source = read(spec, data)
    parts = [part.whole() for part in row_splits(source, spec)]
    return [(part.train.tolist(), part.val.tolist()) for part in parts], source


def table(**columns):
    return pa.table({"a": X[:, 0], "b": X[:, 1], "y": Y, **columns})


def test_folds_of_a_column_are_predefined_split_s():
    found, _ = splits(COLUMN, data={"f": FOLD})
    right = [(a.tolist(), b.tolist()) for a, b in PredefinedSplit(FOLD).split()]
    assert found == right
    assert len(found) == 4
    assert (FOLD == -1).any()


def _sources(folder):
    """By name a source that has the column, and what `folds` is there."""
    pq.write_table(table(f=FOLD), folder / "a.parquet")
    lines = [f"{a},{b},{y},{f}" for (a, b), y, f in zip(X, Y, FOLD, strict=True)]
    write(folder, "a.csv", "a,b,y,f\n" + "\n".join(lines) + "\n")
    for part, rows in (("1", slice(0, 25)), ("2", slice(25, None))):
        write(folder, f"part{part}.csv", "a,b,y,f\n" + "\n".join(lines[rows]) + "\n")
    np.savez(folder / "a.npz", X=X, y=Y, f=FOLD)
    save_file({"X": X, "y": Y, "f": FOLD}, folder / "a.safetensors")
    npy = {"npy": write(folder, "X.npy", X), "target": write(folder, "y.npy", Y)}
    file = {"npy": write(folder, "f.npy", FOLD)}
    libsvm = write(
        folder, "a.libsvm", "".join(f"{y} 1:{a} 2:{b}\n" for (a, b), y in zip(X, Y, strict=True))
    )
    named = {"features": "X", "target": "y"}
    return {
        "parquet": ({"table": str(folder / "a.parquet"), "target": "y"}, {"column": "f"}),
        "csv": ({"table": str(folder / "a.csv"), "target": "y"}, {"column": "f"}),
        "shards": ({"table": str(folder / "part*.csv"), "target": "y"}, {"column": "f"}),
        "npz": ({"npz": str(folder / "a.npz"), **named}, {"column": "f"}),
        "safetensors": (
            {"safetensors": str(folder / "a.safetensors"), **named},
            {"column": "f"},
        ),
        "npy": (npy, file),
        "libsvm": ({"libsvm": libsvm}, file),
    }


NAMES = ("parquet", "csv", "shards", "npz", "safetensors", "npy", "libsvm")


@pytest.mark.parametrize("name", NAMES)
def test_every_source_gives_the_same_folds_and_no_feature_of_them(name, tmp_path):
    known = _sources(tmp_path)
    assert tuple(known) == NAMES
    train, folds = known[name]
    found, source = splits({"folds": folds}, train=train)
    assert found == splits(COLUMN, data={"f": FOLD})[0]
    spec = spec_of("linear", train, repeat={"folds": folds})
    prepared = prepare_split(source, spec, row_splits(source, spec)[0])
    assert prepared.train.X.shape == (len(found[0][0]), 2)


def test_another_file_of_folds_is_other_data(tmp_path):
    digests = set()
    for name, values in (("f", FOLD), ("g", FOLD[::-1].copy())):
        file = write(tmp_path, f"{name}.npy", values)
        digests.add(splits({"folds": {"npy": file}})[1].digest)
    digests.add(splits(COLUMN, data={"f": FOLD[::-1]})[1].digest)
    assert len(digests) == 2


def test_rows_without_a_fold_always_train():
    fold = np.where(FOLD == 2, np.nan, FOLD.astype(float))
    found, _ = splits(COLUMN, data={"f": fold})
    assert found == splits(COLUMN, data={"f": np.where(FOLD == 2, -1, FOLD)})[0]
    assert len(found) == 3


def test_names_of_folds_may_be_any_text_and_numbers_come_in_their_order():
    spec = spec_of("linear", "arrays", repeat=COLUMN)
    for fold, names in (
        (np.array(["z", "é", "b"])[np.arange(N) % 3], ["b", "z", "é"]),
        (np.arange(N) % 12, [str(i) for i in range(12)]),
        (np.array([b"x", b"w"])[np.arange(N) % 2], ["w", "x"]),
    ):
        source = read(spec, {"train": (X, Y), "f": fold})
        assert [part.value for part in row_splits(source, spec)] == names


@pytest.mark.parametrize("folds", [2, 3, 5, 9])
def test_folds_of_time_without_ties_are_time_series_split_s(folds):
    for n in (folds + 1, 37, N):
        time = rng.permutation(n) * 3.5
        order = np.argsort(time)
        data = {"train": (X[:n], Y[:n]), "f": time}
        spec = spec_of("linear", "arrays", repeat={"folds": {"forward": folds, "by": "f"}})
        found = [(p.train.tolist(), p.val.tolist()) for p in row_splits(read(spec, data), spec)]
        right = TimeSeriesSplit(folds).split(np.empty((n, 1)))
        assert found == [(sorted(order[a]), sorted(order[b])) for a, b in right]


def test_rows_of_one_time_are_never_parted():
    for seed in range(30):
        time = np.random.default_rng(seed).integers(0, 25, N)
        found, _ = splits(FORWARD, data={"f": time})
        assert len(found) == 4
        for train, val in found:
            assert time[train].max() < time[val].min()
        held = [row for _, val in found for row in val]
        assert len(held) == len(set(held))


@pytest.mark.parametrize(
    "time",
    [
        np.datetime64("2024-01-01") + np.arange(N) * np.timedelta64(9, "D"),
        np.array([f"2024-01-01T{i // 60:02d}:{i % 60:02d}:30.5" for i in range(N)]),
        np.array([f"2024-01-01T00:{i:02d}:00+02:00" for i in range(N)], dtype=object),
        np.arange(N) / 7,
        np.arange(N)[:, None],
    ],
)
def test_times_are_numbers_or_dates(time):
    moved = rng.permutation(N)
    found, _ = splits(FORWARD, data={"f": time[moved]})
    right = TimeSeriesSplit(4).split(X)
    assert found == [
        (np.flatnonzero(np.isin(moved, a)).tolist(), np.flatnonzero(np.isin(moved, b)).tolist())
        for a, b in right
    ]


@pytest.mark.parametrize("kind", [pa.date32(), pa.timestamp("ns"), pa.timestamp("us", "UTC")])
def test_a_table_has_times_of_its_own_types(kind, tmp_path):
    days = (np.datetime64("2023-12-01") + np.arange(N)[::-1]).astype("datetime64[us]")
    column = pa.array(days).cast(pa.timestamp("us")).cast(kind)
    pq.write_table(table(f=column), tmp_path / "a.parquet")
    found, _ = splits(FORWARD, train={"table": str(tmp_path / "a.parquet"), "target": "y"})
    right = TimeSeriesSplit(4).split(X)
    assert found == [(sorted((N - 1 - a).tolist()), sorted((N - 1 - b).tolist())) for a, b in right]


def test_each_group_is_left_out_in_turn():
    group = np.array(["Rome", "Paris", "Oslo"])[rng.integers(0, 3, N)]
    spec = spec_of("linear", "arrays", repeat={"folds": "leave_one_group_out"})
    source = read(spec, {"train": (X, Y), "group": group})
    parts = [part.whole() for part in row_splits(source, spec)]
    right = LeaveOneGroupOut().split(X, groups=group)
    assert [(p.train.tolist(), p.val.tolist()) for p in parts] == [
        (a.tolist(), b.tolist()) for a, b in right
    ]
    assert [part.value for part in parts] == ["Oslo", "Paris", "Rome"]


@pytest.mark.parametrize("values", [[7.0, 3.0], [7, 3], [b"q", b"p"], ["q", "p"]])
def test_groups_have_their_names_whatever_their_type(values):
    spec = spec_of("linear", "arrays", repeat={"folds": "leave_one_group_out"})
    source = read(spec, {"train": (X, Y), "group": np.array(values)[np.arange(N) % 2]})
    names = [part.value for part in row_splits(source, spec)]
    texts = [v.decode() if isinstance(v, bytes) else str(v).removesuffix(".0") for v in values]
    assert names == sorted(texts)


def test_groups_of_shards_have_their_names(tmp_path):
    for part, cities in ((1, ["Rome", "Oslo"]), (2, ["Oslo", "Bern"])):
        rows = "".join(f"{i},{i % 3},{cities[i % 2]}\n" for i in range(6))
        write(tmp_path, f"p{part}.csv", f"a,y,city\n{rows}")
    train = {"table": str(tmp_path / "p*.csv"), "target": "y", "group": "city"}
    spec = spec_of("linear", train, repeat={"folds": "leave_one_group_out"})
    names = [part.value for part in row_splits(read(spec), spec)]
    assert names == ["Bern", "Oslo", "Rome"]


HALVES = np.arange(N) // 30
FAULTS = {
    "one value": (COLUMN, {"f": np.zeros(N)}, "the value '0' alone; two values or more"),
    "no value": (COLUMN, {"f": np.full(N, -1)}, "have no fold; two values or more"),
    "not there": (COLUMN, {}, "data['f']: is not there"),
    "rows": (COLUMN, {"f": np.zeros(3)}, "both must have the same number of rows"),
    "shape": (COLUMN, {"f": np.zeros((N, 2))}, "values are one a row: shape (60,)"),
    "parted": (COLUMN, {"f": HALVES, "group": np.arange(N) % 5}, "rows of group '0' lie in"),
    "a val": (COLUMN, {"f": FOLD, "val": (X, Y)}, "data['val'] is given as well"),
    "words": (FORWARD, {"f": np.array(["soon", "late"])[HALVES]}, "'late' is no time that can"),
    "mixed": (FORWARD, {"f": np.array(["2024-01-01", "7"])[HALVES]}, "'7' is no time"),
    "a gap": (FORWARD, {"f": np.where(HALVES == 1, np.nan, 1)}, "row 30: the time is missing"),
    "few times": (FORWARD, {"f": HALVES}, "of 60 rows at 2 times, leave one without rows"),
    "groups": (FORWARD, {"f": np.arange(N), "group": HALVES}, "stretches of time part groups"),
    "no groups": ({"folds": "leave_one_group_out"}, {}, "takes the rows' groups"),
    "one group": ({"folds": "leave_one_group_out"}, {"group": np.ones(N)}, "are one group"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_bad_folds_are_one_line(fault):
    assert len(FAULTS) == 14
    repeat, data, words = FAULTS[fault]
    with pytest.raises(DataError) as error:
        splits(repeat, data=data)
    assert words in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"target": "y"}, "repeat.folds: there is no column 'f'; there are 'a'"),
        ({"target": "f"}, "repeat.folds: 'f' is listed in target too; another column is right"),
        ({"target": "y", "columns": ["a", "f"]}, "'f' is listed in columns too; take it out"),
        ({"target": "y", "weight": "f"}, "'f' is listed in weight too"),
    ],
)
def test_a_column_of_a_table_has_one_role(more, words, tmp_path):
    name = "g" if "there is no" in words else "f"
    pq.write_table(table(**{name: np.abs(FOLD)}), tmp_path / "a.parquet")
    with pytest.raises(DataError) as error:
        splits(COLUMN, train={"table": str(tmp_path / "a.parquet"), **more})
    assert words in str(error.value)


def test_a_source_without_columns_takes_a_file():
    train = {"synthetic": {"rows": 60, "columns": 3, "outputs": 1, "seed": 0}}
    with pytest.raises(DataError, match=r"has no column 'f' .* npy: fold\.npy"):
        splits(COLUMN, train=train)
