"""Run folders by hand: some steps, some rows, or every file there is."""

from __future__ import annotations

import os

import numpy as np
import pyarrow as pa

from trainer.runs.names import STEP_VALUES
from trainer.runs.reader import RunReader
from trainer.runs.writer import RunWriter

METRIC = {"name": "val_loss", "goal": "minimize"}


def read(folder: RunWriter) -> RunReader:
    return RunReader(folder.path)


def log_steps(folder: RunWriter, first: int = 1, n: int = 4, columns: int = 1) -> None:
    values = {name: np.full((n, columns), i, np.float32) for i, name in enumerate(STEP_VALUES)}
    steps = np.arange(first, first + n)
    folder.append_steps(steps, np.ones(n), values, np.arange(columns), np.zeros(columns))


def history_row(epoch: int, **metrics: float | None) -> dict:
    return {"trial": 0, "repeat": 0, "epoch": epoch, "step": 12 * epoch, **metrics}


def trial_row(**more: object) -> dict:
    return {"trial": 0, "rank": 1, "status": "finished", "reason": "all 3 epochs", **more}


def write_all(folder: RunWriter) -> None:
    folder.write_input("model: linear\r\n")
    folder.write_config("model: linear\n")
    folder.update_manifest(command="stacked-trainer run a.yaml", rows={"train": 3})
    folder.log("hello")
    log_steps(folder)
    folder.append_history([history_row(1, train_loss=0.5, val_loss=0.25)])
    folder.write_trials([trial_row(**{"penalty.l2": 1e-4, "penalty.C": None})])
    best = {"trial": 0, "metrics": {"val_loss": 0.1}}
    folder.write_results({"metric": METRIC, "counts": {"finished": 1}, "best": best})
    folder.write_predictions(pa.table({"split": ["val"], "row": [3], "prediction": [0.5]}))
    numbers = {"trial": np.arange(3), "repeat": np.zeros(3)}
    folder.write_weights({"weights": np.ones((4, 2, 3)), "bias": np.ones((2, 3)), **numbers})
    folder.write_gradients(12, {"error": np.ones((5, 2, 3), np.float32)})
    folder.close("finished", device={"kind": "cpu", "name": "NumPy"})


def raising(code: int):
    def refuse(*_: object, **__: object) -> None:
        raise OSError(code, os.strerror(code))

    return refuse
