"""The kernels of a step compiled before the first one is launched, and said where it takes time."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from trainer.model import kernels

if TYPE_CHECKING:
    from trainer.device import Device

_QUIET = 0.5  # seconds that need no word: kernels from CuPy's cache are there at once
COMPILING = "compiling the kernels of a step for this GPU: some seconds, once"


def compile_kernels(device: Device, precision: str, tell: Callable[[str], None]) -> None:
    """Have a precision's kernels compiled for a GPU, or found where CuPy keeps them.

    Args:
        device: any; without kernels of its own there is nothing to do.
        precision: float32 or float64.
        tell: takes a line, from another thread, while they are compiled.

    Raises:
        DeviceError: the GPU has no room for them.
    """
    if device.twin != "cuda" or not kernels.wanted():
        return
    said = threading.Timer(_QUIET, tell, [COMPILING])
    said.start()
    try:
        with device.enough_memory():
            kernels.kernels_of(device.xp, precision).get_function(kernels.UPDATES[0])
    finally:
        said.cancel()
        said.join()  # a line that has begun ends before the next one
