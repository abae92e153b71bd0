"""The source's weights: rows of weight 0 are not there, statistics count a row by its weight."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from data_helpers import from_arrays, prepared, same_encoder, spec_of, write
from sklearn.preprocessing import StandardScaler

from trainer.data import Prepared, read, row_splits
from trainer.errors import DataError

rng = np.random.default_rng(0)
N = 60
X, Y = rng.normal(5, 3, (N, 3)), rng.normal(size=N)
LABELS = rng.integers(0, 2, N)
W = rng.integers(0, 4, N).astype(float)
THERE = W > 0

TABLE = """u,t,y,w
1,red,2,1
,red,3,2
4,blue,5,3
1000,green,nan,0
inf,grey,never,0
7,blue,1,0.5
"""


def weighted(
    model: str, y: Any, w: Any, features: np.ndarray = X, more: Any = None, **settings: Any
) -> Prepared:
    given = {**(more or {}), "weight": w}
    return from_arrays(model, features, y, more=given, **settings)


def test_standard_scaling_is_scikit_learns_with_sample_weight() -> None:
    p = weighted("linear", Y, W, scale="standard")
    scaler = StandardScaler().fit(X, sample_weight=W)
    np.testing.assert_allclose(p.encoder.mean, scaler.mean_, rtol=1e-12)
    np.testing.assert_allclose(p.encoder.scale, scaler.scale_, rtol=1e-12)


def test_a_large_matrix_is_scaled_by_chunks_with_their_weights() -> None:
    features, w = rng.normal(1e6, 1, (20_000, 30)), rng.uniform(0.1, 9, 20_000)
    p = weighted("linear", np.zeros(20_000), w, features, scale="standard")
    mean = np.average(features, axis=0, weights=w)
    sigma = np.sqrt(np.average((features - mean) ** 2, axis=0, weights=w))
    np.testing.assert_allclose(p.encoder.mean, mean, rtol=1e-14)
    np.testing.assert_allclose(p.encoder.scale, sigma, rtol=1e-9)


def test_scale_target_counts_weights() -> None:
    p = weighted("linear", Y, W, scale_target="standard")
    mean = np.average(Y, weights=W)
    np.testing.assert_allclose(p.encoder.target_mean, mean, rtol=1e-12)
    sigma = np.sqrt(np.average((Y - mean) ** 2, weights=W))
    np.testing.assert_allclose(p.encoder.target_scale, sigma, rtol=1e-12)


@pytest.mark.parametrize("order", ["C", "F"])
def test_a_fill_in_is_the_weighted_mean_of_what_there_is(order: Any) -> None:
    gaps = np.asarray(np.where(rng.random(X.shape) < 0.2, np.nan, X), order=order)
    p = weighted("linear", Y, W, gaps, missing="mean")
    for d, value in enumerate(p.encoder.impute):
        known = ~np.isnan(gaps[:, d])
        expected = np.average(gaps[known, d], weights=W[known])
        assert value == pytest.approx(expected, rel=1e-12)


def test_the_most_frequent_text_is_that_of_the_most_weight(tmp_path: Path) -> None:
    text = "t,y,w\na,1,1\na,2,1\nb,3,5\n,4,1\n"
    source = {"table": write(tmp_path, "a.csv", text), "target": "y", "weight": "w"}
    assert prepared("linear", source, missing="mean").encoder.impute == ("b",)


def test_equal_weights_whose_sums_are_rounded_are_a_tie(tmp_path: Path) -> None:
    text = "t,y,w\na,1,0.3\nb,2,0.1\nb,3,0.2\n,4,1\n"  # 0.1 + 0.2 > 0.3
    source = {"table": write(tmp_path, "a.csv", text), "target": "y", "weight": "w"}
    assert prepared("linear", source, missing="mean").encoder.impute == ("a",)


def test_alike_weights_are_none_to_the_bit() -> None:
    gaps = np.where(rng.random(X.shape) < 0.2, np.nan, X)
    settings = {"scale": "standard", "missing": "mean", "scale_target": "standard"}
    plain = from_arrays("linear", gaps, Y, **settings)
    alike = weighted("linear", Y, np.full(N, 0.3), gaps, **settings)
    assert same_encoder(plain.encoder, alike.encoder)


@pytest.mark.parametrize("largest", [1e-300, 1e300])
def test_the_unit_of_weights_counts_for_nothing(largest: float) -> None:
    one = weighted("linear", Y, W, scale="standard").encoder
    other = weighted("linear", Y, W / 3 * largest, scale="standard").encoder
    np.testing.assert_allclose(one.mean, other.mean, rtol=1e-12)
    np.testing.assert_allclose(one.scale, other.scale, rtol=1e-12)


# Rows of weight 0


def test_a_row_of_weight_0_is_in_no_split_and_no_statistic(tmp_path: Path) -> None:
    source = {"table": write(tmp_path, "a.csv", TABLE), "target": "y", "weight": "w"}
    p = prepared("linear", source | {"na_values": ["nan", "never", ""]}, missing="mean")
    assert p.train.index.tolist() == [0, 1, 2, 5]
    assert p.encoder.categories == {"t": ("blue", "red")}
    assert p.encoder.impute[0] == pytest.approx((1 + 12 + 3.5) / 4.5)
    assert p.summary.weightless == {source["table"]: 2}
    assert p.summary.dropped == {}


def test_what_is_dropped_is_counted_without_rows_of_weight_0() -> None:
    gaps = X.copy()
    gaps[~THERE, 0] = np.nan
    gaps[np.flatnonzero(THERE)[:3], 1] = np.nan
    p = weighted("linear", Y, W, gaps, missing="drop")
    where = p.summary.source
    assert p.summary.dropped == {where: 3}
    assert p.summary.weightless == {where: int((~THERE).sum())}
    assert p.summary.rows == {"train": int(THERE.sum()) - 3}


def test_a_class_of_rows_of_weight_0_is_none() -> None:
    labels = np.where(THERE, LABELS, 7)
    assert weighted("logistic", labels, W).encoder.classes == [0, 1]


def test_missing_targets_and_groups_of_rows_of_weight_0_are_no_error() -> None:
    y = np.where(THERE, Y, np.nan)
    group = np.where(THERE, np.arange(N) % 7, np.nan)
    p = weighted("linear", y, W, more={"group": group})
    assert len(p.train) == THERE.sum()


def test_splits_are_those_of_the_rows_that_are_there(tmp_path: Path) -> None:
    def source(rows: Any) -> dict[str, Any]:
        columns = {"X.npy": X[rows], "y.npy": LABELS[rows], "w.npy": W[rows]}
        folder = tmp_path / str(len(LABELS[rows]))
        paths = [write(folder, name, array) for name, array in columns.items()]
        return {"npy": paths[0], "target": paths[1], "weight": paths[2]}

    with_zeros = prepared("logistic", source(slice(None)), val=0.2, test=0.2)
    without = prepared("logistic", source(THERE), val=0.2, test=0.2)
    assert with_zeros.val is not None
    assert without.val is not None
    at = np.flatnonzero(THERE)
    for one, other in (
        (with_zeros.train, without.train),
        (with_zeros.val, without.val),
        (with_zeros.tests[0], without.tests[0]),
    ):
        assert one.index.tolist() == at[other.index].tolist()
        assert one.X.tobytes() == other.X.tobytes()


@pytest.mark.parametrize(
    "repeat", [{"folds": 4, "times": 2}, {"few_shot": {"k": 3, "tries": 4}}], ids=["folds", "draws"]
)
def test_repeats_are_those_of_the_rows_that_are_there(repeat: dict[str, Any]) -> None:
    spec = spec_of("logistic", "arrays", repeat=repeat)
    at = np.flatnonzero(THERE)
    with_zeros = row_splits(read(spec, {"train": (X, LABELS), "weight": W}), spec)
    without = row_splits(read(spec, {"train": (X[THERE], LABELS[THERE]), "weight": W[THERE]}), spec)
    assert len(with_zeros) == len(without) > 3
    for one, other in zip(with_zeros, without, strict=True):
        assert one.train.tolist() == at[other.train].tolist()


def test_rows_of_weight_0_of_a_val_of_its_own_are_left_out(tmp_path: Path) -> None:
    own = {name: write(tmp_path, f"{name}.csv", TABLE) for name in ("train", "val")}
    keys = {"target": "y", "weight": "w", "na_values": ["nan", "never", ""]}
    train, val = ({"table": path, **keys} for path in own.values())
    p = prepared("linear", train, val=val, missing="mean")
    assert p.val is not None
    assert p.val.index.tolist() == [0, 1, 2, 5]
    assert p.summary.weightless == dict.fromkeys(own.values(), 2)


REFUSED = [
    ([1, -1, 1], r"row 1: the weight is -1; a finite number from 0 up is right"),
    ([1, np.nan, 1], r"row 1: the weight is missing or NaN; a finite number"),
    ([1, 1, np.inf], r"row 2: the weight is inf; a finite number"),
    ([0, 0, 0], r"every row has weight 0; at least one must be above 0"),
    ([0, -2, 0], r"row 1: the weight is -2; a finite number"),
]


@pytest.mark.parametrize(("weight", "message"), REFUSED)
def test_what_is_no_weight_is_refused(weight: Any, message: str) -> None:
    with pytest.raises(DataError, match=rf"^data\['weight'\]: {message}"):
        weighted("linear", Y[:3], np.array(weight, dtype=float), X[:3])


def test_one_class_with_a_weight_is_refused() -> None:
    labels, w = np.array([0, 0, 1]), np.array([1, 2, 0])
    with pytest.raises(DataError, match="every row with a weight has the label '0'"):
        weighted("logistic", labels, w, X[:3])


def test_class_weights_enter_no_statistic() -> None:
    plain = weighted("logistic", LABELS, W, scale="standard").encoder
    balanced = weighted("logistic", LABELS, W, scale="standard", class_weight={0: 9, 1: 0.5})
    assert same_encoder(plain, balanced.encoder)
