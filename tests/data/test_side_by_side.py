"""Arrays side by side, and slices of columns: the rows of the one array that they make up."""

import json

import numpy as np
import pytest
from config_helpers import load
from data_helpers import same_encoder, same_rows, spec_of, write
from safetensors.numpy import save_file

import trainer
from trainer.data import prepare, read
from trainer.data.frame import Beside, Stacked
from trainer.errors import DataError
from trainer.predict.tables import predict_file

rng = np.random.default_rng(11)
N = 80
X = rng.normal(size=(N, 6)).astype(np.float32)
Y = np.where(X[:, 1] - X[:, 4] + 0.3 * rng.normal(size=N) > 0, "yes", "no")
SETTINGS = {"val": 0.25, "scale": "standard"}


@pytest.fixture
def files(tmp_path):
    """The one array whole, cut into three, and beside others in archives."""
    cuts = {"whole": X, "a": X[:, :3], "b": X[:, 3:4], "c": X[:, 4:], "y": Y, "wide": np.ones(N)}
    found = {name: write(tmp_path, f"{name}.npy", array) for name, array in cuts.items()}
    np.savez(tmp_path / "f.npz", X=X, y=Y)
    save_file({"X": X, "y": (Y == "yes").astype(np.int64)}, tmp_path / "f.safetensors")
    found |= {"npz": str(tmp_path / "f.npz"), "safetensors": str(tmp_path / "f.safetensors")}
    return found


def beside(files, *names, **keys):
    return {"features": [files[name] for name in names], "target": files["y"], **keys}


def test_arrays_side_by_side_are_the_one_array(files):
    ours = prepare(spec_of("logistic", beside(files, "a", "b", "c"), **SETTINGS))
    one = prepare(spec_of("logistic", {"npy": files["whole"], "target": files["y"]}, **SETTINGS))
    assert same_rows(ours.train, one.train)
    assert same_rows(ours.val, one.val)
    assert same_encoder(ours.encoder, one.encoder)


def sources_of(files, columns):
    whole = {"npy": files["whole"], "target": files["y"]}
    return {
        "npy": whole | {"columns": columns},
        "shards": {"npy": [files["whole"]], "target": [files["y"]], "columns": columns},
        "npz": {"npz": files["npz"], "features": "X", "target": "y", "columns": columns},
        "safetensors": {"safetensors": files["safetensors"], "features": "X", "target": "y",
                        "columns": columns},
        "features": beside(files, "a", "b", "c", columns=columns),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("columns", "at"), [("1:5", (1, 5)), (":3", (0, 3)), ("3:", (3, 6)), ("3:4", (3, 4))]
)
def test_a_slice_of_columns_is_of_every_kind_of_array(columns, at, files, tmp_path):
    part = write(tmp_path, "part.npy", X[:, slice(*at)])
    one = prepare(spec_of("logistic", {"npy": part, "target": files["y"]}, **SETTINGS))
    sources = sources_of(files, columns)
    assert len(sources) == 5
    for kind, source in sources.items():
        ours = prepare(spec_of("logistic", source, **SETTINGS))
        np.testing.assert_array_equal(ours.train.X, one.train.X, err_msg=kind)
        assert ours.encoder.features == tuple(f"x{i}" for i in range(*at)), kind


def test_nothing_is_read_before_it_is_asked_for(files):
    frame = read(spec_of("logistic", beside(files, "a", "b", "c", columns="2:5"))).frame
    assert isinstance(frame.features, Beside)
    assert all(isinstance(part, np.memmap) for part in frame.features.parts)
    sliced = {"npy": files["whole"], "target": files["y"], "columns": "2:5"}
    assert isinstance(read(spec_of("logistic", sliced)).frame.features, np.memmap)


def test_rows_of_matrices_side_by_side_and_one_above_another():
    both = Beside(X[:, :2], X[:, 2:])
    assert both.shape == X.shape
    assert both.dtype == X.dtype
    assert len(both) == N
    for rows in (slice(3, 9), np.array([1, 5, 7]), slice(None)):
        assert (both[rows] == X[rows]).all()
    assert (both.of_columns(1, 3)[:] == X[:, 1:3]).all()
    assert len(both.of_columns(2, 6).parts) == 1
    above = Stacked(both, X[:5])
    assert (above[slice(N - 2, N + 3)] == np.concatenate([X[-2:], X[:3]])).all()
    mixed = Beside(X[:, :1], X[:, 1:].astype(np.float64))
    assert mixed.dtype == mixed[slice(0, 2)].dtype == np.float64


