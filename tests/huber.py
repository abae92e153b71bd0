"""Huber's loss as a row of the tables, as somebody might add it: a loss with its own setting."""

from __future__ import annotations

from typing import Any

import numpy as np

from trainer.catalog import Apart, LossFacts
from trainer.model import metrics
from trainer.model.models import Model, Scratch, identity, identity_link

FACTS = LossFacts(
    "Huber's loss",
    Apart(
        name="Huber's loss",
        dz="ŷ − y cut off at ±δ",
        effect="no larger than δ, however far off",
        plateau="a row that is very wrong pulls no harder than one that is wrong by δ",
    ),
    second_derivatives=False,
    parameters=("delta",),
)


def huber(xp: Any, z: Any, y: Any, error: Any, out: Any, scratch: Scratch, *, delta: Any) -> None:
    """L = Σ_c ½·c² + δ·(|e| − c), c = min(|e|, δ): a square, from δ on a line."""
    full = scratch.full
    xp.absolute(error, out=z)
    xp.minimum(z, delta, out=full)
    z -= full
    z *= delta
    full *= full
    full *= 0.5
    z += full
    xp.sum(z, axis=1, out=out)


def huber_dz(xp: Any, error: Any, y: Any, free: Any, scratch: Scratch, *, delta: Any) -> Any:
    """dL/dz = min(|e|, δ)·sign(e)."""
    dz = scratch.full
    xp.absolute(error, out=dz)
    xp.minimum(dz, delta, out=dz)
    xp.copysign(dz, error, out=dz)
    return dz


ROW = Model(
    FACTS,
    activation=identity,
    link=identity_link,
    loss=huber,
    dz=huber_dz,
    metrics=metrics.REGRESSION,
    variance=None,
    curvature=1.0,
)


def slow_loss(z: np.ndarray, y: np.ndarray, delta: float) -> np.ndarray:
    """Losses (N,) of scores and targets (N, C), element by element."""
    e = np.abs(z.astype(np.longdouble) - y)
    return np.where(e <= delta, e**2 / 2, delta * (e - delta / 2)).sum(axis=1)
