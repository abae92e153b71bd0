"""Our own solvers: all penalties and folds in one go, as a run does it; nothing is written."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.solvers.tasks import Solutions, Task, base
from trainer.config import load_spec
from trainer.device import choose
from trainer.machine.threads import one_thread_a_product
from trainer.sweep.sweep import SweepRun, set_up, train
from trainer.workflow.recorder import NullObserver

MOST = 100_000  # iterations


@one_thread_a_product()
def stacked(task: Task, tol: float, name: str = "auto") -> Solutions:
    """Read, make folds, solve for all penalties, score."""
    tree: dict[str, Any] = base(task) | {"device": "cpu"}
    tree["optimizer"] = {"name": name, "tol": tol, "max_iter": MOST}
    rest = {"l2": 0.0} if task.form == "l1" else {}  # whose default is not 0
    tree["penalty"] = {task.form: float(task.values[0])} | rest
    if task.K > 1:
        tree["sweep"] = {"parameters": {f"penalty.{task.form}": task.values.tolist()}}
    arrays = {"train": (task.case.X, task.case.y)}
    sweep = set_up(load_spec(tree), arrays, choose("cpu"))
    train(sweep, NullObserver(lambda: None))
    return _solutions(sweep, task)


def one(task: Task, tol: float) -> None:
    """The same for a single penalty."""
    stacked(task.one(), tol)


def _solutions(sweep: SweepRun, task: Task) -> Solutions:
    shape = (int(task.case.X.shape[1]), task.case.outputs, task.K)
    found = [(np.full(shape, np.nan), np.full(shape[1:], np.nan)) for _ in task.splits]
    for member in sweep.jobs:
        fit = member.training.result
        if fit.weights is None or fit.bias is None:
            continue
        for k, (trial, repeat) in enumerate(zip(member.trial, member.repeat, strict=True)):
            weights, bias = found[repeat]
            weights[..., trial], bias[..., trial] = fit.weights[..., k], fit.bias[..., k]
    return found
