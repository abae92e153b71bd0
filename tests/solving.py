"""Columns on a problem's rows, solved as a run solves them."""

from __future__ import annotations

import numpy as np
from stacks import DEVICE, Recorder, fit

from trainer.model import MODELS
from trainer.solvers.choose import Size, choose_method
from trainer.solvers.problem import Problem
from trainer.solvers.rotated_rows import rotate
from trainer.solvers.solver import SolverStack
from trainer.solvers.solver_settings import SolverSettings
from trainer.solvers.tf32_passes import single_rows
from trainer.train.batches import RowSet


def stack_of(problem, name, l2, l1, tol, max_iter=2000, device=None, tf32=False):
    """K columns on a problem's rows, by their penalties; `tf32`: with rounds in TF32."""
    device = device or DEVICE
    X, y, p = problem.X, problem.y, problem.p
    D, C = X.shape[1], y.shape[1]
    l2, l1 = np.atleast_1d(np.asarray(l2, float)), np.atleast_1d(np.asarray(l1, float))
    sparse = bool((l1 > 0).any())
    model = MODELS[problem.model, "auto"]
    rows, size = RowSet(device, X, y, p, p, C), Size(len(X), D, C)
    method = choose_method(name, model, size, sparse)
    least = 0.0 if sparse else float(l2.min())
    exact = method.name == "exact"
    guess, turn = not model.quadratic, method.pairs > 0
    rotated = rotate(device, rows, p, p, problem.bias, sparse, exact, least, guess=guess, turn=turn)
    settings = SolverSettings(
        method=method,
        max_iter=np.full(len(l2), float(max_iter)),
        tol=np.broadcast_to(tol, l2.shape).astype(float),
    )
    columns = Problem(device, model, rotated.basis, C, problem.bias, l2, l1)
    single = single_rows(device, rows, rotated, p, p) if tf32 else None
    return SolverStack(columns, rows, rotated.rows, settings, single=single)


def start(stack, weights=None, bias=None):
    D, C, K = stack.shape
    weights = np.zeros((D, C, K)) if weights is None else weights
    return stack.start(weights, np.zeros((C, K)) if bias is None else bias)


def solved(
    problem, name, l2, l1, tol, max_iter=2000, first=(None, None), device=DEVICE, tf32=False
):
    """The result of K columns, trained as a run trains them, from first weights and biases."""
    stack = stack_of(problem, name, l2, l1, tol, max_iter, device, tf32)
    return fit(stack, start(stack, *first), lambda state: {}, 1 << 40, None, Heard())


class Heard(Recorder):
    """Columns of a solver have each taken steps of their own."""

    def on_evaluation(self, stack, columns, reading):
        self.readings = [*getattr(self, "readings", []), (columns, reading)]
