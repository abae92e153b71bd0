"""Which device trains and why; products, gathers and copies. The only file that imports CuPy.

Everything above this module is written once against `device.xp`, which is `numpy` or `cupy`. The
two differ in a few places (CuPy's `take` has no `mode`, copies to the host are explicit); those
live here.
"""

from __future__ import annotations

import contextlib
import platform
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import numpy as np

from trainer.errors import DeviceError
from trainer.machine.memory import memory_limit
from trainer.machine.threads import side_by_side

T = TypeVar("T")
Array = Any  # a NumPy or CuPy array: static types cannot say which, the device does

# Work is cut for the CPU's cores where a part takes some ten milliseconds of one of them, so that
# waiting for the last one hardly counts. How it is cut depends on shapes alone: sums are the same
# to the bit on any number of cores.
_MOST_PARTS = 8
_PART_ROWS = 1 << 22  # numbers of the rows of a part, in passes over all rows
_PART_PRODUCTS = 1 << 27  # products of two numbers in a part of a matrix product


@dataclass(frozen=True)
class Device:
    """A place to train: its array module, its name and the sentence that says why it was chosen."""

    kind: str  # "cpu" | "gpu"
    name: str  # "NumPy 2.4.6 on x86_64", "NVIDIA H100 (CuPy 14.2.0)"
    reason: str
    xp: Any
    to_host: Callable[[Array], np.ndarray[Any, Any]]  # waits for the device; a copy on a GPU
    take_rows: Callable[[Array, Array, Array], Any]  # (source (N, ...), rows (B,), out (B, ...))
    twin: str = "none"  # what its steps may be compiled from: "c", "cuda" or "none"

    def matmul(self, a: Array, b: Array, out: Array) -> None:
        """Write a (n, m) · b (m, p) into `out` (n, p); C-contiguous arrays or their transposes."""
        (n, m), products = a.shape, a.shape[0] * b.size
        if self.kind == "gpu" or products < 2 * _PART_PRODUCTS:
            self.xp.matmul(a, b, out=out)
            return
        count = min(_MOST_PARTS, products // _PART_PRODUCTS)
        if 4 * n <= m:  # for slices of a few rows all of b would be read again and again
            self._add_up(a, b, out, _slices(m, count))
            return
        parts = _slices(n, count)
        self.side_by_side([partial(self.xp.matmul, a[part], b, out=out[part]) for part in parts])

    def _add_up(self, a: Array, b: Array, out: Array, parts: Sequence[slice]) -> None:
        """`matmul` whose sums over m are taken in parts and then together, in their order."""
        sums = [out, *(self.xp.empty(out.shape, out.dtype) for _ in parts[1:])]
        self.side_by_side(
            [
                partial(self.xp.matmul, a[:, part], b[part], out=found)
                for part, found in zip(parts, sums, strict=True)
            ]
        )
        for found in sums[1:]:
            out += found

    def product(self, a: Array, b: Array) -> Array:
        """`matmul` into a new array of a's precision."""
        out = self.xp.empty((a.shape[0], b.shape[1]), a.dtype)
        self.matmul(a, b, out)
        return out

    def gram(self, a: Array, weights: Array) -> Array:
        """aᵀ·diag(weights)·a (m, m) of a (n, m) and weights (n,) >= 0; no copy of all of a."""
        sums = self.side_by_side(
            [partial(self._gram, a[part], weights[part]) for part in self.row_parts(a)]
        )
        return sum(sums[1:], sums[0])

    def _gram(self, a: Array, weights: Array) -> Array:
        """`gram` of some rows, a chunk of them at a time."""
        total, roots = None, self.xp.sqrt(weights)[:, None]
        for part in _slices(len(a), a.size // _PART_ROWS):
            root = a[part] * roots[part]
            found = root.T @ root
            total = found if total is None else total + found
        return total

    def row_parts(self, a: Array) -> list[slice]:
        """In which parts of its rows a pass over all of `a` (n, m) goes side by side."""
        return _slices(len(a), self.parts(a.size))

    def parts(self, numbers: int) -> int:
        """How many parts a pass over rows of so many numbers has."""
        return 1 if self.kind == "gpu" else max(1, min(_MOST_PARTS, numbers // _PART_ROWS))

    def side_by_side(self, tasks: Sequence[Callable[[], T]]) -> list[T]:
        """Run tasks, on a CPU on all cores that are free for them; their results in order."""
        return side_by_side(tasks) if self.kind == "cpu" else [task() for task in tasks]

    def to_device(self, array: Array, dtype: Any = None) -> Array:
        """Put a host array on the device, C-contiguous; the CPU copies only where it must."""
        return self.xp.asarray(np.ascontiguousarray(array, dtype=dtype))

    def memory(self) -> int:
        """Bytes to plan with: those free on a GPU, those that the process may have on a CPU."""
        if self.kind == "gpu":
            free, _ = self.xp.cuda.runtime.memGetInfo()
            return int(free)
        return memory_limit()

    @contextlib.contextmanager
    def enough_memory(self) -> Iterator[None]:
        """Say in one line that a GPU is full, which CuPy raises as a MemoryError of its own.

        Raises:
            DeviceError: what is within ran out of the GPU's memory.
        """
        try:
            yield
        except MemoryError as error:
            if self.kind == "cpu":
                raise
            raise DeviceError(
                f"device: {self.name} has not enough memory ({_first_line(error)}); device: cpu"
                " takes the machine's own"
            ) from error


def choose(wanted: str) -> Device:
    """Choose the device.

    Args:
        wanted: "auto" (a GPU if one passes a smoke test, else the CPU), "gpu" or "cpu".

    Raises:
        DeviceError: "gpu" is wanted and no GPU can be used; the message says why.
    """
    if wanted == "cpu":
        return cpu("asked for")
    device, reason = _usable_gpu()
    if device is not None:
        return device
    if wanted == "gpu":
        raise DeviceError(f"device: gpu: {reason}; use device: cpu, or auto to fall back to it")
    return cpu(f"no GPU: {reason}")


def cpu(reason: str) -> Device:
    """The NumPy device."""
    name = f"NumPy {np.__version__} on {platform.machine()}"
    return Device("cpu", name, reason, np, np.asarray, _take_rows_numpy, "c")


def _slices(rows: int, count: int) -> list[slice]:
    """About `count` even slices of so many rows, one at least."""
    size = -(-rows // max(min(count, rows), 1))
    return [slice(start, start + size) for start in range(0, max(rows, 1), max(size, 1))]


def _take_rows_numpy(source: Array, rows: Array, out: Array) -> None:
    # mode="clip" writes straight into `out`; the default mode buffers a copy first
    np.take(source, rows, axis=0, out=out, mode="clip")


def _usable_gpu() -> tuple[Device | None, str]:
    """Return (device, "") or (None, why not): a GPU is usable once it has computed something.

    A CuPy wheel without its driver imports, and one without NVRTC or cuBLAS fails at its first
    kernel or product, so both are tried.
    """
    try:
        import cupy
    except ImportError:
        return None, 'CuPy is not installed (pip install "stacked-trainer[cuda12]")'
    except Exception as error:
        return None, f"CuPy cannot be imported ({_first_line(error)})"
    try:
        if not cupy.is_available():
            return None, f"CuPy {cupy.__version__} finds no CUDA device or driver"
        one = cupy.ones((2, 2), dtype=cupy.float32)
        smoke = float((one @ one + cupy.exp(one - one)).sum())
    except Exception as error:
        return None, f"CuPy's first product or kernel failed ({_first_line(error)})"
    if smoke != 12.0:
        return None, f"CuPy computed {smoke} where 12 is right"
    properties = cupy.cuda.runtime.getDeviceProperties(cupy.cuda.Device().id)
    name = f"{properties['name'].decode()} (CuPy {cupy.__version__})"
    return from_cupy(cupy, name, twin="cuda"), ""


def from_cupy(cupy: Any, name: str, twin: str = "none") -> Device:
    """The device of a CuPy module (or of the test suite's double of it); `twin`: see `Device`."""

    def take_rows(source: Array, rows: Array, out: Array) -> None:
        cupy.take(source, rows, axis=0, out=out)

    reason = "a GPU passed the smoke test"
    return Device("gpu", name, reason, cupy, cupy.asnumpy, take_rows, twin)


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
