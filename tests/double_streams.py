"""Streams, CUDA graphs and cuBLAS of the double of CuPy: `cupy.cuda`.

A launch on a stream that is capturing is recorded and does not run; the graph runs what was
recorded, as often as it is launched, and is one launch. Whatever else would happen while the
current stream is capturing raises (`Counts`): a copy or a wait, as CuPy and CUDA would, and an
allocation, which CuPy lets go, though the graph would go on with memory that others have by then.
So do launches that are neither of our kernels nor products, which CUDA would record. cuBLAS is a
library of C (tests/double_cublas.c), so that a call of it by ctypes is a call of C.
"""

from __future__ import annotations

import ctypes
import functools
import itertools
import subprocess
import tempfile
from collections.abc import Callable
from ctypes import c_int, c_size_t, c_void_p
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from double import Cupy

FINE, INVALID, FAILED, UNSUPPORTED = 0, 7, 14, 15  # cublasStatus_t
TYPES: dict[tuple[int, int], Any] = {  # of the data, of computing
    (0, 68): np.float32,
    (0, 77): np.float32,
    (1, 70): np.float64,
}
TF32 = 77
_ADDRESSES = itertools.count(4096, 4096)  # of streams and handles
HANDLES: dict[int, Handle] = {}
_OWNER: list[Cupy] = []  # whose device is current: the last one that was asked for cuBLAS


class Node(NamedTuple):
    """A launch."""

    name: str
    nbytes: int
    run: Callable[[], None]


class Product(NamedTuple):
    """What cuBLAS was asked for: of A, B and C the step from column to column and the address."""

    steps: tuple[int, int, int]
    addresses: tuple[int, int, int]
    compute: int


class Graph:
    """Launches that go together."""

    def __init__(self, cupy: Cupy, nodes: list[Node]) -> None:
        self._cupy, self.nodes = cupy, nodes

    def launch(self, stream: Any = None) -> None:
        assert stream is None, "the double launches on the current stream"
        nbytes = sum(node.nbytes for node in self.nodes)
        self._cupy.cuda.go(
            f"graph of {len(self.nodes)}", nbytes, lambda: [node.run() for node in self.nodes]
        )


class Stream:
    """A stream; one that is not null may be made to capture."""

    def __init__(
        self, null: bool = False, non_blocking: bool = False, *, cupy: Cupy | None = None
    ) -> None:
        assert cupy is not None, "of the double's own making"
        assert null or non_blocking, "the null stream would wait for a blocking one"
        self._cupy, self.ptr = cupy, 0 if null else next(_ADDRESSES)
        self.nodes: list[Node] | None = None
        self.spoilt = False

    def __enter__(self) -> Stream:
        self._cupy.cuda.stack.append(self)
        return self

    def __exit__(self, *_: Any) -> None:
        assert self._cupy.cuda.stack.pop() is self
        assert not self.is_capturing(), "a capture must be ended"

    def synchronize(self) -> None:
        self._cupy.counts.syncs += 1

    def is_capturing(self) -> bool:
        return self.nodes is not None

    def begin_capture(self, mode: Any = None) -> None:
        if self.ptr == 0:
            raise RuntimeError("cannot capture on the default (legacy) stream")
        self.nodes, self.spoilt = [], False

    def end_capture(self) -> Graph:
        if self.nodes is None:
            raise RuntimeError("cudaErrorIllegalState: the stream is not capturing")
        nodes, self.nodes = self.nodes, None
        if self.spoilt:
            raise RuntimeError("cudaErrorStreamCaptureInvalidated: operation failed due to")
        return Graph(self._cupy, nodes)


class Handle:
    """A cuBLAS handle: setting its stream takes its workspace away."""

    def __init__(self, cupy: Cupy) -> None:
        self.cupy, self.stream, self.workspace = cupy, cupy.cuda.null, 0


class Streams:
    """`cupy.cuda`.

    Attributes:
        products: what cuBLAS was asked for, in order.
    """

    runtime: Any
    memory: Any

    def __init__(self, cupy: Cupy) -> None:
        self._cupy = cupy
        self.null = Stream(null=True, cupy=cupy)
        self.stack = [self.null]
        self.streams: dict[int, Stream] = {0: self.null}
        self.products: list[Product] = []
        cupy.counts.capturing = lambda: self.stack[-1] if self.stack[-1].is_capturing() else None

    def Stream(self, null: bool = False, non_blocking: bool = False) -> Stream:
        made = Stream(null, non_blocking, cupy=self._cupy)
        self.streams[made.ptr] = made
        return made

    def get_current_stream(self) -> Stream:
        return self.stack[-1]

    @property
    def cublas(self) -> Any:
        """CuPy's module, which is linked to the library."""
        from shim import COMPILER, WHY_NOT

        if COMPILER is None:
            raise ImportError(WHY_NOT)
        _OWNER[:] = [self._cupy]
        return SimpleNamespace(__file__=_library())

    def go(
        self, name: str, nbytes: int, run: Callable[[], Any], stream: Stream | None = None
    ) -> None:
        """Launch, or record a launch."""
        stream = self.stack[-1] if stream is None else stream
        if stream.nodes is not None:
            stream.nodes.append(Node(name, nbytes, run))
            return
        self._cupy.launched.append(name)
        self._cupy.counts.kernel(nbytes)
        run()


