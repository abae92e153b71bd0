"""What is measured of each label, where a row has several."""

from __future__ import annotations

from typing import Any

import numpy as np

from trainer.data.rows import Array
from trainer.model.ranking import ranking
from trainer.predict.fitted_model import FittedModel

Numbers = np.ndarray[Any, np.dtype[np.float64]]


def label_table(model: FittedModel, z: Numbers, y: Array, w: Numbers) -> list[dict[str, Any]]:
    """A row for each label: `label`, `precision`, `recall`, `f1`, `auc`, `average_precision`.

    As the metrics of these names, of each label alone: NaN where the rows, or for precision the
    predictions, leave one undefined. Empty for a model that has not several labels a row.

    Args:
        model: whose scores they are.
        z: (N, C) scores.
        y: (N, C) of 0 and 1.
        w: (N,) row weights.
    """
    if model.encoder.target.kind != "multilabel":
        return []
    chosen = (z > 0).astype(np.float64)
    hits, called, true = (w @ one for one in (chosen * y, chosen, y.astype(np.float64)))  # (C,)
    area, precision = ranking(z[:, :, None], y, w)
    with np.errstate(divide="ignore", invalid="ignore"):
        found = {
            "precision": hits / called,
            "recall": hits / true,
            "f1": np.where(true > 0, 2 * hits / (called + true), np.nan),
            "auc": area[:, 0],
            "average_precision": precision[:, 0],
        }
    return [
        {"label": name} | {metric: float(values[c]) for metric, values in found.items()}
        for c, name in enumerate(model.encoder.outputs)
    ]
