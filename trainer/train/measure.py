"""What an evaluation reads of a stack in training, which changes nothing of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from trainer.machine.interrupted import Interrupted, ShouldStop
from trainer.train.protocol import AnyStack
from trainer.train.state import AnyState

Numbers = np.ndarray[Any, np.dtype[np.float64]]
Flags = np.ndarray[Any, np.dtype[np.bool_]]
Evaluate = Callable[[AnyState, ShouldStop], dict[str, Numbers]]


class Measured(NamedTuple):
    """What an evaluation has read of a state.

    Attributes:
        metrics: by name, each (K,).
        finite: (K,) whether all weights are.
        facts: by name, each (K,), what the stack knows of columns that are due.
    """

    metrics: dict[str, Numbers]
    finite: Flags
    facts: dict[str, Numbers]


def measure(
    stack: AnyStack,
    state: AnyState,
    due: Flags,
    evaluate: Evaluate,
    should_stop: ShouldStop,
    whole: bool,
) -> Measured | None:
    """Read a state for an evaluation of some columns; None without any.

    Args:
        stack: whose state it is.
        state: of K columns.
        due: (K,) which the evaluation is for.
        evaluate: reads the metrics.
        should_stop: asked on the way.
        whole: whether facts that take long must be among what is read.

    Raises:
        Interrupted: `should_stop()`; where it need not be whole facts that take long are left out.
    """
    if not due.any():
        return None
    metrics, finite = evaluate(state, should_stop), _finite_weights(stack, state)
    return Measured(metrics, finite, _facts(stack, state, due & finite, should_stop, whole))


def _finite_weights(stack: AnyStack, state: AnyState) -> Flags:
    xp = stack.device.xp
    finite = xp.isfinite(state.weights).all(axis=(0, 1)) & xp.isfinite(state.bias).all(axis=0)
    return np.asarray(stack.device.to_host(finite))


def _facts(
    stack: AnyStack, state: AnyState, due: Flags, should_stop: ShouldStop, whole: bool
) -> dict[str, Numbers]:
    """What the stack knows of columns that are due; where it must not be whole, at hand."""
    try:
        return stack.facts(state, due, should_stop)
    except Interrupted:
        if whole:
            raise
        return stack.facts(state, np.zeros_like(due))
