"""The room on the disk that the end of a run takes, from its shapes: more rather than less."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from trainer.config.schema.optimizer import Solver
from trainer.sweep.build import steps_per_unit
from trainer.sweep.left_out import is_left_out
from trainer.workflow.influence import MOST_ROWS
from trainer.workflow.row_sets import row_cells

if TYPE_CHECKING:
    from trainer.sweep.sweep import SweepRun

_PAGE = 5 << 20  # bytes: Plotly's script, and the charts of a run
_ROW, _CELL = 200, 22  # bytes of a row of a table beside its numbers, and of a number as text
_NAME = 32  # bytes of a name of a feature or class in model.json, besides its letters
MOST_CELLS = 10_000_000  # of predictions.parquet: rows held out times targets of their own
_MORE = 1.25  # for what the numbers above do not see


def end_room(sweep: SweepRun) -> tuple[int, int]:
    """Bytes of what a run writes at its end, and of the gradients that it writes on the way."""
    first = sweep.first.prepared
    outputs = 1 if sweep.targets is not None else len(first.encoder.outputs)
    itemsize = sweep.first.device_rows.rows.X.dtype.itemsize
    features = len(first.encoder.features)
    columns, targets = sweep.columns, sweep.rules.targets
    parameters = (features + 1) * outputs * itemsize  # of a column
    tested = 3 * len(sweep.metrics) * len(first.tests)  # mean, deviation and refit
    cells = 12 + len(sweep.spec.axes) + 2 * len(sweep.metrics) + tested
    tables = (columns + 2 * len(sweep.trials)) * (_ROW + cells * _CELL)
    size = (
        _PAGE
        + 2 * tables  # and as the page has them
        + evaluations(sweep) * (len(sweep.metrics) + 2) * _CELL
        + (columns + 4) * parameters * (sweep.spec.log.weights == "all")
        + parameters * targets
        + model_bytes(np.empty(0), (*first.encoder.features, *first.encoder.outputs))
        + predicted_cells(sweep, outputs, targets) * 8
        + row_cells(sweep)
        + is_left_out(sweep) * min(len(first.train) * outputs * targets, MOST_ROWS) * 5 * _CELL
    )
    return int(_MORE * size), _gradients(sweep, features, outputs, itemsize)


def predicted_cells(sweep: SweepRun, outputs: int, targets: int) -> int:
    """How many cells predictions.parquet has; of targets of their own that are many it has none."""
    rows = predicted_rows(sweep)
    if sweep.targets is not None and rows * targets > MOST_CELLS:
        return 0
    return rows * (outputs * targets + 6)


def predicted_rows(sweep: SweepRun) -> int:
    """How many rows predictions.parquet has: val, of folds what each holds out, and test."""
    first = sweep.first.prepared
    held_out: dict[int, int] = {}
    for planned in sweep.arrangement.stacks:
        for k, column in enumerate(planned.columns):
            fold = planned.rows_of(k).fold
            if fold is not None and column.repeat < sweep.repeats:
                held_out[column.trial] = held_out.get(column.trial, 0) + fold.held_out
    val = len(first.val) if first.val else len(first.train) if is_left_out(sweep) else 0
    return max(held_out.values(), default=val) + sum(map(len, first.tests))


def model_bytes(weights: npt.NDArray[np.floating], names: Sequence[str]) -> int:
    """Bytes of a model's two files: its weights, and the name, mean and scale of each feature."""
    return weights.nbytes + sum(len(name) + _NAME for name in names) + (64 << 10)


def evaluations(sweep: SweepRun) -> int:
    """How many rows history.csv may have."""
    found = 0
    for planned in sweep.arrangement.stacks:
        for column in planned.columns:
            o = column.spec.optimizer
            units = 1 if isinstance(o, Solver) else o.steps or o.epochs or 0
            found += -(-units // column.spec.log.eval_every)
    return found


def _gradients(sweep: SweepRun, features: int, outputs: int, itemsize: int) -> int:
    """Bytes of the files of `log.gradients`: error, dz, dJ/dW, W, b and the rows' numbers."""
    every = sweep.spec.log.gradients
    if every == "none":
        return 0
    size, rows = 0, len(sweep.first.device_rows.rows)
    for planned in sweep.arrangement.stacks:
        o = planned.spec.optimizer
        batch = rows if o.batch_size == "full" else min(o.batch_size, rows)
        steps = (o.steps or o.epochs or 0) * steps_per_unit(planned.spec, rows)
        numbers = outputs * len(planned.columns) * (2 * batch + 2 * features + 1)
        size += steps // every * (numbers * itemsize + 8 * batch + 4096)
    return size
