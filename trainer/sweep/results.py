"""The results of a sweep: each trial with what became of its columns."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from trainer.sweep.jobs import Job, StackFacts
from trainer.sweep.select import ColumnResult, TrialResult

if TYPE_CHECKING:
    from trainer.sweep.sweep import SweepRun


def trial_results(sweep: SweepRun) -> list[TrialResult]:
    """Return every trial with its columns, in the order of the trials."""
    columns: dict[int, list[ColumnResult]] = {}
    reached = np.zeros(len(sweep.trials), int)
    for job in sweep.jobs:
        for k in range(len(job.trial)):
            column = _column(job, k)
            columns.setdefault(column.trial, []).append(column)
        np.maximum.at(reached, job.trial, job.training.evaluations)
    return [
        TrialResult(
            number=trial.number,
            settings=trial.settings,
            spec=trial.spec,
            columns=tuple(sorted(columns[i], key=lambda column: column.repeat)),
            evaluations=int(reached[i]),
        )
        for i, trial in enumerate(sweep.trials)
    ]


def _column(job: Job, k: int) -> ColumnResult:
    facts, fit = job.facts, job.training.result
    outcome = fit.outcomes[k]
    assert outcome is not None
    best = int(fit.step[k])
    read = bool(fit.read[k])  # not so for a column that diverged before its first evaluation
    per_epoch = facts.steps_per_epoch if facts else 1
    return ColumnResult(
        trial=int(job.trial[k]),
        repeat=int(job.repeat[k]),
        status=outcome.status,
        reason=outcome.reason,
        l2=float(facts.l2[k]) if facts else float("nan"),
        l1=float(facts.l1[k]) if facts else float("nan"),
        C=_inverse_c(facts, k),
        epochs=-(-outcome.step // per_epoch),
        step=outcome.step,
        best_epoch=-(-best // per_epoch) if read else None,
        best_step=best if read else None,
        grad_norm=float(fit.grad_norm[k]),
        facts={n: float(v[k]) for n, v in fit.facts.items()},
        metrics={n: float(v[k]) for n, v in fit.metrics.items()} if read else {},
        undefined=job.undefined,
        parts=job.parts,
    )


def _inverse_c(facts: StackFacts | None, k: int) -> float | None:
    """scikit-learn's C: 1/((l2 + l1)·S); None without a penalty."""
    if facts is None:
        return None
    with np.errstate(divide="ignore", over="ignore"):
        C = 1.0 / np.float64((facts.l2[k] + facts.l1[k]) * facts.weight_sum)
    return float(C) if np.isfinite(C) else None
