"""What a solver can promise of the points it has reached: how far J is above its least, at most.

Duality gaps and strong convexity bound J − J* (`trainer.solvers.duality_gap`) for biases at their
own optima. Added here is what biases elsewhere may make of them, and what rounding does to J.

Shapes: r weights and perhaps a bias an output, C outputs, K columns; every number is (K,).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from trainer.solvers.duality_gap import quadratic_gap, sparse_gap
from trainer.solvers.hessian_sizes import certified_at_once
from trainer.solvers.lbfgs import dot
from trainer.solvers.problem import EPS, Problem

if TYPE_CHECKING:
    from trainer.solvers.objective import Objective

Array = Any
Numbers = np.ndarray[Any, np.dtype[np.float64]]
Flags = np.ndarray[Any, np.dtype[np.bool_]]
Indices = np.ndarray[Any, np.dtype[np.int64]]
_LOOSE = 1.5  # times what a bound were with the bias at its optimum: then it is brought there
_BIAS_STEPS = 2  # of Newton's method, at most
_NEAR = 0.1  # of a bias's step: a curvature of any model of the table changes by e^2 times it
_TIGHT = 1e-8  # of |J|: a bound below it is as good as any


class Points(NamedTuple):
    """Points of K columns and what is known there.

    Attributes:
        w: (P, C, K).
        gradient: (P, C, K) dJ/dw without l1.
        value: J, on the host.
        data: the data term of it, on the host.
        weights: (D, C, K) those of w for the features as they are; None: not known yet.
    """

    w: Array
    gradient: Array
    value: Numbers
    data: Numbers
    weights: Array | None = None

    def take(self, problem: Problem, columns: Any) -> Points:
        """Those of some columns, by their numbers, copied."""
        xp, where = problem.device.xp, problem.device.to_device(columns)
        w, gradient = (xp.take(one, where, axis=-1) for one in (self.w, self.gradient))
        weights = None if self.weights is None else xp.take(self.weights, where, axis=-1)
        return Points(w, gradient, self.value[columns], self.data[columns], weights)


def _in_float64(objective: Objective, points: Points, which: Flags) -> Points:
    """Evaluate J anew at some points (K,) of K, to which rounds in TF32 have come."""
    problem, device = objective.problem, objective.device
    xp, gradient, mask = device.xp, points.gradient.copy(), device.to_device(which)
    found = xp.empty_like(gradient)
    sums = objective.value(points.w, found, full=False)
    told = device.fetch({"data": sums[0], "rest": problem.penalty(points.w)})  # device -> host
    xp.copyto(gradient, found, where=mask)
    data = np.where(which, told["data"], points.data)
    value = np.where(which, told["data"] + told["rest"], points.value)
    return points._replace(gradient=gradient, value=value, data=data)


class Certificate(NamedTuple):
    """What holds of K points: max |dJ/dW|, and a bound of J − J*, NaN where there is none."""

    gradient_max: Numbers
    gap: Numbers


def certify_in_turn(
    objective: Objective, points: Points, columns: Indices, rough: Flags
) -> list[tuple[Indices, Certificate]]:
    """Certify some columns, as many at once as there is room for: which, and what holds of them.

    Args:
        objective: J of K columns without l1.
        points: of the same.
        columns: the numbers of those to certify.
        rough: (K,) columns whose rounds in TF32 have come there, whose J is evaluated anew.

    Raises:
        Interrupted: as `Objective.asking` says.
    """
    problem, found = objective.problem, []
    together = certified_at_once(problem.outputs, problem.model.coupled)
    for first in range(0, len(columns), together):
        where = columns[first : first + together]
        part, every = objective.take(where), len(where) == len(points.value)
        some = points if every else points.take(problem, where)
        if rough[where].any():
            some = _in_float64(part, some, rough[where])
        found.append((where, certify(part, some)))
    return found


def certify(objective: Objective, points: Points) -> Certificate:
    """Read max |dJ/dW| of points, and bound J − J*."""
    problem, device, value = objective.problem, objective.device, points.value
    with np.errstate(all="ignore"):
        hessian, curvature = objective.second_derivatives(points.w, _has_slack(problem))
        data = device.to_device(points.data - objective.least[0])
        bounds = _bounds(objective, points, data, curvature, hessian)
        asked = {
            "largest": problem.largest(points.w, points.gradient),
            "squares": _squares(objective, points),
            "gaps": bounds.gaps,
            "far": bounds.far,
        }
        asked |= {} if isinstance(curvature, float) else {"curvature": curvature}
        if objective.moments is not None:
            asked["off"] = objective.gradient_error(objective.moments, points.w)
        told = device.fetch(asked)  # device -> host
        told["largest"] = told["largest"] + told.get("off", 0.0)
        gap = told["gaps"][-1].copy()
        loose = _is_loose(told["gaps"], gap, value)
        where = np.flatnonzero(loose)
        if len(where) and hessian is not None:
            part = _take(problem, where, points, hessian, bounds.step)
            found = _tightened(objective, objective.take(where), *part, told["far"][where])
            gap[where] = np.fmin(gap[where], found)
    # J itself is known to rounding alone; a ŷ that has rounded to y leaves a loss without a slope
    saturated = 0.0 if problem.model.quadratic else EPS * problem.outputs
    blur = _blur(objective, told["squares"], points.data, told.get("curvature", curvature))
    rounding = objective.rounding(value) + saturated + blur
    bound = np.minimum(gap, value - objective.least[0]) + rounding
    return Certificate(told["largest"], np.where(np.isfinite(gap), bound, np.nan))


class _Bounds(NamedTuple):
    """Upper bounds of J − J*, infinite or NaN where there is none; on the device.

    Attributes:
        gaps: (1, K), or (2, K) where biases have a hessian: the first as if they were at their own
            optima, the last wherever they are.
        step: (C, K) of Newton's method, of the biases alone; zeros without their hessian.
        far: (K,) the largest element of it.
    """

    gaps: Array
    step: Array
    far: Array


def _bounds(
    objective: Objective,
    points: Points,
    data: Array,
    curvature: Array | float,
    hessian: Array | None,
) -> _Bounds:
    """See `_Bounds`.

    Args:
        objective: of these columns.
        points: of which w and the gradient count.
        data: (K,) the data term of J above its least.
        curvature: the largest second derivative of the loss by z there, (K,) if not of all.
        hessian: the biases' (`Objective.bias_hessian`).
    """
    problem, device, r = objective.problem, objective.device, objective.problem.inner
    xp, (_, C, K) = device.xp, problem.shape
    step, slack = xp.zeros((C, K)), xp.zeros((1, K))
    if not _has_bound(problem):
        return _Bounds(xp.full((1, K), np.inf), step, slack[0])
    w, g, more = points.w[:r], points.gradient[:r], slack
    if hessian is not None:
        step = objective.bias_step(hessian, points.gradient[r])
        off, bias_gap = _bias_slack(objective, points, step, curvature)
        slack, more = xp.stack([slack[0], off]), xp.stack([slack[0], bias_gap])
    if problem.sparse:
        gaps = sparse_gap(xp, w, g, problem.l2, problem.l1, data, slack)
    else:
        basis = problem.basis
        whole = problem.model.quadratic and basis.directions is not None and basis.whole
        curved = basis.spectrum if whole else xp.zeros(r)
        if objective.moments is not None:
            slack = slack + objective.gradient_error(objective.moments, points.w)
        gaps = quadratic_gap(xp, g, curved[:, None] + problem.l2, slack)
    return _Bounds(gaps + more, step, xp.absolute(step).max(axis=0))


def _is_loose(gaps: Numbers, gap: Numbers, value: Numbers) -> Flags:
    """(K,) whether a gap is far above what it were with the biases at their own optima."""
    found: Flags = gap > np.maximum(_LOOSE * gaps[0], _TIGHT * np.abs(value))
    return found


def _take(
    problem: Problem, columns: Any, points: Points, hessian: Array, step: Array
) -> tuple[Points, Array, Array]:
    """What there is of some columns, by their numbers."""
    xp, where = problem.device.xp, problem.device.to_device(columns)
    part = xp.take(hessian, where, axis=0), xp.take(step, where, axis=-1)
    return points.take(problem, columns), *part


def _has_bound(problem: Problem) -> bool:
    return problem.model.convex and not (problem.bias and problem.model.variance is None)


def _has_slack(problem: Problem) -> bool:
    return problem.bias and _has_bound(problem)


def _bias_slack(
    objective: Objective, points: Points, step: Array, curvature: Array | float
) -> tuple[Array, Array]:
    """What a bias off its own optimum may add to ‖dJ/dW‖, and to J − J*.

    A curvature that halves on the way is allowed for, which is no theorem.
    """
    problem, xp = objective.problem, objective.device.xp
    row = points.gradient[problem.inner]  # (C, K)
    squares = -(row * step).sum(axis=0)  # the Newton decrement's
    if problem.model.quadratic:  # of centred rows dJ/dW has no bias in it
        return xp.zeros_like(squares), 0.5 * squares
    # J's Hessian is positive: no mixed part of it is larger than the root of both others, of which
    # that of the weights has eigenvalues below their sum
    spread = problem.basis.spread
    room = 2.0 if problem.model.curvature is not None else 4.0  # that of rows here may double too
    return xp.sqrt(room * curvature * spread * squares), squares


def _tightened(
    whole: Objective,
    objective: Objective,
    points: Points,
    hessian: Array,
    step: Array,
    far: Numbers,
) -> Numbers:
    """A bound by way of the biases' own optima; moves the points there.

    J − J* is what J loses on the way there, and what the bound says of it there. `objective` is of
    some columns of the `whole`, the rest is theirs: see `_Bounds`.
    """
    problem, device = objective.problem, objective.device
    xp, r, (w, gradient, value, data, _) = device.xp, problem.inner, points
    start, bound, loose = value, np.full(len(value), np.inf), np.ones(len(value), bool)
    for _ in range(_BIAS_STEPS):
        trial = w.copy()
        trial[r] += step
        grad = xp.empty_like(trial)
        sums = objective.value(trial, grad, full=False)
        reached = xp.stack([sums[0] + problem.penalty(trial), sums[0]])  # (2, k)
        known = device.to_device(np.stack([value + objective.rounding(value), value, data]))
        better = reached[0] <= known[0]
        xp.copyto(w, trial, where=better)
        xp.copyto(gradient, grad, where=better)
        reached = xp.where(better, reached, known[1:])
        hessian, curvature = _moved(objective, w, hessian, step, far)
        above = reached[1] - device.to_device(objective.least[0])
        gaps, step, size = _bounds(objective, points, above, curvature, hessian)
        told = device.fetch({"reached": reached, "gaps": gaps, "far": size})  # device -> host
        (value, data), far = told["reached"], told["far"]
        found = np.maximum(start - value, 0) + told["gaps"][-1]
        bound = np.where(loose, found, bound)
        loose &= _is_loose(told["gaps"], found, value)
        if not loose.any():
            break
    return bound


def _moved(
    objective: Objective, w: Array, hessian: Array, step: Array, far: Numbers
) -> tuple[Array, Array | float]:
    """The biases' hessian at w, which they have come to by a step (C, K): after a short one less.

    What a short step may have taken from it is taken from it: then no pass over the rows is due.
    `far` (K,) is the largest element of the step. Beside it the `curvature` at w.
    """
    device, short, shape = objective.device, far <= _NEAR, (-1, *[1] * (hessian.ndim - 1))
    less = hessian * device.to_device(np.exp(-2 * far)).reshape(shape)
    found, curvature = objective.second_derivatives(w, not short.all())
    if found is None:
        return less, curvature
    mask = device.to_device(short).reshape(shape)
    return device.xp.where(mask, less, found), curvature


def _squares(objective: Objective, points: Points) -> Array:
    """(K,) the squares of the largest scores there may be, the bias's terms included."""
    problem, w = objective.problem, points.w
    xp, r, basis = problem.device.xp, problem.inner, problem.basis
    squares = basis.spread * dot(xp, w[:r], w[:r])
    squares += dot(xp, w[r:], w[r:])
    weights = basis.weights(xp, w[:r]) if points.weights is None else points.weights
    moved = basis.largest_shift(xp, xp.absolute(weights))  # (C, K) in the bias
    return squares + (moved * moved).sum(axis=0)


def _blur(
    objective: Objective, squares: Numbers, data: Numbers, curvature: Numbers | float
) -> Numbers:
    """What rounding in scores does to J: EPS times their size times that of dL/dz, and its square.

    Of a loss with second derivatives up to β, |dL/dz|² <= 2·β·(L − its least) (Nesterov 2004,
    theorem 2.1.5).

    Args:
        objective: of the columns.
        squares: (K,) of scores.
        data: (K,) the data term of J.
        curvature: β at the scores, (K,) if not of all.
    """
    curvature = np.maximum(curvature, objective.curvature_at_targets)  # on the way from ŷ to y
    slope = np.sqrt(2 * curvature * (data - objective.least[0]))
    off = EPS * np.sqrt(squares)
    blur: Numbers = off * slope + 0.5 * curvature * off**2
    return blur
