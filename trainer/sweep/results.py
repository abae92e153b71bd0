"""The results of a sweep: each trial with what became of its columns."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from trainer.sweep.jobs import Job, StackFacts
from trainer.sweep.trial_result import ColumnResult, TrialResult, means_of

if TYPE_CHECKING:
    from trainer.sweep.sweep import SweepRun


def ended_jobs(jobs: Sequence[Job]) -> list[Job]:
    """Return the stacks that have ended, with the evaluations that count."""
    return [job for job in jobs if job.training.ended and not job.training.unseen.any()]


def trial_results(sweep: SweepRun, jobs: Sequence[Job] | None = None) -> list[TrialResult]:
    """Return every trial with its columns, in the order of the trials.

    Args:
        sweep: of the trials.
        jobs: stacks that have ended, for their columns alone; all by default.
    """
    columns: list[list[ColumnResult]] = [[] for _ in sweep.trials]
    reached = np.zeros(len(sweep.trials), int)
    for job in sweep.jobs if jobs is None else jobs:
        for column in _columns(job):
            columns[column.trial].append(column)
        np.maximum.at(reached, job.trial, job.training.evaluations)
    for of in columns:
        of.sort(key=lambda column: column.repeat)
    there = [i for i, of in enumerate(columns) if of]
    means = means_of([columns[i] for i in there])
    return [
        TrialResult(
            number=sweep.trials[i].number,
            settings=sweep.trials[i].settings,
            spec=sweep.trials[i].spec,
            columns=tuple(columns[i]),
            evaluations=int(reached[i]),
            means=of,
        )
        for i, of in zip(there, means, strict=True)
    ]


def _columns(job: Job) -> Iterator[ColumnResult]:
    """The columns of a stack; lists of its arrays, as a number at a time is slow."""
    facts, fit = job.facts, job.training.result
    K = len(job.trial)
    trial, repeat, read = job.trial.tolist(), job.repeat.tolist(), fit.read.tolist()
    step, norm = fit.step.tolist(), _floats(fit.grad_norm)
    measured, known = _rows(fit.metrics, K), _rows(fit.facts, K)
    l2, l1 = (_floats(facts.l2), _floats(facts.l1)) if facts else ([math.nan] * K, [math.nan] * K)
    C = _inverse_c(facts) if facts else [None] * K
    per_epoch = facts.steps_per_epoch if facts else 1
    fold = job.planned.rows.fold
    held_ratio = None if fold is None else fold.held_out / fold.trained
    for k in range(K):
        outcome, best = fit.outcomes[k], int(step[k])
        assert outcome is not None
        yield ColumnResult(
            trial=trial[k],
            repeat=repeat[k],
            status=outcome.status,
            reason=outcome.reason,
            l2=l2[k],
            l1=l1[k],
            C=C[k],
            epochs=-(-outcome.step // per_epoch),
            step=outcome.step,
            # not so for a column that diverged before its first evaluation
            best_epoch=-(-best // per_epoch) if read[k] else None,
            best_step=best if read[k] else None,
            grad_norm=norm[k],
            facts=known[k],
            metrics=measured[k] if read[k] else {},
            undefined=job.undefined,
            parts=job.parts,
            held_ratio=held_ratio,
        )


def _floats(values: Any) -> list[float]:
    floats: list[float] = np.asarray(values, np.float64).tolist()
    return floats


def _rows(arrays: Mapping[str, Any], K: int) -> list[dict[str, float]]:
    """Arrays (K,) by name as a mapping for each of the K columns."""
    lists = [_floats(values) for values in arrays.values()]
    return [dict(zip(arrays, row, strict=True)) for row in zip(*lists, strict=True)] or [{}] * K


def _inverse_c(facts: StackFacts) -> list[float | None]:
    """scikit-learn's C of each column: 1/((l2 + l1)·S); None without a penalty."""
    with np.errstate(divide="ignore", over="ignore"):
        C = 1.0 / np.asarray((facts.l2 + facts.l1) * facts.weight_sum, np.float64)
    return [value if math.isfinite(value) else None for value in C.tolist()]
