"""What a call of CuPy costs a GPU, for the double: launches, bytes, a memory pool, no denormals.

As read in the source of CuPy 14.2, with the accelerator "cub" that it uses where none is named.
What cuBLAS, cuSOLVER and Thrust launch within a call is their own: a call of theirs counts as said
in `LAUNCHES`.
"""

from __future__ import annotations

import gc
from collections.abc import Callable
from dataclasses import astuple, dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np

LAUNCHES = {
    "elementwise": 1,  # a ufunc, a copy, a fill, rows taken
    "product": 1,
    "reduction": 1,
    "whole reduction": 2,  # of blocks, and of what they found
    "scan": 3,  # sums of blocks, a scan of those, and a scan within each
    "sort": 10,  # a radix sort of 64 bits: a count, a scan, eight passes
    "factor": 2,  # of a matrix or of many: a copy, and cuSOLVER's
    "solve": 6,  # copies of both sides, their addresses, factors and a solution
}
"""How many kernels each kind of call launches."""

SOLVED_TOGETHER = 256
"""Larger matrices of a batch are solved one by one."""

_UNIT = 512  # bytes: what the pool rounds up to
_LEAST_NORMAL = np.finfo(np.float32).tiny.view(np.uint32) << np.uint32(1)


class Count(NamedTuple):
    """What happened.

    Attributes:
        copies: between host and device.
        syncs: how often the host waited for the device.
        allocations: of device memory, those of CuPy's own within a call as well.
        launches: of kernels.
        bytes: that the kernels read and wrote, each operand once.
    """

    copies: int
    syncs: int
    allocations: int
    launches: int
    bytes: int


@dataclass
class Counts:
    """What has happened so far: see `Count`.

    While a stream is capturing nothing may happen but what the stream records, and whatever else
    would be counted raises.
    """

    copies: int = 0
    syncs: int = 0
    allocations: int = 0
    launches: int = 0
    bytes: int = 0

    capturing: ClassVar[Callable[[], Any]] = staticmethod(lambda: None)  # the stream, or None

    def __setattr__(self, name: str, value: Any) -> None:
        """As `cudaErrorStreamCaptureUnsupported`, which spoils the capture."""
        if name in Count._fields and (stream := self.capturing()) is not None:
            stream.spoilt = True
            raise RuntimeError(f"{name}: operation not permitted when stream is capturing")
        super().__setattr__(name, value)

    def now(self) -> Count:
        return Count(*astuple(self))

    def since(self, before: Count) -> Count:
        return Count(*(now - then for now, then in zip(self.now(), before, strict=True)))

    def launch(self, what: str, *arrays: Any) -> None:
        """Count a call of a row of `LAUNCHES`, of which these arrays are operands and results."""
        self.launches += LAUNCHES[what]
        self.bytes += sum(one.nbytes for one in arrays if isinstance(one, np.ndarray))

    def kernel(self, nbytes: int) -> None:
        """Count a launch of one of our own kernels."""
        self.launches += 1
        self.bytes += nbytes


class OutOfMemoryError(MemoryError):
    """As CuPy's: there is no room for what was to be allocated."""


class Pool:
    """CuPy's memory pool on a device of so many bytes: what is freed stays the pool's.

    No memory lies waste between blocks, as it may in the true one.
    """

    def __init__(self, size: int) -> None:
        self.size, self.used, self.held, self.peak = size, 0, 0, 0
        self.limit = 0  # as CUPY_GPU_MEMORY_LIMIT sets it; 0: none

    def malloc(self, nbytes: int) -> Memory:
        nbytes, room = -(-nbytes // _UNIT) * _UNIT, min(self.size, self.limit or self.size)
        if self.used + nbytes > room:
            gc.collect()
        if self.used + nbytes > room:
            so_far = f"(allocated so far: {self.held:,} bytes)"
            raise OutOfMemoryError(f"Out of memory allocating {nbytes:,} bytes {so_far}.")
        self.used += nbytes
        self.held, self.peak = max(self.held, self.used), max(self.peak, self.used)
        return Memory(self, nbytes)

    def used_bytes(self) -> int:
        return self.used

    def free_bytes(self) -> int:
        return self.held - self.used

    def total_bytes(self) -> int:
        return self.held

    def get_limit(self) -> int:
        return self.limit

    def free_all_blocks(self) -> None:
        self.held = self.used


class Memory:
    """A block of the pool, which goes back when no array needs it."""

    def __init__(self, pool: Pool, nbytes: int) -> None:
        self._pool, self._nbytes = pool, nbytes

    def __del__(self) -> None:
        self._pool.used -= self._nbytes


def flushed(values: Any) -> Any:
    """The same with 0 for float32 below its least normal number: CuPy compiles with -ftz=true."""
    if not isinstance(values, np.ndarray) or values.dtype != np.float32:
        return values
    size = values.view(np.uint32) << np.uint32(1)  # without the sign they rise with |x|
    denormal = size - np.uint32(1) < _LEAST_NORMAL - np.uint32(1)  # of 0 it is the largest
    return (
        np.where(denormal, np.copysign(np.float32(0), values), values) if denormal.any() else values
    )


def is_contiguous(array: np.ndarray) -> bool:
    """Whether cuBLAS takes it as it lies, rows or columns in order."""
    return bool(array.flags.c_contiguous or array.flags.f_contiguous)


def trails(axes: tuple[int, ...], array: np.ndarray) -> bool:
    """Whether these axes are the last ones in memory, so that CUB reduces each stretch of them."""
    whole = tuple(range(array.ndim))
    if array.flags.c_contiguous:
        return axes == whole[array.ndim - len(axes) :]
    return bool(array.flags.f_contiguous) and axes == whole[: len(axes)]
