"""Matrix products by a cuBLAS handle of our own, and CUDA graphs of what is launched with them.

CuPy's functions refuse to be captured: setting the stream of their handle raises while a stream is
capturing. So the same library, which CuPy has loaded, is called by ctypes.
"""

from __future__ import annotations

import contextlib
import ctypes
import weakref
from collections.abc import Callable
from ctypes import c_int, c_size_t, c_void_p
from functools import partial
from typing import Any

Array = Any
_SIGNATURES: dict[str, tuple[Any, ...]] = {
    "cublasCreate_v2": (ctypes.POINTER(c_void_p),),
    "cublasDestroy_v2": (c_void_p,),
    "cublasSetStream_v2": (c_void_p, c_void_p),
    "cublasSetWorkspace_v2": (c_void_p, c_void_p, c_size_t),
    "cublasGemmEx": (
        *(c_void_p, c_int, c_int, c_int, c_int, c_int, c_void_p),  # handle, ops, m, n, k, alpha
        *(c_void_p, c_int, c_int, c_void_p, c_int, c_int, c_void_p),  # A, type, ld, B …, beta
        *(c_void_p, c_int, c_int, c_int, c_int),  # C, type, ld, compute type, algorithm
    ),
}
_FOUND_BY_ITSELF = -1  # CUBLAS_GEMM_DEFAULT
_TF32 = 77  # CUBLAS_COMPUTE_32F_FAST_TF32
# by precision: cudaDataType, cublasComputeType_t, a number of the host's
_TYPES: dict[str, tuple[int, int, Any]] = {
    "float32": (0, 68, ctypes.c_float),
    "float64": (1, 70, ctypes.c_double),
}
_HOPPER = 9  # what compute capability begins with from there on
_WORKSPACES = 4 * 2**20, 32 * 2**20  # bytes that NVIDIA advises: of older GPUs, from Hopper on


class Products:
    """Products of matrices, row by row in memory, that a CUDA graph can capture.

    Attributes:
        failed: why a graph could not be had when it was wanted; "" if none has failed.
    """

    def __init__(self, cupy: Any, major: int) -> None:
        """Create the handle, and room for it to work in: captured, it may not allocate any.

        Args:
            cupy: the module.
            major: the first number of the GPU's compute capability.

        Raises:
            Exception: whatever is wrong: no library, or one that lacks what is needed.
        """
        # names are looked up in what CuPy's own module is linked to: the library that it uses
        library = ctypes.CDLL(cupy.cuda.cublas.__file__)
        self._cupy, self.failed = cupy, ""
        self._functions: dict[str, Any] = {}
        for name, arguments in _SIGNATURES.items():
            function = library[name]
            function.argtypes, function.restype = arguments, c_int
            self._functions[name] = function
        self._handle = c_void_p()
        self._call("cublasCreate_v2", ctypes.byref(self._handle))
        end = weakref.finalize(self, self._functions["cublasDestroy_v2"], self._handle)
        end.atexit = False  # by then the driver may have gone
        self._workspace = cupy.empty(_WORKSPACES[major >= _HOPPER] // 8, cupy.float64)
        self._on(cupy.cuda.get_current_stream())

    def _call(self, name: str, *arguments: Any) -> None:
        status = self._functions[name](*arguments)
        if status != 0:
            raise RuntimeError(f"{name} of cuBLAS failed with status {status}")

    def _on(self, stream: Any) -> None:
        """Have products made on a stream, in our room: setting the stream takes that away."""
        self._call("cublasSetStream_v2", self._handle, stream.ptr)
        room = self._workspace
        self._call("cublasSetWorkspace_v2", self._handle, room.data.ptr, room.nbytes)

    def product(
        self, a: Array, b: Array, out: Array, *, add: bool = False, tf32: bool = False
    ) -> Callable[[], None]:
        """What writes a (n, m) · b (m, p) into `out` (n, p), or adds it, each time it is called.

        It holds addresses: the arrays must stay where they are.

        Args:
            a: rows or columns of numbers that lie side by side, each a fixed step from the last.
            b: the same.
            out: rows of them.
            add: whether to add to what `out` has.
            tf32: whether float32 is multiplied in TF32: 10 bits of each number, sums in float32.
        """
        (n, m), p = a.shape, b.shape[1]
        assert (b.shape[0], out.shape) == (m, (n, p)), "shapes that do not fit"
        assert a.dtype == b.dtype == out.dtype, "products of one precision only"
        kind, compute, number = _TYPES[str(out.dtype)]
        one, rest = number(1.0), number(float(add))
        (of_a, step_a), (of_b, step_b), (of_out, step_out) = _lies(a), _lies(b), _lies(out)
        assert of_out == 0, "rows only can be written"
        # cuBLAS has columns where we have rows: it makes the transpose, bᵀ · aᵀ
        arguments = (
            *(self._handle, of_b, of_a, p, n, m, ctypes.addressof(one)),
            *(b.data.ptr, kind, step_b, a.data.ptr, kind, step_a, ctypes.addressof(rest)),
            *(out.data.ptr, kind, step_out, _TF32 if tf32 else compute, _FOUND_BY_ITSELF),
        )
        return partial(self._multiply, arguments, (one, rest, a, b, out))

    def _multiply(self, arguments: tuple[Any, ...], kept: object) -> None:
        self._call("cublasGemmEx", *arguments)

    def captured(self, work: Callable[[], object]) -> Any:
        """A CUDA graph of what `work` launches, which does not run yet.

        It must not allocate: CuPy captures in the mode that lets it, and the graph would go on
        with memory that others have by then.

        Raises:
            Exception: it cannot be captured: something in it waits, or copies from or to the host.
        """
        cuda = self._cupy.cuda
        outside, stream = cuda.get_current_stream(), cuda.Stream(non_blocking=True)
        with stream:
            try:
                self._on(stream)
                stream.begin_capture()
                try:
                    work()
                except BaseException:
                    with contextlib.suppress(Exception):
                        stream.end_capture()
                    raise
                return stream.end_capture()
            finally:
                self._on(outside)


def _lies(array: Array) -> tuple[int, int]:
    """Whether a matrix lies by columns, and how many numbers a row or column is from the next."""
    (rows, columns), size = array.shape, array.dtype.itemsize
    down, along = (step // size for step in array.strides)
    if columns == 1 or along == 1:
        return 0, max(down, columns) if rows > 1 else columns
    assert down == 1 or rows == 1, "neither rows nor columns lie side by side"
    return 1, max(along, rows)


def usable(cupy: Any, major: int) -> tuple[Products | None, str]:
    """Return (products, "") or (None, why not): a graph of a product has been run.

    Args:
        cupy: the module.
        major: the first number of the GPU's compute capability.
    """
    try:
        products = Products(cupy, major)
        a, found = cupy.ones((2, 3), cupy.float32), cupy.zeros((2, 2), cupy.float32)
        add = products.product(a, a.T, found, add=True)
        add()
        graph = products.captured(add)
        graph.launch()
        graph.launch()
        if float(found.sum()) != 36.0:
            return None, f"a graph of products gave {float(found.sum())} where 36 is right"
    except Exception as error:
        return None, (str(error).strip().splitlines() or [type(error).__name__])[0]
    return products, ""
