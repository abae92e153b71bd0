"""Kernels of our own compiled before the first one is launched, and said where it takes time."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from trainer.config.schema.optimizer import Solver
from trainer.config.schema.spec import Spec
from trainer.model import kernels, round_kernels

if TYPE_CHECKING:
    from trainer.device import Device

_QUIET = 0.5  # seconds that need no word: kernels from CuPy's cache are there at once
COMPILING = "compiling kernels for this GPU: some seconds, once"


def compile_for(device: Device, spec: Spec, tell: Callable[[str], None]) -> None:
    """`compile_kernels` of what a run of this spec will launch."""
    solves = isinstance(spec.optimizer, Solver)
    if solves and spec.precision == "tf32":
        compile_kernels(device, "float32", tell)
    compile_kernels(device, "float64" if solves else spec.dtype, tell, solves)


def compile_kernels(
    device: Device, precision: str, tell: Callable[[str], None], solver: bool = False
) -> None:
    """Have a precision's kernels compiled for a GPU, or found where CuPy keeps them.

    Args:
        device: any; without kernels of its own there is nothing to do.
        precision: float32 or float64.
        tell: takes a line, from another thread, while they are compiled.
        solver: whether rounds of a solver have theirs too, which are in float64.

    Raises:
        DeviceError: the GPU is full.
    """
    if device.twin != "cuda" or not kernels.wanted():
        return
    said = threading.Timer(_QUIET, tell, [COMPILING])
    said.start()
    try:
        with device.enough_memory():  # which the kernels themselves take some of
            kernels.kernels_of(device.xp, precision).get_function(kernels.UPDATES[0])
            if solver:
                round_kernels.kernels_of(device.xp).get_function(round_kernels.KERNELS[0])
    finally:
        said.cancel()
        said.join()  # a line that has begun ends before the next one
