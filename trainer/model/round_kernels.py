"""The CUDA text of a round of L-BFGS: how it is compiled, in which blocks it is launched."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from trainer.model.kernels import Launch, by_value, options_of

KERNELS = (
    *("point_tried", "point_sums", "point_taken"),
    *("pair_products", "pair_factors", "pair_direction", "pair_choice"),
    "gauge_fixed",
)
SUMS = 13  # of a point that is tried: lbfgs.cu's
_NUMBERS = (
    *("rows", "weights", "outputs", "columns", "pairs", "count", "slot", "sparse"),
    *("block_rows", "row_blocks"),
    *("product_rows", "product_blocks", "tile", "product_columns"),
)
_ARRAYS = (
    *("w", "g", "d", "trial", "gradient", "step", "s", "y", "rho"),
    *("new_rho", "length", "gamma", "l2", "l1", "spectrum"),
    *("within", "takes", "moved", "which"),
    *("partial", "coefficients", "found", "into"),
)
_THREADS, _WARP = 256, 32
_BLOCKS = 396  # as of the kernels of a step: the same everywhere, for the bits' sake
_SHARED = 6144  # numbers of a block's shared memory
_TILE = 64  # rows of a tile, whose products a thread adds up one by one, at most
_NARROW = 8  # columns of a block of products


class RoundPlan(ctypes.Structure):
    """What a launch is told: `plan` of lbfgs.cu, passed by value."""

    _fields_ = [
        *((name, ctypes.c_int64) for name in _NUMBERS),
        *((name, ctypes.c_uint64) for name in _ARRAYS),  # addresses
    ]


def new_plan(**numbers: int) -> tuple[RoundPlan, Any]:
    """A plan of a round, and its bytes: see `trainer.model.kernels.by_value`."""
    return by_value(RoundPlan, numbers)


@cache
def text() -> str:
    """lbfgs.cu."""
    return Path(__file__).with_name("lbfgs.cu").read_text("utf-8")


def options() -> tuple[str, ...]:
    """What NVRTC is told of the kernels of a round."""
    return options_of(RoundPlan, "float64")


def kernels_of(xp: Any) -> Any:
    """The module of kernels; what it compiled for a device, CuPy keeps on disk."""
    return xp.RawModule(code=text(), options=options())


def most_pairs(wanted: int) -> bool:
    """Whether the table of so many pairs fits into a block's shared memory."""
    return wanted * (wanted + 4) <= _SHARED


@dataclass(frozen=True)
class RoundBlocks:
    """How a round's kernels share out numbers (n, K) and pairs m to blocks.

    Attributes:
        sums: point_sums, pair_direction and pair_choice; for one number a thread.
        rows: of a block of these.
        elements: point_tried and point_taken; gauges: gauge_fixed.
        products: pair_products; factors: pair_factors.
        product_rows: rows of a block of products, of which `tile` are read at once.
        product_columns: columns of one.
    """

    sums: Launch
    rows: int
    elements: Launch
    gauges: Launch
    products: Launch
    factors: Launch
    product_rows: int
    product_columns: int
    tile: int

    @classmethod
    def of(cls, rows: int, outputs: int, columns: int, pairs: int) -> RoundBlocks:
        """For n = `rows` numbers a column, of `outputs` outputs."""
        wide = min(_WARP, columns)
        lanes = _THREADS // wide
        beside = -(-columns // wide)
        size = _share(rows, lanes, beside)
        sums = Launch((-(-rows // size), beside), (wide, lanes, 1), wide * lanes)
        elements, gauges = (
            Launch((-(-n // _THREADS), 1), (_THREADS, 1, 1), 0)
            for n in (rows * columns, rows // outputs * columns)
        )
        table = pairs * (pairs + 4)  # and the factors
        narrow = max(1, min(_NARROW, columns, _SHARED // max(table, 1)))
        vectors = 2 * pairs + 2
        tile = max(1, min(_TILE, rows, (_SHARED // vectors - 1) // narrow))
        beside = -(-columns // narrow)
        part = _share(rows, tile, beside)
        grid = -(-rows // part), beside
        products = Launch(grid, (_THREADS, 1, 1), vectors * (tile * narrow + 1))
        factors = Launch((1, beside), (narrow, _THREADS // narrow, 1), table * narrow)
        return cls(sums, size, elements, gauges, products, factors, part, narrow, tile)

    def parts(self, columns: int, pairs: int) -> int:
        """Numbers of the sums that any of them leaves in parts."""
        of_sums, of_products = self.sums.grid[0] * SUMS, self.products.grid[0] * pairs * (pairs + 2)
        return max(of_sums, of_products) * columns


def _share(rows: int, at_once: int, beside: int) -> int:
    """Rows of a block that takes so many at once, where so many blocks are beside each other."""
    rounds = -(-rows // (at_once * max(1, _BLOCKS // beside)))
    return rounds * at_once
