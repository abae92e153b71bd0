"""A double of CuPy for machines without a GPU: NumPy underneath, CuPy's rules on top.

Host arrays are refused as operands, `__array__` raises, and only names and keywords that CuPy has
exist (tests/test_double.py compares them with the real module where it can be imported). `counts`
says how many copies between host and device, synchronisations, allocations and launches there were,
and how many bytes the kernels moved (tests/double_costs.py); memory comes from a pool of the size
the double is made with. As in CuPy, linalg says nothing of what has no answer, which is NaN, and
kernels flush denormal float32. Stricter than CuPy where CuPy is wrong in silence or would help at a
price: NumPy's functions refuse its arrays, `out` of a reduction, a product or rows taken may not
overlap an operand, an index out of bounds raises.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
from double_array import Ufunc, ndarray, overlap, refuse_moved
from double_costs import Counts, OutOfMemoryError, Pool, flushed, trails
from double_linalg import Linalg, einsum, matmul, tensordot
from double_streams import Streams

UFUNCS = [
    "absolute",
    "add",
    "bitwise_and",
    "bitwise_or",
    "bitwise_xor",
    "copysign",
    "divide",
    "equal",
    "exp",
    "floor_divide",
    "fmin",
    "greater",
    "greater_equal",
    "invert",
    "isfinite",
    "isnan",
    "less",
    "less_equal",
    "log",
    "log1p",
    "logical_and",
    "logical_not",
    "logical_or",
    "maximum",
    "minimum",
    "multiply",
    "negative",
    "not_equal",
    "power",
    "reciprocal",
    "remainder",
    "right_shift",
    "sign",
    "sqrt",
    "square",
    "subtract",
]
ALIASES = {"abs": "absolute"}


class Cupy:
    """The module: what is not here, the package may not use."""

    ndarray = ndarray
    float32, float64, int32, int64, bool_ = np.float32, np.float64, np.int32, np.int64, np.bool_
    uint64 = np.uint64

    def __init__(self, memory: int = 2**31) -> None:
        """A device with so many bytes of memory, all of them free."""
        self.counts, self.pool = Counts(), Pool(memory)
        self.pinned = 0  # bytes of the host's memory that CuPy has taken for copies, for good
        self.launched: list[str] = []  # kernels of our own, in order
        for name in UFUNCS:
            setattr(self, name, Ufunc(self, getattr(np, name)))
        for alias, name in ALIASES.items():
            setattr(self, alias, getattr(self, name))
        self.linalg = Linalg(self)
        self.cuda = Streams(self)
        self.cuda.runtime = SimpleNamespace(
            is_hip=False, memGetInfo=lambda: (memory - self.pool.held, memory)
        )
        self.cuda.memory = SimpleNamespace(OutOfMemoryError=OutOfMemoryError)

    def get_default_memory_pool(self) -> Pool:
        return self.pool

    def RawModule(self, *, code: str, options: tuple[str, ...] = ()) -> Any:
        """Kernels of a CUDA text, whose threads run on the CPU one by one; `launched` hears."""
        from shim import RawModule

        return RawModule(code, options, self.cuda.go)

    def _new(self, held: Any) -> ndarray:
        self.counts.allocations += 1
        held = np.asarray(held)
        return ndarray(self, held, self.pool.malloc(held.nbytes))

    def _made(self, what: str, held: Any, *operands: Any) -> ndarray:
        """A new array that a call of a row of `LAUNCHES` makes of these operands."""
        self.counts.launch(what, held, *operands)
        return self._new(held)

    def _operand(self, value: Any) -> Any:
        if isinstance(value, ndarray):
            return value._held
        if type(value) in (bool, int, float) or isinstance(value, np.generic):
            return value  # CuPy knows no classes made of them
        raise TypeError(f"Unsupported type {type(value)}")

    @staticmethod
    def _output(out: Any) -> ndarray:
        if not isinstance(out, ndarray):
            raise TypeError(f"`out` must be a cupy.ndarray, not {type(out)}")
        return out

    def _target(self, out: Any, found: Any, operands: list[Any]) -> np.ndarray:
        """Where to write what was found, of its shape; it may not lie where an operand is."""
        held = self._output(out)._held
        if held.shape != found.shape:
            raise ValueError(f"`out` is of shape {held.shape}, not {found.shape}")
        if not np.can_cast(found.dtype, held.dtype, "same_kind"):
            raise TypeError(f"{found.dtype} cannot be cast to {held.dtype}, as `out` is")
        if any(isinstance(one, np.ndarray) and np.may_share_memory(one, held) for one in operands):
            raise ValueError("`out` overlaps an operand: CuPy would copy it, or compute rubbish")
        return held

    def _reduced(
        self, function: Any, a: ndarray, out: Any, axis: Any = None, **keywords: Any
    ) -> ndarray:
        """A reduction, by CUB where the axes are whole or the last ones in memory."""
        held = self._held(a)
        axes = range(held.ndim) if axis is None else axis if isinstance(axis, tuple) else (axis,)
        axes = tuple(sorted(one % held.ndim for one in axes)) if held.ndim else ()
        by_cub = bool(axes) and trails(axes, held)
        whole = by_cub and len(axes) == held.ndim
        if whole or (by_cub and function in (np.sum, np.max, np.min)):
            self._new(np.empty(0))  # a workspace
        found = function(flushed(held), axis=axis, **keywords)
        target = None if out is None else self._target(out, found, [] if by_cub else [held])
        if target is None or by_cub:  # CUB writes to an array of its own
            made = self._made("whole reduction" if whole else "reduction", found, held)
            made._flush()
            if out is None:
                return made
            self.copyto(out, made)
            return out
        target[...] = found
        self.counts.launch("reduction", held, target)
        out._flush()
        return out

    @staticmethod
    def _held(a: Any) -> np.ndarray:
        if not isinstance(a, ndarray):
            raise TypeError(f"a cupy.ndarray is needed, not {type(a)}")
        return a._held

    # --- between host and device ------------------------------------------------------------------

    def asarray(
        self,
        a: Any,
        dtype: Any = None,
        order: Any = None,
        *,
        copy: Any = None,
        blocking: bool = False,
    ) -> ndarray:
        if isinstance(a, ndarray):
            return a.astype(a.dtype if dtype is None else dtype, copy=False)
        self.counts.copies += 1
        made = self._new(np.array(a, dtype=dtype))
        self.pinned = max(self.pinned, 1 << max(made.nbytes - 1, 0).bit_length())
        return made

    def asnumpy(
        self,
        a: Any,
        stream: Any = None,
        order: str = "C",
        out: Any = None,
        *,
        blocking: bool = True,
    ) -> np.ndarray:
        held = self._held(a)
        if not held.flags.c_contiguous:
            a.copy()
        self.counts.copies += 1
        self.counts.syncs += 1
        return held.copy()

    # --- new arrays -------------------------------------------------------------------------------

    def empty(self, shape: Any, dtype: Any = float, order: str = "C") -> ndarray:
        held = np.empty(shape, dtype)
        if held.dtype.kind == "f":
            held.fill(np.nan)  # what is read before it is written must show
        return self._new(held)

    def zeros(self, shape: Any, dtype: Any = float, order: str = "C") -> ndarray:
        return self._made("elementwise", np.zeros(shape, dtype))

    def ones(self, shape: Any, dtype: Any = float, order: str = "C") -> ndarray:
        return self._made("elementwise", np.ones(shape, dtype))

    def array(
        self,
        obj: Any,
        dtype: Any = None,
        copy: Any = True,
        order: str = "K",
        subok: bool = False,
        ndmin: int = 0,
        *,
        blocking: bool = False,
    ) -> ndarray:
        if isinstance(obj, ndarray):
            return obj.astype(obj.dtype if dtype is None else dtype)
        return self.asarray(obj, dtype)

    def zeros_like(
        self, a: Any, dtype: Any = None, order: str = "K", subok: Any = None, shape: Any = None
    ) -> ndarray:
        return self._made("elementwise", np.zeros_like(self._held(a), dtype=dtype))

    def empty_like(
        self,
        prototype: Any,
        dtype: Any = None,
        order: str = "K",
        subok: Any = None,
        shape: Any = None,
    ) -> ndarray:
        held = self._held(prototype)
        return self.empty(held.shape, held.dtype if dtype is None else dtype)

    def full(self, shape: Any, fill_value: Any, dtype: Any = None, order: str = "C") -> ndarray:
        return self._made("elementwise", np.full(shape, self._operand(fill_value), dtype))

    def ascontiguousarray(self, a: Any, dtype: Any = None) -> ndarray:
        held = self._held(a)
        if held.flags.c_contiguous and dtype in (None, held.dtype):
            return a
        return self._made("elementwise", np.ascontiguousarray(held, dtype), held)

    def concatenate(
        self,
        tup: Any,
        axis: Any = 0,
        out: Any = None,
        *,
        dtype: Any = None,
        casting: str = "same_kind",
    ) -> ndarray:
        return self._joined(np.concatenate, tup, axis)

    def stack(
        self,
        tup: Any,
        axis: Any = 0,
        out: Any = None,
        *,
        dtype: Any = None,
        casting: str = "same_kind",
    ) -> ndarray:
        return self._joined(np.stack, tup, axis)

    def _joined(self, function: Any, arrays: Any, axis: Any) -> ndarray:
        """A copy of each array; of more than eight, one by their addresses."""
        held = [self._held(one) for one in arrays]
        if len(held) > 8:
            self.asarray(np.zeros(len(held), np.int64))
            return self._made("elementwise", function(held, axis), *held)
        for one in held:
            self.counts.launch("elementwise", one, one)
        return self._new(function(held, axis))

    def arange(self, start: Any, stop: Any = None, step: Any = 1, dtype: Any = None) -> ndarray:
        return self._made("elementwise", np.arange(start, stop, step, dtype=dtype))

    # --- computing --------------------------------------------------------------------------------

    def sum(
        self,
        a: Any,
        axis: Any = None,
        dtype: Any = None,
        out: Any = None,
        keepdims: bool = False,
    ) -> ndarray:
        return self._reduced(np.sum, a, out, axis=axis, dtype=dtype, keepdims=keepdims)

    def sort(self, a: Any, axis: int = -1, kind: Any = None) -> ndarray:
        found = a.copy()
        found.sort(axis, kind)
        return found

    def cumsum(self, a: Any, axis: Any = None, dtype: Any = None, out: Any = None) -> ndarray:
        return self._made("scan", np.cumsum(a.copy()._held, axis, dtype), a._held)

    def argsort(self, a: Any, axis: int = -1, kind: Any = None) -> ndarray:
        return self._made("sort", np.argsort(a.copy()._held, axis, kind="stable"), a._held)

    def max(self, a: Any, axis: Any = None, out: Any = None, keepdims: bool = False) -> ndarray:
        return self._reduced(np.max, a, out, axis=axis, keepdims=keepdims)

    def min(self, a: Any, axis: Any = None, out: Any = None, keepdims: bool = False) -> ndarray:
        return self._reduced(np.min, a, out, axis=axis, keepdims=keepdims)

    def all(self, a: Any, axis: Any = None, out: Any = None, keepdims: bool = False) -> ndarray:
        return self._reduced(np.all, a, out, axis=axis, keepdims=keepdims)

    def any(self, a: Any, axis: Any = None, out: Any = None, keepdims: bool = False) -> ndarray:
        return self._reduced(np.any, a, out, axis=axis, keepdims=keepdims)

    def argmax(
        self,
        a: Any,
        axis: Any = None,
        dtype: Any = None,
        out: Any = None,
        keepdims: bool = False,
    ) -> ndarray:
        return self._reduced(np.argmax, a, out, axis=axis, keepdims=keepdims)

    def matmul(self, *args: Any, out: ndarray | None = None) -> ndarray:
        a, b = (self._held(arg) for arg in args)
        return matmul(self, a, b, out)

    def einsum(self, *operands: Any, **kwargs: Any) -> ndarray:
        subscripts, *arrays = operands
        return einsum(self, subscripts, arrays)

    def tensordot(self, a: Any, b: Any, axes: Any = 2) -> ndarray:
        return tensordot(a, b, axes)

    def diagonal(self, a: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> ndarray:
        return a._view(np.diagonal(self._held(a), offset, axis1, axis2))

    def flatnonzero(self, a: Any) -> ndarray:
        self.counts.syncs += 1  # how many there are
        mask = a.reshape(-1) if a.dtype == bool else self.not_equal(a, 0).reshape(-1)
        self._made("scan", np.zeros(mask.shape, np.int32), mask._held)
        return self._made("elementwise", np.flatnonzero(self._held(a)), mask._held)

    def take(self, a: Any, indices: Any, axis: Any = None, out: Any = None) -> ndarray:
        held, where = self._held(a), self._held(indices)
        found = np.take(held, where, axis=axis)
        if out is None:
            return self._made("elementwise", found, found, where)
        target = self._target(out, found, [held, where])
        if target.dtype != held.dtype:
            raise TypeError("Output dtype mismatch")
        target[...] = found
        self.counts.launch("elementwise", found, where, target)
        return out

    def take_along_axis(self, a: Any, indices: Any, axis: Any) -> ndarray:
        each = [
            indices
            if at == axis
            else self.arange(n).reshape([-1 if i == at else 1 for i in range(a.ndim)])
            for at, n in enumerate(a.shape)
        ]
        return a[tuple(each)]

    def where(self, condition: Any, x: Any = None, y: Any = None) -> ndarray:
        held = [self._held(condition), self._operand(x), self._operand(y)]
        return self._made("elementwise", np.where(*held), *held)

    def copyto(self, dst: Any, src: Any, casting: str = "same_kind", where: Any = None) -> None:
        source, mask = self._operand(src), True if where is None else self._held(where)
        target = self._output(dst)._held
        if isinstance(src, ndarray) and where is None:
            refuse_moved(source, target)
        if isinstance(src, ndarray) and src is not dst and overlap(src, dst):
            src.copy()
        np.copyto(target, source, casting=casting, where=mask)
        self.counts.launch("elementwise", source, mask, target)
        if isinstance(source, np.ndarray) and source.dtype != target.dtype:
            dst._flush()
