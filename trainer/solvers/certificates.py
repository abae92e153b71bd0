"""What a solver can promise of the points it has reached: how far J is above its least, at most.

Bounds are of `trainer.solvers.duality_gap`, for biases at their own optima. Added here is what
biases elsewhere may make of them, and what rounding does to J.

Shapes: r weights and perhaps a bias an output, C outputs, K columns; every number is (K,).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from trainer.solvers.duality_gap import quadratic_gap, sparse_gap
from trainer.solvers.lbfgs import dot
from trainer.train.state import State

if TYPE_CHECKING:
    from trainer.solvers.solver import SolverStack

Array = Any
Numbers = np.ndarray[Any, np.dtype[np.float64]]
EPS = float(np.finfo(np.float64).eps)
FLAT = 16 * EPS  # of |J|: differences below it are rounding
_LOOSE = 1.5  # times what a bound were with the bias at its optimum: then it is brought there
_BIAS_STEPS = 2  # of Newton's method
_TIGHT = 1e-8  # of |J|: a bound below it is as good as any


def certify(stack: SolverStack, state: State) -> dict[str, Numbers]:
    """Read max |dJ/dW| of a stack's points, and bound J − J*: NaN where there is no bound.

    Args:
        stack: the columns.
        state: their points "w", their gradients "g" (P, C, K), and J and its data term.
    """
    n, device = state.numbers, stack.device
    with np.errstate(all="ignore"):
        largest: Numbers = device.to_host(stack.largest(state))
        gap = np.array(device.to_host(_gap(stack, state, slack=True)))
        if stack.objective.bias:
            least = device.to_host(_gap(stack, state, slack=False))
            loose = gap > np.maximum(_LOOSE * least, _TIGHT * np.abs(n["value"]))
            where = np.flatnonzero(loose)
            if len(where):
                gap[where] = np.fmin(gap[where], _tightened(*stack.of(state, where)))
    # J itself is known to rounding alone; a ŷ that has rounded to y leaves a loss without a slope
    saturated = 0.0 if stack.model.quadratic else EPS * stack.shape[1]
    rounding = FLAT * np.abs(n["value"]) + saturated + _blur(stack, state)
    bound = np.minimum(gap, n["value"]) + rounding  # no loss is below 0
    return {"gradient_max": largest, "gap": np.where(np.isfinite(gap), bound, np.nan)}


def _gap(stack: SolverStack, state: State, slack: bool) -> Array:
    """An upper bound of J − J*; infinite or NaN where there is none.

    With `slack` the biases are not taken to be at their own optima.
    """
    o, a = stack.objective, state.arrays
    xp, r = stack.device.xp, o.inner
    if not stack.model.convex or (o.bias and stack.model.variance is None):
        return xp.full(stack.columns, np.inf)
    w, g = a["w"][:r], a["g"][:r]
    off, bias_gap = _bias_slack(stack, a) if slack else (0.0, 0.0)
    if not stack.sparse:
        whole = stack.model.quadratic and stack.basis.directions is not None and stack.basis.whole
        curved = stack.basis.spectrum if whole else xp.zeros(r)
        return quadratic_gap(xp, g, curved[:, None] + o.l2, off) + bias_gap
    loss = stack.device.to_device(state.numbers["data"])
    return sparse_gap(xp, w, g, o.l2, stack.l1, loss, off) + bias_gap


def _bias_slack(stack: SolverStack, a: dict[str, Array]) -> tuple[Array | float, Array | float]:
    """What a bias off its own optimum may add to ‖dJ/dW‖, and to J − J*.

    A curvature that halves on the way is allowed for, which is no theorem.
    """
    o, xp = stack.objective, stack.device.xp
    if not o.bias:
        return 0.0, 0.0
    row = a["g"][o.inner]  # (C, K)
    squares = -(row * o.bias_step(a["w"], row)).sum(axis=0)  # the Newton decrement's
    if stack.model.quadratic:  # of centred rows dJ/dW has no bias in it
        return 0.0, 0.5 * squares
    # J's Hessian is positive: no mixed part of it is larger than the root of both others, of which
    # that of the weights has eigenvalues below their sum
    return xp.sqrt(2 * stack.model.curvature * stack.basis.spectrum.sum() * squares), squares


def _tightened(stack: SolverStack, state: State) -> Numbers:
    """A bound by way of the biases' own optima; moves the points there.

    J − J* is what J loses on the way there, and what the bound says of it there.
    """
    xp, device, o = stack.device.xp, stack.device, stack.objective
    a, n, r = state.arrays, state.numbers, o.inner
    start = n["value"]
    for _ in range(_BIAS_STEPS):
        trial = a["w"].copy()
        trial[r] += o.bias_step(a["w"], a["g"][r])
        grad = xp.empty_like(trial)
        sums = o.value(trial, grad, full=False)
        found = device.to_host(xp.stack([sums[0] + stack.penalty(trial), sums[0]]))
        better = found[0] <= n["value"] * (1 + FLAT)
        for name, array in (("w", trial), ("g", grad)):
            xp.copyto(a[name], array, where=device.to_device(better))
        n["value"], n["data"] = np.where(better, found, np.stack([n["value"], n["data"]]))
    lost: Numbers = np.maximum(start - n["value"], 0)
    bound: Numbers = lost + device.to_host(_gap(stack, state, slack=True))
    return bound


def _blur(stack: SolverStack, state: State) -> Numbers:
    """What rounding in scores does to J: EPS times their size times that of dL/dz, and its square.

    Of a loss >= 0 with second derivatives up to β, |dL/dz|² <= 2·β·L (Nesterov 2004,
    theorem 2.1.5).
    """
    device, r, w = stack.device, stack.objective.inner, state.arrays["w"]
    xp, basis = device.xp, stack.basis
    squares = basis.spectrum.sum() * dot(xp, w[:r], w[:r])  # of scores, at most
    squares += dot(xp, w[r:], w[r:])
    weights = xp.absolute(basis.weights(xp, w[:r]))  # (D, C, K)
    moved = xp.tensordot(xp.absolute(basis.mean), weights, 1)  # (C, K): terms of the bias at last
    squares = device.to_host(squares + (moved * moved).sum(axis=0))  # device -> host
    slope = np.sqrt(2 * stack.model.curvature * state.numbers["data"])
    off = EPS * np.sqrt(squares)
    blur: Numbers = off * slope + 0.5 * stack.model.curvature * off**2
    return blur
