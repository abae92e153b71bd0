"""What a run came to: the tables of trials and of history, and the verdict."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np

from trainer.build import Columns, minimized
from trainer.describe import inverse_c
from trainer.train.fit import Fit

Row = dict[str, Any]


def history_rows(
    step: int, epoch: int, metrics: Mapping[str, Any], columns: Any, trial: Any, repeat: Any
) -> list[Row]:
    """One row a column that takes part in an evaluation."""
    return [
        {"trial": int(trial[k]), "repeat": int(repeat[k]), "epoch": epoch, "step": step}
        | {name: float(value[k]) for name, value in metrics.items()}
        for k in np.flatnonzero(columns).tolist()
    ]


def ranking_metric(columns: Columns) -> str:
    """The metric that trials are ranked by: val_loss, or train_loss without validation rows."""
    return "train_loss" if columns.prepared.val is None else "val_loss"


def metric_names(columns: Columns) -> list[str]:
    """The names of an evaluation's metrics, as history.csv and trials.csv have them."""
    held = ["loss", *columns.stack.model.metrics.names(columns.stack.shape[1])]
    return ["train_loss", *(f"val_{name}" for name in held if columns.prepared.val is not None)]


def trial_rows(columns: Columns, fit: Fit) -> list[Row]:
    """The rows of trials.csv, in the order of rank; each trial here is one column."""
    metric = ranking_metric(columns)
    sign = 1 if minimized(metric) else -1
    values = sign * fit.metrics.get(metric, np.full(len(columns.specs), np.nan))
    lost = np.array([o is None or o.status == "diverged" for o in fit.outcomes])
    order = np.lexsort((values, np.isnan(values), lost)).tolist()
    ranks = {k: rank for rank, k in enumerate(order, start=1) if not lost[k]}
    return [_trial_row(columns, fit, k, ranks.get(k)) for k in order]


def _trial_row(columns: Columns, fit: Fit, k: int, rank: int | None) -> Row:
    outcome, per_epoch = fit.outcomes[k], columns.stack.steps_per_epoch
    assert outcome is not None
    read = fit.step[k] > 0  # not so for a column that diverged before its first evaluation
    metrics = {
        name: float(fit.metrics[name][k]) if read else None for name in metric_names(columns)
    }
    C = float(inverse_c(columns)[k])
    best = int(fit.step[k])
    return {
        "trial": k,
        "rank": rank,
        "status": outcome.status,
        "reason": outcome.reason,
        "penalty.l2": float(columns.l2[k]),
        "penalty.l1": float(columns.l1[k]),
        "penalty.C": C if np.isfinite(C) else None,
        "epochs": -(-outcome.step // per_epoch),
        "best_epoch": -(-best // per_epoch) if best else None,
        "grad_norm": float(fit.grad_norm[k]),
        **metrics,
        **{f"{name}_std": None for name in metrics},  # over repeats; one repeat has none
    }


def results(columns: Columns, trials: list[Row], test_metrics: Mapping[str, float]) -> Row:
    """The content of results.json."""
    metric = ranking_metric(columns)
    winner = next((row for row in trials if row["rank"] == 1), None)
    return {
        "metric": {"name": metric, "goal": "minimize" if minimized(metric) else "maximize"},
        "counts": dict(Counter(row["status"] for row in trials)),
        "best": winner and _best(winner, test_metrics),
        "runner_up": None,
        "groups": [],
    }


def _best(row: Row, test_metrics: Mapping[str, float]) -> Row:
    names = [name for name in row if f"{name}_std" in row]
    return {
        "trial": row["trial"],
        "settings": {},
        "metrics": {name: row[name] for name in names} | dict(test_metrics),
        "epochs": row["epochs"],
        "best_epoch": row["best_epoch"],
        "refit": None,
    }
