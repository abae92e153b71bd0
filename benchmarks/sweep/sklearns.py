"""scikit-learn: GridSearchCV in two processes over SGDClassifier, which is one-vs-rest.

Batches of one row and no momentum: other numbers than ours, so only its time is compared.
"""

from __future__ import annotations

import warnings

import numpy as np
from sklearn.linear_model import SGDClassifier
from sklearn.model_selection import GridSearchCV

from benchmarks.shared.problems import Array
from benchmarks.sweep.cases import Case
from benchmarks.sweep.work import Work

JOBS = 2


class Search:
    """One search over the grid, as many passes over the rows as ours."""

    def __init__(self, case: Case, work: Work) -> None:
        self.case, self.work = work.of(case), work

    def run(self) -> Array:
        """Mean val loss of each trial, (K,)."""
        case, work = self.case, self.work
        model = SGDClassifier(
            loss="log_loss", learning_rate="constant", max_iter=case.epochs, tol=None
        )
        pairs = zip(work.lr.tolist(), work.l2.tolist(), strict=True)
        settings = [{"eta0": [lr / 10], "alpha": [l2]} for lr, l2 in pairs]
        search = GridSearchCV(
            model, settings, scoring="neg_log_loss", n_jobs=JOBS, refit=False, cv=case.splits
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            search.fit(case.X, case.y)
        return -np.asarray(search.cv_results_["mean_test_score"])
