"""Solvers that are timed where they are installed: torch's L-BFGS, glum, skglm and celer."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.shared.problems import Array
from benchmarks.solvers.sklearns import MOST, centred, quiet, uncentred
from benchmarks.solvers.tasks import Solutions, Task


def torch_lbfgs(task: Task, tol: float) -> Solutions:
    """A warm path of torch.optim.LBFGS with its strong Wolfe line search, in float64."""
    import torch

    X, y = torch.from_numpy(task.case.X), torch.from_numpy(task.case.y)
    W = torch.zeros(X.shape[1], task.case.outputs, dtype=X.dtype, requires_grad=True)
    b = torch.zeros(task.case.outputs, dtype=X.dtype, requires_grad=True)
    binary = task.case.model == "logistic"
    weights, bias = [], []
    for l2 in task.strengths(len(X)).tolist():
        solver = torch.optim.LBFGS(
            [W, b],
            max_iter=MOST,
            tolerance_grad=tol,
            tolerance_change=0,
            history_size=10,
            line_search_fn="strong_wolfe",
        )

        def loss(solver: Any = solver, l2: float = l2) -> Any:
            solver.zero_grad()
            z = torch.addmm(b, X, W)
            by = torch.nn.functional
            data = (
                by.binary_cross_entropy_with_logits(z[:, 0], y.to(z.dtype))
                if binary
                else by.cross_entropy(z, y)
            )
            value = data + l2 / 2 * (W * W).sum()
            value.backward()
            return value

        solver.step(loss)
        weights.append(W.detach().numpy().copy())
        bias.append(b.detach().numpy().copy())
    return [(np.stack(weights, axis=-1), np.stack(bias, axis=-1))]


def _path(task: Task, model: Any) -> Solutions:
    """An estimator's warm path over its `alpha`."""
    X, y = task.case.X, task.case.y
    weights: list[Array] = []
    bias: list[float] = []
    for alpha in task.strengths(len(X)).tolist():
        with quiet():
            model.set_params(alpha=alpha).fit(X, y)
        weights.append(np.array(model.coef_).reshape(-1, 1))
        bias.append(float(np.ravel(model.intercept_)[0]))
    return [(np.stack(weights, axis=-1), np.array([bias]))]


def glum(task: Task, tol: float) -> Solutions:
    """The iteratively reweighted least squares of glum, a warm path."""
    from glum import GeneralizedLinearRegressor

    ratio = 1.0 if task.form == "l1" else 0.0
    model = GeneralizedLinearRegressor(
        family="binomial", l1_ratio=ratio, gradient_tol=tol, max_iter=MOST, warm_start=True
    )
    return _path(task, model)


def skglm(task: Task, tol: float) -> Solutions:
    """A warm path by working sets."""
    from skglm import Lasso, SparseLogisticRegression

    kind = Lasso if task.case.model == "linear" else SparseLogisticRegression
    return _path(task, kind(tol=tol, warm_start=True))


def begin_skglm(task: Task) -> None:
    """Let numba compile."""
    skglm(task.one(), 1e-3)


def celer(task: Task, tol: float) -> Solutions:
    """The whole path of lassos by celer."""
    from celer import celer_path

    X, y, mean, at = centred(task)
    X = np.asfortranarray(X)
    with quiet():
        _, weights, _ = celer_path(X, y, "lasso", alphas=task.values, tol=tol, max_iter=1000)
    return uncentred(weights, mean, at)