def test_a_test_set_of_another_slice_is_not_train_again(files):
    source = {"npy": files["whole"], "target": files["y"]}
    same = read(spec_of("logistic", source | {"columns": "0:3"}, val=source | {"columns": "0:3"}))
    assert same.copies == {"val"}
    other = read(spec_of("logistic", source | {"columns": "0:3"}, val=source | {"columns": "3:6"}))
    assert other.copies == frozenset()
    again = read(spec_of("logistic", beside(files, "a", "b"), val=beside(files, "a", "b")))
    assert again.copies == {"val"}


FAULTS = {
    "rows that differ": (lambda f: beside(f, "a", "short"), "has 79 rows, and"),
    "beyond the array": (
        lambda f: {"npy": f["whole"], "target": f["y"], "columns": "4:7"},
        "has 6 columns, of which 4:7 are none or go beyond them; a slice from 0 to 6 is right",
    ),
    "none": (lambda f: beside(f, "a", "b", columns="4:4"), "4:4 are none or go beyond"),
    "no matrix": (lambda f: beside(f, "a", "wide"), "features have shape (rows, columns)"),
    "not there": (lambda f: beside(f, "a", "gone"), "gone.npy"),
    "a target too short": (
        lambda f: beside(f, "a", "b") | {"target": f["short"]},
        "both must have the same number of rows",
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_what_does_not_fit_is_one_line(name, files, tmp_path):
    short = write(tmp_path, "short.npy", X[1:, :1])
    source, what = FAULTS[name]
    with pytest.raises(DataError) as found:
        prepare(
            spec_of("logistic", source(files | {"short": short, "gone": short[:-9] + "gone.npy"}))
        )
    assert what in str(found.value)
    assert "\n" not in str(found.value)


SWEPT = """
model: logistic
device: cpu
data:
  train: {features: [a.npy, b.npy, c.npy], target: y.npy}
  val: {features: [a.npy, b.npy, c.npy], target: y.npy}
optimizer: {name: lbfgs}
sweep: {parameters: {data.train.columns: ["0:3", "3:6", "1:5"]}}
log: {weights: all}
"""


def test_a_slice_is_an_axis_and_predict_takes_the_whole_array(files, tmp_path):
    (tmp_path / "a.yaml").write_text(SWEPT)
    run = trainer.run(trainer.load_spec(tmp_path / "a.yaml"), out=tmp_path / "run")
    assert {t["data.train.columns"] for t in run.trials} == {"0:3", "3:6", "1:5"}
    best = run.best["settings"]["data.train.columns"]
    assert best == "1:5"  # of the two features that tell the label both
    model = json.loads((run.folder / "model.json").read_text())
    assert model["features"] == ["x1", "x2", "x3", "x4"]
    again = trainer.run(trainer.load_spec(run.folder / "best.yaml"), out=tmp_path / "again")
    part = write(tmp_path, "part.npy", X[:, 1:5])
    taken = [files["whole"], part, f"[{files['a']}, {files['b']}, {files['c']}]"]
    texts = {
        predict_file(folder, data)[0] for folder in (run.folder, again.folder) for data in taken
    }
    assert len(texts) == 1
    narrow = write(tmp_path, "narrow.npy", X[:, :3])
    with pytest.raises(DataError, match="has 3 columns"):
        predict_file(run.folder, narrow)
    with pytest.raises(DataError, match="side by side"):
        predict_file(run.folder, "[a.csv, b.csv]")


def test_the_resolved_file_of_a_swept_slice_has_equal_trials(files, tmp_path):
    (tmp_path / "a.yaml").write_text(SWEPT)
    run = trainer.run(trainer.load_spec(tmp_path / "a.yaml"), out=tmp_path / "run")
    again, first = (trainer.load_spec(p) for p in (run.folder / "config.yaml", tmp_path / "a.yaml"))
    ours, theirs = ([t.spec.data for t in one.trials] for one in (again, first))
    assert ours == theirs
    assert [data.val.columns for data in ours] == ["0:3", "3:6", "1:5"]


def test_an_archive_is_predicted_by_its_slice(files, tmp_path):
    source = sources_of(files, "1:5")["npz"]
    spec = spec_of("logistic", source, val=0.25)
    run = trainer.run(spec, out=tmp_path / "run")
    whole = predict_file(run.folder, files["npz"])
    assert whole[0] == predict_file(run.folder, files["whole"])[0]
    assert "accuracy" in whole[1]


def test_an_archive_may_still_call_its_array_by_the_key_alone(files, tmp_path):
    text = f"""
model: logistic
data:
  train: {{npz: {files["npz"]}, features: X, target: y}}
  val: {{features: X}}
"""
    spec = load(tmp_path, text)
    assert spec.data.val.npz == files["npz"]
