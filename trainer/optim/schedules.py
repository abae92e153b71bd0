"""Learning-rate schedules of K columns, each by its own budget of steps.

A schedule is a plain function of the step, so any part of it can be made at any time (after a
resume, for the next hundred steps only). A column past its budget has lr 0, which holds its weights
still.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

Numbers = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True)
class LrSchedule:
    """The schedule of K columns; lengths are in steps.

    Attributes:
        name: "constant", "cosine" (Loshchilov & Hutter 2017, one cycle) or "step".
        lr: (K,) peak learning rates.
        steps: (K,) budgets.
        warmup: (K,) steps of linear warm-up (Goyal et al. 2017, §2.2): step t of w has lr·t/w, and
            at most lr where w is not whole.
        final: (K,) what cosine ends at, as a fraction of lr.
        gamma: (K,) what lr is multiplied by at each milestone of "step".
        milestones: (M,) steps after which that happens.
        length: (K,) steps that cosine is spread over: those of the budget, or more where a column
            stops early on the schedule of a longer run.
    """

    name: str
    lr: Numbers
    steps: Numbers
    warmup: Numbers
    final: Numbers
    gamma: Numbers
    milestones: Numbers
    length: Numbers

    def take(self, columns: Any) -> LrSchedule:
        """The schedule of some of the columns."""
        of_columns = ("lr", "steps", "warmup", "final", "gamma", "length")
        return replace(self, **{name: getattr(self, name)[columns] for name in of_columns})

    def table(self, first: int, last: int) -> Numbers:
        """Learning rates of the steps first … last (counted from 1, both in), shape (steps, K).

        The rate of step 0, before training, is 0.
        """
        step = np.arange(first, last + 1, dtype=np.float64)[:, None]  # (S, 1)
        before = step - 1  # updates already made, as frameworks count
        factor = _SHAPES[self.name](self, before)
        with np.errstate(divide="ignore", invalid="ignore"):
            warm = np.minimum(step / self.warmup, 1)  # a warm-up may end within a step
        live = (step >= 1) & (step <= self.steps)
        return np.where(live, self.lr * np.where(before < self.warmup, warm, factor), 0.0)


def _constant(schedule: LrSchedule, before: Numbers) -> Numbers:
    return np.ones((1, 1))


def _cosine(schedule: LrSchedule, before: Numbers) -> Numbers:
    length = np.maximum(schedule.length - schedule.warmup, 1)
    progress = np.clip((before - schedule.warmup) / length, 0, 1)
    factor: Numbers = schedule.final + (1 - schedule.final) * 0.5 * (1 + np.cos(np.pi * progress))
    return factor


def _step(schedule: LrSchedule, before: Numbers) -> Numbers:
    passed = (before[:, :, None] >= schedule.milestones).sum(axis=2)  # (S, 1)
    factor: Numbers = schedule.gamma**passed
    return factor


_SHAPES = {"constant": _constant, "cosine": _cosine, "step": _step}
