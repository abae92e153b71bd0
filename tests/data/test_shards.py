"""Several files of one kind as one source: the rows of the one file that they were cut from."""

from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from config_helpers import load
from data_helpers import same_encoder, same_rows, spec_of, write
from safetensors.numpy import save_file

from trainer.data import prepare, prepare_refit, read, row_splits
from trainer.errors import DataError
from trainer.predict.fitted_model import load_model
from trainer.workflow.run import run

rng = np.random.default_rng(5)
N, CUTS = 90, (0, 20, 21, 90)
X = rng.normal(size=(N, 3)).astype(np.float32)
Y = np.where(X[:, 0] + 0.3 * rng.normal(size=N) > 0, "yes", "no")
WEIGHT = rng.uniform(0.5, 2, N)
GROUP = np.arange(N) % 7
COLOUR = np.array(["red", "green", "blue"])[np.arange(N) * 5 % 3]
PARTS = [slice(a, b) for a, b in pairwise(CUTS)]


def csv(part):
    rows = zip(X[part].tolist(), COLOUR[part], Y[part], WEIGHT[part], GROUP[part], strict=True)
    lines = [f"{x[0]},{x[1]},{x[2]},{c},{y},{w},{g}\n" for x, c, y, w, g in rows]
    return "a,b,c,colour,y,w,g\n" + "".join(lines)


def table(part):
    columns = {name: X[part, i] for i, name in enumerate("abc")}
    columns |= {"colour": COLOUR[part].tolist(), "y": Y[part].tolist()}
    return pa.table({**columns, "w": WEIGHT[part], "g": GROUP[part]})


def arrays(part):
    return {"X": X[part], "y": (Y[part] == "yes").astype(np.int64), "w": WEIGHT[part],
            "g": GROUP[part]}  # fmt: skip


def write_parts(folder, kind):
    """(the source of one file, that of several, that of a pattern)."""
    named = {"features": "X", "target": "y", "weight": "w", "group": "g"}
    columns = {"target": "y", "weight": "w", "group": "g"}
    suffix = {"csv": "csv", "parquet": "parquet"}.get(kind, kind)
    for i, part in enumerate([slice(0, N), *PARTS]):
        name = f"s{i}" if i else "whole"
        if kind == "csv":
            write(folder, f"{name}.csv", csv(part))
        elif kind == "parquet":
            pq.write_table(table(part), folder / f"{name}.parquet")
        elif kind == "npy":
            for key, values in arrays(part).items():
                write(folder, f"{key}-{name}.npy", values)
        elif kind == "npz":
            np.savez(folder / f"{name}.npz", **arrays(part))
        else:
            held = {k: np.ascontiguousarray(v) for k, v in arrays(part).items()}
            save_file(held, folder / f"{name}.safetensors")
    if kind == "npy":
        keys = {"npy": "X", "target": "y", "weight": "w", "group": "g"}
        paths = {
            "whole": "whole", "list": ["s1", "s2", "s3"], "pattern": "s[0-9]"
        }  # fmt: skip
        return [
            {
                key: [f"{folder}/{a}-{n}.npy" for n in names]
                if isinstance(names, list)
                else f"{folder}/{a}-{names}.npy"
                for key, a in keys.items()
            }
            for names in paths.values()
        ]
    form = "table" if kind in ("csv", "parquet") else kind
    rest = columns if form == "table" else named
    files = [f"{folder}/s{i}.{suffix}" for i in (1, 2, 3)]
    names = (f"{folder}/whole.{suffix}", files, f"{folder}/s*.{suffix}")
    return [{form: name, **rest} for name in names]


KINDS = ["csv", "parquet", "npy", "npz", "safetensors"]


@pytest.mark.parametrize("kind", KINDS)
def test_shards_are_the_file_they_were_cut_from(tmp_path, kind):
    whole, *shards = write_parts(tmp_path, kind)
    expected = prepare(spec_of("logistic", whole, val=0.3, scale="standard"))
    digests = set()
    for source in shards:
        found = prepare(spec_of("logistic", source, val=0.3, scale="standard"))
        assert same_rows(found.train, expected.train)
        assert same_rows(found.val, expected.val)
        assert same_encoder(found.encoder, expected.encoder)
        digests.add(found.digest)
    assert len(digests) == 1  # a list and a pattern are the same files
    assert digests != {expected.digest}


@pytest.mark.parametrize("kind", KINDS)
def test_a_group_may_go_through_several_shards(tmp_path, kind):
    whole, shards, _ = write_parts(tmp_path, kind)
    folds = {"folds": 3}
    specs = [spec_of("logistic", source, repeat=folds) for source in (whole, shards)]
    splits = [list(row_splits(read(spec), spec)) for spec in specs]
    for one, other in zip(*splits, strict=True):
        assert one.train.tolist() == other.train.tolist()
        assert not set(GROUP[other.train]) & set(GROUP[other.val])


