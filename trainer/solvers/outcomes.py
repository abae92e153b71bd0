"""How a solver's column has ended, in a sentence that says what would help."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from trainer.train.outcomes import Outcome
from trainer.train.state import State

if TYPE_CHECKING:
    from trainer.solvers.solver import SolverStack

_LARGE = 1e8  # of J: a tolerance for slopes then means nothing for a squared loss
_UNEVEN = 1e4  # times that one feature is as large as another: then scales are worth a word
_NO_SIZE = 1e-12  # of the largest: a constant feature has as much, by rounding


def ending(stack: SolverStack, state: State, at: int) -> Outcome:
    """How column `at`, which has settled, has ended."""
    n = {name: float(value[at]) for name, value in state.numbers.items()}
    tol, count = float(stack.settings.tol[at]), int(n["iterations"])
    if n["gradient_max"] <= tol:
        told = f"{_reached(n)}, tol {tol:.3g}, after {_counted(count)}"
        return Outcome("converged", told + _remark(stack, at), count)
    if n["lost"]:
        told = (
            f"stopped after {_counted(count)}, as no step lowers J in float64: {_reached(n)},"
            f" tol {tol:.3g}; optimizer.tol={_above(n['gradient_max'])} is within reach"
        )
        return Outcome("not_converged", told + _advice(stack, n["value"]), count)
    more = f"optimizer.max_iter={10 * max(count, 1)}"
    told = (
        f"not at its optimum after {_counted(count)}: {_reached(n)}, tol {tol:.3g}; {more}, a"
        " larger optimizer.tol or a stronger penalty"
    )
    return Outcome("not_converged", told + _advice(stack, n["value"]), count)


def _remark(stack: SolverStack, at: int) -> str:
    """What a squared loss without a penalty has where its rows decide nothing."""
    dropped = stack.basis.dropped
    if not dropped or stack.settings.l2[at] > 0 or not stack.model.quadratic:
        return ""
    several = ("direction", "has", "it") if dropped == 1 else ("directions", "have", "them")
    told = "; {:,} {} of {:,} {} no rows in {}: of all solutions it is the one of least norm"
    return told.format(dropped, several[0], stack.shape[0], *several[1:])


def _advice(stack: SolverStack, value: float) -> str:
    """What else helps where features differ much in size, or targets are large."""
    if stack.model.quadratic and value > _LARGE:
        return "; data.scale_target: standard would help, as targets are large"
    sizes = stack.device.to_host(stack.basis.sizes(stack.device.xp))
    some = sizes[sizes > _NO_SIZE * sizes.max(initial=0.0)]
    factor = float(some.max() / some.min()) if len(some) else 1.0
    if factor < _UNEVEN:
        return ""
    return f"; data.scale: standard would help, as features differ in size {factor:.0e} times"


def _counted(count: int) -> str:
    return f"{count:,} iteration{'' if count == 1 else 's'}"


def _reached(n: dict[str, float]) -> str:
    bound = f", J at most {n['gap']:.2g} above its least" if np.isfinite(n["gap"]) else ""
    return f"max|dJ/dW| {n['gradient_max']:.2g}{bound}"


def _above(value: float) -> str:
    """A number of one digit, not below this one."""
    if not 0 < value < np.inf:
        return "1e-6"
    exponent = np.floor(np.log10(value))
    return f"{np.ceil(value / 10.0**exponent) * 10.0**exponent:.0e}".replace("e-0", "e-")
