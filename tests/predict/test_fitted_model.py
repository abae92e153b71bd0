from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from safetensors.numpy import load_file
from scipy.special import expit, softmax

from trainer.config.schema.spec import Spec
from trainer.data import prepare
from trainer.data.allocate import allocate
from trainer.data.prepared import Prepared
from trainer.data.sources.for_predict import read_for_predict
from trainer.errors import DataError, DiskError, RunFolderError, UserError
from trainer.predict.fitted_model import FittedModel

rng = np.random.default_rng(0)


def prepared(model: str, X: Any, y: Any, **data: Any) -> Prepared:
    fields = {
        "model": model,
        "precision": "float64",
        "data": {"train": "arrays", "val": "none", **data},
    }
    return prepare(Spec.model_validate(fields), {"train": (X, y)})


def fitted(model: str, p: Prepared) -> FittedModel:
    D = p.train.X.shape[1]
    C = len(p.encoder.target_mean)
    return FittedModel(model, rng.normal(size=(D, C)), rng.normal(size=C), p.encoder)


def table(n: int = 40) -> pa.Table:
    return pa.table(
        {
            "a": rng.normal(3, 2, n),
            "t": np.array(["u", "v", "w"])[rng.integers(0, 3, n)],
            "b": rng.integers(0, 9, n),
        }
    )


TARGETS: dict[str, tuple[str, Any]] = {
    "one number": ("linear", rng.normal(100, 9, 40)),
    "two numbers": ("linear", rng.normal(100, 9, (40, 2))),
    "two labels": ("logistic", np.array(["no", "yes"] * 20)),
    "several labels": ("logistic", rng.integers(0, 2, (40, 3))),
    "labels": ("softmax", np.array([3, 7, 7, 11] * 10)),
    "two labels, softmax": ("softmax", np.array([False, True] * 20)),
    "probabilities": ("softmax", rng.dirichlet(np.ones(3), 40)),
}


@pytest.mark.parametrize("name", TARGETS)
@pytest.mark.parametrize("scale", ["none", "standard"])
def test_raw_coefficients_are_the_model_on_scaled_rows(name: str, scale: str) -> None:
    kind, y = TARGETS[name]
    scale_target = "standard" if kind == "linear" else "none"
    raw = table()
    p = prepared(kind, raw, y, scale=scale, scale_target=scale_target)
    model = fitted(kind, p)
    z = p.train.X @ model.weights + model.bias
    if kind == "linear":
        z = z * p.encoder.target_scale + p.encoder.target_mean
    np.testing.assert_allclose(model.scores(raw), z, rtol=1e-12)
    one_hot = np.array([[value == c for c in "uvw"] for value in raw["t"].to_pylist()], dtype=float)
    columns = np.c_[raw["a"].to_numpy(), one_hot, raw["b"].to_numpy()]
    assert model.features_ == ("a", "t=u", "t=v", "t=w", "b")
    np.testing.assert_allclose(columns @ model.coef_.T + model.intercept_, z, rtol=1e-10)
    assert model.coef_.shape == (z.shape[1], 5)
    check_predictions(kind, name, model, raw, z)


def check_predictions(kind: str, name: str, model: FittedModel, raw: Any, z: np.ndarray) -> None:
    predictions = model.predict(raw)
    if kind == "linear":
        np.testing.assert_allclose(predictions, z[:, 0] if z.shape[1] == 1 else z)
        assert model.classes_ is None
        with pytest.raises(UserError, match="no probabilities"):
            model.predict_proba(raw)
        return
    p = model.predict_proba(raw)
    assert p.shape[1] == len(model.probability_names)
    if name == "several labels":
        np.testing.assert_allclose(p, expit(z), rtol=1e-14)
        assert np.array_equal(predictions, p > 0.5)
        assert model.probability_names == ("y0", "y1", "y2")
        return
    expected = np.c_[1 - expit(z), expit(z)] if kind == "logistic" else softmax(z, axis=1)
    np.testing.assert_allclose(p, expected, rtol=1e-12)
    assert model.classes_ is not None
    assert np.array_equal(predictions, model.classes_[p.argmax(axis=1)])


