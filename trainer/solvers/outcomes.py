"""The outcome of a solver's column: converged or not, in a sentence that says what would help."""

from __future__ import annotations

import math

import numpy as np

from trainer.solvers.problem import Problem
from trainer.solvers.progress import SolverProgress
from trainer.train.outcomes import Outcome

_LARGE = 1e8  # a squared loss J above it has slopes that no usual tol is meant for
_UNEVEN = 1e4  # the largest feature over the smallest: above it scaling is worth a word
_NO_SIZE = 1e-12  # of the largest feature: a smaller one is constant but for rounding


def ending(problem: Problem, progress: SolverProgress, tol: float, at: int) -> Outcome:
    """How column `at`, which has settled, has ended.

    Args:
        problem: the columns.
        progress: how far they are.
        tol: the column's bound of max |dJ/dW|.
        at: which column.
    """
    steepest, gap = float(progress.gradient_max[at]), float(progress.gap[at])
    value, count = float(progress.value[at]), int(progress.iterations[at])
    reached = f"{_reached(steepest, gap)}, tol {tol:.3g}"
    if steepest <= tol:
        told = f"{reached}, after {_counted(count)}"
        return Outcome("converged", told + _remark(problem, at), count)
    if progress.lost[at]:
        told = (
            f"stopped after {_counted(count)}, as no step lowers J in float64: {reached};"
            f" optimizer.tol={_above(steepest)} is within reach"
        )
        return Outcome("not_converged", told + _advice(problem, value), count)
    more = f"optimizer.max_iter={10 * max(count, 1)}"
    told = (
        f"not at its optimum after {_counted(count)}: {reached}; {more}, a larger optimizer.tol"
        " or a stronger penalty"
    )
    return Outcome("not_converged", told + _advice(problem, value), count)


def _remark(problem: Problem, at: int) -> str:
    """Which solution it is where the rows leave a squared loss without a penalty several."""
    dropped = problem.basis.dropped
    if not dropped or problem.host_l2[at] > 0 or not problem.model.quadratic:
        return ""
    several = ("direction", "has", "it") if dropped == 1 else ("directions", "have", "them")
    told = "; {:,} {} of {:,} {} no rows in {}: of all solutions it is the one of least norm"
    return told.format(dropped, several[0], problem.features, *several[1:])


def _advice(problem: Problem, value: float) -> str:
    """What else helps where features differ much in size, or targets are large."""
    if problem.model.quadratic and value > _LARGE:
        return "; data.scale_target: standard would help, as targets are large"
    sizes = problem.device.to_host(problem.basis.sizes(problem.device.xp))  # (D,)
    some = sizes[sizes > _NO_SIZE * sizes.max(initial=0.0)]
    factor = float(some.max() / some.min()) if len(some) else 1.0
    if factor < _UNEVEN:
        return ""
    return f"; data.scale: standard would help, as features differ in size {factor:.0e} times"


def _counted(count: int) -> str:
    return f"{count:,} iteration{'' if count == 1 else 's'}"


def _reached(steepest: float, gap: float) -> str:
    bound = f", J at most {gap:.2g} above its least" if math.isfinite(gap) else ""
    return f"max|dJ/dW| {steepest:.2g}{bound}"


def _above(value: float) -> str:
    """A number of one digit, not below this one."""
    if not 0 < value < np.inf:
        return "1e-6"
    exponent = np.floor(np.log10(value))
    return f"{np.ceil(value / 10.0**exponent) * 10.0**exponent:.0e}".replace("e-0", "e-")
