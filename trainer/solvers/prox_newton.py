"""Proximal Newton directions: to the minimiser of a second-order model of J that keeps l1.

Lee, Sun & Saunders 2014. The model of a squared loss is J itself, so that one step ends at its
optimum. Where that is unique, many columns of one l2 find theirs on a lasso path
(`trainer.solvers.lasso_path`), and each of a few starts where the next stronger l1 ended; all
others start at their own points. What is compiled (`trainer.solvers.compiled_sparse`) comes first.

Shapes: P parameters an output (weights, and a bias), C outputs, K columns.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from trainer.solvers.active_set import is_unique, minimize
from trainer.solvers.compiled_sparse import follow_path, proven_minimum
from trainer.solvers.hessians import SMALL, Hessians, Interrupted
from trainer.solvers.lasso_path import MOST
from trainer.solvers.objective import Objective
from trainer.solvers.problem import Problem
from trainer.solvers.progress import SolverState

Array = Any
Flags = np.ndarray[Any, np.dtype[np.bool_]]
ShouldStop = Callable[[], object]
_ON_PATH = 24  # columns from which on a path takes less than as many minima from one to the next
_MOST_OF_THEM = 0.7  # of all elements: from as many on the whole Gram matrix takes less
_QUICK = 1 << 20  # products of a whole Hessian, which then takes no longer than to ask for a part
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
    parts = WorkingParts(hessians, state, len(objective.rows), should_stop)
    columns = np.flatnonzero(which)
    if problem.model.quadratic:  # from strong to weak
        columns = columns[np.argsort(-l1[columns], kind="stable")]
    for k in columns.tolist():
        new[..., k] = 0
        if should_stop():
            raise Interrupted
        for block in range(hessians.blocks):
            _minimize(problem, hessians, parts, state, k, block, near, new, should_stop)
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
    # counted are all columns of the stack: none depends on how many others have failed
    several = [one for one in np.unique(l2) if (l2 == one).sum() >= _ON_PATH]
    if not several or not which.any() or P > MOST or not hessians.independent():
        return done
    gram = device.to_host(hessians.gram())  # device -> host
    zeros = np.flatnonzero(which & state.progress.at_zeros)
    if len(zeros):
        known = state.arrays["g"][..., int(zeros[0])]
    else:
        known = objective.at_zeros(full=False)[1][..., 0]
    slopes = device.to_host(known)  # (P, C); device -> host
    free = np.arange(P) >= problem.inner
    for one in several:
        columns = np.flatnonzero(which & (l2 == one))
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
    parts: WorkingParts,
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
    M = parts.of(k, elements)
    if model.coupled and problem.bias:
        M = _pinned(xp, M, ~weights[elements])
    start, slope = w[elements], g[elements]
    l1 = xp.where(weights[elements], problem.host_l1[k], 0.0)
    l2 = xp.where(weights[elements], problem.host_l2[k], 0.0)
    before = near.get(block) if model.quadratic else None
    given = xp, M, l2, slope, l1, start
    found = proven_minimum(*given, start if before is None else before, should_stop)
    if found is None and before is not None:
        off = before - start
        found = minimize(xp, M, l2, slope + M @ off + l2 * off, l1, before, should_stop)
        alone = hessians.independent() or is_unique(xp, M, l2, l1, found.slope)
        found = found if alone else None
    if found is None:
        found = minimize(*given, should_stop)
    near[block] = found.x
    step = xp.zeros(len(w))
    step[elements] = found.x - start
    new[..., k] += step.reshape(-1, C)


def _pinned(xp: Any, M: Array, biases: Array) -> Array:
    """Second derivatives M (n, n) with some along all biases (n,) alike, as softmax has none there.

    Slopes have nothing there either, so that the sum of the biases stays, and all else is the same:
    but a minimum is then the only one.
    """
    rest = xp.where(biases, xp.diagonal(M), 0.0).sum() / biases.sum() ** 2
    return M + rest * (biases[:, None] & biases)


class WorkingParts:
    """Second derivatives of the data term, of the elements that a column works on.

    They come by the way that takes least, which depends on the column alone, and what is made for
    many columns is made for all of them: none depends on which others still move.
    """

    def __init__(
        self, hessians: Hessians, state: SolverState, rows: int, should_stop: ShouldStop
    ) -> None:
        self._hessians, self._w, self._should_stop = hessians, state.arrays["w"], should_stop
        self._at_zeros = state.progress.at_zeros & (state.progress.iterations == 0)  # (K,)
        products = rows * len(hessians.pairs()) * hessians.parameters**2 // 2
        self._quick = hessians.order <= SMALL and products <= _QUICK
        self._size = hessians.at_once()
        self._groups: dict[int, Array] = {}  # the last one, by its first column

    def of(self, k: int, elements: Array) -> Array:
        """What `elements` of column k have, as `Hessians.part` says it.

        Raises:
            Interrupted: `should_stop()`.
        """
        h = self._hessians
        if self._quick and not h.model.quadratic:
            return self._of_group(k, elements)
        if self._at_zeros[k] and len(elements) >= _MOST_OF_THEM * h.order:
            return self._of_gram(elements)
        return h.part(self._w[..., k], elements, self._should_stop)

    def _of_group(self, k: int, elements: Array) -> Array:
        """From the Hessians of some columns, side by side."""
        h = self._hessians
        first = k - k % self._size
        if first not in self._groups:
            w = self._w[..., first : first + self._size]
            none = h.device.xp.zeros(w.shape[2])
            self._groups = {first: h.floored(h.whole(w, none, self._should_stop))}
        group = self._groups[first]
        at, C = (k - first) * h.blocks, h.outputs
        if h.model.coupled:
            return group[at][elements[:, None], elements]
        feature = elements // C
        return group[at + int(elements[0]) % C][feature[:, None], feature]

    def _of_gram(self, elements: Array) -> Array:
        """Where all rows have the same scores, 0: the Gram matrix, times what a row has."""
        h, C = self._hessians, self._hessians.outputs
        feature, output = elements // C, elements % C
        second = h.second_at_zeros()  # (C, C)
        found = h.gram()[feature[:, None], feature] * second[output[:, None], output]
        return h.floored(found[None], elements)[0]
