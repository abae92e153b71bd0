"""What is solved: a data set, K penalties from strong to weak, folds; and J of what was found."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from benchmarks.shared.problems import Array
from benchmarks.solvers.cases import Case
from trainer.config import load_spec
from trainer.data import prepare, read
from trainer.data.splits.repeats import row_splits
from trainer.sweep.path_begins import largest_l1

FOLDS = 5
Solutions = list[tuple[Array, Array]]
"""Of each fold, the weights (D, C, K) and biases (C, K)."""


@dataclass(frozen=True)
class Task:
    """One thing to solve.

    Attributes:
        case: the rows.
        part: of the benchmark: "l2", "ridge", "lasso" or "l1".
        form: of the penalty: "C", "l2" or "l1".
        values: (K,) its strengths, from strong to weak.
        folds: 5, or 1 for all rows.
        target: the largest (J − J*)/J₀ that counts as solved.
    """

    case: Case
    part: str
    form: str
    values: Array
    folds: int = 1
    target: float = 1e-6

    @property
    def K(self) -> int:
        """Penalties."""
        return len(self.values)

    def one(self) -> Task:
        """The same with one penalty, of the middle."""
        return replace(self, values=self.values[self.K // 2 :][:1])

    @cached_property
    def splits(self) -> list[tuple[Array, Array]]:
        """Rows to train on and rows held out, for each fold; without folds, all and none."""
        if self.folds == 1:
            return [(np.arange(len(self.case.X)), np.arange(0))]
        spec = load_spec(base(self))
        source = read(spec, {"train": (self.case.X, self.case.y)})
        pairs = [(part.train, part.val) for part in row_splits(source, spec)]
        return [(train, val) for train, val in pairs if val is not None]

    def fits(self) -> Iterator[tuple[Array, Array]]:
        """X and y of each fold's training rows, copied as cross-validation does."""
        for train, _ in self.splits:
            whole = self.folds == 1
            yield (self.case.X, self.case.y) if whole else (self.case.X[train], self.case.y[train])

    def strengths(self, rows: int) -> Array:
        """(K,) l2 or l1 of J, with so many training rows."""
        return np.asarray(1 / (self.values * rows) if self.form == "C" else self.values)

    def objective(self, found: Solutions) -> Array:
        """J of every fold and penalty, (F, K)."""
        return np.array([self._values(*xy, *wb) for xy, wb in zip(self.fits(), found, strict=True)])

    def _values(self, X: Array, y: Array, weights: Array, bias: Array) -> Array:
        norm = abs(weights) if self.form == "l1" else weights**2 / 2
        penalty = self.strengths(len(X)) * norm.sum(axis=(0, 1))
        losses = [self._loss(X @ weights[..., k] + bias[:, k], y) for k in range(self.K)]
        return np.asarray(losses + penalty)

    def _loss(self, z: Array, y: Array) -> float:
        if self.case.model == "linear":
            return float(np.mean((z[:, 0] - y) ** 2) / 2)
        if self.case.model == "logistic":
            return float(np.mean(np.logaddexp(0, (1 - 2 * y) * z[:, 0])))
        top = z.max(axis=1)
        total = top + np.log(np.exp(z - top[:, None]).sum(axis=1))
        return float(np.mean(total - z[np.arange(len(z)), y]))

    @cached_property
    def start(self) -> Array:
        """J₀ (F, 1) at zero weights: log of the number of classes, of numbers half the variance."""
        if self.case.model == "linear":
            return np.array([[np.var(y) / 2] for _, y in self.fits()])
        return np.full((len(self.splits), 1), np.log(max(2, self.case.outputs)))


def base(task: Task) -> dict[str, object]:
    """The config of a task without its solver and its penalties."""
    val = {"train": "arrays", "val": "none", "scale": "none"}
    tree: dict[str, object] = {"model": task.case.model, "data": val, "precision": "float64"}
    if task.folds > 1:
        tree |= {"repeat": {"folds": task.folds}, "select": {"refit": "none"}}
    return tree


def penalties(case: Case, K: int, folds: int) -> Task:
    """C of logspace(-6, 6, K), or 1."""
    values = np.ones(1) if K == 1 else np.logspace(-6, 6, K)
    return Task(case, "l2", "C", values, folds)


def ridge(case: Case, folds: int, K: int = 100) -> Task:
    """l2 from 100 to 1e-6."""
    return Task(case.as_numbers(), "ridge", "l2", np.geomspace(1e2, 1e-6, K), folds, 1e-8)


def lasso(case: Case, K: int = 100, ratio: float = 1e-3) -> Task:
    """A path of l1 from where all weights are 0."""
    numbers = case.as_numbers()
    values = _largest(numbers) * np.geomspace(1, ratio, K)
    return Task(numbers, "lasso", "l1", values, 1, 1e-8)


def sparse(case: Case, K: int = 20, ratio: float = 1e-3) -> Task:
    """A path of l1 of logistic regression."""
    return Task(case, "l1", "l1", _largest(case) * np.geomspace(1, ratio, K))


def _largest(case: Case) -> float:
    spec = load_spec(base(Task(case, "", "l1", np.ones(1))))
    prepared = prepare(spec, {"train": (case.X, case.y)})
    return largest_l1(prepared, spec)
