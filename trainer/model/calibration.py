"""The expected calibration error, of labels and of classes (Guo et al. 2017, section 2)."""

from __future__ import annotations

from typing import Any

import numpy as np

from trainer.model.metrics import Array, Numbers, Sums, Targets, weighted

BINS = 15


def bin_gaps(xp: Any, predicted: Array, gap: Array, w: Array) -> Array:
    """Σ w·gap (bins, C, K) over the rows of each of the equal bins (a, b] of predictions.

    The first has 0 too, and what is no number, which then is none.
    """
    above, found = [predicted > b / BINS for b in range(1, BINS)], []
    for b in range(BINS):
        inside = above[b - 1] if b else ~above[0]
        if 0 < b < BINS - 1:
            inside = inside & ~above[b]
        found.append(weighted(xp, xp.where(inside, gap, 0), w))
    return xp.stack(found)


def ece(sums: Sums, targets: Targets) -> Numbers:
    """Σ over bins of |Σ w·(ŷ − y)|/W; the mean over labels (K,)."""
    return np.asarray((np.abs(sums["gaps"]).sum(axis=0) / targets.w.sum()).mean(axis=0))
