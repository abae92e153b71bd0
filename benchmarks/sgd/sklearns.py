"""scikit-learn's SGDClassifier over the same rows: batches of one row, one-vs-rest, no momentum.

Not the same numbers, so only its time is compared: one pass over as many rows.
"""

from __future__ import annotations

from sklearn.linear_model import SGDClassifier

from benchmarks.shared.problems import Problem, settings


class Sgd:
    """One fit, a pass over the rows of so many of the timed steps."""

    def __init__(self, problem: Problem, steps: int) -> None:
        (lr,), (l2,) = settings(1)
        rows = problem.order()[:steps].reshape(-1)
        self.X, self.y = problem.X[rows], problem.y[rows]
        self.model = SGDClassifier(
            loss="log_loss",
            alpha=float(l2),
            learning_rate="constant",
            eta0=float(lr) / 10,
            max_iter=1,
            tol=None,
            shuffle=False,
        )

    def run(self) -> None:
        """Train."""
        self.model.fit(self.X, self.y)
