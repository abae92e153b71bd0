"""Which device trains and why; products, gathers and copies. The only file that imports CuPy.

Everything above this module is written once against `device.xp`, which is `numpy` or `cupy`. The
two differ in a few places (CuPy's `take` has no `mode`, copies to the host are explicit); those
live here.
"""

from __future__ import annotations

import contextlib
import platform
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple, TypeVar

import numpy as np

from trainer.errors import DeviceError
from trainer.machine import cublas
from trainer.machine.interrupted import ShouldStop
from trainer.machine.memory import available_memory
from trainer.machine.threads import abandonable, side_by_side

T = TypeVar("T")
Array = Any  # a NumPy or CuPy array: static types cannot say which, the device does

# Work is cut for the CPU's cores where a part takes some ten milliseconds of one of them, so that
# waiting for the last one hardly counts. How it is cut depends on shapes alone: sums are the same
# to the bit on any number of cores.
_PART_ROWS = 1 << 22  # numbers of the rows of a part, in passes over all rows
_PART_PRODUCTS = 1 << 27  # products of two numbers in a part of a matrix product
_UPLOAD = 64 * 2**20  # bytes copied to a GPU at once
_TF32 = 8  # what compute capability begins with where there is TF32, from Ampere on
_SLOW_FLOAT64 = 8  # times as long as float32; GPUs made for computing take twice as long


