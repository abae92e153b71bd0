"""A run whose val is each row left out, beside a slow loop of fits."""

import numpy as np
import pytest

import trainer

L2 = [1e-3, 0.1, 10.0]


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(40, 4)) * [1, 5, 2, 0.3] + [0, 10, 0, 1]
    return X, X @ [1, 0.5, -1, 2] + rng.normal(size=40)


def slow(X, y, l2):
    """Residuals of 40 fits of features that are scaled by all rows."""
    Z, found = (X - X.mean(axis=0)) / X.std(axis=0), np.empty(len(X))
    for i in range(len(X)):
        rest = np.arange(len(X)) != i
        z, mean = Z[rest] - Z[rest].mean(axis=0), y[rest].mean()
        w = np.linalg.solve(z.T @ z / 39 + l2 * np.eye(4), z.T @ (y[rest] - mean) / 39)
        found[i] = y[i] - mean - (Z[i] - Z[rest].mean(axis=0)) @ w
    return found


@pytest.mark.parametrize("columns", [70])
def test_val_is_each_row_by_the_model_of_all_others(rows, columns, tmp_path):
    X, y = rows
    given = L2 if columns == 3 else [*L2, *np.geomspace(1e-2, 1, 67)]
    config = {
        "model": "linear", "device": "cpu", "optimizer": {"name": "exact"}, "metrics": ["mae"],
        "data": {"train": "arrays"},
        "precision": "float64", "repeat": {"leave_one_out": True},
        "sweep": {"parameters": {"penalty.l2": [float(value) for value in given]}},
    }  # fmt: skip
    run = trainer.run(config, tmp_path / "run", {"train": (X, y)})
    told = {row["trial"]: row for row in trainer.load_run(run.folder).trials}
    for trial, l2 in enumerate(L2):
        e = slow(X, y, l2)
        assert told[trial]["val_loss"] == pytest.approx((e**2).mean() / 2, rel=1e-10)
        assert told[trial]["val_r2"] == pytest.approx(1 - (e**2).sum() / y.var() / 40, rel=1e-10)
        assert told[trial]["val_mae"] == pytest.approx(abs(e).mean(), rel=1e-10)
    assert told[2]["rank"] > 1
