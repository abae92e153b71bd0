"""Synthetic rows: uniform features, and a linear truth behind the target."""

from __future__ import annotations

import numpy as np

from trainer.data.allocate import allocate
from trainer.data.frame import Frame, chunks
from trainer.data.rows import Array
from trainer.data.sources.arrays import array_frame
from trainer.errors import DataError
from trainer.streams import uniform


def synthetic_frame(
    rows: int, columns: int, outputs: int, seed: int, *, model: str, where: str
) -> Frame:
    """Rows whose target follows from a linear map that depends on columns and outputs alone.

    So a validation source with another seed is fresh rows of the same task. Features are uniform
    with variance 1; linear: z plus noise of standard deviation 0.1; logistic: 1 where a draw is
    below sigmoid(z), one label or `outputs` of them; softmax: argmax of z plus Gumbel noise.

    Raises:
        DataError: softmax with one output.
    """
    if model == "softmax" and outputs < 2:
        raise DataError(f"{where}: outputs: {outputs} is one class; softmax takes 2 or more")
    map_draws = uniform(columns, outputs, 0, columns * outputs).reshape(columns, outputs)
    true_weights = 3 * np.sqrt(12 / columns) * (map_draws - 0.5)  # (D, C): z has variance 9
    X = allocate((rows, columns), np.dtype(np.float32), where)
    target = allocate((rows, outputs), np.dtype(np.float64), where)
    for part in chunks(rows, columns + outputs):
        draws = uniform(seed, 1, part.start * columns, part.stop * columns)
        X[part] = np.sqrt(12.0) * (draws.reshape(-1, columns) - 0.5)
        noise = uniform(seed, 2, part.start * outputs, part.stop * outputs).reshape(-1, outputs)
        z = X[part].astype(np.float64) @ true_weights  # (n, C)
        if model == "linear":
            target[part] = z + 0.1 * np.sqrt(12.0) * (noise - 0.5)
        elif model == "logistic":
            target[part] = noise < 1 / (1 + np.exp(-z))
        else:
            target[part, 0] = np.argmax(z - np.log(-np.log(noise)), axis=1)
    y: Array = target[:, 0] if model == "softmax" else target
    return array_frame(
        X, y, None, where=where, target_where=where, labels=model != "linear", target_name="y"
    )