def test_probabilities_at_extreme_scores() -> None:
    model = fitted("logistic", prepared("logistic", np.eye(4), [0, 1, 0, 1], scale="none"))
    p = model.probabilities(np.array([[-1e4], [0.0], [1e4]]))
    assert p.tolist() == [[1, 0], [0.5, 0.5], [0, 1]]


@pytest.mark.parametrize("name", TARGETS)
def test_saved_and_loaded_is_the_same(name: str, tmp_path: Path) -> None:
    kind, y = TARGETS[name]
    raw = table()
    model = fitted(kind, prepared(kind, raw, y, scale="standard", missing="mean"))
    model.save(tmp_path)
    again = FittedModel.load(tmp_path)
    assert again.encoder.to_json() == model.encoder.to_json()
    assert np.array_equal(again.scores(raw), model.scores(raw))
    assert np.array_equal(again.predict(raw), model.predict(raw))
    if model.classes_ is not None:
        assert again.classes_ is not None
        assert again.classes_.dtype == model.classes_.dtype


def test_files_are_as_documented(tmp_path: Path) -> None:
    model = fitted("linear", prepared("linear", table(), TARGETS["two numbers"][1]))
    model.save(tmp_path)
    arrays = load_file(tmp_path / "model.safetensors")
    assert {name: a.shape for name, a in arrays.items()} == {
        "weights": (5, 2), "bias": (2,), "feature_mean": (5,), "feature_scale": (5,),
    }  # fmt: skip
    fields = json.loads((tmp_path / "model.json").read_text())
    assert fields["format_version"] == 1
    assert fields["model"] == "linear"
    assert fields["features"] == ["a", "t=u", "t=v", "t=w", "b"]
    assert fields["categories"] == {"t": ["u", "v", "w"]}
    assert len(fields["target_mean"]) == len(fields["target_scale"]) == 2
    assert fields["classes"] is None


def test_a_damaged_model_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match=r"model\.json: no such file"):
        FittedModel.load(tmp_path)
    fitted("linear", prepared("linear", np.eye(3), [1.0, 2, 3])).save(tmp_path)
    arrays, fields = tmp_path / "model.safetensors", tmp_path / "model.json"
    good_arrays, good_fields = arrays.read_bytes(), fields.read_text()

    flipped = bytearray(good_arrays)
    flipped[-3] ^= 1
    arrays.write_bytes(flipped)
    with pytest.raises(
        RunFolderError, match=r"model\.safetensors: its bytes are not those.*sha256"
    ):
        FittedModel.load(tmp_path)
    arrays.write_bytes(good_arrays)

    damaged = {
        "not JSON": "{",
        "a list": "[]",
        "no version": good_fields.replace("format_version", "version"),
        "another version": good_fields.replace('"format_version": 1', '"format_version": 2'),
        "no model": good_fields.replace('"model"', '"modle"'),
        "fewer columns": good_fields.replace('"columns": [\n  "x0",', '"columns": ['),
    }
    assert len(set(damaged.values()) - {good_fields}) == 6
    for text in damaged.values():
        fields.write_text(text)
        with pytest.raises(RunFolderError) as caught:
            FittedModel.load(tmp_path)
        assert str(fields) in str(caught.value)
        assert "\n" not in str(caught.value)
    fields.write_text(good_fields)
    assert FittedModel.load(tmp_path).features_ == ("x0", "x1", "x2")

    with pytest.raises(DiskError, match=r"model\.safetensors"):
        FittedModel.load(tmp_path).save(tmp_path / "gone")


def test_rows_that_do_not_fit() -> None:
    raw = table()
    model = fitted("linear", prepared("linear", raw, TARGETS["one number"][1]))
    with pytest.raises(DataError, match="no column 't'"):
        model.predict(raw.drop_columns(["t"]))
    with pytest.raises(DataError, match=r"no columns 'a', 't', which .*; there are 'b'"):
        model.predict(raw.drop_columns(["a", "t"]))
    with pytest.raises(DataError, match="text column 't'; give a table"):
        model.predict(np.zeros((3, 3)))
    with pytest.raises(
        DataError, match=r"shape \(3,\).*reshape\(X, \(1, 3\)\), one column.*\(3, 1\)"
    ):
        model.predict([1.0, 2.0, 3.0])
    with pytest.raises(DataError, match=r"one row \{'a': \[1.5\], …\}"):
        model.predict({"a": 1.5, "t": "u", "b": 2})
    with pytest.raises(DataError, match="from_pylist"):
        model.predict([{"a": 1.5, "t": "u", "b": 2}])
    matrix = fitted("linear", prepared("linear", np.eye(3), [1.0, 2, 3]))
    with pytest.raises(DataError, match="has 2 columns, the training source has 3"):
        matrix.predict(np.zeros((3, 2)))


