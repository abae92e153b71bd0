"""Columns whose values differ by little, for what a precision tells apart at their size.

Unix seconds of one hour are 1.7e9 ± 1,800, and float32 has steps of 128 there: rounded as they are,
such values are a few numbers only. What is centred before it is rounded loses nothing.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from trainer.data.encode.encoder import Encoder
from trainer.data.encode.targets import Target, read_numbers
from trainer.data.frame import Frame
from trainer.data.rows import Array, Coarse, FloatArray

Numbers = NDArray[np.float64]
FEWEST_STEPS = 1024  # between the least and the largest value: three digits of their difference
FEWEST_READ = 64  # the same of values as the source has them, which may be meant so
_FEW_ROWS = 512  # that mostly tell how much a feature varies
_LONG = 512  # numbers
_WIDE = np.dtype(np.float64)


class Extremes(NamedTuple):
    """The least and the largest value of each feature, (D,) each."""

    low: FloatArray
    high: FloatArray

    @classmethod
    def of(cls, X: FloatArray) -> Extremes:
        """Those of encoded rows (n, D)."""
        parts = [X]
        side = max(1, _LONG // max(X.shape[1], 1))  # rows that make a long one, which goes faster
        if X.flags.c_contiguous and len(X) >= 2 * side:
            whole = len(X) - len(X) % side
            parts = [X[:whole].reshape(-1, side * X.shape[1]), X[whole:]]
        ends = []
        for end in (np.min, np.max):
            found = [end(part, axis=0).reshape(-1, X.shape[1]) for part in parts if len(part)]
            ends.append(end(np.concatenate(found), axis=0))
        return cls(*ends)

    @classmethod
    def told_by_some(cls, X: FloatArray, largest: float) -> Extremes:
        """Those of a few rows, where they tell that no feature hardly varies; else of all.

        `largest` is no value's size below; infinite where it is not known, 0 where it is lost.
        """
        half = _FEW_ROWS // 2
        if len(X) > 2 * _FEW_ROWS and 0 < largest < np.inf:
            some = cls.of(np.concatenate([X[:half], X[-half:]]))
            size = np.full(X.shape[1], largest)
            if not few_steps(some, X.dtype, size=size).any():
                return some
        return cls.of(X)

    def constant(self, encoder: Encoder) -> tuple[str, ...]:
        """Names of the features with one value."""
        return tuple(encoder.features[d] for d in np.flatnonzero(self.low == self.high))


def few_steps(
    ends: Extremes,
    precision: np.dtype[Any],
    fewest: int = FEWEST_STEPS,
    size: FloatArray | None = None,
) -> NDArray[np.bool_]:
    """Where values (D,) of a size differ by few steps of a precision, or by none.

    Their size is by default that of the larger end.
    """
    low, high = (end.astype(np.float64) for end in ends)
    size = np.maximum(np.abs(low), np.abs(high)) if size is None else size
    with np.errstate(over="ignore"):
        return np.asarray(high - low < fewest * float(np.finfo(precision).eps) * size)


def coarse_targets(
    target: Target, frame: Frame, rows: Array, dtype: np.dtype[Any]
) -> tuple[Coarse, ...]:
    """The targets (numbers) that dtype has few steps for, or what they were read in.

    Args:
        target: as it is encoded.
        frame: the training source.
        rows: (n,) its training rows.
        dtype: of the run's precision.
    """
    ends = Extremes.of(read_numbers(frame, rows))
    varies, of_source = ends.high > ends.low, _read_in(frame.target)
    centred = (target.mean != 0) | (target.scale != 1)
    lost = varies & few_steps(ends, of_source, FEWEST_READ)
    bad = varies & ~centred & ~lost & few_steps(ends, dtype)
    names = target.outputs
    return tuple(
        _coarse(names[c], ends.low[c], ends.high[c], of_source if lost[c] else dtype, lost[c], True)
        for c in np.flatnonzero(lost | bad).tolist()
    )


def centred_features(
    encoder: Encoder, frame: Frame, rows: Array, ends: Extremes, *, centre: bool
) -> tuple[Encoder, tuple[Coarse, ...]]:
    """Find the features that a precision has few steps for, and centre them where one may.

    A bias takes up what a feature is centred by, so that J is the same. Rows are read once more
    where a feature hardly varies.

    Args:
        encoder: fitted.
        frame: the training source.
        rows: (n,) its training rows.
        ends: of those rows as they were encoded and rounded.
        centre: whether there is a bias, and no scaling that centring would change.

    Returns:
        The encoder, another one if it centres, and what it still has few steps for.
    """
    dtype, found = ends.low.dtype, _noise(encoder, frame, ends)
    doubtful = np.flatnonzero(few_steps(ends, dtype))
    if not len(doubtful):
        return encoder, tuple(found)
    true = _extremes(encoder, frame, rows, doubtful)
    mean, read_in = encoder.mean.copy(), _read_in_of(encoder, frame)
    for d, low, high in zip(doubtful.tolist(), *true, strict=True):
        if low == high:
            continue
        one = Extremes(np.array([low]), np.array([high]))
        lost = bool(few_steps(one, read_in[d], FEWEST_READ)[0])
        if centre:
            mean[d] = low + (high - low) / 2
        if lost or not centre:
            found.append(
                _coarse(encoder.features[d], low, high, read_in[d] if lost else dtype, lost)
            )
    if (mean != encoder.mean).any():
        encoder = replace(encoder, mean=mean)
    return encoder, tuple(found)


def _noise(encoder: Encoder, frame: Frame, ends: Extremes) -> list[Coarse]:
    """Scaled features whose source has few steps for them: scaled by σ they vary as much as any."""
    size = np.abs(encoder.mean)
    spread = encoder.scale * (ends.high - ends.low).astype(np.float64)
    read_in = _read_in_of(encoder, frame)
    eps = np.array([float(np.finfo(dtype).eps) for dtype in read_in])
    noisy = (spread > 0) & (spread < FEWEST_READ * eps * size)
    return [
        Coarse(encoder.features[d], False, float(size[d]), float(spread[d]), str(read_in[d]), True)
        for d in np.flatnonzero(noisy).tolist()
    ]


def _read_in(values: Any) -> np.dtype[Any]:
    """The precision that a source's values have; whole numbers are read as float64."""
    dtype = getattr(values, "dtype", _WIDE)
    return dtype if dtype.kind == "f" else _WIDE


def _read_in_of(encoder: Encoder, frame: Frame) -> list[np.dtype[Any]]:
    """`_read_in` of each of the encoder's features."""
    if not isinstance(frame.features, tuple):
        return [_read_in(frame.features)] * len(encoder.features)
    return [
        _read_in(column)
        for name, column in zip(encoder.columns, frame.features, strict=True)
        for _ in encoder.categories.get(name, ("",))
    ]


def _extremes(encoder: Encoder, frame: Frame, rows: Array, columns: NDArray[np.intp]) -> Extremes:
    """Those of some features in float64, as they are before centring."""
    low, high = np.full(len(columns), np.inf), np.full(len(columns), -np.inf)
    for _, block, _ in encoder.scaled_blocks(frame, rows):
        part = block[:, columns]
        np.minimum(low, part.min(axis=0), out=low)
        np.maximum(high, part.max(axis=0), out=high)
    return Extremes(low, high)


def _coarse(
    name: str,
    low: float,
    high: float,
    precision: np.dtype[Any],
    as_read: bool,
    is_target: bool = False,
) -> Coarse:
    low, high = float(low), float(high)
    size, spread = max(abs(low), abs(high)), high - low
    return Coarse(name, is_target, size, spread, str(precision), as_read)
