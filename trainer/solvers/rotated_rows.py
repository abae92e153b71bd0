"""Training rows in the coordinates of a basis, which all stacks on them share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from trainer.solvers.basis import Basis, identity, uncorrelated
from trainer.solvers.basis_in_place import in_place
from trainer.train.batches import RowSet

if TYPE_CHECKING:
    from trainer.device import Device

Array = Any
Numbers = np.ndarray[Any, np.dtype[np.float64]]


class RotatedRows(NamedTuple):
    """Rows and their coordinates.

    Attributes:
        rows: X (N, r), or (N, D) where the basis is not theirs, and the rest, in float64.
        basis: the coordinates.
    """

    rows: RowSet
    basis: Basis


def rotate(
    device: Device,
    rows: RowSet,
    p: Numbers,
    r: Numbers,
    bias: bool,
    sparse: bool,
    exact: bool = False,
    least: float = 0.0,
    y: Array | None = None,
    guess: bool = False,
    turn: bool = True,
) -> RotatedRows:
    """Find a basis for rows and bring them into it.

    Args:
        device: where they are.
        rows: the training rows.
        p: (N,) row weights of the objective, on the host; they sum to 1.
        r: (N,) those of the logged loss.
        bias: whether there is one.
        sparse: whether there is l1, for which features stay as they are.
        exact: whether λ must be exact, for a closed form.
        least: the smallest l2 there is.
        y: (N, C) targets on the host, which may have more digits than those of `rows`.
        guess: whether a guess of λ will do, which some of the rows tell.
        turn: whether coordinates without correlation are wanted; else features may stay.
    """
    xp, weights = device.xp, device.to_device(p)
    if guess and not sparse:
        X = xp.asarray(rows.X, dtype=np.float64)
        found = in_place(device, X, weights, bias, least, turn)
        if found is not None:
            return RotatedRows(rows.rotated(device, X, p, r, y), found)
    X = xp.array(rows.X, dtype=np.float64)
    if sparse:
        basis, X = identity(device, X, weights, bias)
    else:
        basis, X = uncorrelated(device, X, weights, bias, exact, least)
    return RotatedRows(rows.rotated(device, X, p, r, y), basis)
