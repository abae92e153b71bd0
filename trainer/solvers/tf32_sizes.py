"""Which device multiplies in TF32, and what rounds in it take, told from sizes alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trainer.model import kernels
from trainer.solvers.choose import Size

if TYPE_CHECKING:
    from trainer.device import Device

MOST_ROWS = 1 << 16  # of a chunk: tensor cores cut off what each of its sums has beyond float32


def multiplies(device: Device) -> bool:
    """Whether a device makes products in TF32: NVIDIA's libraries may be told not to."""
    there = device.tf32 and device.products is not None and kernels.wanted()
    return there and not kernels.tf32_overridden()


def chunk_rows(device: Device, rows: int, width: int, scores: int) -> int:
    """How many of so many rows go by at once, of so many numbers and scores each."""
    at_once = device.at_once(0) // (4 * max(width + scores, 1))
    return max(1, min(rows, MOST_ROWS, at_once))


def row_bytes(rows: int, features: int) -> int:
    """Bytes of `single_rows`, at most."""
    return 4 * rows * kernels.padded(features)


def pass_bytes(device: Device, size: Size, columns: int) -> int:
    """Bytes that a stack's passes in TF32 take, at most: see `trainer.solvers.costs.solver_bytes`.

    Args:
        device: where it is.
        size: N, D, C.
        columns: K.
    """
    N, D, C = size
    # of each z, ŷ − y, scratch and four numbers a row and column, and the row's squares once; the
    # weights' parts and sums
    chunk = chunk_rows(device, N, D, C * columns) * ((3 * C + 4) * columns + D)
    return row_bytes(N, D) + 4 * (chunk + 2 * N + 6 * (D + 1) * C * columns)
