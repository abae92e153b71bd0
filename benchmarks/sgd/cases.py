"""The problems whose steps are timed: five shapes, at several K."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from benchmarks.shared.problems import Problem, synthetic
from trainer.config import load_spec
from trainer.data import prepare

# rows, columns, outputs, rows of a batch, and the K that are timed
SHAPES = {
    "digits": (1_438, 64, 10, 128, (1, 64, 256)),
    "binary": (200_000, 28, 1, 256, (1, 64, 256)),
    "embeddings": (6_046, 384, 1, 256, (1, 16, 64, 256)),
    "mnist": (60_000, 784, 10, 256, (1, 16, 64, 256)),
    "hundred": (50_000, 512, 100, 256, (1, 16, 64)),
}
_FLOPS, _STEP_SECONDS = 6e10, 2e-5  # for the choice of a number of steps only


def problem(name: str, quick: bool = False) -> Problem:
    """One of the shapes, cut to whole batches so that all have the same; its steps are open."""
    rows, columns, outputs, batch, _ = SHAPES[name]
    kind = f"x{outputs}" if outputs > 1 else " binary"
    title = f"{'digits ' if name == 'digits' else ''}{rows}x{columns}{kind}"
    rows = (rows // 10 if quick and name != "digits" else rows) // batch * batch
    if name != "digits":
        return synthetic(title, rows, columns, outputs, batch, 0)
    spec = load_spec({"model": "softmax", "data": {"train": "digits", "val": "none"}})
    train = prepare(spec).train
    X, y = np.ascontiguousarray(train.X[:rows]), train.y[:rows]
    return Problem(title, "softmax", X, y, outputs, batch, 0)


def timed_for(problem: Problem, K: int, seconds: float) -> Problem:
    """The same with as many steps as take about this long, in whole epochs where they fit."""
    flop = 4.0 * problem.batch * int(problem.X.shape[1]) * problem.outputs * K
    steps = seconds / (_STEP_SECONDS + flop / _FLOPS)
    epoch = len(problem.X) // problem.batch
    whole = round(steps / epoch) * epoch
    return replace(problem, steps=whole or max(5, min(epoch, int(steps))))
