"""What a solver takes, told from sizes alone: bytes, and operations of second derivatives."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trainer.model import Model
from trainer.solvers.choose import Method, Size, hessian_order
from trainer.solvers.hessians import MOST_HESSIANS, SMALL, Hessians
from trainer.solvers.objective import chunk_rows

if TYPE_CHECKING:
    from trainer.device import Device


def solver_bytes(
    size: Size, columns: int, model: Model, method: Method, sparse: bool, device: Device
) -> int:
    """Bytes that a stack of so many columns takes, its rows in float64 included.

    Args:
        size: N, D, C.
        columns: K.
        model: the row of the model table.
        method: how directions are made.
        sparse: whether there is l1.
        device: where it is.
    """
    N, D, C = size
    parameters = (D + 1) * C * columns
    parts = device.parts(N * D)  # that go side by side
    # of each z, ŷ − y, scratch and three numbers a row and column; evaluations have as much
    chunks = (parts + 1) * chunk_rows(device, N, D, C * columns) * (3 * C + 3) * columns
    numbers = parameters * (14 + 2 * parts + 2 * method.pairs) + N * D + chunks
    hessians = 0
    if method.hessian_from is not None:
        blocks = 1 if model.coupled else C
        hessians = hessian_bytes(hessian_order(model, size, sparse), blocks, columns, sparse)
    return 8 * numbers + hessians


def hessian_bytes(order: int, blocks: int, columns: int, sparse: bool) -> int:
    """Most bytes that a step by Hessians takes: they, what they are solved in, and parts of sums.

    Args:
        order: Q.
        blocks: Hessians a column.
        columns: K.
        sparse: whether there is l1; then one is worked on at a time, unless it is small.
    """
    one = 8 * order**2
    if sparse and order > SMALL:  # beside it what a test of independence needs, or a path
        return 6 * one
    return 6 * one * sparse + 3 * min(columns * blocks * one, max(blocks * one, MOST_HESSIANS))


def hessian_operations(hessians: Hessians, rows: int, sparse: bool) -> float:
    """Multiplications and additions of one column's Hessian and of solving with it.

    With l1 a Hessian is of the weights that are not 0; it counts here as if none were.
    """
    h = hessians
    # a product a pair of outputs; with l1 it is one product of all that are coupled
    each = h.blocks * h.order**2 if sparse else len(h.pairs()) * h.parameters**2
    return 2 * rows * each + h.blocks * 2 / 3 * h.order**3