# --- cuBLAS ---------------------------------------------------------------------------------------


class _Heard(ctypes.Structure):
    _fields_ = [
        ("create", ctypes.CFUNCTYPE(c_int, c_void_p)),
        ("destroy", ctypes.CFUNCTYPE(c_int, c_void_p)),
        ("set_stream", ctypes.CFUNCTYPE(c_int, c_void_p, c_void_p)),
        ("set_workspace", ctypes.CFUNCTYPE(c_int, c_void_p, c_void_p, c_size_t)),
        (
            "gemm",
            ctypes.CFUNCTYPE(
                *(c_int, c_void_p, c_int, c_int, c_int, c_int, c_int, c_void_p),
                *(c_void_p, c_int, c_int, c_void_p, c_int, c_int, c_void_p),
                *(c_void_p, c_int, c_int, c_int, c_int),
            ),
        ),
    ]


@functools.cache
def _library() -> str:
    """Compile it, and have it call the functions below; kept as long as the process runs."""
    from shim import COMPILER

    assert COMPILER is not None
    source = Path(__file__).with_name("double_cublas.c")
    folder = tempfile.TemporaryDirectory(prefix="double-cublas-")
    path = str(Path(folder.name) / "cublas.so")
    command = [COMPILER, "-x", "c", "-shared", "-fPIC", "-Wall", "-Wextra", "-Werror", "-o", path]
    subprocess.run([*command, str(source)], check=True)
    heard = _Heard.in_dll(ctypes.CDLL(path), "heard")
    fields = dict(_Heard._fields_)
    for name, function in (
        *(("create", _create), ("destroy", _destroy), ("set_stream", _set_stream)),
        *(("set_workspace", _set_workspace), ("gemm", _gemm)),
    ):
        setattr(heard, name, fields[name](function))
    _library.kept = folder, heard  # type: ignore[attr-defined]
    return path


def _create(found: int) -> int:
    address = next(_ADDRESSES)
    HANDLES[address] = Handle(_OWNER[0])
    ctypes.cast(found, ctypes.POINTER(c_void_p))[0] = address
    return FINE


def _destroy(handle: int) -> int:
    del HANDLES[handle]
    return FINE


def _set_stream(handle: int, stream: int | None) -> int:
    one = HANDLES[handle]
    one.stream, one.workspace = one.cupy.cuda.streams[stream or 0], 0
    return FINE


def _set_workspace(handle: int, room: int | None, nbytes: int) -> int:
    HANDLES[handle].workspace = nbytes if room else 0
    return FINE


def _gemm(
    handle: int,
    *arguments: Any,
) -> int:
    """Refuse what cuBLAS would refuse; else launch C ← op(A) · op(B) + beta · C, by columns."""
    of_a, of_b, m, n, k, alpha, a, type_a, step_a, b, type_b, step_b, beta, c, type_c, step_c = (
        arguments[:16]
    )
    compute, algorithm = arguments[16:]
    one = HANDLES[handle]
    dtype = TYPES.get((type_c, compute))
    if dtype is None or not type_a == type_b == type_c or algorithm != -1:
        return UNSUPPORTED
    if {of_a, of_b} - {0, 1} or min(m, n, k) < 1 or None in (a, b, c):
        return INVALID
    if step_a < (k if of_a else m) or step_b < (n if of_b else k) or step_c < m:
        return INVALID
    if one.stream.is_capturing() and not one.workspace:
        one.stream.spoilt = True  # it would allocate
        return FAILED
    if not (one.stream.is_capturing() or one.stream is one.cupy.cuda.stack[-1]):
        return FAILED  # nobody would wait for it
    number = ctypes.c_float if dtype is np.float32 else ctypes.c_double
    once, again = number.from_address(alpha).value, number.from_address(beta).value
    one.cupy.cuda.products.append(Product((step_a, step_b, step_c), (a, b, c), compute))

    def run() -> None:
        A = _columns(a, step_a, *((m, k) if of_a else (k, m)), dtype, compute)
        B = _columns(b, step_b, *((k, n) if of_b else (n, k)), dtype, compute)
        C = _columns(c, step_c, n, m, dtype)
        found = np.matmul(B.T if of_b else B, A.T if of_a else A)
        C[...] = dtype(once) * found + (dtype(again) * C if again else 0)

    size = np.dtype(dtype).itemsize
    one.cupy.cuda.go("gemm", size * (m * k + k * n + m * n * (2 if again else 1)), run, one.stream)
    return FINE


def _columns(
    address: int, step: int, columns: int, numbers: int, dtype: Any, compute: int = 0
) -> np.ndarray:
    """A matrix's columns as rows (columns, numbers); to be multiplied in TF32, of 10 bits each."""
    size = np.dtype(dtype).itemsize
    held = (ctypes.c_char * (size * (step * (columns - 1) + numbers))).from_address(address)
    flat = np.frombuffer(held, dtype)
    found = np.lib.stride_tricks.as_strided(flat, (columns, numbers), (step * size, size))
    if compute != TF32:
        return found
    bits = np.ascontiguousarray(found).view(np.uint32)
    return ((bits + np.uint32(0x1000)) & np.uint32(0xFFFFE000)).view(np.float32)
