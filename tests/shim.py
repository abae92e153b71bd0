"""CUDA text on a CPU, as the double of CuPy runs it: g++ and tests/cuda_shim.h, threads as fibers.

`RawModule` and its kernels have the arguments of CuPy's, and refuse what a GPU would refuse.
"""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from trainer.model.kernels import LOGGED, REALS, KernelPlan
from trainer.model.round_kernels import KERNELS, RoundPlan

COMPILER = shutil.which("g++") if sys.platform == "linux" else None  # its C library has fibers
WHY_NOT = "" if COMPILER else "no g++ on Linux: the kernels cannot be run on a CPU"
TWIN = "cuda" if COMPILER else "none"  # of a device that the double is
SHIM = Path(__file__).with_name("cuda_shim.h")
SHARED = 48 * 1024  # bytes of a block's shared memory that are had without asking
OUTCOMES = {
    1: "some threads wait at a barrier that the others never come to",
    2: "wrote past the end of its shared memory",
    3: "asks for more shared memory than there is",
}
_KERNEL = re.compile(r"^KERNEL (\w+)\(plan", re.MULTILINE)
_LAUNCH = """
extern "C" int launch_{name}(const plan *s, const unsigned *grid, const unsigned *block,
                             long shared, int order) {{
  return shim::launch([=] {{ {name}(*s); }}, grid, block, shared, order, room, sizeof room);
}}"""


def _library(code: str, options: tuple[str, ...]) -> ctypes.PyDLL:
    """Compile a text once, for all processes; a PyDLL holds the GIL: launches are one by one."""
    assert COMPILER is not None, WHY_NOT
    ends = [f"real room[{SHARED} / sizeof(real)];"]
    ends += [_LAUNCH.format(name=name) for name in _KERNEL.findall(code)]
    source = "\n".join(['#include "cuda_shim.h"', code, *ends])
    flags = ["-O2", "-ffp-contract=off", "-Wall", "-Wextra", "-Werror", "-Wno-unused-function"]
    flags += [one for one in options if not one.startswith("--")]  # NVRTC's own have two dashes
    made_of = "\n".join([source, SHIM.read_text("utf-8"), *flags])
    digest = hashlib.sha256(made_of.encode()).hexdigest()[:16]
    folder = Path(tempfile.gettempdir()) / f"stacked-trainer-shim-{os.getuid()}"
    folder.mkdir(exist_ok=True, mode=0o700)
    library = folder / f"{digest}.so"
    if not library.exists():
        with tempfile.NamedTemporaryFile(dir=folder, suffix=".so") as made:
            command = [COMPILER, *flags, "-shared", "-fPIC", f"-I{SHIM.parent}", "-x", "c++", "-"]
            command += ["-o", made.name]
            done = subprocess.run(
                command, input=source, capture_output=True, text=True, check=False
            )
            assert done.returncode == 0, done.stderr
            with contextlib.suppress(FileExistsError):  # another process was quicker
                os.link(made.name, library)
    return ctypes.PyDLL(str(library))


class RawModule:
    """Kernels of a text.

    Attributes:
        go: is told of each launch the kernel's name, the bytes that it moves, and what runs it.
        order: of the threads: 0 forward, 1 in reverse, else shuffled from this seed.
    """

    order = 0

    def __init__(
        self,
        code: str,
        options: tuple[str, ...] = (),
        go: Callable[[str, int, Callable[[], None]], object] = lambda name, nbytes, run: run(),
    ) -> None:
        self.go = go
        self._code, self._options = code, options
        self.itemsize = 8 if f"-Dreal={REALS['float64']}" in options else 4

    def get_function(self, name: str) -> RawKernel:
        function = _library(self._code, self._options)[f"launch_{name}"]
        function.argtypes = [*[ctypes.c_void_p] * 3, ctypes.c_long, ctypes.c_int]
        return RawKernel(self, name, function)


