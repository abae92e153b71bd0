"""What a solver can promise of the points it has reached: how far J is above its least, at most.

Duality gaps and strong convexity bound J − J* (`trainer.solvers.duality_gap`) for biases at their
own optima. Added here is what biases elsewhere may make of them, and what rounding does to J.

Shapes: r weights and perhaps a bias an output, C outputs, K columns; every number is (K,).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from trainer.solvers.duality_gap import quadratic_gap, sparse_gap
from trainer.solvers.lbfgs import dot
from trainer.solvers.objective import Objective
from trainer.solvers.problem import EPS, Problem

Array = Any
Numbers = np.ndarray[Any, np.dtype[np.float64]]
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
    """

    w: Array
    gradient: Array
    value: Numbers
    data: Numbers

    def take(self, problem: Problem, columns: Any) -> Points:
        """Those of some columns, by their numbers, copied."""
        xp, where = problem.device.xp, problem.device.to_device(columns)
        w, gradient = (xp.take(one, where, axis=-1) for one in (self.w, self.gradient))
        return Points(w, gradient, self.value[columns], self.data[columns])


class Certificate(NamedTuple):
    """What holds of K points: max |dJ/dW|, and a bound of J − J*, NaN where there is none."""

    gradient_max: Numbers
    gap: Numbers


def certify(objective: Objective, points: Points) -> Certificate:
    """Read max |dJ/dW| of points, and bound J − J*."""
    problem, device, value = objective.problem, objective.device, points.value
    with np.errstate(all="ignore"):
        largest: Numbers = device.to_host(problem.largest(points.w, points.gradient))
        hessian = objective.bias_hessian(points.w) if _has_slack(problem) else None
        gap = np.array(device.to_host(_gap(objective, points, hessian)))
        if problem.bias:
            least = device.to_host(_gap(objective, points, None))
            loose = gap > np.maximum(_LOOSE * least, _TIGHT * np.abs(value))
            where = np.flatnonzero(loose)
            if len(where):
                part = points.take(problem, where)
                some = None if hessian is None else hessian[device.to_device(where)]
                gap[where] = np.fmin(gap[where], _tightened(objective.take(where), part, some))
    # J itself is known to rounding alone; a ŷ that has rounded to y leaves a loss without a slope
    saturated = 0.0 if problem.model.quadratic else EPS * problem.outputs
    rounding = objective.rounding(value) + saturated + _blur(objective, points)
    bound = np.minimum(gap, value - objective.least[0]) + rounding
    return Certificate(largest, np.where(np.isfinite(gap), bound, np.nan))


def _has_bound(problem: Problem) -> bool:
    return problem.model.convex and not (problem.bias and problem.model.variance is None)


def _has_slack(problem: Problem) -> bool:
    return problem.bias and _has_bound(problem)


def _gap(objective: Objective, points: Points, hessian: Array | None) -> Array:
    """An upper bound of J − J*; infinite or NaN where there is none.

    With the biases' `hessian` they are not taken to be at their own optima.
    """
    problem, model = objective.problem, objective.model
    xp, r = problem.device.xp, problem.inner
    if not _has_bound(problem):
        return xp.full(problem.shape[2], np.inf)
    w, g = points.w[:r], points.gradient[:r]
    off, bias_gap = (0.0, 0.0) if hessian is None else _bias_slack(objective, points, hessian)
    if not problem.sparse:
        basis = problem.basis
        whole = model.quadratic and basis.directions is not None and basis.whole
        curved = basis.spectrum if whole else xp.zeros(r)
        return quadratic_gap(xp, g, curved[:, None] + problem.l2, off) + bias_gap
    data = problem.device.to_device(points.data - objective.least[0])
    return sparse_gap(xp, w, g, problem.l2, problem.l1, data, off) + bias_gap


