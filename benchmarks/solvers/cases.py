"""The data sets of the solvers' benchmark: float64, scaled the same for everyone before timing."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from benchmarks.shared.problems import Array, synthetic
from trainer.config import load_spec
from trainer.data import prepare

MODELS = {"digits": "softmax", "breast_cancer": "logistic", "diamonds": "linear"}
MADE = {"synthetic": (20_000, 256, 20), "million": (1_000_000, 28, 1), "wide": (200_000, 500, 1)}
PROBLEMS = ("digits", "breast_cancer", "embeddings", "diamonds", *MADE)


@dataclass(frozen=True)
class Case:
    """Rows and their targets.

    Attributes:
        name: as the table calls it.
        model: "softmax", "logistic" or "linear".
        X: (N, D) float64.
        y: (N,) class codes, or float64 numbers.
        outputs: C.
    """

    name: str
    model: str
    X: Array
    y: Array
    outputs: int

    @property
    def title(self) -> str:
        """Name and size."""
        rows, features = map(int, self.X.shape)
        classes = {"softmax": f" x {self.outputs}", "logistic": " binary", "linear": ""}
        return f"{self.name} {rows:,} x {features}{classes[self.model]}"

    def as_numbers(self) -> Case:
        """The labels as numbers, for linear regression."""
        return replace(self, model="linear", y=self.y.astype(np.float64), outputs=1)


def case(name: str, embeddings: Path | None) -> Case | None:
    """One of the data sets; None for embeddings without a file."""
    if name in MADE:
        made = synthetic(name, *MADE[name], 100, 0)
        return Case(name, made.model, made.X.astype(np.float64), made.y, made.outputs)
    if name == "embeddings":
        return _embeddings(embeddings) if embeddings else None
    model = MODELS[name]
    tree = {"model": model, "data": {"train": name, "val": "none"}, "precision": "float64"}
    train = prepare(load_spec(tree)).train  # standardised by all rows
    X = np.ascontiguousarray(train.X, np.float64)
    outputs = int(train.y.max()) + 1 if model == "softmax" else 1
    return Case(name, model, X, train.y.reshape(len(X)), outputs)


def _embeddings(path: Path) -> Case:
    """X (N, D) and y (N,) of 0 and 1, as they are."""
    with np.load(path) as held:
        X = np.ascontiguousarray(held["X"], np.float64)
        return Case("embeddings", "logistic", X, held["y"].astype(np.int64), 1)
