"""What a round decides on of the points that it tries: inner products of points, steps and slopes.

Shapes: P parameters an output, C outputs, K columns.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from trainer.solvers.lbfgs import dot
from trainer.solvers.problem import Problem

Array = Any
OF_POINTS = ("weight_squares", "promised", "begin", "end", "squares", "norm", "norm_before")
"""‖W‖² of a point; of the step to it products with the gradient before, and with the least
subgradients before and after; the square of the latter; ‖W‖₁ after and before, 0 without l1."""
OF_PAIRS = ("sy", "sv", "scaled", "ss", "yy")
"""Of s the step, y the change of the gradient and v = y − l2·s of the weights: sᵀy, sᵀv, vᵀv/λ,
sᵀs, yᵀy."""
SLOPES = (*OF_POINTS, *OF_PAIRS, "grad_squares")
"""And what is logged: the square of the weights' gradient without l1."""


class Tried(NamedTuple):
    """Points that a round tries, the gradients of J without l1 there, and the steps to them.

    Each is (P, C, K).
    """

    point: Array
    gradient: Array
    step: Array


def of_points(problem: Problem, w: Array, g: Array, tried: Tried) -> list[Array]:
    """`OF_POINTS`, each (K,).

    Args:
        problem: the columns.
        w: (P, C, K) the points before the step.
        g: (P, C, K) dJ/dw there, without l1.
        tried: the points.
    """
    xp, inner, step = problem.device.xp, tried.point[: problem.inner], tried.step
    after = problem.steepest(tried.point, tried.gradient)
    begin = promised = dot(xp, g, step)
    norm = was = xp.zeros(problem.shape[2])
    if problem.sparse:
        begin = dot(xp, problem.steepest(w, g), step)
        norm, was = (xp.absolute(one).sum(axis=(0, 1)) for one in (inner, w[: problem.inner]))
    ends = dot(xp, after, step), dot(xp, after, after)
    return [dot(xp, inner, inner), promised, begin, *ends, norm, was]


def of_pairs(problem: Problem, spectrum: Array, step: Array, y: Array) -> list[Array]:
    """`OF_PAIRS`, each (K,), for λ = `spectrum` (P,)."""
    xp = problem.device.xp
    curved = problem.l2 * step
    curved[problem.inner :] = 0
    xp.subtract(y, curved, out=curved)
    scaled = dot(xp, curved, curved / spectrum[:, None, None])
    return [dot(xp, step, y), dot(xp, step, curved), scaled, dot(xp, step, step), dot(xp, y, y)]
