"""J and its slopes at the points that a round tries, and what is fetched of them, at once.

Shapes: P parameters an output, C outputs, K columns.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from trainer.solvers.line_search import TrialPoint
from trainer.solvers.passes import NAMES
from trainer.solvers.progress import SolverState
from trainer.solvers.slopes import SLOPES, Tried

if TYPE_CHECKING:
    from trainer.solvers.directions import Directions
    from trainer.solvers.objective import Objective
    from trainer.solvers.tf32_passes import Tf32Objective

Array = Any
Numbers = np.ndarray[Any, np.dtype[np.float64]]


class Evaluated(NamedTuple):
    """What a round knows of the points that it tries, all on the host.

    Attributes:
        trial: what it decides on.
        slopes: `SLOPES` by name, each (K,), as far as they are known.
        sums: (6, K) by `NAMES`; of a pass in TF32 (7, K).
    """

    trial: TrialPoint
    slopes: dict[str, Numbers]
    sums: Numbers


def evaluate(
    whole: Objective,
    now: Objective | Tf32Objective,
    directions: Directions,
    state: SolverState,
    tried: Tried,
    full: bool,
) -> Evaluated:
    """Evaluate J and its slopes; the gradient of J at the points goes into `tried`.

    Args:
        whole: J of the columns.
        now: what this round's pass is by, the same or in TF32.
        directions: know the slopes.
        state: from which the points are tried.
        tried: the points.
        full: whether sums are wanted that J and the loss do without.

    Raises:
        Interrupted: as `Objective.asking` says.
    """
    problem = whole.problem
    told = {"sums": _pass(whole, now, state, tried, full)}
    told["slopes"] = directions.slopes(state, tried)
    found = whole.device.fetch(told)  # device -> host
    sums, slopes = found["sums"], dict(zip(SLOPES, found["slopes"], strict=False))
    norm, was = (problem.host_l1 * slopes[name] for name in ("norm", "norm_before"))
    value = sums[0] + (0.5 * problem.host_l2 * slopes["weight_squares"] + norm)
    promised = slopes["promised"] + (norm - was)
    if "grad_squares" in slopes:
        sums[NAMES.index("grad_squares")] = slopes["grad_squares"]
    ends = slopes["begin"], slopes["end"], slopes["squares"]
    return Evaluated(TrialPoint(value, promised, *ends), slopes, sums)


def _pass(
    whole: Objective, now: Objective | Tf32Objective, state: SolverState, tried: Tried, full: bool
) -> Array:
    """Sums of this round's `value` at the points to try; the gradient of J beside them."""
    zero = state.progress.at_zeros
    if state.step > 0 or zero.sum() < 2 or whole.problem.loss or whole.is_own:
        at_zeros = state.step == 0 and bool(zero.all())
        return now.value(tried.point, tried.gradient, full, at_zeros)
    # columns at zeros are one point, where no penalty is felt: a pass of one tells of them all,
    # but for losses with parameters, and targets or rows of their own
    xp = whole.device.xp
    sums, gradient = whole.at_zeros(full)
    sums = sums + xp.zeros(len(zero))  # (6, K)
    if zero.all():
        tried.gradient[...] = gradient
        return sums
    mask = whole.device.to_device(zero)
    sums = xp.where(mask, sums, whole.value(tried.point, tried.gradient, full))
    xp.copyto(tried.gradient, gradient, where=mask)
    return sums
