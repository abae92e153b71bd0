"""The permutation test of a run: its null, its p-values, and what goes on after a stop."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from trainer.catalog import is_minimized
from trainer.machine.interrupted import Interrupted, ShouldStop
from trainer.runs.contents import csv_bytes
from trainer.runs.names import PERMUTATION_KEYS, PERMUTATIONS, TARGET
from trainer.statistics.permutation import FEWEST_PERMUTATIONS, p_value
from trainer.sweep.permutation import Again, least_arrangements, null_scores, scores, side_by_side
from trainer.text.numbers import counted
from trainer.workflow.checkpoints import NULL, Checkpoints

if TYPE_CHECKING:
    from trainer.console.terminal import Terminal
    from trainer.runs.writer import RunWriter
    from trainer.sweep.scheduler import Scheduler
    from trainer.sweep.sweep import SweepRun
    from trainer.sweep.trial_result import TrialResult
    from trainer.text.saved import Saved

Numbers = np.ndarray[Any, np.dtype[np.float64]]
_EVERY = 30.0  # seconds, at least, between lines that say how far permutations are


class Null(NamedTuple):
    """What the selection comes to, with the labels as they are and permuted.

    Attributes:
        score: (T,) by target; of a joint run T is 1.
        permuted: (n, T), NaN where a permutation led to no choice.
        arrangements: how many labellings there are, up to a billion.
    """

    score: Numbers
    permuted: Numbers
    arrangements: int


class _SoFar:
    """The permutations that are done, for checkpoints."""

    def __init__(self, saved: Saved | None) -> None:
        self.rows: list[list[float]] = [] if saved is None else saved["scores"].tolist()

    def saved(self) -> Saved:
        """What they came to."""
        return {"scores": np.array(self.rows, np.float64)}


class _Clock:
    """What is said now and then of how far permutations are."""

    def __init__(self, begun: int, count: int) -> None:
        self._begun, self._count = begun, count
        self._start = self._last = time.monotonic()

    def told(self, done: int) -> str | None:
        """How many are done and how long the others take; None so soon after the last."""
        now = time.monotonic()
        if done == self._count or now - self._last < _EVERY:
            return None
        self._last = now
        left = round((now - self._start) * (self._count - done) / (done - self._begun))
        return f"{done:,} of {self._count:,}, about {timedelta(seconds=left)} left"


def add_permutation_test(
    record: dict[str, Any],
    sweep: SweepRun,
    trials: Sequence[TrialResult],
    folder: RunWriter,
    scheduler: Scheduler,
    checkpoints: Checkpoints,
    should_stop: ShouldStop,
    terminal: Terminal,
    again: Again,
) -> bool:
    """Carry out the test that a config asks for, and tell what came of it.

    Args:
        record: results.json, which gets `permutation_test`.
        sweep: at its end.
        trials: its results.
        folder: gets permutations.csv.
        scheduler: of the sweep.
        checkpoints: hold the permutations that are done.
        should_stop: ends it.
        terminal: hears that it begins, and how far it is.
        again: carries out the selection.

    Returns:
        Whether all is there: a stop leaves the test to who goes on with the run.
    """
    if sweep.spec.permutation_test is None or not (record["best"] or record["groups"]):
        return True
    done = _SoFar(checkpoints.saved(NULL))
    try:
        _permute(sweep, done, scheduler, checkpoints, should_stop, terminal, again)
    except Interrupted:
        checkpoints.at_permutations(scheduler, done, stops=True)
        return False
    null = Null(scores(sweep, trials), np.array(done.rows), least_arrangements(sweep))
    names = sweep.targets.names if sweep.targets is not None else None
    record["permutation_test"] = permutation_record(null, sweep.rules.metric, names)
    with folder.spared(PERMUTATIONS):
        folder.files.put_bytes(PERMUTATIONS, csv_bytes(_rows(null, names), PERMUTATION_KEYS))
    return True


def _permute(
    sweep: SweepRun,
    done: _SoFar,
    scheduler: Scheduler,
    checkpoints: Checkpoints,
    should_stop: ShouldStop,
    terminal: Terminal,
    again: Again,
) -> None:
    """Carry out the permutations that are not done.

    Raises:
        Interrupted: `should_stop()`.
    """
    count, width = sweep.spec.permutation_test or 0, side_by_side(sweep)
    together = f", {min(width, count):,} side by side" if width > 1 else ""
    told = f"the whole selection with permuted labels, {counted(count, 'time')}{together}"
    terminal.summary([("permuting", told)])
    clock = _Clock(len(done.rows), count)
    # parts begin where they always do, so that a run that goes on has the same stacks
    for start in range(len(done.rows), count, width):
        part = range(start, min(start + width, count))
        done.rows += [of.tolist() for of in null_scores(sweep, part, again, should_stop)]
        checkpoints.at_permutations(scheduler, done, stops=False)
        if (far := clock.told(len(done.rows))) is not None:
            terminal.summary([("permuting", far)])


def permutation_record(
    null: Null, metric: str, names: Sequence[str] | None = None
) -> dict[str, Any]:
    """`permutation_test` of results.json; with names each target has its own p-value.

    Args:
        null: of the selection.
        metric: that ranks.
        names: of targets that are problems of their own.
    """
    few = null.arrangements < len(null.permuted)
    told = {"metric": metric, "count": len(null.permuted), "fewest": FEWEST_PERMUTATIONS}
    told |= {"arrangements": null.arrangements} if few else {}
    if names is None:
        return told | _record(null, metric, 0)
    return told | {"targets": {name: _record(null, metric, t) for t, name in enumerate(names)}}


def _record(null: Null, metric: str, target: int) -> dict[str, Any]:
    score = float(null.score[target])
    found = p_value(score, null.permuted[:, target], is_minimized(metric))
    return {
        "score": None if np.isnan(score) else score,
        "p_value": found.p_value,
        "as_good": found.as_good,
        **({"undefined": found.undefined} if found.undefined else {}),
    }


def _rows(null: Null, names: Sequence[str] | None) -> list[dict[str, Any]]:
    """Of permutations.csv: `permutation, score`, of separate targets by target."""
    return [
        {
            "permutation": number,
            **({} if names is None else {TARGET: names[t]}),
            "score": None if np.isnan(score) else score,
        }
        for number, of in enumerate(null.permuted.tolist())
        for t, score in enumerate(of)
    ]