class Sizes(NamedTuple):
    """How much work a device is given at once.

    Sums are taken in the order that these and the shapes make. So they do not depend on what is
    free at the moment, and a run on the same device is the same to the bit, as long as its stacks
    fit: where memory is short they have fewer columns.

    Attributes:
        chunk_bytes: of an array whose rows go by in chunks, at least so many go by at once. None on
            a CPU, where what stays in its cache is quicker; a GPU has to hide some 30 launches of
            a chunk, which take as long as moving half a GB.
        parts: most parts that a pass or a product is cut in: for the cores of a CPU.
        stretch_flop: operations of the steps between two fetches of their log, about a second of a
            slow device: what a crash may lose of the log.
        stretch_steps: most of those steps. Where a step takes microseconds, waiting for the device
            and making the next steps' coefficients would be felt after each few hundred.
    """

    chunk_bytes: int
    parts: int
    stretch_flop: float
    stretch_steps: int

    @classmethod
    def of_gpu(cls, memory: int) -> Sizes:
        """Those of a GPU with so many bytes for us, of which some ten chunks take a tenth."""
        return cls(min(2**30, memory // 128), 1, 1e13, 1024)


_CPU_SIZES = Sizes(chunk_bytes=0, parts=8, stretch_flop=2e10, stretch_steps=256)


@dataclass(frozen=True)
class Device:
    """A place to train: its array module, its name and the sentence that says why it was chosen."""

    kind: str  # "cpu" | "gpu"
    name: str  # "NumPy 2.4.6 on x86_64", "NVIDIA H100 (CuPy 14.2.0)"
    reason: str
    xp: Any
    to_host: Callable[[Array], np.ndarray[Any, Any]]  # waits for the device; a copy on a GPU
    fetch: Callable[[Mapping[str, Array]], dict[str, np.ndarray[Any, Any]]]  # the same, one wait
    put: Callable[[np.ndarray[Any, Any]], Array]  # a host array that is C-contiguous
    take_rows: Callable[[Array, Array, Array], Any]  # (source (N, ...), rows (B,), out (B, ...))
    free: Callable[[], int]  # bytes
    sizes: Sizes
    twin: str = "none"  # what its steps may be compiled from: "c", "cuda" or "none"
    float64_cost: int = 2  # how many times as long as in float32 arithmetic takes in float64
    products: cublas.Products | None = None  # that a CUDA graph can capture, for the twin
    no_graphs: str = ""  # why there are none
    tf32: bool = False  # whether it multiplies in TF32
    taken: Callable[[], int] | None = None  # bytes of a GPU that have been; None: the host's are

    @property
    def is_slow_in_float64(self) -> bool:
        """Whether float64 takes so much longer than float32 that a user should know."""
        return self.float64_cost >= _SLOW_FLOAT64

    def matmul(self, a: Array, b: Array, out: Array) -> None:
        """Write a (n, m) · b (m, p) into `out` (n, p); C-contiguous arrays or their transposes."""
        n, m = a.shape
        count = self._shares(n * b.size)
        if count < 2:
            self.xp.matmul(a, b, out=out)
            return
        if 4 * n <= m:  # for slices of a few rows all of b would be read again and again
            self._add_up(a, b, out, _slices(m, count))
            return
        parts = _slices(n, count)
        self.side_by_side([partial(self.xp.matmul, a[part], b, out=out[part]) for part in parts])

    def product_parts(self, count: int, products: int) -> list[slice]:
        """In which parts of `count` matrix products, of so many of two numbers, they are made."""
        return _slices(count, self._shares(products))

    def _shares(self, products: int) -> int:
        return min(self.sizes.parts, products // _PART_PRODUCTS)

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
        for part in _slices(len(a), a.nbytes // self.at_once(_PART_ROWS * a.itemsize)):
            root = a[part] * roots[part]
            found = root.T @ root
            total = found if total is None else total + found
        return total

    def row_parts(self, a: Array) -> list[slice]:
        """In which parts of its rows a pass over all of `a` (n, m) goes side by side."""
        return _slices(len(a), self.parts(a.size))

    def parts(self, numbers: int) -> int:
        """How many parts a pass over rows of so many numbers has."""
        return max(1, min(self.sizes.parts, numbers // _PART_ROWS))

    def side_by_side(self, tasks: Sequence[Callable[[], T]]) -> list[T]:
        """Run tasks, on a CPU on all cores that are free for them; their results in order."""
        return side_by_side(tasks) if self.sizes.parts > 1 else [task() for task in tasks]

    def abandonable(self, task: Callable[[], T], should_stop: ShouldStop) -> T:
        """Run a factorisation beside one who asks whether to go on; a GPU is through in a second.

        Raises:
            Interrupted: `should_stop()`.
        """
        return abandonable(task, should_stop) if self.sizes.parts > 1 else task()

    def at_once(self, cached: int) -> int:
        """Bytes of an array to go by at once, of which `cached` are best in the cache of a CPU."""
        return max(cached, self.sizes.chunk_bytes)

    def to_device(self, array: Array, dtype: Any = None) -> Array:
        """Put a host array on the device, C-contiguous; the CPU copies only where it must."""
        return self.put(np.ascontiguousarray(array, dtype=dtype))

    def memory(self) -> int:
        """Bytes to plan with: those that are free."""
        return self.free()

    def check_tf32(self) -> None:
        """Refuse a device that does not multiply in TF32.

        Raises:
            DeviceError: it does not.
        """
        if self.tf32:
            return
        here = f"{self.name} is none of them"
        if self.kind == "cpu":
            here = f"the device is the CPU ({self.reason})"
        raise DeviceError(
            f"precision: tf32 is for NVIDIA GPUs from Ampere on, and {here}; write float32"
        )

    def is_full(self, error: BaseException) -> bool:
        """Whether an error says that memory ran out: NumPy's, CuPy's, a library's of CUDA."""
        return isinstance(error, MemoryError) or self._is_own(error)

    def _is_own(self, error: BaseException) -> bool:
        """Whether it is a GPU's memory, not the host's, that ran out."""
        known = isinstance(error, MemoryError | RuntimeError)
        return self.kind == "gpu" and known and _tells_of_memory(error)

    @contextlib.contextmanager
    def enough_memory(self) -> Iterator[None]:
        """Say in one line that the device or its host is full, and what takes less.

        Raises:
            DeviceError: what is within ran out of memory.
        """
        try:
            yield
        except (MemoryError, RuntimeError) as error:
            if not self.is_full(error):
                raise
            name, less = "the machine", "fewer rows or trials or precision: float32 take less"
            if self._is_own(error):
                name, less = self.name, "device: cpu takes the machine's own"
            raise DeviceError(
                f"device: {name} has not enough memory ({first_line(error)}); {less}"
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
    keep, take_rows = np.asarray, _take_rows_numpy
    return Device(
        "cpu", name, reason, np, keep, dict, keep, take_rows, available_memory, _CPU_SIZES, "c"
    )


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
        return None, f"CuPy cannot be imported ({first_line(error)})"
    try:
        if not cupy.is_available():
            return None, f"CuPy {cupy.__version__} finds no CUDA device or driver"
        one = cupy.ones((2, 2), dtype=cupy.float32)
        smoke = float((one @ one + cupy.exp(one - one)).sum())
    except Exception as error:
        return None, f"CuPy's first product or kernel failed ({first_line(error)})"
    if smoke != 12.0:
        return None, f"CuPy computed {smoke} where 12 is right"
    properties = cupy.cuda.runtime.getDeviceProperties(cupy.cuda.Device().id)
    name = f"{properties['name'].decode()} (CuPy {cupy.__version__})"
    cost = properties.get("singleToDoublePrecisionPerfRatio", 2)
    if cupy.cuda.runtime.is_hip:  # of an AMD GPU: warps of 64, no NVRTC, other capabilities
        return from_cupy(cupy, name, float64_cost=cost), ""
    major = properties.get("major", 0)
    return from_cupy(cupy, name, twin="cuda", float64_cost=cost, major=major), ""


def from_cupy(
    cupy: Any, name: str, *, twin: str = "none", float64_cost: int = 2, major: int = 0
) -> Device:
    """The device of a CuPy module (or of the test suite's double of it).

    Args:
        cupy: the module.
        name: of the GPU.
        twin: see `Device`.
        float64_cost: see `Device`.
        major: the first number of the GPU's compute capability.
    """
    products, no_graphs = cublas.usable(cupy, major) if twin == "cuda" else (None, "")
    reason = "a GPU passed the smoke test"
    if float64_cost >= _SLOW_FLOAT64:
        reason += (
            f"; float64 takes it {float64_cost} times as long as float32, which solvers and"
            " `precision: float64` will feel, and optimizers in float32 will not"
        )

    def take_rows(source: Array, rows: Array, out: Array) -> None:
        cupy.take(source, rows, axis=0, out=out)

    def fetch(arrays: Mapping[str, Array]) -> dict[str, np.ndarray[Any, Any]]:
        """Bring arrays of one precision to the host, waiting for the device once."""
        ends = np.cumsum([array.size for array in arrays.values()])
        flat = cupy.asnumpy(cupy.concatenate([array.reshape(-1) for array in arrays.values()]))
        parts = zip(arrays.items(), np.split(flat, ends[:-1]), strict=True)
        return {name: part.reshape(array.shape) for (name, array), part in parts}

    def put(array: np.ndarray[Any, Any]) -> Array:
        """Copy a host array; a large one without CuPy's pinned buffer, which it would keep."""
        if array.nbytes <= _UPLOAD:
            return cupy.asarray(array)
        there = cupy.empty(array.shape, array.dtype)
        size = max(1, _UPLOAD * len(array) // array.nbytes)
        for start in range(0, len(array), size):
            there[start : start + size].set(array[start : start + size])
        cupy.cuda.get_current_stream().synchronize()  # until then CUDA may read the host's array
        return there

    pool = cupy.get_default_memory_pool()

    def free() -> int:
        """What the device says is free, and what CuPy's pool holds and does not use."""
        found = cupy.cuda.runtime.memGetInfo()[0] + pool.free_bytes()
        limit = pool.get_limit()  # CUPY_GPU_MEMORY_LIMIT, for a GPU that is shared; 0: none
        return int(min(found, limit - pool.used_bytes()) if limit else found)

    whole = cupy.cuda.runtime.memGetInfo()[1]
    sizes = Sizes.of_gpu(min(whole, pool.get_limit() or whole))
    to_host = cupy.asnumpy
    return Device(
        *("gpu", name, reason, cupy, to_host, fetch, put, take_rows, free, sizes, twin),
        *(float64_cost, products, no_graphs, major >= _TF32),
        taken=pool.total_bytes,  # which keeps what is freed
    )


def _tells_of_memory(error: BaseException) -> bool:
    """Whether CuPy or one of CUDA's libraries says so; NumPy says it otherwise, of the host."""
    text = str(error).lower()  # the last is of Thrust, which sorts
    return any(words in text for words in ("out of memory", "alloc_failed", "std::bad_alloc"))


def first_line(error: BaseException) -> str:
    """What an error says, or what kind it is."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
