"""What a solver keeps of each column, a number or a flag each: (K,) arrays on the host."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from trainer.train.state import State

Numbers = np.ndarray[Any, np.dtype[np.float64]]
Flags = np.ndarray[Any, np.dtype[np.bool_]]
FACTS = ("iterations", "evaluations", "gradient_max", "gap")
"""The fields that a run tells of each column."""


@dataclass
class SolverProgress:
    """How far K columns are; every field is (K,).

    Attributes:
        value: J of the point.
        data: the data term of it, with class weights.
        loss: the same without, as it is logged.
        gradient_max: max |dJ/dW|, the bias included; with l1 of the subgradient of least norm.
        gap: a bound of J − J*; NaN without one.
        iterations: points taken after the first.
        evaluations: points tried.
        length: of the step that is tried.
        used: of the step taken last.
        tries: of the step so far.
        stalled: iterations in a row without a decrease of J or of the gradient.
        smallest: the least ‖dJ/dw‖ so far.
        first: ‖dJ/dw‖ of the first point; NaN before.
        gamma: γ of H₀, the data term's curvature beside the basis's λ.
        within: with l1, whether the step must stay within its orthant.
        plain: whether the step is one against the slope.
        lost: whether no step decreases J, or the first point is not finite.
        at_zeros: whether the first point has zeros alone.
        aimed: whether the direction is that of the point: one that a signal kept from being made is
            made first when the column goes on.
        before: of the evaluations, those before the first of its last point to begin from; 0 but
            where rounds in TF32 began or ended.
        tf32: whether its rounds are in TF32.
    """

    value: Numbers
    data: Numbers
    loss: Numbers
    gradient_max: Numbers
    gap: Numbers
    iterations: Numbers
    evaluations: Numbers
    length: Numbers
    used: Numbers
    tries: Numbers
    stalled: Numbers
    smallest: Numbers
    first: Numbers
    gamma: Numbers
    within: Flags
    plain: Flags
    lost: Flags
    at_zeros: Flags
    aimed: Flags
    before: Numbers
    tf32: Flags

    def fault(self, step: int) -> str | None:
        """Say why these cannot be numbers of so many rounds; None if they can.

        A column that has been evaluated no more often than before it began would never settle.
        """
        counts = self.iterations, self.tries, self.stalled, self.before, self.evaluations
        if not all(bool(((n >= 0) & (n <= step)).all()) for n in counts):  # of NaN neither holds
            return "a column has counts that are none of its rounds"
        if not (self.before <= self.evaluations).all():
            return "a column has begun after its last round"
        return None


SolverState = State[SolverProgress]


def share_done(progress: SolverProgress, end: Numbers, max_iter: Numbers) -> Numbers:
    """(K,) how far columns that go on are, from 0 to 1: of their iterations, or downhill.

    Slopes of L-BFGS fall by about the same factor an iteration.

    Args:
        progress: of the columns.
        end: (K,) ‖dJ/dw‖ that they go down to.
        max_iter: (K,) most iterations.
    """
    n = progress
    with np.errstate(all="ignore"):
        downhill = np.log(n.first / n.smallest) / np.log(n.first / end)
        share = np.fmax(n.iterations / max_iter, np.fmax(downhill, 0))
    found: Numbers = np.minimum(np.nan_to_num(share), 0.99)
    return found


def at_start(columns: int, curvature: Numbers, at_zeros: Flags) -> SolverProgress:
    """SolverProgress before the first evaluation.

    Args:
        columns: K.
        curvature: (K,) the largest second derivative of the loss by z.
        at_zeros: as `SolverProgress.at_zeros`.
    """

    def each(value: float) -> Numbers:
        return np.full(columns, value)

    return SolverProgress(
        value=each(np.inf),
        data=each(np.nan),
        loss=each(np.nan),
        gradient_max=each(np.inf),
        gap=each(np.nan),
        iterations=each(0.0),
        evaluations=each(0.0),
        length=each(0.0),
        used=each(0.0),
        tries=each(0.0),
        stalled=each(0.0),
        smallest=each(np.inf),
        first=each(np.nan),
        gamma=curvature,
        within=np.ones(columns, bool),
        plain=np.zeros(columns, bool),
        lost=np.zeros(columns, bool),
        at_zeros=at_zeros,
        aimed=np.ones(columns, bool),
        before=each(0.0),
        tf32=np.zeros(columns, bool),
    )
