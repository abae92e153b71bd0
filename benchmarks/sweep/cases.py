"""The sweeps that are timed: rows, folds and a grid of learning rates and penalties."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from benchmarks.shared.problems import Array, Problem, synthetic
from trainer.config import load_spec
from trainer.data import prepare, read
from trainer.data.splits.repeats import row_splits

BATCH, EPOCHS, FOLDS = 100, 3, 5
UNIT = BATCH // 2 * FOLDS  # with a multiple of it as rows, all batches of all folds are whole


@dataclass(frozen=True)
class Case:
    """One data set of the sweep, and the way it is held out.

    Attributes:
        name: as the table calls it.
        model: "softmax" or "logistic".
        X: (N, D) float32.
        y: (N,) int64 class codes.
        outputs: C.
        folds: 5, or 1 where the last fifth of the rows is held out.
        epochs: passes over the training rows.
        steps: of each fit, in place of the epochs; None for whole epochs.
        only: how many of the folds are carried out; None for all.
    """

    name: str
    model: str
    X: Array
    y: Array
    outputs: int
    folds: int = 1
    epochs: int = EPOCHS
    steps: int | None = None
    only: int | None = None

    @property
    def train_rows(self) -> int:
        """Training rows of one fit."""
        return len(self.X) // FOLDS * (FOLDS - 1)

    @property
    def fit_steps(self) -> int:
        """Steps of one fit."""
        return self.steps or self.epochs * self.train_rows // BATCH

    @property
    def flop(self) -> float:
        """Floating-point operations of the two products of one step of one trial."""
        return 4.0 * BATCH * int(self.X.shape[1]) * self.outputs

    def first(self, rows: int) -> Case:
        """The same with the first rows only."""
        return replace(self, X=self.X[:rows], y=self.y[:rows])

    @cached_property
    def splits(self) -> list[tuple[Array, Array]]:
        """Rows to train on and rows held out, for each fold that is carried out."""
        if self.folds == 1:
            return [(np.arange(self.train_rows), np.arange(self.train_rows, len(self.X)))]
        block = {"train": "arrays", "val": "none", "scale": "none", "stratify": False}
        spec = load_spec({"model": self.model, "data": block, "repeat": {"folds": self.folds}})
        arrays = {"train": (self.X, self.y)}
        found = [(part.train, part.val) for part in row_splits(read(spec, arrays), spec)]
        assert {len(train) for train, _ in found} == {self.train_rows}
        return [(train, val) for train, val in found if val is not None][: self.only]

    @cached_property
    def order(self) -> Array:
        """Rows of each step, counted within a fold's training rows, (steps, batch)."""
        none = np.zeros((self.train_rows, 0), np.float32)
        return Problem("", self.model, none, self.y, 1, BATCH, self.fit_steps).order()

    def problem(self, train: Array) -> Problem:
        """What a peer trains on: the rows of one fold, copied as cross-validation does."""
        X, y = self.X[train], self.y[train]
        return _Ordered(self.name, self.model, X, y, self.outputs, BATCH, self.fit_steps, self)


@dataclass(frozen=True)
class _Ordered(Problem):
    """A problem whose order of batches is made once for all folds."""

    case: Case

    def order(self) -> Array:
        return self.case.order


def grid(K: int) -> tuple[Array, Array]:
    """Learning rates and penalties l2 of K trials, (K,) each: all pairs of √K and √K values."""
    side = round(K**0.5)
    assert side * side == K
    lr, l2 = np.geomspace(0.005, 0.1, side), np.geomspace(1e-6, 1e-2, side)
    return np.repeat(lr, side), np.tile(l2, side)


SIZES = {
    "digits": (1_750, 64, 10),
    "10000": (10_000, 784, 10),
    "60000": (60_000, 784, 10),
    "327000": (327_000, 28, 1),
}


def case(name: str, folds: int, quick: bool) -> Case:
    """One of the data sets; a quick one has two batches."""
    rows, columns, outputs = SIZES[name]
    rows = UNIT if quick else rows
    if name == "digits":
        spec = load_spec({"model": "softmax", "data": {"train": "digits", "val": "none"}})
        train = prepare(spec).train  # standardized by all rows: here every peer is given the same
        X, y = np.ascontiguousarray(train.X[:rows]), train.y[:rows]
    else:
        made = synthetic(name, rows, columns, outputs, BATCH, 0)
        X, y = made.X, made.y
    kind = "binary" if outputs == 1 else str(outputs)
    title = f"{'digits ' if name == 'digits' else ''}{rows:,} x {columns} x {kind}"
    model = "logistic" if outputs == 1 else "softmax"
    return Case(title, model, X, y, outputs, folds)
