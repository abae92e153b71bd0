"""Synthetic rows: uniform features, and a linear truth behind the target."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from trainer.catalog import MODELS
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
    with variance 1, and targets follow z by the model's noise, a row of `DRAWS`.

    Raises:
        DataError: classes that are one, or a model whose noise is not known.
    """
    facts = MODELS[model]
    if facts.output_a_class and outputs < 2:
        raise DataError(f"{where}: outputs: {outputs} is one class; {model} takes 2 or more")
    if facts.noise not in DRAWS:
        raise DataError(f"{where}: no rows can be made up for {model}; a table or arrays are right")
    allocate((4 * columns, outputs), np.dtype(np.float64), where)  # whether there is room for it
    map_draws = uniform(columns, outputs, 0, columns * outputs).reshape(columns, outputs)
    true_weights = 3 * np.sqrt(12 / columns) * (map_draws - 0.5)  # (D, C): z has variance 9
    single = np.dtype(np.float32)
    X = allocate((rows, columns), single, where, copy=single)  # which is scaled
    targets = 1 if facts.output_a_class else outputs
    target = allocate((rows, targets), np.dtype(np.float64), where)
    for part in chunks(rows, columns + outputs):
        draws = uniform(seed, 1, part.start * columns, part.stop * columns)
        X[part] = np.sqrt(12.0) * (draws.reshape(-1, columns) - 0.5)
        noise = uniform(seed, 2, part.start * outputs, part.stop * outputs).reshape(-1, outputs)
        z = X[part].astype(np.float64) @ true_weights  # (n, C)
        target[part] = DRAWS[facts.noise](z, noise)
    return array_frame(
        X, target, None, where=where, target_where=where, labels=facts.has_classes, target_name="y"
    )


def _normal(z: Array, u: Array) -> Array:
    """The score plus noise of standard deviation 0.1."""
    target: Array = z + 0.1 * np.sqrt(12.0) * (u - 0.5)
    return target


def _bernoulli(z: Array, u: Array) -> Array:
    """1 with probability 1/(1 + e^−z): a label an output."""
    return u < 1 / (1 + np.exp(-z))


def _categorical(z: Array, u: Array) -> Array:
    """The largest of z plus Gumbel noise, a class in all (n, 1)."""
    classes: Array = np.argmax(z - np.log(-np.log(u)), axis=1)[:, None]
    return classes


def _poisson(z: Array, u: Array) -> Array:
    """A count whose mean is e^(z/3), as z has variance 9: by inverting its distribution."""
    rate = np.exp(z / 3)
    share = np.exp(-rate)
    below, count = share.copy(), np.zeros_like(rate)
    left, n = u > below, 0
    while left.any():
        n += 1
        count += left
        share *= rate / n
        below += share
        left &= (u > below) & ((n < rate) | (share > np.finfo(np.float64).tiny))
    return count


DRAWS: dict[str, Callable[[Array, Array], Array]] = {
    "normal": _normal,
    "bernoulli": _bernoulli,
    "categorical": _categorical,
    "poisson": _poisson,
}
"""By the model's noise: `(z, u)` -> targets (n, C), from scores and uniform numbers (n, C)."""
