"""Runs that work, each a few rows and steps: what the campaign breaks."""

from __future__ import annotations

import gzip
import io
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

Scene = tuple[dict[str, bytes], dict[str, Any]]
"""Files by name, and a config that names them as ../data/NAME."""

_ROWS = 24


def _numbers() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(7)
    return rng.normal(size=(_ROWS, 3)).round(3), np.arange(_ROWS) % 3


def _csv(
    separator: str = ",", labels: tuple[str, ...] = ("a", "b", "c"), gap: bool = False
) -> bytes:
    X, y = _numbers()
    lines = [["u", "v", "w", "kind", "y", "second"]]
    for i, (x, code) in enumerate(zip(X, y, strict=True)):
        kind = "" if gap and i == 3 else ("red", "blue", '"da,rk"')[i % 3]
        label = labels[code % len(labels)]
        lines.append([*map(str, x), kind, label, str(x[0] + x[1])])
    return "".join(separator.join(line) + "\n" for line in lines).encode()


def _npy(array: np.ndarray) -> bytes:
    out = io.BytesIO()
    np.save(out, array)
    return out.getvalue()


def _csv_softmax(rng: Random) -> Scene:
    train = {"table": "../data/a.csv", "target": "y", "drop": ["second"]}
    data = {"train": train, "val": 0.25, "missing": rng.choice(("mean", "drop"))}
    return {"a.csv": _csv(gap=True)}, {"model": "softmax", "data": data}


def _gz_logistic(rng: Random) -> Scene:
    files = {
        "a.csv.gz": gzip.compress(_csv(labels=("no", "yes")), mtime=0),
        "b.csv.gz": gzip.compress(_csv(labels=("no", "yes"))[:400].rsplit(b"\n", 1)[0], mtime=0),
    }
    train = {"table": "../data/a.csv.gz", "target": "y", "columns": ["u", "kind"]}
    data = {"train": train, "val": {"table": "../data/b.csv.gz"}, "scale": "unit"}
    return files, {"model": "logistic", "data": data, "class_weight": "balanced"}


def _tsv_linear(rng: Random) -> Scene:
    train = {"table": "../data/a.tsv", "target": ["u", "second"], "weight": "w"}
    train |= {"categorical": ["v"], "drop": ["y"]}
    table = _csv("\t").replace(b"\t-", b"\t")
    data = {"train": train, "val": "none", "test": 0.2, "scale_target": "standard"}
    return {"a.tsv": table}, {"model": "linear", "data": data}


