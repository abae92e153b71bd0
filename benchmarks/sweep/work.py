"""What part of a sweep a contender is timed on, so that all of them fit in some minutes."""

from __future__ import annotations

from dataclasses import dataclass, replace

from benchmarks.shared.problems import Array
from benchmarks.sweep.cases import BATCH, EPOCHS, UNIT, Case, grid

FLOPS = 5e10  # a second: what these products reach on two cores, for the choice of a part only
PASSES = 500  # products in the time of the passes over one score
STEP_SECONDS = 2e-4  # of one step whatever its size


@dataclass(frozen=True)
class Work:
    """Trials that a contender carries out in one run, and the part of the rows that it sees.

    Attributes:
        lr: (k,) learning rates of the trials that are run.
        l2: (k,) their penalties.
        rows: the first rows, so many; None for all.
        epochs: passes over the training rows.
        steps: of each fit, in place of the epochs; None for whole epochs.
        only: how many of the folds are carried out; None for all.
        times: how often this makes the whole sweep.
        words: what is run, where it is not all.
    """

    lr: Array
    l2: Array
    rows: int | None = None
    epochs: int = EPOCHS
    steps: int | None = None
    only: int | None = None
    times: float = 1.0
    words: str = ""

    def of(self, case: Case) -> Case:
        """The case cut to this part."""
        cut = case.first(self.rows) if self.rows else case
        return replace(cut, epochs=self.epochs, steps=self.steps, only=self.only)


def stacked(case: Case, K: int, seconds: float, apart: bool = False) -> Work:
    """All trials, of as many rows as a stack does in this time; at worst of one epoch.

    Args:
        case: the whole of it.
        K: trials.
        seconds: that the work may take, about.
        apart: whether folds are trained one after another: where time is short, one is enough.
    """
    lr, l2 = grid(K)
    whole = (
        case.folds
        * case.fit_steps
        * (STEP_SECONDS + (case.flop + case.outputs * BATCH * PASSES) * K / FLOPS)
    )
    N = len(case.X)
    rows = min(N, max(2 * UNIT, int(N * seconds / whole) // UNIT * UNIT))
    if rows >= N:
        return Work(lr, l2)
    epochs = EPOCHS if whole * rows / N <= 2 * seconds else 1
    folds = 1 if apart else case.folds
    words = f"{rows:,} rows" + _of_all(folds, case.folds, epochs)
    times = N / rows * case.folds / folds * EPOCHS / epochs
    only = folds if apart else None
    return Work(lr, l2, rows, epochs, only=only, times=times, words=words)


def looped(case: Case, K: int, seconds: float, fit_seconds: float, least: int = 1) -> Work:
    """As many whole fits as a loop does in this time: of fewer trials, then folds, then epochs.

    Args:
        case: the whole of it.
        K: trials.
        seconds: that the work may take, about.
        fit_seconds: of one fit, about.
        least: fits that it is at least, where each has a process.
    """
    lr, l2 = grid(K)
    trials = min(K, max(least, int(seconds / fit_seconds / case.folds)))
    if trials == K:
        return Work(lr, l2)
    folds = min(case.folds, max(1, int(seconds / fit_seconds / trials)))
    epochs = EPOCHS if trials * folds * fit_seconds <= 2 * seconds else 1
    apart = [i * K // trials for i in range(trials)]  # spread over the grid
    times = K / trials * case.folds / folds * EPOCHS / epochs
    words = f"{trials} trial{'s'[: trials > 1]}"
    words += _of_all(folds, case.folds, epochs)
    only = folds if case.folds > 1 else None
    return Work(lr[apart], l2[apart], epochs=epochs, only=only, times=times, words=words)


def _of_all(folds: int, all_folds: int, epochs: int) -> str:
    words = f", {folds} of {all_folds} folds" if folds < all_folds else ""
    return words + (f", {epochs} of {EPOCHS} epochs" if epochs < EPOCHS else "")


def few_steps(case: Case, K: int, looped: bool, steps: int = 8) -> Work:
    """What memory is measured on: all rows, all columns of a stack, a few steps."""
    lr, l2 = grid(K)
    k = min(2, K) if looped else K
    steps = min(steps, case.train_rows // BATCH)
    return Work(lr[:k], l2[:k], steps=steps)


def few_rows(case: Case, K: int) -> Work:
    """What the val losses of all contenders are compared on."""
    return Work(*grid(K), rows=min(len(case.X), 4 * UNIT))
