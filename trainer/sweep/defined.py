"""Which values of a metric decide: numbers, and means over the repeats whose rows define it.

A metric may be undefined on a repeat's validation rows (ROC AUC where they hold one class), which
is the same for all trials: such a repeat is left out of the mean. A value that is no number where
the rows define one is the trial's own failure: its mean is none either.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from trainer.catalog import facts_of

Numbers = np.ndarray[Any, np.dtype[np.float64]]
Flags = np.ndarray[Any, np.dtype[np.bool_]]


def is_number(name: str, values: Any) -> Flags:
    """Where values of a metric decide: finite, or infinite ones of the loss, which are its worst.

    Args:
        name: of the metric, such as val_loss.
        values: of any shape.
    """
    values = np.asarray(values, np.float64)
    return np.asarray(np.isfinite(values) | (facts_of(name).is_loss & (values == np.inf)), np.bool_)


def means(name: str, values: Numbers, defined: Flags) -> Numbers:
    """Means (T,) of a metric's values (T, R) over the repeats that are `defined` (T, R).

    NaN where none is, and where one of those that are is no number.
    """
    with np.errstate(invalid="ignore"):
        mean = np.where(defined, values, 0).sum(axis=-1) / defined.sum(axis=-1)
    return np.where(is_number(name, mean), mean, np.nan)