def test_unseen_categories_are_zeros_and_counted() -> None:
    raw = table()
    model = fitted("linear", prepared("linear", raw, TARGETS["one number"][1], scale="standard"))
    rows = pa.table({"t": ["new", "u"], "b": [0, 0], "a": [0.0, 0.0], "other": [1, 2]})
    with pytest.warns(UserWarning, match="X: 1 row has a t that training did not") as warned:
        z = model.scores(rows)
    assert [w.filename for w in warned] == [__file__]
    np.testing.assert_allclose(z[0], model.intercept_)


def test_missing_values_are_filled_in_as_in_training() -> None:
    X = np.array([[1.0, 2], [np.nan, 4], [4, np.nan]])
    model = fitted("linear", prepared("linear", X, [1.0, 2, 3], missing="mean", scale="standard"))
    filled = np.array([[2.5, 3.0]])
    assert np.array_equal(model.scores(np.full((1, 2), np.nan)), model.scores(filled))


def test_files_to_predict_from(tmp_path: Path) -> None:
    raw = table()
    labels = pa.array(["no", "yes"] * 20)
    pq.write_table(raw.append_column("y", labels), tmp_path / "a.parquet")
    pq.write_table(raw, tmp_path / "without.parquet")
    source = {"table": str(tmp_path / "a.parquet"), "target": "y"}
    spec = Spec.model_validate({"model": "logistic", "data": {"train": source, "val": "none"}})
    model = fitted("logistic", prepare(spec))

    frame, rows, y = read_for_predict(str(tmp_path / "a.parquet"), model.encoder, "logistic")
    assert np.array_equal(model.predict(frame), model.predict(raw))
    assert rows.tolist() == list(range(40))
    assert y[:, 0].tolist() == [0, 1] * 20
    frame, rows, y = read_for_predict(str(tmp_path / "without.parquet"), model.encoder, "logistic")
    assert np.array_equal(model.predict(frame), model.predict(raw))
    assert (len(rows), y.shape) == (0, (0, 1))
    csv = tmp_path / "some.csv"
    csv.write_text("y,b,t,a\nyes,1,u,2\n,1,u,2\n")
    frame, rows, y = read_for_predict(str(csv), model.encoder, "logistic")
    assert (rows.tolist(), y.tolist()) == ([0], [[1.0]])
    with pytest.raises(DataError, match=r"nothing\.csv: no such file"):
        read_for_predict(str(tmp_path / "nothing.csv"), model.encoder, "logistic")


def test_array_files_to_predict_from(tmp_path: Path) -> None:
    X, y = rng.normal(size=(20, 3)), rng.integers(0, 4, 20)
    np.savez(tmp_path / "f.npz", features=X, labels=y)
    np.savez(tmp_path / "one.npz", anything=X)
    np.save(tmp_path / "X.npy", X)
    source = {"npz": str(tmp_path / "f.npz"), "features": "features", "target": "labels"}
    spec = Spec.model_validate({"model": "softmax", "data": {"train": source, "val": "none"}})
    model = fitted("softmax", prepare(spec))
    for name, labelled in (("f.npz", 20), ("one.npz", 0), ("X.npy", 0)):
        frame, rows, codes = read_for_predict(str(tmp_path / name), model.encoder, "softmax")
        assert np.array_equal(model.predict(frame), model.predict(X))
        assert len(rows) == len(codes) == labelled
    (tmp_path / "a.csv").write_text("a,b\n1,2\n")
    with pytest.raises(DataError, match="has 2 columns, the training source has 3 without names"):
        read_for_predict(str(tmp_path / "a.csv"), model.encoder, "softmax")