def test_the_digest_is_of_every_shard(tmp_path):
    _, _, pattern = write_parts(tmp_path, "csv")
    before = prepare(spec_of("logistic", pattern)).digest
    for i, part in enumerate(PARTS, start=1):
        write(tmp_path, f"s{i}.csv", csv(part) + csv(slice(0, 1)).splitlines()[1])
        assert prepare(spec_of("logistic", pattern)).digest != before
        write(tmp_path, f"s{i}.csv", csv(part))
    assert prepare(spec_of("logistic", pattern)).digest == before


def test_val_and_a_refit_on_it(tmp_path):
    _, shards, pattern = write_parts(tmp_path, "npy")
    train, val = ({k: v for k, v in s.items() if k != "group"} for s in (shards, pattern))
    spec = spec_of("logistic", train, val=val, scale="standard")
    rows = prepare_refit(read(spec), spec, "train+val").train
    assert len(rows) == 2 * N
    np.testing.assert_array_equal(rows.X[:N], rows.X[N:])


def test_a_list_in_a_file_is_relative_to_it(tmp_path):
    write_parts(tmp_path, "csv")
    text = "model: logistic\ndata: {train: {table: [s1.csv, ./s2.csv, s3.csv], target: y}}\n"
    spec = load(tmp_path, text)
    assert spec.data.train.table == tuple(str(tmp_path / f"s{i}.csv") for i in (1, 2, 3))
    (tmp_path / "b.yaml").write_text(spec.to_yaml())
    assert load(tmp_path, spec.to_yaml()) == spec
    found = load(tmp_path, text, "data.train.table=[s1.csv]", "data.val={table: 's*.csv'}")
    assert found.data.val.target == "y"


def test_labels_that_are_numbers_in_one_shard_are_text_in_all(tmp_path):
    write(tmp_path, "s1.csv", "x,y\n" + "1,1\n2,2\n" * 3)
    write(tmp_path, "s2.csv", "x,y\n" + "1,a\n2,2\n" * 3)
    found = prepare(spec_of("softmax", {"table": f"{tmp_path}/s?.csv", "target": "y"}))
    assert found.encoder.classes == ["1", "2", "a"]


FAULTS = [
    ({"s1.csv": "x,y\n1,a\n2,b\n", "s2.csv": "x,z\n1,a\n"}, "table", "s2.csv: target: there is no"),
    ({"s1.csv": "x,y\n1,a\n2,b\n", "s2.csv": "y\na\n"}, "table", "s2.csv: there is no column 'x'"),
    ({"s1.csv": "x,y\n1,a\n2,b\n", "s2.csv": "z,x,y\n1,1,a\n"}, "table",
     "s2.csv: has a column 'z', which the first file does not have"),
    ({"s1.csv": "x,y\n1,a\n2,b\n", "s2.csv": "x,y\n1,a\nu,b\n"}, "table",
     "s2.csv: row 1 (line 3), column 'x': 'u' is text where a number should be"),
    ({"s1.csv": "x,y\n1,a\n,b\n"}, "table", "row 1 (line 3), column 'x': is missing"),
    ({"s1.csv": "x,y\n1,a\n2,b\n", "s2.csv": "x,y\n3,a\n,b\n"}, "table",
     "s1.csv and 1 more: row 1 (line 3) of {folder}/s2.csv, column 'x': is missing or NaN"),
    ({"s1.csv": "x,y\n,a\n2,b\n", "s2.csv": "x,y\n3,a\n1,b\n"}, "table",
     "s1.csv and 1 more: row 0 (line 2) of {folder}/s1.csv, column 'x': is missing or NaN"),
    ({}, "table", "s*.csv: no file in {folder} fits this pattern"),
]  # fmt: skip


