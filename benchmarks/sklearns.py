"""scikit-learn's SGDClassifier over the same rows: batches of one row, one-vs-rest, no momentum.

Not the same numbers, so only its time is compared: one pass over as many rows.
"""

from __future__ import annotations

from sklearn.linear_model import SGDClassifier

from benchmarks.problems import Array, Problem


class Sgd:
    """K fits one after another, each one pass over the rows of the timed steps."""

    def __init__(self, problem: Problem, lr: Array, l2: Array) -> None:
        self.lr, self.l2 = lr, l2
        rows = problem.order().reshape(-1)
        self.X, self.y = problem.X[rows], problem.y[rows]

    def run(self) -> None:
        """Train all."""
        for lr, l2 in zip(self.lr.tolist(), self.l2.tolist(), strict=True):
            SGDClassifier(
                loss="log_loss",
                alpha=l2,
                learning_rate="constant",
                eta0=lr / 10,
                max_iter=1,
                tol=None,
                shuffle=False,
            ).fit(self.X, self.y)
