"""Steps that the disk refuses: which are told to be lost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from trainer.errors import DiskError
from trainer.runs.refusals import Refusals
from trainer.runs.spared_steps import SparedSteps


class RefusedLog:
    """A log whose disk takes nothing."""

    path, lacks, refusal = Path("steps"), True, DiskError("full")

    def append(self, *_: Any) -> None:
        """Take nothing."""

    def commit(self) -> None:
        """Refuse."""
        raise self.refusal


def test_steps_are_lost_from_the_first_that_waited_whatever_came_empty_since() -> None:
    told: list[str] = []
    refusals = Refusals()
    refusals.tell = told.append
    log: Any = RefusedLog()
    steps = SparedSteps(log, refusals)
    for first in ([7, 8], [], [9]):
        steps.append(Path("steps"), first)
    with steps.spared():
        steps.commit(Path("steps"))
    assert len(told) == 1
    assert "steps from 7 on are lost" in told[0]
