"""Steps to the minimiser of J's second-order model with l1 (Lee, Sun & Saunders 2014).

Of a squared loss that is the optimum. Where it is the only one it is the same from anywhere: then
columns of one l2 have theirs on a path, or, where they are few, each starts where the next stronger
l1 ended. All others start at their own points.

Shapes: P parameters an output (weights, and a bias), C outputs, K columns.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from trainer.solvers.active_set import is_unique, minimize
from trainer.solvers.hessians import Interrupted
from trainer.solvers.lasso_path import MOST, follow_path
from trainer.train.state import State

if TYPE_CHECKING:
    from trainer.solvers.solver import SolverStack

Array = Any
Flags = np.ndarray[Any, np.dtype[np.bool_]]
_ON_PATH = 24  # columns from which on a path takes less than as many minima from one to the next
_NEAR = 0.8  # of l1: weights with slopes below it are not expected to leave 0


def prox_newton_steps(stack: SolverStack, state: State, which: Flags, new: Array) -> None:
    """Write the steps of some columns into `new` (P, C, K).

    Raises:
        Interrupted: `stack.should_stop()`.
    """
    l1, near = stack.settings.l1, dict[int, Array]()
    if stack.model.quadratic:
        which = which & ~_follow(stack, state, which & (state.numbers["iterations"] == 0), new)
    for k in sorted(np.flatnonzero(which).tolist(), key=lambda k: -l1[k]):
        new[..., k] = 0
        if stack.should_stop():
            raise Interrupted
        for block in range(stack.hessians.blocks):
            _minimize(stack, state, k, block, near, new)
        state.numbers["within"][k] = 0


def _follow(stack: SolverStack, state: State, which: Flags, new: Array) -> Flags:
    """First steps of a squared loss, by one path for each l2.

    Returns the columns that have theirs: none where there are few, where there are too many
    parameters or they depend on each other, as minima may then not be the only ones, or where
    rounding led a path astray.
    """
    device, o, settings = stack.device, stack.objective, stack.settings
    done = np.zeros_like(which)
    many = which.sum() >= _ON_PATH and o.shape[0] <= MOST
    if not many or not stack.hessians.independent():
        return done
    gram = device.to_host(stack.hessians.gram())  # device -> host
    zeros = np.flatnonzero(which & (state.numbers["at_zeros"] > 0))
    known = state.arrays["g"][..., zeros[:1]] if len(zeros) else stack.at_zeros(full=False)[1]
    slopes = device.to_host(known[..., 0])  # (P, C); device -> host
    free = np.arange(o.shape[0]) >= o.inner
    for l2 in np.unique(settings.l2[which]):
        columns = np.flatnonzero(which & (settings.l2 == l2))
        if len(columns) < _ON_PATH:
            continue
        columns = columns[np.argsort(-settings.l1[columns])]
        hessian = gram + np.diag(np.where(free, 0.0, l2))
        paths = [
            follow_path(hessian, slope, free, settings.l1[columns], stack.should_stop)
            for slope in slopes.T
        ]
        told = [path for path in paths if path is not None]
        if len(told) < len(paths):  # each column then on its own
            continue
        where = device.to_device(columns)
        ends = device.to_device(np.stack(told, axis=1))  # (P, C, k)
        new[..., where] = ends - device.xp.take(state.arrays["w"], where, axis=-1)
        done[columns] = True
    state.numbers["within"][done] = 0
    return done


def _minimize(
    stack: SolverStack, state: State, k: int, block: int, near: dict[int, Array], new: Array
) -> None:
    """One column's step, of one output where outputs are not coupled."""
    xp, a, o, C = stack.device.xp, state.arrays, stack.objective, stack.shape[1]
    w, g = a["w"][..., k].reshape(-1), a["g"][..., k].reshape(-1)  # (P·C,)
    weights = xp.arange(len(w)) < o.inner * C
    works = xp.ones(len(w), bool) if o.model.coupled else xp.arange(len(w)) % C == block
    if not o.model.quadratic:
        works &= (w != 0) | (xp.absolute(g) > _NEAR * stack.settings.l1[k]) | ~weights
    elements = xp.flatnonzero(works)
    if not len(elements):
        return
    M = stack.hessians.part(a["w"][..., k], elements, stack.should_stop)
    start, slope = w[elements], g[elements]
    l1 = xp.where(weights[elements], stack.settings.l1[k], 0.0)
    l2 = xp.where(weights[elements], stack.settings.l2[k], 0.0)
    before = near.get(block) if o.model.quadratic else None
    if before is not None:
        off = before - start
        found = minimize(xp, M, l2, slope + M @ off + l2 * off, l1, before, stack.should_stop)
    if before is None or not (
        stack.hessians.independent() or is_unique(xp, M, l2, l1, found.slope)
    ):
        found = minimize(xp, M, l2, slope, l1, start, stack.should_stop)
    near[block] = found.x
    step = xp.zeros(len(w))
    step[elements] = found.x - start
    new[..., k] += step.reshape(-1, C)
