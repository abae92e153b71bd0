"""A host program that has called `np.seterr(all="raise")`, as test suites do, breaks nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import trainer
from trainer.cli import main

rng = np.random.default_rng(3)
X = rng.normal(size=(60, 2)) * [1, 1e-30]
z = 50 * X[:, 0]
RUNS = {
    "logistic": ({"optimizer": {"name": "auto"}, "penalty": {"l2": 0}}, z > 0),
    "softmax": ({"optimizer": {"epochs": 4, "lr": 100.0}}, (z > 0).astype(int) + (z > 30)),
    "poisson": ({"optimizer": {"name": "auto"}}, np.exp(np.clip(X[:, 0], -3, 3)).round()),
    "linear": (
        {
            "optimizer": {"epochs": 3},
            "sweep": {
                "method": "random",
                "num_trials": 4,
                "parameters": {
                    "optimizer.lr": {"distribution": "log_uniform", "min": 1e-300, "max": 1e-2}
                },
            },
        },
        z,
    ),
}


@pytest.fixture
def raising() -> Iterator[None]:
    before = np.seterr(all="raise")
    yield
    assert np.geterr() == dict.fromkeys(("divide", "over", "under", "invalid"), "raise")
    np.seterr(**before)


@pytest.mark.usefixtures("raising")
@pytest.mark.parametrize("model", RUNS)
def test_runs_and_predictions(model: str, tmp_path: Path, capfd: Any) -> None:
    keys, y = RUNS[model]
    spec = {"model": model, "device": "cpu", **keys}
    run = trainer.run(spec, out=tmp_path / "run", data={"train": (X, y), "val": (X, y)})
    assert run.status == "finished"
    assert run.report().is_file()
    assert run.predictions().num_rows == 60
    fitted = trainer.load_model(run.folder)
    far = X * [1e3, 1.0]  # past what e^z holds
    assert len(fitted.predict(far)) == 60
    assert fitted.coef_.shape[1] == len(fitted.features_) == 2
    assert np.isfinite(fitted.intercept_).all()
    if model in ("logistic", "softmax"):
        p = fitted.predict_proba(far)
        np.testing.assert_allclose(p.sum(axis=1), 1)
        assert np.array_equal(fitted.probabilities(fitted.scores(far)), p)
        assert np.array_equal(fitted.decide(fitted.scores(far)), fitted.predict(far))
    np.savez(tmp_path / "far.npz", X=far, y=y)
    assert main(["predict", str(run.folder), str(tmp_path / "far.npz")]) == 0
    assert len(capfd.readouterr().out.splitlines()) == 61


@pytest.mark.usefixtures("raising")
def test_pages_and_plans(tmp_path: Path) -> None:
    config = Path(__file__).parents[2] / "configs" / "logistic.yaml"
    assert main(["explain", "--out", str(tmp_path / "e.html")]) == 0
    for name, lr in (("a", "0.1"), ("b", "0.5")):
        out = ["--out", str(tmp_path / name), "--quiet"]
        assert main(["run", str(config), "optimizer.steps=20", f"optimizer.lr={lr}", *out]) == 0
    lines = "".join(f"{i}e-42,{i}\n" for i in range(40))  # below float32's normal numbers
    (tmp_path / "tiny.csv").write_text("x,y\n" + lines)
    (tmp_path / "tiny.yaml").write_text(
        "model: linear\ndata: {train: {table: tiny.csv, target: y}, scale: none}\n"
    )
    assert main(["run", str(tmp_path / "tiny.yaml"), "--plan"]) == 0
    pages = [str(tmp_path / "a"), str(tmp_path / "b"), "--out", str(tmp_path / "c.html")]
    assert main(["report", *pages]) == 0
    assert trainer.load_spec(config).model == "logistic"