def _bias_slack(objective: Objective, points: Points, hessian: Array) -> tuple[Array, Array]:
    """What a bias off its own optimum may add to ‖dJ/dW‖, and to J − J*.

    A curvature that halves on the way is allowed for, which is no theorem.
    """
    problem, xp = objective.problem, objective.device.xp
    row = points.gradient[problem.inner]  # (C, K)
    squares = -(row * objective.bias_step(hessian, row)).sum(axis=0)  # the Newton decrement's
    if problem.model.quadratic:  # of centred rows dJ/dW has no bias in it
        return xp.zeros_like(squares), 0.5 * squares
    # J's Hessian is positive: no mixed part of it is larger than the root of both others, of which
    # that of the weights has eigenvalues below their sum
    spread = problem.basis.spectrum.sum()
    room = 2.0 if problem.model.curvature is not None else 4.0  # that of rows here may double too
    curvature = problem.device.to_device(room * objective.curvature(points.w))
    return xp.sqrt(curvature * spread * squares), squares


def _tightened(objective: Objective, points: Points, hessian: Array | None) -> Numbers:
    """A bound by way of the biases' own optima; moves the points there.

    J − J* is what J loses on the way there, and what the bound says of it there.
    """
    assert hessian is not None
    problem, device = objective.problem, objective.device
    xp, r = device.xp, problem.inner
    start = points.value
    bound: Numbers = np.full(len(start), np.inf)
    loose = np.ones(len(start), bool)
    for _ in range(_BIAS_STEPS):
        w, gradient, value, data = points
        trial = w.copy()
        step = objective.bias_step(hessian, gradient[r])
        trial[r] += step
        grad = xp.empty_like(trial)
        sums = objective.value(trial, grad, full=False)
        found = device.to_host(xp.stack([sums[0] + problem.penalty(trial), sums[0]]))
        better = found[0] <= value + objective.rounding(value)
        mask = device.to_device(better)
        xp.copyto(w, trial, where=mask)
        xp.copyto(gradient, grad, where=mask)
        value, data = np.where(better, found, np.stack([value, data]))
        points = Points(w, gradient, value, data)
        hessian = _moved(objective, points.w, hessian, step)
        lost = np.maximum(start - points.value, 0)
        found = lost + device.to_host(_gap(objective, points, hessian))
        least = device.to_host(_gap(objective, points, None))
        bound = np.where(loose, found, bound)
        loose &= found > np.maximum(_LOOSE * least, _TIGHT * np.abs(value))
        if not loose.any():
            break
    return bound


def _moved(objective: Objective, w: Array, hessian: Array, step: Array) -> Array:
    """The biases' hessian at w, which they have come to by a step (C, K): after a short one less.

    What a short step may have taken from it is taken from it: then no pass over the rows is due.
    """
    xp = objective.device.xp
    far = xp.absolute(step).max(axis=0)  # (K,)
    short, shape = far <= _NEAR, (-1, *[1] * (hessian.ndim - 1))
    less = hessian * xp.exp(-2 * far).reshape(shape)
    if bool(short.all()):
        return less
    return xp.where(short.reshape(shape), less, objective.bias_hessian(w))


def _blur(objective: Objective, points: Points) -> Numbers:
    """What rounding in scores does to J: EPS times their size times that of dL/dz, and its square.

    Of a loss with second derivatives up to β, |dL/dz|² <= 2·β·(L − its least) (Nesterov 2004,
    theorem 2.1.5).
    """
    problem, w = objective.problem, points.w
    device, r, basis = problem.device, problem.inner, problem.basis
    # on the way from ŷ to y
    xp, curvature = device.xp, np.maximum(objective.curvature(w), objective.curvature_at_targets)
    squares = basis.spectrum.sum() * dot(xp, w[:r], w[:r])  # of scores, at most
    squares += dot(xp, w[r:], w[r:])
    weights = xp.absolute(basis.weights(xp, w[:r]))  # (D, C, K)
    flat = weights.reshape(len(weights), -1)
    moved = (xp.absolute(basis.mean)[None] @ flat).reshape(w.shape[1:])  # (C, K) in the bias
    squares = device.to_host(squares + (moved * moved).sum(axis=0))  # device -> host
    slope = np.sqrt(2 * curvature * (points.data - objective.least[0]))
    off = EPS * np.sqrt(squares)
    blur: Numbers = off * slope + 0.5 * curvature * off**2
    return blur
