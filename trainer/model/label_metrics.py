"""Metrics of labels that a config names: of one label; of several the mean, where it is said."""

from __future__ import annotations

from typing import Any

import numpy as np

from trainer.model.calibration import bin_gaps, ece
from trainer.model.metrics import (
    Array,
    Flags,
    Named,
    Numbers,
    Sums,
    Targets,
    by_column,
    weighted,
)
from trainer.model.ranking import recall_at

_RATE = 0.01  # of false positives


def _precision(sums: Sums, targets: Targets) -> Numbers:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray((sums["chosen_true"] / sums["chosen"])[0])


def _recall(sums: Sums, targets: Targets) -> Numbers:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray((sums["chosen_true"] / (targets.w @ targets.y)[:, None])[0])


def _rejected_sums(xp: Any, z: Array, y: Array, w: Array, targets: Targets) -> dict[str, Array]:
    """The weight (C, K) of the rows that are called negative: 0 to the bit where there are none."""
    return {"rejected": weighted(xp, (~(z > 0)).astype(z.dtype), w)}


def _mcc(sums: Sums, targets: Targets) -> Numbers:
    chosen, rejected, hits = (sums[name][0] for name in ("chosen", "rejected", "chosen_true"))
    true, false = (targets.w @ one[:, 0] for one in (targets.y, 1 - targets.y))
    total = targets.w.sum()
    with np.errstate(divide="ignore", invalid="ignore"):
        together = hits / total - chosen / total * (true / total)
        apart = chosen / total * (rejected / total) * (true / total) * (false / total)
        return np.where(apart > 0, np.clip(together / np.sqrt(apart), -1, 1), np.nan)


def _brier_sums(
    xp: Any, predicted: Array, y: Array, w: Array, targets: Targets
) -> dict[str, Array]:
    """Σ_rows w·(ŷ − y)² (C, K)."""
    error = predicted - by_column(y)
    return {"brier": weighted(xp, error * error, w)}


def _brier(sums: Sums, targets: Targets) -> Numbers:
    return np.asarray((sums["brier"] / targets.w.sum()).mean(axis=0))


def _ece_sums(xp: Any, predicted: Array, y: Array, w: Array, targets: Targets) -> dict[str, Array]:
    return {"gaps": bin_gaps(xp, predicted, predicted - by_column(y), w)}


def _recall_at_1pct_fpr(scores: Numbers, targets: Targets) -> Numbers:
    return np.asarray(recall_at(_RATE, scores, targets.y, targets.w)[0])


def _has_true(targets: Targets) -> Flags:
    return np.asarray(targets.w @ targets.y > 0)


def _has_both(targets: Targets) -> Flags:
    return np.asarray(_has_true(targets) & (targets.w @ (1 - targets.y) > 0))


LABEL_METRICS = {
    "precision": Named(_precision),
    "recall": Named(_recall, defined=_has_true),
    "recall_at_1pct_fpr": Named(whole=_recall_at_1pct_fpr, defined=_has_both),
    "mcc": Named(_mcc, _rejected_sums, defined=_has_both),
    "brier": Named(_brier, _brier_sums, of_predictions=True),
    "ece": Named(ece, _ece_sums, of_predictions=True),
}