def test_rows_with_a_gap_have_no_prediction() -> None:
    rows = pa.table({"a": [1.0, None, 2], "t": ["u", "v", None], "b": [1, 2, 3]})
    empty = [False, True, True]
    for name, (kind, y) in TARGETS.items():
        scale_target = "standard" if kind == "linear" else "none"
        p = prepared(kind, table(), y, missing="drop", scale_target=scale_target)
        model = fitted(kind, p)
        with pytest.warns(UserWarning, match="2 rows .* first in row 1, column 'a'"):
            z = model.scores(rows)
        assert np.isnan(z).all(axis=1).tolist() == empty
        alone = model.predict(rows.slice(0, 1))
        with pytest.warns(UserWarning, match="2 rows have no prediction"):
            predictions = model.predict(rows)
        assert np.array_equal(predictions[0], alone[0])
        if kind != "linear" and predictions.ndim == 1:
            assert predictions[1:].tolist() == [None, None], name
        else:
            assert np.isnan(predictions[1:]).all(), name
        if kind != "linear":
            with pytest.warns(UserWarning, match="2 rows have no prediction"):
                assert np.isnan(model.predict_proba(rows)).all(axis=1).tolist() == empty


def test_a_table_after_an_array_is_taken_in_order() -> None:
    X = rng.normal(size=(20, 3))
    model = fitted("linear", prepared("linear", X, X[:, 0]))
    named = pa.table({"c": X[:, 0], "a": X[:, 1], "b": X[:, 2]})
    with pytest.warns(UserWarning, match="X: its columns are taken in their order"):
        assert np.array_equal(model.scores(named), model.scores(X))
    by_name = pa.table({"x2": X[:, 2], "other": X[:, 0], "x0": X[:, 0], "x1": X[:, 1]})
    assert np.array_equal(model.scores(by_name), model.scores(X))
    with pytest.raises(DataError, match="has 2 columns, the training source has 3 without names"):
        model.scores(named.drop_columns(["a"]))
    with pytest.raises(DataError, match="there is no column 'x1'"):
        model.scores(by_name.drop_columns(["x1"]))
    data = {"train": (X, X[:, 0]), "test": (named, X[:, 0])}
    block = {"train": "arrays", "val": "none"}
    p = prepare(Spec.model_validate({"model": "linear", "data": block}), data)
    assert np.array_equal(p.tests[0].X, p.train.X)
    after = fitted("linear", prepared("linear", named, X[:, 0]))
    assert np.array_equal(after.scores(X), after.scores(named))


def test_a_file_with_names_is_not_taken_in_order_by_a_spec(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", X=np.eye(4)[:, :2], y=np.arange(4.0))
    (tmp_path / "b.csv").write_text("p,q,y\n1,2,3\n")
    data = {
        "train": {"npz": str(tmp_path / "a.npz"), "features": "X", "target": "y"},
        "test": {"table": str(tmp_path / "b.csv"), "target": "y"},
        "val": "none",
    }
    with pytest.raises(DataError, match="there are no columns 'x0', 'x1'"):
        prepare(Spec.model_validate({"model": "linear", "data": data}))


def test_a_few_rows_are_predicted_without_asking_the_machine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """How much memory there is takes files of the system to read, at every call."""
    model = fitted("linear", prepared("linear", rng.normal(size=(40, 3)), rng.normal(size=40)))

    def asked() -> int:
        raise AssertionError

    monkeypatch.setattr("trainer.data.allocate.available_memory", asked)
    assert model.predict(np.ones((1, 3))).shape == (1,)
    with pytest.raises(AssertionError):
        allocate((1 << 22, 3), np.dtype(np.float64), "X")


@pytest.mark.parametrize(
    ("manifest", "words"),
    [
        ({"status": "running"}, "has not ended; if its process has, `stacked-trainer run --resume"),
        (
            {"status": "interrupted"},
            "its run was cut short (interrupted); `stacked-trainer run --re",
        ),
        ({"status": "failed", "elsewhere": "/o"}, "what this folder refused of its run is in /o"),
        ({"status": "diverged"}, "a folder with the model of a finished run is right"),
        ({"status": 3}, "a folder with the model of a finished run is right"),
    ],
)
def test_a_run_without_a_model_says_what_would_be_right(tmp_path, manifest, words):
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(RunFolderError) as caught:
        FittedModel.load(tmp_path)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
