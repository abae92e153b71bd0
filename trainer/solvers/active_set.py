"""Feature-sign search: the exact minimiser of a quadratic with l1, by few linear systems.

    q(x) = slope·(x − start) + ½·(x − start)ᵀ(M + diag(l2))(x − start) + Σ_j l1_j·|x_j|

Among the points with given signs q is a parabola, whose least is one linear system away. A step
goes there, through zeros that elements cross for as long as q falls, and what ends at a zero is 0
exactly; where a step is whole, zeros whose slope exceeds l1_j enter, the worst first and at most as
many as there are already. q falls at every step, so no signs come twice and it ends, whatever M is
(Lee, Battle, Raina & Ng 2007, §3, with more than one entering).

Elements enter and leave one after another and each system is small, so all of it is on the host.

Shapes: n elements of one column.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from trainer.machine.interrupted import ShouldStop, ask, never

Array = Any
_STEPS = 10  # an element, at most; what is left is for the next iteration of the caller
_ENTERING = 8  # at least, where so many would
_RIDGE = 1e-8  # of an element's curvature, added to it: dependent elements then share their weight
_EPS = float(np.finfo(np.float64).eps)
_ROUNDING = 64 * _EPS  # of l1: slopes are known to this alone
_TIED = 1e-7  # of l1: an element whose slope is so near l1 may be other than 0 at another minimum
_INDEPENDENT = 1e-7  # of an element's curvature: what Cholesky must leave of it, or it depends
_SETTLED = 1e-18  # of the largest fall of q, or its size: a fall below it shows no trace of _RIDGE
_NOTHING = 1e-26  # of the same: a fall below it is rounding
_ALIKE = 1e-6  # relative: crossings and slopes within it are one
_TINY = float(np.finfo(np.float64).tiny)


class Minimum(NamedTuple):
    """What was found.

    Attributes:
        x: (n,) the point.
        slope: (n,) of the quadratic at x, without l1.
    """

    x: Array
    slope: Array


def minimize(
    M: Array,
    l2: Array,
    slope: Array,
    l1: Array,
    start: Array,
    should_stop: ShouldStop = never,
) -> Minimum:
    """Minimise q.

    Args:
        M: (n, n) symmetric, positive semidefinite.
        l2: (n,) to be added to its diagonal.
        slope: (n,) of the quadratic at `start`.
        l1: (n,); where it is 0 an element is free.
        start: (n,).
        should_stop: asked before each system.

    Raises:
        Interrupted: `should_stop()`.
    """
    slope, free, curvature = slope.copy(), l1 == 0, np.diagonal(M) + l2  # (n,) each
    x = np.where((curvature == 0) & ~free, 0.0, start)  # a constant feature: l1 alone is left of q
    floor = _EPS**2 * curvature.max() if len(x) else 0.0
    curvature = np.maximum(curvature, floor) + _TINY
    whole, settled = True, False  # whether x is the least among the points with its signs
    largest = float(l1 @ np.absolute(x) + curvature @ (x * x))  # fall of q, or q's own size
    for _ in range(_STEPS * (len(x) + 1)):
        holds = free | (x != 0)
        beyond = np.where(holds, 0.0, np.absolute(slope) - l1 * (1 + _ROUNDING))
        enters = _worst(beyond, most=max(_ENTERING, int(holds.sum()))) & whole
        if settled and not bool(enters.any()):
            break
        signs = np.where(x != 0, np.sign(x), -np.sign(slope))
        steepest = slope + l1 * signs
        step = _step(M, l2, curvature, steepest, signs, holds, enters, should_stop)
        pull = float(steepest @ step)
        largest, entered = max(largest, -pull), whole
        crosses = (x * step < 0) & (np.absolute(step) > np.absolute(x)) & ~free
        whole = not bool(crosses.any())
        settled = whole and not pull < -_SETTLED * largest
        if not pull < -_NOTHING * largest:
            if entered:
                break
            whole = settled = True
            continue
        length, stops = 1.0, crosses
        if not whole:
            bend = float(_bent(M, l2, step) @ step)
            length, stops = _length(x, step, l1, crosses, pull, bend)
        moved = np.where(stops, 0.0, x + length * step)
        slope += _bent(M, l2, moved - x)
        x = moved
    return Minimum(x, slope)


def is_unique(M: Array, l2: Array, l1: Array, slope: Array) -> bool:
    """Whether a minimum with this slope (n,) is the only one.

    It is where the elements that could be other than 0 do not depend on each other (Tibshirani
    2013, lemma 2).
    """
    could = np.flatnonzero(np.absolute(slope) >= l1 * (1 - _TIED))
    if not len(could):
        return True
    part = _part(M, l2, could)
    scale = np.sqrt(np.diagonal(part))
    part = part / scale[:, None] / scale
    try:
        triangle = np.linalg.cholesky(part)
    except np.linalg.LinAlgError:
        return False
    return bool((np.diagonal(triangle) ** 2 > _INDEPENDENT).all())


def _part(M: Array, more: Array, which: Array) -> Array:
    """What some elements have of M + diag(more), a copy."""
    rows, number = np.take(M, which, axis=0), np.arange(len(which))
    part = np.take(rows, which, axis=1)  # in two steps, each in the order of memory: quicker
    part[number, number] += more[which]
    return part


def _worst(beyond: Array, most: int) -> Array:
    """(n,) which elements enter: of those that would the farthest, hardly more than `most`."""
    if int((beyond > 0).sum()) <= most:
        return beyond > 0
    return (beyond > 0) & (beyond >= np.sort(beyond)[-most] * (1 - _ALIKE))


def _bent(M: Array, l2: Array, step: Array) -> Array:
    """What a step (n,) adds to the slope."""
    active = np.flatnonzero(step)
    return step[active] @ np.take(M, active, axis=0) + l2 * step


def _step(
    M: Array,
    l2: Array,
    curvature: Array,
    steepest: Array,
    signs: Array,
    holds: Array,
    enters: Array,
    should_stop: ShouldStop,
) -> Array:
    """(n,) to the least of q with these signs; entering elements that would take others do not."""
    while True:
        ask(should_stop)
        active = np.flatnonzero(holds | enters)
        step = np.zeros_like(steepest)
        if not len(active):
            return step
        part = _part(M, l2 + _RIDGE * curvature, active)
        step[active] = -np.linalg.solve(part, steepest[active])
        against = enters & (step * signs <= 0)
        if not bool(against.any()):
            return step
        enters = enters & ~against


def _length(
    x: Array, step: Array, l1: Array, crosses: Array, pull: float, bend: float
) -> tuple[float, Array]:
    """How far to go, at most 1, for the least of q; and (n,) which elements are 0 there.

    At every zero that is crossed the slope along the step grows by 2·l1_j·|step_j|.
    """
    which = np.flatnonzero(crosses)
    at = -x[which] / step[which]  # (m,)
    order = np.argsort(at)
    which, at = which[order], at[order]
    jumps = np.cumsum(2 * (l1 * np.absolute(step))[which])
    rising = np.flatnonzero(pull + at * bend + jumps >= 0)
    last = int(rising[0]) if len(rising) else len(which)
    crossed = float(jumps[last - 1]) if last else 0.0
    if len(rising) and pull + float(at[last]) * bend + crossed <= 0:
        stops = np.zeros_like(crosses)
        stops[which[np.absolute(at - at[last]) <= _ALIKE * at[last]]] = True
        return float(at[last]), stops
    return min(-(pull + crossed) / max(bend, _TINY), 1.0), np.zeros_like(crosses)
