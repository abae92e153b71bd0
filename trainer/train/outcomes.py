"""How columns end: values with a sentence a person reads, never exceptions."""

from __future__ import annotations

from typing import NamedTuple


class Outcome(NamedTuple):
    """How a column ended.

    Attributes:
        status: "finished", "early_stopped", "halved", "diverged" or "interrupted"; of solvers
            "converged" or "not_converged" in place of the first two.
        reason: a sentence.
        step: the last step that counts; for a diverged column the step it diverged at.
    """

    status: str
    reason: str
    step: int
