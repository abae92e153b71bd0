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
    model: Model,
    parameters: Mapping[str, float],
    z: Numbers,
    y: Array,
    scale: Numbers,
    labels: Numbers | None = None,
) -> Callable[[Numbers], dict[str, Numbers]]:
    """Loss and metrics of scores as a function of the row weights (…, N), each (…).

    Args:
        model: the row of the table whose scores they are.
        parameters: the loss's own, by name.
        z: (N, C) scores.
        y: (N, C) targets, or (N,) class codes.
        scale: (C,) σ of the targets in the user's units.
        labels: (C,) the classes where they are numbers.
    """
    row = model.with_parameters({name: np.array([value]) for name, value in parameters.items()})
    outputs, z3 = z.shape[1], z[:, :, None]  # (N, C, 1)
    full = np.eye(outputs)[y] if y.ndim == 1 else y.astype(np.float64)
    metrics, scratch = row.metrics, Scratch.of(np, *z.shape)
    loss, predicted = np.empty((len(z), 1)), np.empty_like(z3)
    read = predicted if metrics.of_predictions else z3

    def each(w: Numbers) -> dict[str, Numbers]:
        own = w.T  # (N,) or (N, R): weightings are columns
        # a metric may be infinite, or be none
        with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
            areas = ranking(z3, y, own) if metrics.ranked else None
            targets = Targets(y, own, scale, outputs, labels)
            found = metrics.finish(metrics.sums(np, read, full, own), targets, areas)
            values = {"loss": w @ loss[:, 0] / targets.total, **found}
            several = [named(one) for one in w.reshape(-1, len(z))] if metrics.named else []
        values |= {name: np.array([one[name] for one in several]) for name in metrics.named}
        return {name: value.reshape(w.shape[:-1]) for name, value in values.items()}

    def named(w: Numbers) -> dict[str, float]:
        targets = Targets(y, w, scale, outputs, labels)
        sums = metrics.sums(np, read, full, w)
        sums |= metrics.named_sums(np, read, full, w, targets, False)
        sums |= metrics.named_sums(np, predicted, full, w, targets, True)
        values = metrics.finish_named(sums, targets, z3)
        return {name: float(value[0]) for name, value in values.items()}

    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        if metrics.of_predictions or metrics.named_predictions:
            row.activation(np, z3.copy(), predicted, scratch)  # it overwrites its argument
        error(row, np, z3.copy(), full[:, :, None], np.empty_like(z3), loss, scratch)
    return each
