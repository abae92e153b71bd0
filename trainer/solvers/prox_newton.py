"""Proximal Newton directions: to the minimiser of a second-order model of J that keeps l1.

Lee, Sun & Saunders 2014. The model of a squared loss is J itself, so that one step ends at its
optimum. Where that is unique, many columns of one l2 find theirs on a lasso path
(`trainer.solvers.lasso_path`), and each of a few starts where the next stronger l1 ended; all
others start at their own points.

Shapes: P parameters an output (weights, and a bias), C outputs, K columns.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from trainer.solvers.active_set import is_unique, minimize
from trainer.solvers.hessians import Hessians, Interrupted
from trainer.solvers.lasso_path import MOST, follow_path
from trainer.solvers.objective import Objective
from trainer.solvers.problem import Problem
from trainer.solvers.progress import SolverState

Array = Any
Flags = np.ndarray[Any, np.dtype[np.bool_]]
ShouldStop = Callable[[], object]
_ON_PATH = 24  # columns from which on a path takes less than as many minima from one to the next
_NEAR = 0.8  # of l1: weights with slopes below it are not expected to leave 0


def prox_newton_steps(
    objective: Objective,
    hessians: Hessians,
    state: SolverState,
    which: Flags,
    new: Array,
    should_stop: ShouldStop,
) -> None:
    """Write the directions of some columns into `new` (P, C, K); a step may leave its orthant.

    Raises:
        Interrupted: `should_stop()`.
    """
    problem, progress = objective.problem, state.progress
    l1, near = problem.host_l1, dict[int, Array]()
    if problem.model.quadratic:
        first = which & (progress.iterations == 0)
        which = which & ~_follow(objective, hessians, state, first, new, should_stop)
    for k in sorted(np.flatnonzero(which).tolist(), key=lambda k: -l1[k]):
        new[..., k] = 0
        if should_stop():
            raise Interrupted
        for block in range(hessians.blocks):
            _minimize(problem, hessians, state, k, block, near, new, should_stop)
        progress.within[k] = False


def _follow(
    objective: Objective,
    hessians: Hessians,
    state: SolverState,
    which: Flags,
    new: Array,
    should_stop: ShouldStop,
) -> Flags:
    """First steps of a squared loss, by one path for each l2.

    Returns the columns that have theirs: none where there are few, where there are too many
    parameters or they depend on each other, as minima may then not be the only ones, or where
    rounding led a path astray.
    """
    problem, device = objective.problem, objective.device
    P, l2, l1 = problem.shape[0], problem.host_l2, problem.host_l1
    done = np.zeros_like(which)
    many = which.sum() >= _ON_PATH and P <= MOST
    if not many or not hessians.independent():
        return done
    gram = device.to_host(hessians.gram())  # device -> host
    zeros = np.flatnonzero(which & state.progress.at_zeros)
    known = state.arrays["g"][..., zeros[:1]] if len(zeros) else objective.at_zeros(full=False)[1]
    slopes = device.to_host(known[..., 0])  # (P, C); device -> host
    free = np.arange(P) >= problem.inner
    for one in np.unique(l2[which]):
        columns = np.flatnonzero(which & (l2 == one))
        if len(columns) < _ON_PATH:
            continue
        columns = columns[np.argsort(-l1[columns])]
        hessian = gram + np.diag(np.where(free, 0.0, one))
        paths = [follow_path(hessian, slope, free, l1[columns], should_stop) for slope in slopes.T]
        told = [path for path in paths if path is not None]
        if len(told) < len(paths):  # each column then on its own
            continue
        where = device.to_device(columns)
        ends = device.to_device(np.stack(told, axis=1))  # (P, C, k)
        new[..., where] = ends - device.xp.take(state.arrays["w"], where, axis=-1)
        done[columns] = True
    state.progress.within[done] = False
    return done


def _minimize(
    problem: Problem,
    hessians: Hessians,
    state: SolverState,
    k: int,
    block: int,
    near: dict[int, Array],
    new: Array,
    should_stop: ShouldStop,
) -> None:
    """One column's step, of one output where outputs are not coupled.

    `near` has where the column before ended, by block.
    """
    xp, a, C, model = problem.device.xp, state.arrays, problem.outputs, problem.model
    w, g = a["w"][..., k].reshape(-1), a["g"][..., k].reshape(-1)  # (P·C,)
    weights = xp.arange(len(w)) < problem.inner * C
    works = xp.ones(len(w), bool) if model.coupled else xp.arange(len(w)) % C == block
    if not model.quadratic:
        works &= (w != 0) | (xp.absolute(g) > _NEAR * problem.host_l1[k]) | ~weights
    elements = xp.flatnonzero(works)
    if not len(elements):
        return
    M = hessians.part(a["w"][..., k], elements, should_stop)
    start, slope = w[elements], g[elements]
    l1 = xp.where(weights[elements], problem.host_l1[k], 0.0)
    l2 = xp.where(weights[elements], problem.host_l2[k], 0.0)
    before = near.get(block) if model.quadratic else None
    if before is not None:
        off = before - start
        found = minimize(xp, M, l2, slope + M @ off + l2 * off, l1, before, should_stop)
    if before is None or not (hessians.independent() or is_unique(xp, M, l2, l1, found.slope)):
        found = minimize(xp, M, l2, slope, l1, start, should_stop)
    near[block] = found.x
    step = xp.zeros(len(w))
    step[elements] = found.x - start
    new[..., k] += step.reshape(-1, C)
