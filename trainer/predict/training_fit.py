"""How a fitted model does on the rows that it was trained on."""

from __future__ import annotations

from typing import Any

import numpy as np

from trainer.data.rows import Rows
from trainer.model import Scratch, models
from trainer.model.metrics import Targets
from trainer.predict.fitted_model import FittedModel

Numbers = np.ndarray[Any, np.dtype[np.float64]]
_CHUNK = 65_536  # rows


def training_metrics(model: FittedModel, rows: Rows) -> dict[str, float]:
    """The metrics of encoded rows, by chunks; of models whose metrics are sums over rows.

    Args:
        model: one of those without labels.
        rows: as it was trained on them.
    """
    row = models.MODELS[model.model, model.loss]
    outputs = len(model.bias)
    sums: dict[str, Numbers] = {}
    for start in range(0, len(rows), _CHUNK):
        part = slice(start, start + _CHUNK)
        z = (rows.X[part] @ model.weights).astype(np.float64) + model.bias  # (n, C)
        predicted = np.empty((*z.shape, 1))
        with np.errstate(all="ignore"):  # a metric may be infinite, or be none
            row.activation(np, z[:, :, None], predicted, Scratch.of(np, *z.shape))
            found = row.metrics.sums(np, predicted, rows.y[part], rows.weight[part])
        for name, value in found.items():
            sums[name] = sums[name] + value if name in sums else value
    targets = Targets(rows.y, rows.weight, model.encoder.target_scale, outputs)
    with np.errstate(all="ignore"):
        finished = row.metrics.finish(sums, targets, None)
    return {name: float(value[0]) for name, value in finished.items()}