def _parquet_logistic(rng: Random) -> Scene:
    X, y = _numbers()
    columns = {"u": X[:, 0], "n": np.arange(_ROWS), "kind": ["r", "g"] * (_ROWS // 2), "y": y > 0}
    out = io.BytesIO()
    pq.write_table(pa.table(columns), out, compression=rng.choice(("none", "snappy", "zstd")))
    data = {"train": {"table": "../data/a.parquet", "target": "y"}, "val": 0.3, "stratify": True}
    stop = {"metric": "val_auc", "patience": 1}
    return {"a.parquet": out.getvalue()}, {
        "model": "logistic",
        "data": data,
        "early_stopping": stop,
    }


def _npy_logistic(rng: Random) -> Scene:
    X, y = _numbers()
    files = {
        "X.npy": _npy(X),
        "y.npy": _npy((X > 0)[:, :2].astype(np.int8)),
        "w.npy": _npy(y + 1.0),
    }
    train = {"npy": "../data/X.npy", "target": "../data/y.npy", "weight": "../data/w.npy"}
    return files, {"model": "logistic", "data": {"train": train, "val": 0.25}}


def _npz_softmax(rng: Random) -> Scene:
    X, _ = _numbers()
    y = np.abs(X) / np.abs(X).sum(axis=1, keepdims=True)
    out = io.BytesIO()
    (np.savez, np.savez_compressed)[rng.random() < 0.5](out, X=X.astype("f4"), y=y)
    train = {"npz": "../data/a.npz", "features": "X", "target": "y"}
    return {"a.npz": out.getvalue()}, {"model": "softmax", "data": {"train": train, "val": 0.25}}


def _libsvm(rng: Random) -> Scene:
    X, y = _numbers()
    lines = [
        f"{1 if code else -1:+d} " + " ".join(f"{i}:{v}" for i, v in enumerate(x, 1) if v > -0.5)
        for x, code in zip(X, y, strict=True)
    ]
    text = "\n".join(lines).encode()
    train, val = {"libsvm": "../data/a.txt"}, {"libsvm": "../data/b.txt.gz"}
    files = {"a.txt": text, "b.txt.gz": gzip.compress(text[:300].rsplit(b"\n", 1)[0], mtime=0)}
    model = rng.choice(("logistic", "linear"))
    return files, {"model": model, "data": {"train": train, "val": val}}


def _synthetic(rng: Random) -> Scene:
    made = {"rows": 30, "columns": 4, "outputs": 3, "seed": 1}
    data = {"train": {"synthetic": made}, "val": {"synthetic": {**made, "seed": 2}}}
    return {}, {"model": rng.choice(("softmax", "logistic", "linear")), "data": data}


def _several_tests(rng: Random) -> Scene:
    table = {"table": "../data/a.csv", "target": "y", "columns": ["u", "v"]}
    tests = [{"name": "same"}, {"name": "new", "table": "../data/b.csv"}]
    data = {"train": table, "val": 0.25, "test": tests, "max_categories": 5}
    return {"a.csv": _csv(), "b.csv": _csv()}, {"model": "softmax", "data": data}


SCENES: tuple[Callable[[Random], Scene], ...] = (
    _csv_softmax, _gz_logistic, _tsv_linear, _parquet_logistic, _npy_logistic, _npz_softmax,
    _libsvm,
    _synthetic, _several_tests,
)  # fmt: skip

_OPTIMIZERS = (
    {"name": "sgd", "lr": 0.1, "momentum": 0.9, "nesterov": True},
    {"name": "sgd", "lr": 0.5, "schedule": {"name": "cosine", "warmup": 1, "final": 0.1}},
    {"name": "adam", "lr": 0.01, "beta1": 0.8, "eps": 1e-6},
    {"name": "adamw", "lr": 0.01, "weight_decay": 0.1, "base_batch_size": 16},
    {"name": "adam", "lr": 0.1, "schedule": {"name": "step", "milestones": [1], "gamma": 0.5}},
)
_SOLVERS = (
    {"name": "auto", "max_iter": 20},
    {"name": "lbfgs", "tol": 1e-3},
    {"name": "newton", "max_iter": 3, "tol": 1e-9},
)
_PENALTIES = ({"l2": 1e-3, "l1": 1e-3}, {"C": 2.0, "l1_ratio": 0.5}, {"alpha": 0.01})


def scene(rng: Random) -> Scene:
    """Files and a config that work."""
    files, config = rng.choice(SCENES)(rng)
    optimizer = {**rng.choice(_OPTIMIZERS), **rng.choice(({"steps": 2}, {"epochs": 1}))}
    config = {"name": "good", **config, "optimizer": {**optimizer, "batch_size": 8}}
    if optimizer["name"] != "adamw":
        config["penalty"] = rng.choice(_PENALTIES)
    config["precision"] = rng.choice(("float32", "float64"))
    config["log"] = {"every": 1, "gradients": rng.choice(("none", 1)), "weights": "all"}
    config["init"] = rng.choice(("zeros", {"normal": 0.1}))
    if rng.random() < 0.3:
        config["optimizer"] = rng.choice(_SOLVERS)
        config["log"]["gradients"] = "none"
        config.pop("early_stopping", None)
    return files, deepcopy(config)  # to be broken in place


def write(folder: Path, files: dict[str, bytes], text: bytes) -> None:
    """Lay a scene out: data/, cfg/a.yaml and an empty cwd/."""
    for name, content in {
        **{f"data/{name}": c for name, c in files.items()},
        "cfg/a.yaml": text,
    }.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    (folder / "data").mkdir(exist_ok=True)
    (folder / "cwd").mkdir(exist_ok=True)
