"""Which trials stop before their budget: early stopping, and synchronous halving.

Both look at a trial's mean over its repeats, at evaluations that all trials have reached.
Arrays are (T,): one number a trial.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from trainer.text.numbers import counted
from trainer.text.saved import Saved, copied

Numbers = np.ndarray[Any, np.dtype[np.float64]]
Indices = np.ndarray[Any, np.dtype[np.int64]]
Flags = np.ndarray[Any, np.dtype[np.bool_]]


@dataclass
class EarlyStopper:
    """Stop a trial whose metric has not improved by `min_delta` for `patience` evaluations.

    Prechelt 1998, "Early stopping — but when?", class UP.

    Attributes:
        metric: a name a trial, such as "val_loss"; "" for a trial that never stops early.
        sign: 1 where smaller is better, −1 where larger is.
        patience: evaluations without improvement that a trial is allowed.
        min_delta: the least change that counts as an improvement.
        restore_best: whether the weights of the best evaluation are the result.

    An evaluation whose value is no number says nothing: it is neither better nor waited for.
    """

    metric: Sequence[str]
    sign: Numbers
    patience: Numbers
    min_delta: Numbers
    restore_best: Flags

    def __post_init__(self) -> None:
        self.best = np.full(len(self.metric), np.inf)
        self.waited = np.zeros(len(self.metric))
        self.watched = np.array([name != "" for name in self.metric], bool)

    def update(self, value: Numbers, due: Flags) -> tuple[Flags, Flags]:
        """Take in one evaluation.

        Args:
            value: each trial's own metric; NaN where it is no number.
            due: the trials that this evaluation is for; the others are left as they are.

        Returns:
            (counts, stop): the trials whose evaluation is the one that counts so far, and those
            that stop.
        """
        watched = due & self.watched & ~np.isnan(value)
        signed = self.sign * value
        improved = watched & (signed < self.best - self.min_delta)
        self.best = np.where(improved, signed, self.best)
        self.waited = np.where(improved, 0, self.waited + watched)
        # while the metric has never been a number the latest evaluation counts
        first = due & ~np.isfinite(self.best)
        counts = np.where(self.restore_best, improved | first, due)
        return counts, watched & ~improved & (self.waited >= self.patience)

    def saved(self) -> Saved:
        """A record of what it has seen, for `restore`."""
        return {"best": self.best, "waited": self.waited}

    def restore(self, saved: Saved) -> None:
        """Have seen what a record says."""
        self.best, self.waited = copied(saved["best"]), copied(saved["waited"])

    def reason(self, trial: int) -> str:
        """Say why a trial stopped."""
        waited = counted(int(self.patience[trial]), "evaluation")
        return f"{self.metric[trial]} did not improve in {waited}"


def never_stopping(trials: int) -> EarlyStopper:
    """Early stopping of trials that all train to the end of their budgets."""
    zeros = np.zeros(trials)
    return EarlyStopper([""] * trials, zeros + 1, zeros + np.inf, zeros, zeros > 0)


class Rung(NamedTuple):
    """What one halving did: of `alive` trials `kept` went on; `dropped` are the others."""

    evaluation: int
    alive: int
    kept: int
    dropped: tuple[int, ...]


class Halving(NamedTuple):
    """After min_iter, min_iter·eta, … evaluations the best ⌈n/eta⌉ of n trials stay.

    Successive halving (Jamieson & Talwalkar 2016) with all trials in step: one bracket of
    Hyperband (Li et al. 2018). Trials that compete are those of one group: a sweep that wants a
    winner for each layer halves the trials of each layer.

    Attributes:
        min_iter: evaluations before the first halving.
        eta: what the number of trials is divided by, and the distance to the next is multiplied by.
        group: (T,) the group of each trial.
    """

    min_iter: int
    eta: int
    group: Indices

    def is_due(self, evaluation: int) -> bool:
        """Whether trials are halved after this evaluation."""
        rung = self.min_iter
        while rung < evaluation:
            rung *= self.eta
        return rung == evaluation

    def order(self, score: Numbers, alive: Flags) -> list[Indices]:
        """Rank the trials alive, a list a group, best first.

        Args:
            score: (T,) smaller is better; NaN, which is no number, comes behind all others. Of
                equal ones the earlier trial is better.
            alive: (T,) trials that still train.
        """
        groups = [np.flatnonzero(alive & (self.group == g)) for g in np.unique(self.group[alive])]
        return [trials[np.argsort(score[trials], kind="stable")] for trials in groups]

    def kept(self, score: Numbers) -> int:
        """How many of a group go on.

        Args:
            score: of its trials that are alive. Those without a number leave where others have
                one; where none has, nothing says who should.
        """
        known = int(np.count_nonzero(~np.isnan(score)))
        return min(-(-len(score) // self.eta), known) if known else len(score)


class Rules(NamedTuple):
    """How trials are judged.

    Attributes:
        metric: the metric they are ranked by.
        sign: 1 where smaller is better, −1 where larger is.
        stopping: early stopping of each candidate.
        halving: which candidates go on, or None.
        targets: how many are problems of their own.
    """

    metric: str
    sign: float
    stopping: EarlyStopper
    halving: Halving | None = None
    targets: int = 1

    def candidate(self, trial: Any, target: Any) -> Any:
        """The number of the candidate that a trial is for a target, of numbers or arrays."""
        return trial * self.targets + target
