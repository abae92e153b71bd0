"""Backtracking with Armijo's rule, and an approximate Wolfe condition where J is flat.

Every column has a search of its own: a round tries one point of each (Nocedal & Wright 2006, §3.1;
Hager & Zhang 2005).

Shapes: every array is (K,), on the host.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from trainer.solvers.progress import SolverProgress

Numbers = np.ndarray[Any, np.dtype[np.float64]]
Flags = np.ndarray[Any, np.dtype[np.bool_]]
_DECREASE = 1e-4  # Armijo's share of the slope's promise
_STEEP = 0.9  # of the slope, that a flat step's end may have
_SHORTEST, _LONGEST = 0.1, 0.5  # of the last trial step
_TRIES = 40  # of a step in a row
_STALLED = 12  # iterations in a row without a decrease of J or of the gradient
_SMALLER = 0.9  # of the least gradient so far: what counts as a decrease


class TrialPoint(NamedTuple):
    """The points that a round has tried.

    Attributes:
        value: J.
        promised: what J would change by if it were linear along the step.
        begin, end: the slope along the step, at its two ends.
        squares: ‖dJ/dw‖² at its end.
    """

    value: Numbers
    promised: Numbers
    begin: Numbers
    end: Numbers
    squares: Numbers


def is_good(progress: SolverProgress, trial: TrialPoint, rounding: Numbers) -> Flags:
    """Whether a point is far enough below: Armijo's rule, by slopes where J is flat.

    Where J changes by no more than `rounding` its slopes along the step still tell: `begin` must
    fall, and `end` be flatter.
    """
    n, value = progress, trial.value
    first = n.evaluations == n.before + 1
    falls = (value <= n.value + _DECREASE * trial.promised) & (trial.promised < 0)
    flat = np.abs(value - n.value) <= rounding
    level = flat & (np.abs(trial.end) <= _STEEP * np.abs(trial.begin)) & (trial.begin < 0)
    good: Flags = np.isfinite(value) & (first | falls | level)
    return good


def shorten(progress: SolverProgress, refused: Flags, trial: TrialPoint) -> Flags:
    """Shorten steps: to the least of the parabola through both ends, within limits.

    Where no step is short enough a column is lost, unless the slope itself is still to be followed:
    those are returned.
    """
    n = progress
    rise = trial.value - n.value - trial.promised
    best = np.where(np.isfinite(rise) & (rise > 0), -trial.promised / (2 * rise), _SHORTEST)
    factor = np.clip(best, _SHORTEST, _LONGEST)
    n.length[refused] *= factor[refused]
    n.tries[refused] += 1
    over = refused & (n.tries > _TRIES)
    plain = over & ~n.plain
    n.lost |= (over & ~plain) | (refused & (n.evaluations == n.before + 1))
    return plain


def accept(
    progress: SolverProgress, takes: Flags, moved: Flags, trial: TrialPoint, rounding: Numbers
) -> None:
    """Note the points that columns take.

    A column is lost where neither J nor its gradient has become less in many points in a row.

    Args:
        progress: of the columns, changed in place.
        takes: whose points are good.
        moved: those of them that were at a point before.
        trial: the points.
        rounding: differences of J that are no more.
    """
    n, value, norm = progress, trial.value, np.sqrt(trial.squares)
    n.iterations += moved
    n.used = n.length.copy()
    falls = n.value - value > rounding
    better = falls | (norm < _SMALLER * n.smallest)
    n.stalled = np.where(takes, np.where(better, 0, n.stalled + 1), n.stalled)
    n.lost |= takes & (n.stalled >= _STALLED)
    n.smallest[takes] = np.where(moved, np.minimum(n.smallest, norm), norm)[takes]
    n.value[takes] = value[takes]
    n.tries[takes] = 0
    n.plain &= ~(takes & falls)  # at the floor of J once is enough
    n.length[takes], n.aimed[takes] = 1, False
