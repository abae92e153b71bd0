"""Values far from 0 for what their spread is: centred before they are rounded, or told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from data_helpers import from_arrays, prepared, spec_of, write

from trainer.config.schema.spec import Spec
from trainer.data import Prepared, prepare, prepare_split, read, row_splits
from trainer.data.rows import Coarse

rng = np.random.default_rng(0)
N, FAR = 300, 1.7e9  # Unix seconds
X = rng.normal(size=(N, 2))
SECONDS = FAR + np.round(600 * rng.normal(size=N), 3)
F32, F64 = np.float32, np.float64


def linear(features: Any, y: Any, *, bias: bool = True, **settings: Any) -> Prepared:
    settings = {"precision": "float32", **settings}
    model, precision = settings.pop("model", "linear"), settings.pop("precision")
    data = {"train": "arrays", "val": "none", "scale": "none", **settings}
    fields = {"model": model, "bias": bias, "precision": precision, "data": data}
    return prepare(Spec.model_validate(fields), {"train": (features, y)})


def test_targets_are_exact_after_centring() -> None:
    p = linear(X, SECONDS)
    assert p.encoder.target_mean[0] == F32(SECONDS.mean())
    assert p.train.y.dtype == F64
    assert (p.train.y[:, 0] + p.encoder.target_mean[0] == SECONDS).all()
    assert abs(p.train.y).max() < 4000
    assert p.summary.coarse == ()


def test_what_float32_would_make_of_them() -> None:
    """The test above is of something: rounded as they are, 300 values are some 20."""
    assert len(np.unique(SECONDS)) > 290
    assert len(np.unique(SECONDS.astype(F32))) < 40


@pytest.mark.parametrize(
    ("y", "centred"),
    [
        (X[:, 0], False),
        (X[:, 0] + 10, False),
        (X[:, 0] + 20, True),
        (X[:, 0] - 1e5, True),
        (np.full(N, 1e6), False),
    ],
)
def test_targets_near_0_and_constant_ones_stay(y: np.ndarray, centred: bool) -> None:
    p = linear(X, y)
    assert (p.encoder.target_mean != 0).tolist() == [centred]
    assert p.encoder.target_scale.tolist() == [1.0]


def test_each_of_several_targets_has_its_own_centre() -> None:
    p = linear(X, np.c_[X[:, 0], SECONDS])
    assert p.encoder.target_mean[0] == 0
    assert p.encoder.target_mean[1] == F32(SECONDS.mean())


def told(p: Prepared) -> list[tuple[str, bool, str, bool]]:
    return [(one.name, one.is_target, one.precision, one.as_read) for one in p.summary.coarse]


def test_a_target_that_cannot_be_centred_is_told() -> None:
    assert told(linear(X, SECONDS, bias=False)) == [("y", True, "float32", False)]
    assert told(linear(X, SECONDS, bias=False, precision="float64")) == []
    assert told(linear(X, SECONDS, bias=False, scale_target="standard")) == []
    assert told(linear(X, np.floor(SECONDS), model="poisson")) == [("y", True, "float32", False)]
    (one,) = linear(X, SECONDS, bias=False).summary.coarse
    assert one == Coarse("y", True, SECONDS.max(), np.ptp(SECONDS), "float32", False)


@pytest.mark.parametrize("scale", ["none", "standard"])
def test_a_feature_is_centred_before_it_is_rounded(scale: str) -> None:
    features = np.c_[X[:, 0], SECONDS]
    p = linear(features, X[:, 1], scale=scale)
    column = p.train.X[:, 1].astype(F64) * p.encoder.scale[1] + p.encoder.mean[1]
    assert abs(column - SECONDS).max() < 1e-3
    assert told(p) == []
    assert p.summary.constant == ()
    if scale == "none":
        assert p.encoder.scale.tolist() == [1, 1]
        assert p.encoder.mean[0] == 0
        assert (p.train.X[:, 0] == X[:, 0].astype(F32)).all()


def test_val_is_centred_as_train_is() -> None:
    features = np.c_[X[:, 0], SECONDS]
    spec = spec_of("linear", "arrays", precision="float32", scale="none")
    data = {"train": (features, X[:, 1]), "val": (features[:9], X[:9, 1])}
    p = prepare(spec, data)
    assert p.val is not None
    assert (p.train.X[:9] == p.val.X).all()


@pytest.mark.parametrize(
    ("settings", "names"),
    [
        ({"bias": False}, ["x1"]),
        ({"bias": False, "precision": "float64"}, []),
        ({"bias": False, "scale": "standard"}, []),
        ({"scale": "unit"}, ["x1"]),
    ],
)
def test_a_feature_that_is_not_centred_is_told(settings: dict[str, Any], names: list[str]) -> None:
    p = linear(np.c_[1e5 * X[:, 0], SECONDS], X[:, 1], **settings)
    assert [one.name for one in p.summary.coarse] == names


def test_what_the_source_has_lost_is_told() -> None:
    rounded = SECONDS.astype(F32)
    assert told(linear(X, rounded)) == [("y", True, "float32", True)]
    features = np.c_[X[:, 0], rounded].astype(F32)
    for scale in ("none", "standard"):
        assert told(linear(features, X[:, 1], scale=scale)) == [("x1", False, "float32", True)]


def test_a_column_that_varies_by_rounding_alone_is_told() -> None:
    noise = np.where(X[:, 0] > 0, 0.1 + 0.2, 0.3)
    for scale in ("none", "standard"):
        p = linear(np.c_[noise, X], X[:, 1], scale=scale)
        assert told(p) == [("x0", False, "float64", True)]


def test_ordinary_columns_are_not_told(tmp_path: Path) -> None:
    """Years, constants, positive numbers of float16, ids, one-hot columns."""
    years = 1990 + np.arange(N) % 30
    ids = 2_000_000 + np.arange(N)
    half = abs(rng.normal(2, 0.5, N)).astype(np.float16)
    p = linear(np.c_[years, np.ones(N), ids], X[:, 1])
    assert told(p) == []
    assert p.summary.constant == ("x1",)
    assert told(linear(half[:, None], X[:, 1])) == []
    path = write(tmp_path, "a.csv", "t,y\n" + "a,1\n" * 5 + "a,2\n")
    assert told(prepared("linear", {"table": path, "target": "y"}, precision="float32")) == []


def test_draws_that_are_not_scaled_each_have_their_own_centre() -> None:
    """Encoded rows are shared where nothing is learnt; a centre is."""
    labels = (X[:, 0] > 0).astype(int)
    shot = {"few_shot": {"k": 5, "tries": 2}}
    spec = spec_of("logistic", "arrays", repeat=shot, precision="float32", scale="none")
    data = {"train": (np.c_[X[:, 0], SECONDS], labels), "val": (np.c_[X[:, 0], SECONDS], labels)}
    source = read(spec, data)
    parts = [prepare_split(source, spec, part) for part in row_splits(source, spec)]
    means = [part.encoder.mean[1] for part in parts]
    assert len(set(means)) == 2
    for part in parts:
        assert part.val is not None
        column = part.val.X[:, 1].astype(F64) + part.encoder.mean[1]
        assert abs(column - SECONDS).max() < 1e-3


def test_float64_rows_that_are_near_0_stay_to_the_bit() -> None:
    p = from_arrays("linear", X, X[:, 0])
    assert p.train.X.tobytes() == X.tobytes()
    assert not p.encoder.mean.any()
