"""The CUDA twin of a step: its text, how it is compiled, in which blocks it is launched.

`trainer.train.fused` holds it to a stack's own arrays. How rows and columns are shared out to
blocks depends on shapes alone, so that sums are the same to the bit on every device.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np

Layout = TypeVar("Layout", bound=ctypes.Structure)
_FOLDER = Path(__file__).parent
REALS = {"float32": "float", "float64": "double"}  # by precision: CUDA's name for it
LOGGED = 4  # numbers a column that are logged of errors: step.cu's
# in the order in which rules.h numbers them
ERROR_STEPS = (
    "error_step_squared_error",
    "error_step_binary_cross_entropy",
    "error_step_categorical_cross_entropy",
    "error_step_poisson_loss",
    "error_step_squared_error_on_sigmoid",
)
TAKE_ROWS = "take_rows"
UPDATES = ("update_sgd", "update_nesterov", "update_adam", "update_lars")
WEIGHT_SQUARES = {"update_lars": "weight_squares"}  # what goes before an update that asks for norms
ERROR_SUMS = "error_sums"  # of a solver's pass
_NUMBERS = (
    *("features", "outputs", "columns", "coefficients", "bias", "prox", "decay", "mean"),
    *("y_row", "y_output", "y_column", "q_row", "q_output", "q_column"),
    *("r_row", "r_column"),
    *("block_rows", "tile", "row_blocks", "weight_blocks", "start", "rows", "first", "slot"),
    *("batch", "places", "width"),
)
_ARRAYS = (
    *("order", "codes", "targets", "shares", "now"),
    *("y", "q", "r", "X", "parameters", "slot0", "slot1"),
    *("gradient", "l2", "table", "ring", "z", "partial", "squares", "lengths", "taken"),
)
_THREADS = 256  # of a block: the bound that step.cu compiles for
_WARP = 32
_BLOCKS = 396  # three for each multiprocessor of an H100; the same everywhere, for the bits' sake
_ALIGNED = 4  # numbers of float32 in 16 bytes
_TAKEN = 4  # numbers that a thread takes of a row, so that some are on their way at once
_TOLD = 1024  # rows times columns that a block judges before it adds them up


class KernelPlan(ctypes.Structure):
    """What a launch is told: `plan` of step.cu, passed by value."""

    _fields_ = [
        *((name, ctypes.c_int64) for name in _NUMBERS),
        *((name, ctypes.c_uint64) for name in _ARRAYS),  # addresses
    ]


def new_plan(**numbers: int) -> tuple[KernelPlan, Any]:
    """A plan of a step, and its bytes: see `by_value`."""
    return by_value(KernelPlan, numbers)


def by_value(layout: type[Layout], numbers: Mapping[str, int]) -> tuple[Layout, Any]:
    """A plan, and its bytes as the array of one element that CuPy passes by value.

    As bytes, not as fields: at each launch CuPy asks an array for its interface, and NumPy takes
    20 µs to name 36 fields in it.

    Args:
        layout: of the plan.
        numbers: its fields that are known.
    """
    held = bytearray(ctypes.sizeof(layout))
    plan = layout.from_buffer(held)
    for name, number in numbers.items():
        setattr(plan, name, number)
    return plan, np.frombuffer(held, np.dtype((np.void, len(held))))


def point_to(plan: ctypes.Structure, arrays: Mapping[str, Any]) -> None:
    """Let fields of a plan be the addresses of arrays in C order; 0 for None."""
    for name, array in arrays.items():
        assert array is None or array.flags.c_contiguous, name
        setattr(plan, name, 0 if array is None else array.data.ptr)


@cache
def text() -> str:
    """step.cu with rules.h in its place: CuPy's cache knows a kernel by its text alone."""
    rules = (_FOLDER / "rules.h").read_text("utf-8")
    return (_FOLDER / "step.cu").read_text("utf-8").replace('#include "rules.h"', rules)


def options(precision: str) -> tuple[str, ...]:
    """What NVRTC is told of the kernels of a step: see `options_of`."""
    return options_of(KernelPlan, precision)


def options_of(layout: type[ctypes.Structure], precision: str) -> tuple[str, ...]:
    """What NVRTC is told; nothing is contracted, as on a CPU."""
    size = ctypes.sizeof(layout)
    return "-std=c++17", "--fmad=false", f"-Dreal={REALS[precision]}", f"-DPLAN_BYTES={size}"


def kernels_of(xp: Any, precision: str) -> Any:
    """The module of kernels of a precision; what it compiled for a device, CuPy keeps on disk."""
    return xp.RawModule(code=text(), options=options(precision))


def wanted() -> bool:
    """Whether steps are to be compiled where they can be."""
    return os.environ.get("STACKED_TRAINER_COMPILED") != "0"


