"""What a leave-one-out run says of its training rows: each by the model of all others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from trainer.config.schema.penalty import InverseC

if TYPE_CHECKING:
    from trainer.config.schema.spec import Spec
    from trainer.data.rows import Array, IntArray, Rows
    from trainer.sweep.sweep import SweepRun

Numbers = NDArray[np.float64]
MOST_CELLS = 10_000_000  # rows times outputs that are told of: 80 MB a number of each


class LeftOutRows(NamedTuple):
    """The training rows of some outputs, in the units of the source.

    Attributes:
        row: (N,) of the source.
        z: (N, C) predictions by the model of all others; NaN where these do not say.
        residual: (N, C) y − z.
        leverage: (N, C) in the model of all rows.
        distance: (N, C) Cook's, in it.
    """

    row: IntArray
    z: Numbers
    residual: Numbers
    leverage: Numbers
    distance: Numbers

    def of_output(self, c: int) -> LeftOutRows:
        """The same of one output."""
        return LeftOutRows(self.row, *(of[:, c : c + 1] for of in self[1:]))


def is_left_out(sweep: SweepRun) -> bool:
    """Whether val is each training row, by the model of all others."""
    return sweep.first.left_out is not None


def tells_rows(sweep: SweepRun, cells: int) -> bool:
    """Whether a run tells of its training rows, so many with their outputs."""
    return is_left_out(sweep) and cells <= MOST_CELLS


def left_out_rows(
    sweep: SweepRun,
    rows: Rows,
    specs: Sequence[Spec],
    l2: Sequence[float] | Numbers,
    places: Sequence[int],
    scale: Array,
    mean: Array,
) -> LeftOutRows:
    """The training rows of outputs that are trained.

    Args:
        sweep: that leaves one out.
        rows: for training.
        specs: (C,) of the outputs' models.
        l2: (C,) their penalties.
        places: (C,) of the outputs among the rows' targets.
        scale: (C,) of the targets.
        mean: (C,) the same.
    """
    assert sweep.first.left_out is not None
    device, p = sweep.first.device_rows.device, rows.weight / rows.weight.sum()
    fixed = np.array([isinstance(spec.penalty, InverseC) for spec in specs])
    y = np.asarray(rows.y.reshape(len(rows), -1)[:, list(places)], np.float64)  # (N, C)
    X, of_bias = device.to_device(rows.X), specs[0].bias
    found = sweep.first.left_out.influence(device, X, y, p, of_bias, np.asarray(l2), fixed)
    z = (y - found.residual) * scale + mean
    residual = found.residual * scale
    return LeftOutRows(rows.index, z, residual, found.leverage, found.distance)