class RawKernel:
    """One of them."""

    def __init__(self, module: RawModule, name: str, function: Any) -> None:
        self._module, self._name, self._function = module, name, function

    def __call__(
        self, grid: tuple[int, ...], block: tuple[int, ...], args: Any, *, shared_mem: int = 0
    ) -> None:
        assert isinstance(grid, tuple), "CuPy takes tuples only"
        assert isinstance(block, tuple), "CuPy takes tuples only"
        (plan,) = args
        assert isinstance(plan, np.ndarray), "a plan is passed by value"
        assert plan.size == 1, "CuPy passes NumPy's arrays of one element only"
        blocks = np.ones(3, np.uint32)
        blocks[: len(grid)] = grid
        threads = np.ones(3, np.uint32)
        threads[: len(block)] = block
        assert 1 <= threads.prod() <= 256, f"{block} are more threads than the kernel's bound"
        whole = threads.prod() % 32 == 0 or "error_step" not in self._name  # none else shuffles
        assert whole, f"{block} is not of whole warps"
        assert blocks.min() >= 1, f"no blocks in {grid}"
        assert blocks[1:].max() < 2**16, f"a GPU has no {grid} blocks"
        kind, moved = next(one for name, one in MOVED.items() if self._name.startswith(name))
        told = kind.from_buffer_copy(plan.tobytes())  # by value: the plan may change

        def run() -> None:
            found = self._function(
                ctypes.addressof(told), blocks.ctypes.data, threads.ctypes.data, shared_mem,
                type(self._module).order,
            )  # fmt: skip
            assert found == 0, f"{self._name}{grid}{block}: {OUTCOMES[found]}"

        self._module.go(self._name, moved(told, self._module.itemsize), run)


def _taken(s: KernelPlan, real: int) -> int:
    """Bytes that `take_rows` reads and writes."""
    return s.rows * (8 + 2 * real * s.features)


def _judged(s: KernelPlan, real: int) -> int:
    """Bytes that `error_step` reads and writes of a part of a batch, each number once."""
    B, C, K = s.rows, s.outputs, s.columns
    sums = -(-B // s.block_rows) * (C + LOGGED + s.mean) * K
    targets = 8 * B if s.codes else real * B * C * (K if s.y_column else 1)
    places = 8 * B if s.order and not s.codes else 0
    weights = B * (1 + (C if s.q_output else 1) * (K if s.q_column else 1))
    return targets + places + real * (2 * B * C * K + C * K + weights + sums)


def _updated(s: KernelPlan, real: int) -> int:
    """The same of `update`."""
    D, C, K = s.features, s.outputs, s.columns
    moved = 2 * (3 if s.slot1 else 2) * (D + s.bias) * C * K
    read = D * C * K + s.coefficients * K + K + s.row_blocks * (C + LOGGED) * K
    norms = 2 * s.weight_blocks * K if s.lengths else 0
    return real * (moved + read + norms + (s.weight_blocks + LOGGED) * K)


def _squared(s: KernelPlan, real: int) -> int:
    """The same of `weight_squares`."""
    return real * (2 * s.features * s.outputs + 1 + 2 * s.weight_blocks) * s.columns


def _summed(s: KernelPlan, real: int) -> int:
    """The same of `error_sums`."""
    return real * (s.row_blocks + 1) * (s.outputs + LOGGED + 1) * s.columns


# (n, K) arrays that each reads and writes, beside those of the pairs
_ROUND = {"point_tried": 5, "point_sums": 5, "point_taken": 8, "pair_choice": 4, "gauge_fixed": 3}


def _of_round(name: str) -> Callable[[RoundPlan, int], int]:
    """The same of a kernel of lbfgs.cu, of all whose pairs count."""

    def moved(s: RoundPlan, real: int) -> int:
        products = s.product_blocks * s.count * (s.count + 2)
        if name == "pair_factors":
            return 8 * s.columns * (products + 2 * s.count)
        arrays = _ROUND.get(name, 3)
        arrays += 2 * s.count if name in ("pair_products", "pair_direction") else 0
        sums = products if name == "pair_products" else s.row_blocks
        return 8 * s.columns * (arrays * s.rows + sums)

    return moved


# by how a kernel's name begins: its plan, and the bytes that it moves
MOVED: dict[str, tuple[Any, Callable[[Any, int], int]]] = {
    "take_rows": (KernelPlan, _taken),
    "error_step": (KernelPlan, _judged),
    "error_sums": (KernelPlan, _summed),
    "update": (KernelPlan, _updated),
    "weight_squares": (KernelPlan, _squared),
    **{name: (RoundPlan, _of_round(name)) for name in KERNELS},
}
