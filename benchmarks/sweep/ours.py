"""Our own sweeps: the whole run with its folder and report, its training alone, and single runs."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

import trainer
from benchmarks.shared.problems import MOMENTUM, Array
from benchmarks.sweep.cases import BATCH, Case
from benchmarks.sweep.work import Work
from trainer.device import choose
from trainer.machine.threads import one_thread_a_product
from trainer.sweep.results import trial_results
from trainer.sweep.sweep import set_up, train
from trainer.workflow.recorder import NullObserver


def _spec(case: Case, lr: Array, l2: Array, folds: int) -> dict[str, Any]:
    length = {"steps": case.steps} if case.steps else {"epochs": case.epochs}
    val = "none" if folds > 1 else "arrays"
    tree: dict[str, Any] = {
        "model": case.model,
        "data": {"train": "arrays", "val": val, "scale": "none", "stratify": False},
        "optimizer": {"name": "sgd", "momentum": MOMENTUM, "batch_size": BATCH} | length,
        "log": {"eval_every": case.steps or case.epochs},
        "device": "cpu",
    }
    if len(lr) == 1:
        tree["optimizer"]["lr"], tree["penalty"] = float(lr[0]), {"l2": float(l2[0])}
    else:
        axes = {"optimizer.lr": np.unique(lr).tolist(), "penalty.l2": np.unique(l2).tolist()}
        tree["sweep"] = {"metric": {"name": "val_loss"}, "parameters": axes}
    if folds > 1:
        tree |= {"repeat": {"folds": folds}, "select": {"refit": "none"}}
    return tree


def _arrays(case: Case, rows: tuple[Array, Array] | None) -> dict[str, Any]:
    """One fold's rows as train and val; None for all rows, which the run makes folds of."""
    if rows is None:
        return {"train": (case.X, case.y)}
    return {name: (case.X[r], case.y[r]) for name, r in zip(("train", "val"), rows, strict=True)}


@one_thread_a_product()
def _trained(case: Case, lr: Array, l2: Array, folds: int, arrays: dict[str, Any]) -> Array:
    spec = trainer.load_spec(_spec(case, lr, l2, folds))
    sweep = set_up(spec, arrays, choose("cpu"))
    train(sweep, NullObserver(lambda: None))
    return np.array([trial.metrics["val_loss"] for trial in trial_results(sweep)])


class Trained:
    """One sweep: read, folds, training, every step's numbers, evaluation; nothing written."""

    def __init__(self, case: Case, work: Work) -> None:
        self.case, self.work = work.of(case), work

    def run(self) -> Array:
        """Mean val loss of each trial, (K,)."""
        case, lr, l2 = self.case, self.work.lr, self.work.l2
        arrays = _arrays(case, None if case.folds > 1 else case.splits[0])
        return _trained(case, lr, l2, case.folds, arrays)


class Whole:
    """The public path, `trainer.run`: with its folder, step log, tables, model and report."""

    def __init__(self, case: Case, work: Work) -> None:
        self.case, self.work = work.of(case), work

    def run(self) -> Array:
        """Mean val loss of each trial, (K,)."""
        case, work = self.case, self.work
        arrays = _arrays(case, None if case.folds > 1 else case.splits[0])
        spec = _spec(case, work.lr, work.l2, case.folds)
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder) / "run"
            done = trainer.run(spec, out=out, data=arrays)
            trials = sorted(done.trials, key=lambda row: int(row["trial"]))
            return np.array([float(row["val_loss"]) for row in trials])


class Loop:
    """Single runs one after another, each set up and trained by itself; nothing written."""

    def __init__(self, case: Case, work: Work) -> None:
        self.case, self.work = work.of(case), work

    def run(self) -> Array:
        """Mean val loss of each trial, (K,)."""
        case, work = self.case, self.work
        scores = []
        for rows in case.splits:
            arrays = _arrays(case, rows)
            one = [
                _trained(case, work.lr[k : k + 1], work.l2[k : k + 1], 1, arrays)[0]
                for k in range(len(work.lr))
            ]
            scores.append(one)
        return np.asarray(np.mean(scores, axis=0))
