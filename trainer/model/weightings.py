"""Loss and metrics of the same scores under any row weights: as they are, or as rows drawn anew."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from trainer.model.metrics import Targets
from trainer.model.models import Model, Scratch
from trainer.model.ranking import ranking
from trainer.model.step import error

Array = Any
Numbers = np.ndarray[Any, np.dtype[np.float64]]


def metrics_by_weights(
    model: Model, parameters: Mapping[str, float], z: Numbers, y: Array, scale: Numbers
) -> Callable[[Numbers], dict[str, Numbers]]:
    """Loss and metrics of scores as a function of the row weights (…, N), each (…).

    Args:
        model: the row of the table whose scores they are.
        parameters: the loss's own, by name.
        z: (N, C) scores.
        y: (N, C) targets, or (N,) class codes.
        scale: (C,) σ of the targets in the user's units.
    """
    row = model.with_parameters({name: np.array([value]) for name, value in parameters.items()})
    outputs, z3 = z.shape[1], z[:, :, None]  # (N, C, 1)
    full = np.eye(outputs)[y] if y.ndim == 1 else y.astype(np.float64)
    loss, read, scratch = np.empty((len(z), 1)), z3, Scratch.of(np, *z.shape)

    def each(w: Numbers) -> dict[str, Numbers]:
        own = w.T  # (N,) or (N, R): weightings are columns
        # a metric may be infinite, or be none
        with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
            sums = row.metrics.sums(np, read, full, own)
            areas = ranking(z3, y, own) if row.metrics.ranked else None
            targets = Targets(y, own, scale, outputs)
            found = row.metrics.finish(sums, targets, areas)
            values = {"loss": w @ loss[:, 0] / targets.total, **found}
        return {name: value.reshape(w.shape[:-1]) for name, value in values.items()}

    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        if row.metrics.of_predictions:
            read = np.empty_like(z3)
            row.activation(np, z3.copy(), read, scratch)  # it overwrites its argument
        error(row, np, z3.copy(), full[:, :, None], np.empty_like(z3), loss, scratch)
    return each
