"""scikit-learn: loops over penalties, cold and warm, its searches and its paths."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import sklearn
from sklearn.linear_model import LogisticRegression, Ridge, RidgeCV, lasso_path
from sklearn.model_selection import GridSearchCV

from benchmarks.shared.problems import Array
from benchmarks.solvers.tasks import Solutions, Task

MOST = 100_000  # iterations
# liblinear penalises the intercept, by as much less as this is larger
SCALING = 1e3
_SPARSE: dict[str, Any] = (
    {"l1_ratio": 1.0}
    if tuple(map(int, sklearn.__version__.split(".")[:2])) >= (1, 8)
    else {"penalty": "l1"}
)


def _logistic(task: Task, tol: float, solver: str, warm: bool) -> Any:
    more: dict[str, Any] = {"intercept_scaling": SCALING} if solver == "liblinear" else {}
    more |= _SPARSE if task.form == "l1" else {}
    seed = {"random_state": 0} if solver in ("liblinear", "saga") else {}
    return LogisticRegression(
        solver=solver, tol=tol, max_iter=MOST, warm_start=warm, **more, **seed
    )


def logistic(task: Task, tol: float, solver: str, warm: bool = False) -> Solutions:
    """One fit a penalty, from strong to weak; a warm one starts where the last ended."""
    found = []
    for X, y in task.fits():
        model = _logistic(task, tol, solver, warm)
        weights, bias = [], []
        for strength in task.strengths(len(X)).tolist():
            model.set_params(C=1 / (strength * len(X)))
            with quiet():
                model.fit(X, y)
            weights.append(model.coef_.T.copy())  # (D, C)
            bias.append(np.atleast_1d(model.intercept_).copy())
        found.append((np.stack(weights, axis=-1), np.stack(bias, axis=-1)))
    return found


def search(task: Task, tol: float, solver: str) -> None:
    """GridSearchCV over the penalties, one fit after another."""
    model, values = _logistic(task, tol, solver, False), task.values.tolist()
    found = GridSearchCV(model, {"C": values}, scoring="neg_log_loss", refit=False, cv=task.splits)
    with quiet():
        found.fit(task.case.X, task.case.y)


def ridge(task: Task, tol: float) -> Solutions:
    """One fit a penalty."""
    found = []
    for X, y in task.fits():
        models = [Ridge(alpha=a * len(X)).fit(X, y) for a in task.strengths(len(X)).tolist()]
        weights = np.stack([model.coef_[:, None] for model in models], axis=-1)
        found.append((weights, np.array([[model.intercept_ for model in models]])))
    return found


def ridge_search(task: Task, tol: float) -> None:
    """RidgeCV: by leaving one out without folds, else as a search over the folds."""
    rows = len(task.splits[0][0])
    cv = task.splits if task.folds > 1 else None
    RidgeCV(alphas=task.values * rows, cv=cv).fit(task.case.X, task.case.y)


def lasso(task: Task, tol: float) -> Solutions:
    """The whole path by coordinate descent."""
    X, y, mean, at = centred(task)
    with quiet():
        _, weights, _ = lasso_path(X, y, alphas=task.values, tol=tol, max_iter=MOST)
    return uncentred(weights, mean, at)


def centred(task: Task) -> tuple[Array, Array, Array, float]:
    """X and y about their means, and those."""
    X, y = task.case.X, task.case.y
    mean, at = X.mean(axis=0), float(y.mean())
    return X - mean, y - at, mean, at


def uncentred(weights: Array, mean: Array, at: float) -> Solutions:
    """What weights (D, K) of centred rows are of the rows as they were."""
    return [(weights[:, None], (at - mean @ weights)[None])]


@contextmanager
def quiet() -> Iterator[None]:
    """Without warnings of fits that did not converge: the objective tells."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
