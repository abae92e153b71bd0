"""Proximal Newton directions: to the minimiser of a second-order model of J that keeps l1.

Lee, Sun & Saunders 2014. The model of a squared loss is J itself, so that one step ends at its
optimum. Where that is unique, many columns of one l2 find theirs on a lasso path
(`trainer.solvers.lasso_path`), and each of a few starts where the next stronger l1 ended; all
others start at their own points. What is compiled (`trainer.solvers.compiled_sparse`) comes first.

Shapes: P parameters an output (weights, and a bias), C outputs, K columns.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from trainer.machine.interrupted import ShouldStop, ask
from trainer.solvers.active_set import is_unique, minimize
from trainer.solvers.compiled_sparse import follow_path, proven_minimum
from trainer.solvers.hessian_sizes import SMALL, are_quick
from trainer.solvers.hessians import Hessians
from trainer.solvers.lasso_path import MOST
from trainer.solvers.problem import Problem
from trainer.solvers.progress import SolverState

if TYPE_CHECKING:
    from trainer.solvers.objective import Objective
    from trainer.solvers.own_hessians import AnyHessians

Array = Any
Numbers = np.ndarray[Any, np.dtype[np.float64]]
Flags = np.ndarray[Any, np.dtype[np.bool_]]
Indices = np.ndarray[Any, np.dtype[np.int64]]
_ON_PATH = 24  # columns from which on a path takes less than as many minima from one to the next
_MOST_OF_THEM = 0.7  # of all elements: from as many on the whole Gram matrix takes less
_NEAR = 0.8  # of l1: weights with slopes below it are not expected to leave 0


def prox_newton_steps(
    objective: Objective,
    hessians: AnyHessians,
    state: SolverState,
    which: Flags,
    new: Array,
    should_stop: ShouldStop,
) -> None:
    """Write the directions of some columns into `new` (P, C, K); a step may leave its orthant.

    Raises:
        Interrupted: `should_stop()`.
    """
    problem, progress, device = objective.problem, state.progress, objective.device
    l1, near = problem.host_l1, dict[int, Numbers]()
    parts = WorkingParts(hessians, state, len(objective.rows), should_stop)
    points = {name: state.arrays[name] for name in ("w", "g")}
    told = device.fetch(points | parts.ahead(which))  # device -> host
    parts.keep(told)
    w, g, steps = told["w"], told["g"], np.zeros(problem.shape)
    todo = which
    if problem.model.quadratic:
        first = which & (progress.iterations == 0)
        todo = which & ~_follow(objective, hessians, first, told, steps, should_stop)
    columns = np.flatnonzero(todo)
    if problem.model.quadratic:  # from strong to weak
        columns = columns[np.argsort(-l1[columns], kind="stable")]
    works = [
        Work(k, block, _elements(problem, w[..., k], g[..., k], k, block))
        for k in columns.tolist()
        for block in range(hessians.blocks)
    ]
    for work, M in parts.each(works):
        ask(should_stop)
        if objective.is_own:  # the column before is of other rows
            near.clear()
        _minimize(problem, hessians.of(work.k), work, M, w, g, near, steps, should_stop)
    progress.within[which] = False
    device.xp.copyto(new, device.to_device(steps), where=device.to_device(which))


class Work(NamedTuple):
    """What is to be minimised at once: some elements of a column, of one output if not coupled.

    Attributes:
        k: the column.
        block: which of its Hessians.
        elements: (m,) numbers p·C + c, those of one output after those of another.
    """

    k: int
    block: int
    elements: Indices


def _follow(
    objective: Objective,
    hessians: AnyHessians,
    which: Flags,
    told: Mapping[str, Numbers],
    steps: Numbers,
    should_stop: ShouldStop,
) -> Flags:
    """First steps of a squared loss, by one path for each l2.

    Returns the columns that have theirs: none where there are few, where there are too many
    parameters or they depend on each other, as minima may then not be the only ones, or where
    rounding led a path astray.
    """
    problem, device, w = objective.problem, objective.device, told["w"]
    P, l2, l1 = problem.shape[0], problem.host_l2, problem.host_l1
    done = np.zeros_like(which)
    # counted are all columns of the stack: none depends on how many others have failed
    several = [one for one in np.unique(l2) if (l2 == one).sum() >= _ON_PATH]
    if (
        not isinstance(hessians, Hessians)
        or objective.is_own
        or not several
        or not which.any()
        or P > MOST
    ):
        return done
    hessians.gram(should_stop)
    if not hessians.independent:
        return done
    gram = hessians.host_gram
    zeros = np.flatnonzero(which & ~np.any(w, axis=(0, 1)))
    if len(zeros):
        slopes = told["g"][..., int(zeros[0])]  # (P, C)
    else:
        slopes = device.to_host(objective.at_zeros(full=False)[1][..., 0])  # device -> host
    free = np.arange(P) >= problem.inner
    for one in several:
        columns = np.flatnonzero(which & (l2 == one))
        columns = columns[np.argsort(-l1[columns])]
        hessian = gram + np.diag(np.where(free, 0.0, one))
        paths = [follow_path(hessian, slope, free, l1[columns], should_stop) for slope in slopes.T]
        ends = [path for path in paths if path is not None]
        if len(ends) < len(paths):  # each column then on its own
            continue
        steps[..., columns] = np.stack(ends, axis=1) - w[..., columns]  # (P, C, k)
        done[columns] = True
    return done


def _elements(problem: Problem, w: Numbers, g: Numbers, k: int, block: int) -> Indices:
    """(m,) what column k works on, w and g (P, C) being its own: see `Work`."""
    C, model, r = problem.outputs, problem.model, problem.inner
    outputs = slice(None) if model.coupled else slice(block, block + 1)
    works = np.ones(w[:, outputs].shape, bool)
    if not model.quadratic:
        near = np.absolute(g[:r, outputs]) > _NEAR * problem.host_l1[k]
        works[:r] = near | (w[:r, outputs] != 0)
    output, feature = np.divmod(np.flatnonzero(works.T), len(w))
    found: Indices = feature * C + output + (0 if model.coupled else block)
    return found


def _minimize(
    problem: Problem,
    hessians: Hessians,
    work: Work,
    M: Numbers,
    w: Numbers,
    g: Numbers,
    near: dict[int, Numbers],
    steps: Numbers,
    should_stop: ShouldStop,
) -> None:
    """The step of some elements of a column, into `steps` (P, C, K).

    `near` has where the column before ended, by block.
    """
    k, block, elements = work
    model, C = problem.model, problem.outputs
    weights = elements < problem.inner * C
    if model.coupled and problem.bias:
        M = _pinned(M, ~weights)
    start, slope = w[..., k].reshape(-1)[elements], g[..., k].reshape(-1)[elements]
    l1 = np.where(weights, problem.host_l1[k], 0.0)
    l2 = np.where(weights, problem.host_l2[k], 0.0)
    before = near.get(block) if model.quadratic else None
    given = M, l2, slope, l1, start
    found = proven_minimum(*given, start if before is None else before, should_stop)
    if found is None and before is not None:
        off = before - start
        found = minimize(M, l2, slope + M @ off + l2 * off, l1, before, should_stop)
        alone = hessians.independent or is_unique(M, l2, l1, found.slope)
        found = found if alone else None
    if found is None:
        found = minimize(*given, should_stop)
    near[block] = found.x
    feature, output = np.divmod(elements, C)
    steps[feature, output, k] = found.x - start


def _pinned(M: Numbers, biases: Flags) -> Numbers:
    """Second derivatives M (n, n) with some along all biases (n,) alike, as softmax has none there.

    Slopes have nothing there either, so that the sum of the biases stays, and all else is the same:
    but a minimum is then the only one.
    """
    rest = np.where(biases, np.diagonal(M), 0.0).sum() / biases.sum() ** 2
    found: Numbers = M + rest * (biases[:, None] & biases)
    return found


class WorkingParts:
    """Second derivatives of the data term, of the elements that columns work on, on the host.

    They come by the way that takes least, which depends on the column alone, and what is made for
    many columns is made for all of them: none depends on which others still move.
    """

    def __init__(
        self, hessians: AnyHessians, state: SolverState, rows: int, should_stop: ShouldStop
    ) -> None:
        self._hessians, self._w, self._should_stop = hessians, state.arrays["w"], should_stop
        self._device = hessians.device
        self._at_zeros = state.progress.at_zeros & (state.progress.iterations == 0)  # (K,)
        P, pairs = hessians.parameters, len(hessians.pairs())
        self._quick = hessians.order <= SMALL and are_quick(self._device, rows, P, pairs)
        self._size = hessians.at_once() if isinstance(hessians, Hessians) else 1
        self._groups: dict[int, Numbers] = {}  # the last one, by its first column
        self._first = 0  # column of the group that is fetched ahead

    def ahead(self, which: Flags) -> dict[str, Array]:
        """What the first of some columns needs whatever it works on, to be fetched with others.

        Raises:
            Interrupted: `should_stop()`.
        """
        if self._hessians.model.quadratic or not self._quick:
            return {}
        self._first = self._group_of(int(which.argmax()))
        return {"hessians": self._whole(self._first)}

    def keep(self, told: Mapping[str, Numbers]) -> None:
        """Take what `ahead` asked for and has been fetched."""
        if "hessians" in told:
            self._groups = {self._first: told["hessians"]}

    def each(self, works: Sequence[Work]) -> Iterator[tuple[Work, Numbers]]:
        """Each work that has elements, and what these have (m, m), not to be written to.

        Raises:
            Interrupted: `should_stop()`.
        """
        for group in self._together([work for work in works if len(work.elements)]):
            summed = {i: work for i, work in enumerate(group) if self._is_summed(work)}
            parts = {str(i): self._sum(work) for i, work in summed.items()}
            told = self._device.fetch(parts) if parts else {}  # device -> host
            for i, work in enumerate(group):
                if i in summed:
                    h = self._hessians.of(work.k)
                    yield work, h.floored_part(told.pop(str(i)), work.elements)
                else:
                    yield work, self._known(work)

    def _together(self, works: Sequence[Work]) -> Iterator[list[Work]]:
        """As many of them as a GPU has room for: what they have is fetched at once."""
        group, room, most = list[Work](), 0, self._device.at_once(0)
        for work in works:
            one = 8 * len(work.elements) ** 2
            if group and room + one > most:
                yield group
                group, room = [], 0
            group.append(work)
            room += one
        if group:
            yield group

    def _is_summed(self, work: Work) -> bool:
        """Whether rows are summed up for this one alone."""
        h = self._hessians
        most = len(work.elements) >= _MOST_OF_THEM * h.order
        return not (h.model.quadratic or self._quick or (self._at_zeros[work.k] and most))

    def _sum(self, work: Work) -> Array:
        h = self._hessians.of(work.k)
        return h.part(self._w[..., work.k], work.elements, self._should_stop)

    def _known(self, work: Work) -> Numbers:
        """What is made for many columns at once, or known from the Gram matrix."""
        h = self._hessians.of(work.k)
        if self._quick and not h.model.quadratic:
            return self._of_group(work)
        h.gram(self._should_stop)
        gram, (feature, output) = h.host_gram, np.divmod(work.elements, h.outputs)
        if len(work.elements) < len(gram) or not h.model.quadratic:
            gram = gram[feature[:, None], feature]
        if h.model.quadratic:
            return gram
        # all rows have the same scores, 0
        second = h.second_at_zeros()[output[:, None], output]
        return h.floored_part(gram * second, work.elements)

    def _of_group(self, work: Work) -> Numbers:
        """From the Hessians of some columns, side by side."""
        h, k = self._hessians.of(work.k), work.k
        first = self._group_of(k)
        if first not in self._groups:
            self._groups = {first: h.device.to_host(self._whole(first))}  # device -> host
        own = self._groups[first][(k - first) * h.blocks + work.block]
        at = work.elements if h.model.coupled else work.elements // h.outputs
        found: Numbers = own[at[:, None], at]
        return found

    def _group_of(self, k: int) -> int:
        """The first column of the group that column k is in."""
        return k - k % self._size

    def _whole(self, first: int) -> Array:
        """The Hessians of a group, on the device."""
        h, w = self._hessians.of(first), self._w[..., first : first + self._size]
        return h.floored(h.whole(w, h.device.xp.zeros(w.shape[2]), self._should_stop))
