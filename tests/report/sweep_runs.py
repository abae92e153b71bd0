"""Sweeps of every kind for the report's tests, each in a second or so."""

import numpy as np
from report_helpers import features

from trainer.workflow.run import run as carry_out

AXIS = {"geomspace": {"start": 1e-3, "stop": 1, "num": 8}}
L2 = {"geomspace": {"start": 1e-6, "stop": 0.1, "num": 7}, "plus": [0]}


def sweep(out, parameters, model="softmax", should_stop=None, **keys):
    """A sweep on 240 rows of six features."""
    X, Z = features()
    y = {
        "softmax": np.array(["ant", "bee", "cat"])[Z.argmax(axis=1)],
        "logistic": np.where(Z[:, 0] > 0, "yes", "no"),
        "linear": Z[:, 0],
    }[model]
    folds = "repeat" in keys and "folds" in keys["repeat"]
    data = {"train": (X, y)} if folds else {"train": (X[:180], y[:180]), "val": (X[180:], y[180:])}
    spec = {"name": out.name, "model": model, "device": "cpu", **keys}
    spec["sweep"] = {"parameters": parameters, **spec.get("sweep", {})}
    spec["optimizer"] = {"epochs": 8, "batch_size": 60, **spec.get("optimizer", {})}
    return carry_out(spec, out=out, data=data, should_stop=should_stop)


def make_sweeps(folder):
    """{kind: its run}."""
    calls = [0]

    def half_way():
        calls[0] += 1
        return 2 if calls[0] > 30 else None

    uniform = {"distribution": "uniform", "min": 0, "max": 0.9}
    log = {"distribution": "log_uniform", "min": 1e-4, "max": 1}
    return {
        "two trials": sweep(folder / "two", {"optimizer.lr": [0.01, 0.1]}),
        "64 trials": sweep(folder / "64", {"optimizer.lr": AXIS, "penalty.l2": L2}),
        "folds": sweep(
            folder / "folds",
            {"optimizer.lr": AXIS, "penalty.l2": L2},
            repeat={"folds": 4},
            select={"rule": "one_std_err"},
        ),
        "halving": sweep(
            folder / "halving",
            {"optimizer.lr": AXIS, "penalty.l2": L2},
            sweep={"early_terminate": {"min_iter": 1}},
        ),
        "words": sweep(
            folder / "words",
            {"data.scale": ["none", "standard", "unit"], "optimizer.name": ["sgd", "adam"]},
        ),
        "random": sweep(
            folder / "random",
            {
                "optimizer.lr": log,
                "penalty.l2": {**log, "plus": [0]},
                "optimizer.momentum": uniform,
                "optimizer.schedule.warmup": uniform,
                "bias": [True, False],
            },
            sweep={"method": "random", "num_trials": 40},
        ),
        "winners": sweep(
            folder / "winners",
            {"optimizer.lr": AXIS, "optimizer.batch_size": [20, 60, 180]},
            select={"per": ["optimizer.batch_size"]},
        ),
        "path": sweep(
            folder / "path",
            {"penalty.l1": {"path": {"num": 12, "ratio": 0.01}}},
            model="linear",
            optimizer={"batch_size": "full", "epochs": 200, "lr": 0.1},
            log={"weights": "all"},
        ),
        "few shots": sweep(
            folder / "shots",
            {"penalty.l2": L2},
            optimizer={"batch_size": "full"},
            repeat={"few_shot": {"k": [1, 2, 4], "tries": 3}},
        ),
        "diverged": sweep(folder / "diverged", {"optimizer.lr": [1e3, 1e4, 1e5]}, "linear"),
        "interrupted": sweep(
            folder / "interrupted",
            {"optimizer.lr": AXIS},
            should_stop=half_way,
            repeat={"folds": 3},
        ),
    }
