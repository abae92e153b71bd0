"""First weights: zeros, normal numbers, or those of a saved model."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np

from trainer.config.schema.optimizer import Solver
from trainer.config.schema.spec import NormalInit, Spec
from trainer.data.encode.encoder import Encoder
from trainer.data.rows import Label
from trainer.errors import DataError
from trainer.predict.fitted_model import FittedModel
from trainer.streams import INIT, uniform
from trainer.text.labels import label_positions, label_text

Numbers = np.ndarray[Any, np.dtype[np.float64]]


def initial_weights(
    specs: Sequence[Spec],
    encoder: Encoder,
    shape: tuple[int, int, int],
    places: Sequence[int] | None = None,
) -> tuple[Numbers, Numbers]:
    """Weights (D, C, K) and bias (C, K) before the first step, by `init`.

    Args:
        specs: K of them, one a column. Steps begin where a bias of 0 would be if targets were not
            centred, so that centring changes no step; a solver may begin at the mean.
        encoder: of their rows.
        shape: D, C, K.
        places: (K,) which target each column has, of several that are problems of their own.

    Raises:
        DataError: `init` names a run whose model has other features or outputs.
        RunFolderError: `init` names no run folder.
    """
    features, outputs, count = shape
    weights, bias = np.zeros((features, outputs, count)), np.zeros((outputs, count))
    normal = cache(normal_weights)
    for k, spec in enumerate(specs):
        if isinstance(spec.init, NormalInit):
            with np.errstate(over="ignore"):  # too large diverges at the first step, and says so
                weights[:, :, k] = spec.init.normal * normal(spec.seed, features, outputs)
        elif spec.init != "zeros":
            weights[:, :, k], bias[:, k] = _saved_weights(spec.init, encoder, spec.dtype)
            continue
        if spec.data.scale_target == "none" and not isinstance(spec.optimizer, Solver):
            # of targets as they are it is 0, centred or not
            own = slice(None) if not encoder.target.separate or places is None else [places[k]]
            bias[:, k] -= encoder.target_mean[own]
    return weights, bias


def normal_weights(seed: int, features: int, outputs: int) -> Numbers:
    """Draw standard normal numbers (D, C), the same on every device and NumPy version.

    Box & Muller 1958 on splitmix64's bits: NumPy does not promise fixed streams (NEP 19).
    """
    count = features * outputs
    u = uniform(seed, INIT, 0, 2 * count)
    normal: Numbers = np.sqrt(-2 * np.log(u[:count])) * np.cos(2 * np.pi * u[count:])
    return normal.reshape(features, outputs)


def check_init(spec: Spec, encoder: Encoder) -> None:
    """Refuse a saved model that does not fit, before anything is built.

    Raises:
        DataError: it has other features or outputs, or weights too large for these.
        RunFolderError: `init` names no run folder.
    """
    if isinstance(spec.init, str) and spec.init != "zeros":
        _saved_weights(spec.init, encoder, spec.dtype)


def _saved_weights(folder: str, encoder: Encoder, dtype: str) -> tuple[Numbers, Numbers]:
    """Weights (D, C) and bias (C,) of a saved model, in the coordinates of these rows' scaling."""
    saved = FittedModel.load(folder)
    for what, theirs, ours in (
        ("model", saved.model, encoder.target.model),
        ("features", saved.encoder.features, encoder.features),
        ("outputs", saved.encoder.outputs, encoder.outputs),
        ("scale: unit", saved.encoder.unit, encoder.unit),
    ):
        if theirs != ours:
            raise DataError(
                f"init: {folder}: its {what} is not this run's: {_short(theirs)} against"
                f" {_short(ours)}; a run on the same features and outputs would be right"
            )
    sign = _sign(saved.encoder.classes, encoder.classes, folder)
    ratio = sign * (saved.encoder.target_scale / encoder.target_scale)[None, :]  # (1, C)
    shift = (saved.encoder.target_mean - encoder.target_mean) / encoder.target_scale  # (C,)
    with np.errstate(over="ignore", invalid="ignore"):
        per_raw = saved.weights / saved.encoder.scale[:, None] * ratio  # (D, C)
        moved = (encoder.mean - saved.encoder.mean) @ per_raw  # (C,)
        weights, bias = per_raw * encoder.scale[:, None], saved.bias * ratio[0] + shift + moved
        fits = max(np.abs(weights).max(), np.abs(bias).max()) <= np.finfo(dtype).max
    if not fits:  # nor where they are NaN
        raise DataError(f"init: {folder}: its weights are too large for {dtype}; write zeros")
    return weights, bias


def _sign(theirs: list[Label] | None, ours: list[Label] | None, folder: str) -> int:
    """1, or -1 where the other of two classes is 1, whose scores have the other sign.

    Raises:
        DataError: the saved model has other classes.
    """
    place = label_positions(theirs or ())
    known = [place.get(label_text(label)) for label in ours or ()]
    if None in known:
        raise DataError(
            f"init: {folder}: its classes are not this run's: {_short(tuple(theirs or ()))} against"
            f" {_short(tuple(ours or ()))}; a run on the same classes would be right"
        )
    return -1 if known == [1, 0] else 1


def _short(value: object) -> str:
    if isinstance(value, tuple):
        return f"{len(value)} ({', '.join(map(str, value[:3]))}{', …' if len(value) > 3 else ''})"
    return str(value)
