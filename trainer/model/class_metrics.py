"""Metrics of classes that a config names: of the class chosen, of which ties go to the first."""

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
    class_weights,
    mean_over,
    weighted,
)
from trainer.model.ranking import ranking


def _chosen_sums(xp: Any, z: Array, y: Array, w: Array, targets: Targets) -> dict[str, Array]:
    """The weight (C, K) of the rows that are called each class; NaN where a score is no number."""
    classes = xp.arange(z.shape[1])[None, :, None]
    chosen = (xp.argmax(z, axis=1)[:, None] == classes).astype(z.dtype)  # (B, C, K)
    finite = xp.isfinite(z).all(axis=1, keepdims=True)  # (B, 1, K)
    return {"chosen": weighted(xp, xp.where(finite, chosen, np.nan), w)}


def _f1(sums: Sums, targets: Targets) -> Numbers:
    """The F1 (C, K) of each class; NaN of one without rows."""
    rows = class_weights(targets)[:, None]
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(rows > 0, 2 * sums["right"] / (sums["chosen"] + rows), np.nan)


def _macro_f1(sums: Sums, targets: Targets) -> Numbers:
    return mean_over(_f1(sums, targets), _occurs(targets)[:, None])


def _weighted_f1(sums: Sums, targets: Targets) -> Numbers:
    rows, some = class_weights(targets), _occurs(targets)
    return np.asarray(rows[some] @ _f1(sums, targets)[some] / rows.sum())


def _shares(sums: Sums, targets: Targets) -> tuple[Numbers, Numbers, Numbers]:
    """Of W: what is right (K,), of each class (C, 1), called so (C, K)."""
    total = targets.w.sum()
    rows = class_weights(targets)[:, None]
    return sums["right"].sum(axis=0) / total, rows / total, sums["chosen"] / total


def _mcc(sums: Sums, targets: Targets) -> Numbers:
    right, true, chosen = _shares(sums, targets)
    several = (chosen > 0).sum(axis=0) > 1  # (K,); 1 − Σ of squares may be a rounding
    with np.errstate(divide="ignore", invalid="ignore"):
        apart = (1 - (chosen**2).sum(axis=0)) * (1 - (true**2).sum(axis=0))
        found = np.clip((right - (true * chosen).sum(axis=0)) / np.sqrt(apart), -1, 1)
    return np.where(several & _two(targets), found, np.nan)


def _cohen_kappa(sums: Sums, targets: Targets) -> Numbers:
    right, true, chosen = _shares(sums, targets)
    by_chance = (true * chosen).sum(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(_two(targets), (right - by_chance) / (1 - by_chance), np.nan)


def _label_sums(xp: Any, z: Array, y: Array, w: Array, targets: Targets) -> dict[str, Array]:
    """Σ w·p, w·p², w·(t − p)² (K,), of the labels t that are and p that are called so."""
    labels = xp.asarray(_centred(targets)[0])
    true = labels[xp.argmax(y, axis=1)]  # (B,) or, of columns' own targets, (B, 1 or K)
    chosen = labels[xp.argmax(z, axis=1)]  # (B, K)
    chosen = xp.where(xp.isfinite(z).all(axis=1), chosen, np.nan)
    missed = chosen - true.reshape(len(true), -1)
    return {
        "label": weighted(xp, chosen, w),
        "label_squares": weighted(xp, chosen * chosen, w),
        "label_misses": weighted(xp, missed * missed, w),
    }


def _centred(targets: Targets) -> tuple[Numbers, float]:
    """Labels (C,) less their mean over the rows, and their variance there."""
    assert targets.labels is not None
    shares = class_weights(targets) / targets.w.sum()
    labels = targets.labels - shares @ targets.labels
    return labels, float(shares @ labels**2)


def _quadratic_kappa(sums: Sums, targets: Targets) -> Numbers:
    """1 − E(t − p)² over what it were if t and p had nothing to do with each other."""
    total, (_, variance) = targets.w.sum(), _centred(targets)
    apart = variance + sums["label_squares"] / total  # the mean of t is 0
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(_two(targets), 1 - sums["label_misses"] / total / apart, np.nan)


def _ece_sums(xp: Any, predicted: Array, y: Array, w: Array, targets: Targets) -> dict[str, Array]:
    top = predicted.max(axis=1, keepdims=True)  # (B, 1, K)
    true = xp.argmax(y, axis=1).reshape(len(y), -1)  # (B, 1 or K)
    right = (xp.argmax(predicted, axis=1) == true)[:, None]
    return {"gaps": bin_gaps(xp, top, top - right, w)}


def _auc(scores: Numbers, targets: Targets) -> Numbers:
    """The mean over classes of the area of each against the rest, by its probability.

    Of log p/(1 − p), which has the same order and no ties where p comes to 0 or 1.
    """
    some, w = _has_both(targets), targets.w
    codes = targets.y if targets.y.ndim == 1 else targets.y.argmax(axis=1)
    found = np.full((targets.outputs, scores.shape[2]), np.nan)
    for k in range(scores.shape[2]):
        z = scores[:, :, k]  # (N, C)
        top, first = z.max(axis=1).astype(np.float64), z.argmax(axis=1)
        others = _sum_of_others(z, top, first)
        for c in np.flatnonzero(some):
            shifted = z[:, c] - top
            rest = np.where(first == c, others, 1 + others - np.exp(shifted))
            odds = (shifted - np.log(rest))[:, None, None]
            found[c, k] = ranking(odds, (codes == c)[:, None].astype(np.float64), w)[0][0, 0]
    return mean_over(found, some[:, None])


def _sum_of_others(z: Numbers, top: Numbers, first: Numbers) -> Numbers:
    """Σ e^(z − top) (N,) of all classes but the first of the largest score."""
    total = np.zeros(len(z))
    for c in range(z.shape[1]):
        total += np.where(first == c, 0, np.exp(z[:, c] - top))
    return total


def _occurs(targets: Targets) -> Flags:
    return np.asarray(class_weights(targets) > 0)


def _has_both(targets: Targets) -> Flags:
    """Which classes have rows, and others have too."""
    some = _occurs(targets)
    return np.asarray(some & (some.sum() > 1))


def _two(targets: Targets) -> Flags:
    return np.array([_occurs(targets).sum() > 1])


CLASS_METRICS = {
    "auc": Named(whole=_auc, defined=_has_both),
    "macro_f1": Named(_macro_f1, _chosen_sums, defined=_occurs),
    "weighted_f1": Named(_weighted_f1, _chosen_sums),
    "mcc": Named(_mcc, _chosen_sums, defined=_two),
    "cohen_kappa": Named(_cohen_kappa, _chosen_sums, defined=_two),
    "quadratic_kappa": Named(_quadratic_kappa, _label_sums, defined=_two),
    "ece": Named(ece, _ece_sums, of_predictions=True),
}
