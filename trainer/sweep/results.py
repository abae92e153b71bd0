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
    """Return every trial with its columns, in the order of the trials; of each those by target.

    Args:
        sweep: of the trials.
        jobs: stacks that have ended, for their columns alone; all by default.
    """
    targets, of_rules = sweep.rules.targets, sweep.rules.candidate
    columns: list[list[ColumnResult]] = [[] for _ in range(len(sweep.trials) * targets)]
    reached = np.zeros(len(columns), int)
    for job in sweep.jobs if jobs is None else jobs:
        for column in _columns(job):
            columns[column.trial * targets + column.target].append(column)
        np.maximum.at(reached, of_rules(job.trial, job.target), job.training.evaluations)
    for of in columns:
        of.sort(key=lambda column: column.repeat)
    inner = [_inner(sweep, of) for of in columns]
    columns = [[one for one in of if one.repeat < sweep.repeats] for of in columns]
    there = [i for i, of in enumerate(columns) if of]
    means = means_of([columns[i] for i in there])
    return [
        TrialResult(
            number=trial.number,
            settings=trial.settings,
            spec=trial.spec,
            columns=tuple(columns[i]),
            evaluations=int(reached[i]),
            means=of,
            target=i % targets,
            inner=inner[i],
        )
        for i, of in zip(there, means, strict=True)
        for trial in [sweep.trial(i // targets, i % targets)]
    ]


def _inner(sweep: SweepRun, columns: Sequence[ColumnResult]) -> dict[int, Sequence[ColumnResult]]:
    """By repeat the columns of its inner folds."""
    found: dict[int, list[ColumnResult]] = {}
    for column in columns:
        if (of := sweep.layout.inner.get(column.repeat)) is not None:
            found.setdefault(of.repeat, []).append(column)
    return dict(found)


def _columns(job: Job) -> Iterator[ColumnResult]:
    """The columns of a stack; lists of its arrays, as a number at a time is slow."""
    facts, fit = job.facts, job.training.result
    K = len(job.trial)
    trial, repeat, read = job.trial.tolist(), job.repeat.tolist(), fit.read.tolist()
    target, undefined, parts = job.target.tolist(), _undefined(job), _parts(job)
    step, norm = fit.step.tolist(), _floats(fit.grad_norm)
    measured, known = _rows(fit.metrics, K), _rows(fit.facts, K)
    l2, l1 = (_floats(facts.l2), _floats(facts.l1)) if facts else ([math.nan] * K, [math.nan] * K)
    C = _inverse_c(facts) if facts else [None] * K
    per_epoch = facts.steps_per_epoch if facts else 1
    folds = [job.planned.rows_of(k).fold for k in range(K)]
    held_ratio = [None if fold is None else fold.held_out / fold.trained for fold in folds]
    for k in range(K):
        outcome, best = fit.outcomes[k], int(step[k])
        assert outcome is not None
        yield ColumnResult(
            trial=trial[k],
            repeat=repeat[k],
            target=target[k],
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
            undefined=undefined[k],
            parts=parts[k],
            held_ratio=held_ratio[k],
        )


def _undefined(job: Job) -> list[frozenset[str]]:
    """The metrics that the validation rows of each column leave undefined."""
    if not job.undefined:
        return [frozenset()] * len(job.trial)
    table = np.stack(list(job.undefined.values()))  # (metrics, K)
    distinct, which = np.unique(table, axis=1, return_inverse=True)
    sets = [
        frozenset(name for name, lacks in zip(job.undefined, of, strict=True) if lacks)
        for of in distinct.T.tolist()
    ]
    return [sets[i] for i in which.reshape(-1).tolist()]


def _parts(job: Job) -> list[dict[str, tuple[int, int]]]:
    """{metric: (parts that it is the mean over, all)} of each column."""
    found: list[dict[str, tuple[int, int]]] = [{} for _ in job.trial]
    for name, of in job.parts.items():
        for k in np.flatnonzero(of[:, 1]).tolist():
            found[k][name] = int(of[k, 0]), int(of[k, 1])
    return found


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
