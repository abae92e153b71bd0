"""How columns end: values with a sentence a person reads, never exceptions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

Numbers = np.ndarray[Any, np.dtype[np.float64]]
Flags = np.ndarray[Any, np.dtype[np.bool_]]


@dataclass(frozen=True)
class Outcome:
    """How a column ended.

    Attributes:
        status: "finished", "early_stopped", "diverged" or "interrupted".
        reason: a sentence.
        step: the last step that counts; for a diverged column the step it diverged at.
    """

    status: str
    reason: str
    step: int


@dataclass
class EarlyStopping:
    """Stop a column whose metric has not improved by `min_delta` for `patience` evaluations.

    Prechelt 1998, "Early stopping — but when?", class UP. All arrays are (K,).

    Attributes:
        metric: its name in an evaluation, such as "val_loss".
        sign: 1 where smaller is better, −1 where larger is.
        patience: evaluations without improvement that a column is allowed.
        min_delta: the least change that counts as an improvement.
        restore_best: whether the weights of the best evaluation are the result.
    """

    metric: str
    sign: float
    patience: Numbers
    min_delta: Numbers
    restore_best: bool

    def __post_init__(self) -> None:
        self.best = np.full(self.patience.shape, np.inf)
        self.waited = np.zeros(self.patience.shape)

    def update(self, value: Numbers, live: Flags) -> tuple[Flags, Flags]:
        """Take in one evaluation.

        Args:
            value: (K,) the metric.
            live: (K,) columns that this evaluation is for; the others are left as they are.

        Returns:
            (improved, stop), each (K,).
        """
        signed = self.sign * value
        improved = live & (signed < self.best - self.min_delta)
        self.best = np.where(improved, signed, self.best)
        self.waited = np.where(improved, 0, self.waited + live)
        return improved, live & ~improved & (self.waited >= self.patience)
