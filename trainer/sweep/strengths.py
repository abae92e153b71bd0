"""Penalties as the objective has them, and what the run's arithmetic cannot hold."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from trainer.config.schema.penalty import Alpha, InverseC, Penalty
from trainer.config.schema.spec import NormalInit
from trainer.errors import DataError
from trainer.model.penalties import elastic_net, from_inverse_c

if TYPE_CHECKING:
    from trainer.config.schema.spec import Spec

Numbers = np.ndarray[Any, np.dtype[np.float64]]


def strengths(penalty: Penalty, weight_sum: float) -> tuple[float, float]:
    """(l2, l1) of one of the three penalty forms; `weight_sum` is S of the training rows."""
    if isinstance(penalty, InverseC):
        l2, l1 = from_inverse_c(penalty.C, penalty.l1_ratio, weight_sum)
        return float(l2), float(l1)
    if isinstance(penalty, Alpha):
        l2, l1 = elastic_net(penalty.alpha, penalty.l1_ratio)
        return float(l2), float(l1)
    return penalty.l2, penalty.l1


def check_sizes(specs: Sequence[Spec], s: Numbers, weight: Numbers, strongest: float) -> None:
    """Refuse numbers that would be infinite in the run's arithmetic."""
    with np.errstate(over="ignore"):
        totals = s.sum(axis=-1).max(), weight.sum()  # of row sets each has its own
    if not np.isfinite(totals).all():
        raise DataError(
            "the row weights add up past what float64 can hold; divide them by the largest"
        )
    largest = float(np.finfo(specs[0].dtype).max)
    normal = [one.init.normal for one in specs if isinstance(one.init, NormalInit)]
    for key, value in (("penalty", strongest), ("init.normal", max(normal, default=0.0))):
        if value > largest:
            raise DataError(
                f"{key}: {value:.6g} is past {specs[0].dtype}'s largest number {largest:.3g};"
                " a smaller one is right"
            )
