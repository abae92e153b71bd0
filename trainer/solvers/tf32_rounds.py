"""When a column's rounds are in TF32: from its first point on, until they tell no more of J.

A column's first point is evaluated in float64, as it is without TF32: what has converged there, or
is not finite, ends there. Then it goes on by passes in TF32 (`trainer.solvers.tf32_passes`) until

- its gradient is no larger than what roundings make of it, or than its tol;
- three points in a row were refused, or J and its gradient stay where they are: roundings decide;
- it has used up its iterations, or second derivatives are due.

Its history is emptied then, J is evaluated in float64 where it is, and all from there on is what it
were without TF32. It waits for the others before: a round is in TF32 for all columns or for none,
so that no pass is made for a few. What a column computes depends on no other.

The noise of a gradient Σ q·x·e of rows x, whose numbers and whose errors e are each off by up to
2⁻¹¹ of themselves, independent of each other, has the square

    ρ²·Σ q²·‖x‖²·(2·e² + (∂e/∂z)²·Σ_d x_d²·W_d²)

of which the means over all rows are taken factor by factor.

Shapes: every array is (K,), on the host.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from trainer.solvers.passes import NAMES
from trainer.solvers.progress import Flags, Numbers, SolverProgress, SolverState

if TYPE_CHECKING:
    from trainer.solvers.tf32_passes import Tf32Objective

Array = Any
_NOISE = 2.0**-10  # ρ, five times the root mean square of what a number is off: on the safe side
_TRIES = 3  # of a step in a row: noise, or else a few rounds more in float64
_STALLED = 4  # iterations in a row without a decrease of J or of the gradient


class Tf32Rounds:
    """The rounds of K columns that are in TF32.

    Attributes:
        objective: that they evaluate.
    """

    def __init__(self, objective: Tf32Objective, tol: Numbers, last: Numbers) -> None:
        """Say when they are over.

        Args:
            objective: of the columns.
            tol: (K,) bound of max |dJ/dW|.
            last: (K,) iterations up to which there may be any.
        """
        self.objective, self._tol, self._last = objective, tol, last

    def noise(self, sums: Numbers, gamma: Numbers) -> Numbers:
        """What roundings may make of ‖dJ/dw‖.

        Args:
            sums: (7, K) of `Tf32Objective.value`.
            gamma: of `SolverProgress`, about the mean of ∂e/∂z.
        """
        own, rows = self.objective, len(self.objective.rows)
        squares = 2 * sums[NAMES.index("dz_squares")] / rows + gamma**2 * sums[-1]
        found: Numbers = _NOISE * np.sqrt(own.length * own.share * squares)
        return found

    def turn(
        self, state: SolverState, moving: Flags, takes: Flags, norm: Numbers, sums: Numbers
    ) -> None:
        """After a round: have columns begin with TF32, and leave it.

        Args:
            state: after it.
            moving: (K,) whose round it was.
            takes: (K,) those of them that took their points.
            norm: (K,) of the gradient at the points that were tried.
            sums: of them.
        """
        n = state.progress
        begins = takes & (n.evaluations == 1) & (n.gradient_max > self._tol) & (self._last > 0)
        ends = moving & n.tf32 & self._is_over(n, takes, norm, sums)
        if (begins | ends).any():
            self._begin_again(state, begins | ends)
        n.tf32 = (n.tf32 | begins) & ~ends

    def _is_over(self, n: SolverProgress, takes: Flags, norm: Numbers, sums: Numbers) -> Flags:
        if len(sums) == len(NAMES):  # of a pass in float64
            return np.zeros_like(takes)
        at_floor = takes & ~(norm > self.noise(sums, n.gamma))
        rounded = (n.tries >= _TRIES) | (n.stalled >= _STALLED) | n.lost
        found: Flags = at_floor | rounded | (n.gradient_max <= self._tol)
        return found | (n.iterations >= self._last)

    def _begin_again(self, state: SolverState, which: Flags) -> None:
        """Have columns evaluate J where they are, as if they began there; no pair counts."""
        n, device, a = state.progress, self.objective.device, state.arrays
        mask = device.to_device(which)
        for name in ("d", "rho"):
            device.xp.copyto(a[name], 0.0, where=mask)
        n.before = np.where(which, n.evaluations, n.before)
        n.value[which] = n.gradient_max[which] = np.inf
        for name in ("length", "tries", "stalled"):
            getattr(n, name)[which] = 0
        n.plain = n.plain & ~which
        n.lost = n.lost & ~which
        n.within = n.within | which
        n.aimed = n.aimed | which
