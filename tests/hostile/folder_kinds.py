"""Run folders of every kind, each trained in a moment: what the campaign of run folders breaks."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

ROWS = 36
_RNG = np.random.default_rng(11)
_X = _RNG.normal(size=(ROWS, 3)).round(3)
_CODES = np.arange(ROWS) % 3


def _table(y: list[Any]) -> str:
    rows = zip(_X.tolist(), _CODES.tolist(), y, strict=True)
    lines = [f"{u},{v},{w},{('red', 'blue', 'dark')[code]},{of}" for (u, v, w), code, of in rows]
    return "u,v,w,kind,y\n" + "\n".join(lines) + "\n"


def _sgd(**more: Any) -> dict[str, Any]:
    return {"optimizer": {"lr": 0.1, "batch_size": 8, "epochs": 3, **more}}


_LABELS = {"table": "labels.csv", "target": "y"}
KINDS: dict[str, dict[str, Any]] = {
    "plain": {
        "model": "softmax",
        "data": {"train": _LABELS, "val": 0.25, "test": 0.2, "missing": "mean"},
        "log": {"every": 1, "weights": "all", "gradients": 2},
        **_sgd(),
    },
    "sweep": {
        "model": "softmax",
        "data": {"train": _LABELS, "val": "none"},
        "repeat": {"folds": 3},
        "select": {"refit": "train", "per": ["data.scale"]},
        "sweep": {"parameters": {"optimizer.lr": [0.01, 0.1], "data.scale": ["none", "standard"]}},
        "log": {"weights": "all"},
        **_sgd(),
    },
    "solver": {
        "model": "logistic",
        "data": {"train": {"table": "binary.csv", "target": "y"}, "val": 0.25},
        "sweep": {"parameters": {"penalty.l2": [1e-3, 1e-1]}},
        "optimizer": {"name": "lbfgs", "tol": 1e-3},
    },
    "linear": {
        "model": "linear",
        "data": {
            "train": {"table": "numbers.csv", "target": "y"},
            "val": 0.25,
            "scale_target": "standard",
        },
        **_sgd(),
    },
    "multilabel": {
        "model": "logistic",
        "data": {"train": {"npy": "X.npy", "target": "Y.npy"}, "val": 0.25},
        **_sgd(),
    },
    "interrupted": {
        "model": "softmax",
        "data": {"train": _LABELS, "val": 0.25},
        "sweep": {"parameters": {"optimizer.lr": [0.01, 0.1]}},
        **_sgd(),
    },
}


def make(folder: Path) -> dict[str, Path]:
    """{kind: its run folder}; data/ and a config for each lie beside them."""
    from trainer.config.load import load_spec
    from trainer.workflow.run import run

    data = folder / "data"
    data.mkdir(parents=True)
    (data / "labels.csv").write_text(_table(["abc"[code] for code in _CODES]))
    (data / "binary.csv").write_text(_table(["no" if x < 0 else "yes" for x in _X[:, 0]]))
    (data / "numbers.csv").write_text(_table(_X.sum(axis=1).round(3).tolist()))
    np.save(data / "X.npy", _X)
    np.save(data / "Y.npy", (_X > 0)[:, :2].astype(np.int8))
    made = {}
    for kind, config in KINDS.items():
        train = {
            key: str(data / value) if (data / str(value)).is_file() else value
            for key, value in config["data"]["train"].items()
        }
        whole = {"name": kind, **config, "data": {**config["data"], "train": train}}
        spec = load_spec(whole)
        (data / f"{kind}.yaml").write_text(spec.to_yaml())
        with contextlib.redirect_stdout(io.StringIO()):
            run(spec, out=folder / kind)
        (folder / kind / "report.html").unlink()  # drawn again, and 1.6 MB to copy
        made[kind] = folder / kind
    _as_interrupted(made["interrupted"])
    return made


def _as_interrupted(run: Path) -> None:
    """What is left of a run that was killed: a stream of steps, no tables, no model."""
    table = pq.read_table(run / "steps.parquet")
    with pa.ipc.new_stream(run / "steps.arrows", table.schema) as stream:
        stream.write_table(table, max_chunksize=4)
    for name in ("steps.parquet", "trials.csv", "results.json", "best.yaml"):
        (run / name).unlink()
    manifest = run / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"finished"', '"interrupted"'))


def data_of(run: Path) -> Path:
    """A file that the model of a run predicts."""
    data = run.parent / "data"
    names = {"linear": "numbers.csv", "multilabel": "X.npy", "solver": "binary.csv"}
    return data / names.get(run.name, "labels.csv")