@pytest.mark.parametrize(("files", "form", "words"), FAULTS)
def test_a_fault_names_its_shard(tmp_path, files, form, words):
    for name, text in files.items():
        write(tmp_path, name, text)
    with pytest.raises(DataError) as caught:
        prepare(spec_of("logistic", {form: f"{tmp_path}/s*.csv", "target": "y"}))
    assert words.format(folder=tmp_path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_columns_that_were_not_asked_for_may_differ(tmp_path):
    write(tmp_path, "s1.csv", "x,y,old,w\n1,a,1,1\n2,b,1,1\n")
    write(tmp_path, "s2.csv", "new,x,w,y\n1,3,1,a\n")
    source = {"table": f"{tmp_path}/s*.csv", "target": "y", "columns": ["x"], "weight": "w"}
    assert prepare(spec_of("logistic", source, scale="none")).train.X[:, 0].tolist() == [1, 2, 3]


def test_arrays_that_do_not_belong_together(tmp_path):
    for i, rows in enumerate((4, 5)):
        write(tmp_path, f"X{i}.npy", np.zeros((rows, 2)))
        write(tmp_path, f"y{i}.npy", np.arange(rows) % 2)
    write(tmp_path, "X2.npy", np.zeros((4, 3)))
    source = {"npy": f"{tmp_path}/X[01].npy", "target": f"{tmp_path}/y*.npy"}
    prepare(spec_of("logistic", source))
    for change, words in (
        ({"target": f"{tmp_path}/y0.npy"}, "npy: 2 files, and 1 of target; one of each is right"),
        ({"target": [f"{tmp_path}/y1.npy", f"{tmp_path}/y0.npy"]}, "X0.npy has 4 rows"),
        ({"npy": [f"{tmp_path}/X0.npy"] * 2}, "X0.npy: is listed twice"),
        ({"npy": [f"{tmp_path}/X1.npy", f"{tmp_path}/X2.npy"],
          "target": [f"{tmp_path}/y1.npy", f"{tmp_path}/y0.npy"]}, "X2.npy: has 3 columns"),
    ):  # fmt: skip
        with pytest.raises(DataError) as caught:
            prepare(spec_of("logistic", source | change))
        assert words in str(caught.value)


def test_a_file_whose_name_is_a_pattern_is_that_file(tmp_path):
    folder = tmp_path / "run[1]"
    folder.mkdir()
    for name in ("a[2].csv", "a2.csv"):
        write(folder, name, "x,y\n" + ("1,p\n2,q\n" * 4 if "[" in name else "1,p\n"))
    whole = prepare(spec_of("logistic", {"table": f"{folder}/a[2].csv", "target": "y"}))
    assert len(whole.train) == 8
    (folder / "a2.csv").unlink()
    write(folder, "b1.csv", "x,y\n1,p\n")
    with pytest.raises(DataError, match="two classes"):
        prepare(spec_of("logistic", {"table": f"{folder}/b?.csv", "target": "y"}))


def test_a_run_says_how_many_files_and_predict_takes_a_pattern(tmp_path, capfd):
    from trainer.cli import main

    write_parts(tmp_path, "parquet")
    source = {"table": f"{tmp_path}/s*.parquet", "target": "y", "weight": "w", "drop": ["g"]}
    done = run(
        {"model": "logistic", "data": {"train": source, "val": 0.2}, "optimizer": {"name": "auto"}},
        out=tmp_path / "run",
    )
    log = (done.folder / "run.log").read_text(encoding="utf-8")
    assert f"{tmp_path}/s1.parquet and 2 more: 90 rows x 4 columns" in log
    assert max(done.predictions()["row"].to_pylist()) > 21  # rows are counted over all shards
    assert main(["predict", str(done.folder), f"{tmp_path}/s*.parquet"]) == 0
    rows = capfd.readouterr().out.splitlines()[1:]
    assert [int(row.split(",")[0]) for row in rows] == list(range(N))
    expected = load_model(done.folder).predict(table(slice(0, N)))
    assert [row.split(",")[1] for row in rows] == expected.tolist()


def test_shards_of_libsvm_text_are_as_wide_as_the_widest(tmp_path, capfd):
    from trainer.cli import main

    lines = [f"{i % 2} {1 + i % 3}:{i + 1}\n" for i in range(40)]
    texts = ["".join(lines[:2]), "1 0:3 5:1\n" + "".join(lines[2:]), "".join(lines[:9])]
    write(tmp_path, "whole.svm", "".join(texts))
    for i, text in enumerate(texts):
        write(tmp_path, f"s{i}.svm", text)
    whole, shards = ({"libsvm": f"{tmp_path}/{name}.svm"} for name in ("whole", "s*"))
    expected, found = (prepare(spec_of("logistic", one, val=0.3)) for one in (whole, shards))
    assert found.encoder.features == tuple(f"x{i}" for i in range(6))
    assert same_rows(found.train, expected.train)
    assert same_rows(found.val, expected.val)
    held = prepare(spec_of("logistic", whole, val={"libsvm": f"{tmp_path}/s[01].svm"}))
    assert len(held.val) == 41
    run({"model": "logistic", "data": {"train": shards}}, out=tmp_path / "run")
    assert main(["predict", str(tmp_path / "run"), f"{tmp_path}/s*.svm"]) == 0
    assert len(capfd.readouterr().out.splitlines()) == 1 + len(expected.train) + len(expected.val)


def test_the_digest_is_of_the_groups_too(tmp_path):
    _, shards, _ = write_parts(tmp_path, "npy")
    before = prepare(spec_of("logistic", shards)).digest
    write(tmp_path, "g-s2.npy", np.full(1, 99))
    assert prepare(spec_of("logistic", shards)).digest != before


@pytest.mark.parametrize("kind", KINDS)
def test_a_held_source_of_the_same_shards_is_told(tmp_path, kind):
    _, shards, pattern = write_parts(tmp_path, kind)
    train, val = ({k: v for k, v in one.items() if k != "weight"} for one in (shards, pattern))
    other = {k: v for k, v in val.items() if k != "group"} | (
        {"drop": ["g", "w"]} if val.get("table") else {}
    )
    train |= {"drop": ["w"]} if val.get("table") else {}
    source = read(spec_of("logistic", train, val=other))
    assert source.frame.rows == N
    assert source.held["val"].rows == N
    assert source.copies == {"val"}
    assert read(spec_of("logistic", train, val=write_parts(tmp_path, kind)[0])).copies == set()