def graphs_wanted() -> bool:
    """Whether steps are to be launched many at a time, as CUDA graphs, where they can be."""
    return os.environ.get("STACKED_TRAINER_GRAPHS") != "0"


def told(no_graphs: str) -> str:
    """The twin in words, for the line of the device; `no_graphs`: why it has no CUDA graphs."""
    if not wanted():
        return "steps function by function: STACKED_TRAINER_COMPILED is 0"
    why = "" if graphs_wanted() else "STACKED_TRAINER_GRAPHS is 0"
    if why := no_graphs or why:
        return f"a step is two products and two kernels, launched one by one: {why}"
    return "a step is two products and two kernels; CUDA graphs launch many steps at once"


def told_of_tf32(captured: bool) -> str:
    """What becomes of `precision: tf32`; `captured`: whether a step makes its own products."""
    if captured and wanted() and not tf32_overridden():
        return "products in TF32"
    why = ": NVIDIA_TF32_OVERRIDE is 0, which turns it off" if tf32_overridden() else ""
    return f"products in float32, not in TF32{why}"


def tf32_overridden() -> bool:
    """Whether NVIDIA's libraries are told to leave TF32 alone, whoever asks for it."""
    return os.environ.get("NVIDIA_TF32_OVERRIDE") == "0"


class Launch(NamedTuple):
    """Blocks of a kernel, its threads in each, and the numbers that a block's threads share."""

    grid: tuple[int, int]
    block: tuple[int, int, int]
    shared: int


class ErrorBlocks(NamedTuple):
    """How `error_step` shares out rows (B, C, K) to blocks.

    Attributes:
        block: threads (columns, outputs, rows); columns times outputs are of one warp.
        tile: rows that a block judges before it adds them up.
        rows: of a block.
        column_blocks: blocks beside each other over the columns.
    """

    block: tuple[int, int, int]
    tile: int
    rows: int
    column_blocks: int

    @classmethod
    def of(cls, rows: int, outputs: int, columns: int) -> ErrorBlocks:
        """For parts of at most so many rows."""
        wide = min(_WARP, _power_of_2(columns))
        lanes = min(_WARP // wide, _power_of_2(outputs))
        deep = _THREADS // (wide * lanes)
        beside = -(-columns // wide)
        rounds = -(-rows // (deep * max(1, _BLOCKS // beside)))
        return cls((wide, lanes, deep), max(deep, _TOLD // wide), rounds * deep, beside)

    def count(self, rows: int) -> int:
        """Blocks of so many rows."""
        return -(-rows // self.rows)

    def launch(self, rows: int, told: int = LOGGED) -> Launch:
        """For a part of so many rows, of each of which so many numbers are told."""
        shared = self.tile * told * self.block[0] + _THREADS
        return Launch((self.count(rows), self.column_blocks), self.block, shared)


class UpdateBlocks(NamedTuple):
    """How `update` shares out parameters (D + 1, C, K) to blocks.

    Attributes:
        weights: blocks that move weights; C + LOGGED others add up what errors have left.
    """

    weights: int
    launch: Launch

    @classmethod
    def of(cls, features: int, outputs: int, columns: int) -> UpdateBlocks:
        """For the parameters of a stack."""
        wide = min(_WARP, columns)
        lanes = _THREADS // wide
        beside = -(-columns // wide)
        weights = min(-(-features * outputs // lanes), max(1, _BLOCKS // beside))
        grid = weights + outputs + LOGGED, beside
        return cls(weights, Launch(grid, (wide, lanes, 1), wide * lanes))


def padded(features: int) -> int:
    """Numbers from a row to the next in which TF32 is quickest: each begins at 16 bytes."""
    return -(-features // _ALIGNED) * _ALIGNED


def take_launch(rows: int, features: int) -> Launch:
    """How `take_rows` shares out the numbers of so many rows: some of a row to each thread."""
    wide = min(_WARP, _power_of_2(features))
    deep = _THREADS // wide
    beside = min(-(-features // (_TAKEN * wide)), 2**16 - 1)
    return Launch((-(-rows // deep), beside), (wide, deep, 1), 0)


def parts_of(
    rows: int, shape: tuple[int, int, int], steps: int
) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
    """Shapes of the sums that are left in parts: of each block's rows, and of weights a step.

    Args:
        rows: of a part of a batch, at most.
        shape: (D, C, K).
        steps: of a stretch.
    """
    D, C, K = shape
    blocks = ErrorBlocks.of(rows, C, K).count(rows)
    return (blocks, C + LOGGED, K), (steps, UpdateBlocks.of(D, C, K).weights, K)


def _power_of_2(number: int) -> int:
    """The smallest that is no less."""
    return 1 << (number - 1).bit_length()
