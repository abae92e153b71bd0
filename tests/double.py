"""A double of CuPy for machines without a GPU: NumPy underneath, CuPy's rules on top.

Host arrays are refused as operands, `__array__` raises, and only names and keywords that CuPy has
exist (tests/test_double.py compares them with the real module where it can be imported). `counts`
says how many copies between host and device, synchronisations and allocations there were. Stricter
than CuPy where CuPy is lax at a price or wrong in silence: NumPy's functions refuse its arrays,
`out` may not partly overlap an operand, an index out of bounds raises.
"""

from __future__ import annotations

from dataclasses import astuple, dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np

UFUNCS = [
    "absolute",
    "add",
    "bitwise_and",
    "bitwise_or",
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
    "sign",
    "sqrt",
    "square",
    "subtract",
]
ALIASES = {"abs": "absolute"}
OPERATORS = {
    "add": "add",
    "sub": "subtract",
    "mul": "multiply",
    "truediv": "divide",
    "floordiv": "floor_divide",
    "mod": "remainder",
    "pow": "power",
    "and": "bitwise_and",
    "or": "bitwise_or",
    "matmul": "matmul",
}
COMPARISONS = {
    "lt": "less",
    "le": "less_equal",
    "gt": "greater",
    "ge": "greater_equal",
    "eq": "equal",
    "ne": "not_equal",
}


@dataclass
class Counts:
    """What happened: copies between host and device, waits for the device, device allocations."""

    copies: int = 0
    syncs: int = 0
    allocations: int = 0

    def since(self, before: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(now - then for now, then in zip(astuple(self), before, strict=True))

    def now(self) -> tuple[int, ...]:
        return astuple(self)


class Ufunc:
    """An elementwise function as CuPy has it: `out` and `dtype` are all its keywords."""

    def __init__(self, cupy: Cupy, ufunc: Any) -> None:
        self._cupy, self._ufunc, self.nin = cupy, ufunc, ufunc.nin

    def __call__(self, *args: Any, out: ndarray | None = None, dtype: Any = None) -> ndarray:
        operands = [self._cupy._operand(arg) for arg in args]
        if len(operands) != self.nin:
            raise TypeError(f"wrong number of arguments for {self._ufunc.__name__}")
        if out is None:
            return self._cupy._new(self._ufunc(*operands, dtype=dtype))
        target = self._cupy._target(out, operands)
        self._ufunc(*operands, out=target, dtype=dtype, casting="same_kind")
        return out


class ndarray:
    """An array that the host cannot see."""

    __array_ufunc__ = None
    __hash__ = None

    def __init__(self, cupy: Cupy, held: np.ndarray) -> None:
        self._cupy, self._held = cupy, held

    def __array__(self, *args: Any, **kwargs: Any) -> Any:
        raise TypeError("Implicit conversion to a NumPy array is not allowed. Use .get()")

    # --- what makes the host wait -----------------------------------------------------------------

    def get(
        self, stream: Any = None, order: str = "C", out: Any = None, blocking: bool = True
    ) -> np.ndarray:
        return self._cupy.asnumpy(self)

    def item(self) -> Any:
        self._cupy.counts.syncs += 1
        self._cupy.counts.copies += 1
        return self._held.item()

    def tolist(self) -> Any:
        return self.get().tolist()

    def __bool__(self) -> bool:
        return bool(self.item())

    def __float__(self) -> float:
        return float(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __index__(self) -> int:
        return self.item().__index__()

    def __repr__(self) -> str:
        return f"<array {self.shape} {self.dtype} on the double's device>"

    # --- what costs nothing: shapes and views -----------------------------------------------------

    shape = property(lambda self: self._held.shape)
    ndim = property(lambda self: self._held.ndim)
    size = property(lambda self: self._held.size)
    dtype = property(lambda self: self._held.dtype)
    itemsize = property(lambda self: self._held.itemsize)
    nbytes = property(lambda self: self._held.nbytes)
    T = property(lambda self: ndarray(self._cupy, self._held.T))
    flags = property(lambda self: self._held.flags)
    data = property(lambda self: SimpleNamespace(ptr=self._held.ctypes.data))

    def __len__(self) -> int:
        return len(self._held)

    def __iter__(self) -> Any:
        return (self[i] for i in range(len(self)))

    def reshape(self, *shape: Any, order: str = "C", copy: Any = None) -> ndarray:
        view = self._held.reshape(*shape)
        if self.size and not np.may_share_memory(view, self._held):
            return self._cupy._new(view)  # not contiguous: CuPy copies
        return ndarray(self._cupy, view)

    def __getitem__(self, key: Any) -> ndarray:
        key, fancy = self._key(key)
        if fancy:
            return self._cupy._new(self._held[key])
        ends = () if any(part is Ellipsis for part in key) else (Ellipsis,)
        return ndarray(self._cupy, self._held[(*key, *ends)])

    def __setitem__(self, key: Any, value: Any) -> None:
        self._held[self._key(key)[0]] = self._cupy._operand(value)

    def _key(self, key: Any) -> tuple[tuple[Any, ...], bool]:
        parts = key if isinstance(key, tuple) else (key,)
        arrays = [part for part in parts if isinstance(part, ndarray)]
        if any(isinstance(part, (np.ndarray, list)) for part in parts):
            raise TypeError("an index on the host would be copied to the device")
        self._cupy.counts.syncs += sum(part.dtype == bool for part in arrays)
        held = tuple(part._held if isinstance(part, ndarray) else part for part in parts)
        return held, bool(arrays)

    # --- what computes ----------------------------------------------------------------------------

    def fill(self, value: Any) -> None:
        self._held.fill(self._cupy._operand(value))

    def copy(self, order: str = "C") -> ndarray:
        return self._cupy._new(self._held.copy(order=order))

    def astype(
        self,
        dtype: Any,
        order: str = "K",
        casting: Any = None,
        subok: Any = None,
        copy: bool = True,
    ) -> ndarray:
        if not copy and self.dtype == dtype:
            return self
        return self._cupy._new(self._held.astype(dtype))

    def sum(
        self, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: bool = False
    ) -> ndarray:
        return self._cupy.sum(self, axis, dtype, out, keepdims)

    def max(self, axis: Any = None, out: Any = None, keepdims: bool = False) -> ndarray:
        return self._cupy.max(self, axis, out, keepdims)

    def min(self, axis: Any = None, out: Any = None, keepdims: bool = False) -> ndarray:
        return self._cupy.min(self, axis, out, keepdims)

    def argmax(
        self, axis: Any = None, out: Any = None, dtype: Any = None, keepdims: bool = False
    ) -> ndarray:
        return self._cupy.argmax(self, axis, dtype, out, keepdims)

    def transpose(self, *axes: Any) -> ndarray:
        return ndarray(self._cupy, self._held.transpose(*axes))

    def all(self, axis: Any = None, out: Any = None, keepdims: bool = False) -> ndarray:
        return self._cupy.all(self, axis, out, keepdims)

    def any(self, axis: Any = None, out: Any = None, keepdims: bool = False) -> ndarray:
        return self._cupy.any(self, axis, out, keepdims)


def _add_operators() -> None:
    def binary(name: str) -> Any:
        return lambda self, other: getattr(self._cupy, name)(self, other)

    def reflected(name: str) -> Any:
        return lambda self, other: getattr(self._cupy, name)(other, self)

    def in_place(name: str) -> Any:
        return lambda self, other: getattr(self._cupy, name)(self, other, out=self)

    for operator, name in OPERATORS.items():
        setattr(ndarray, f"__{operator}__", binary(name))
        setattr(ndarray, f"__r{operator}__", reflected(name))
        if operator != "matmul":
            setattr(ndarray, f"__i{operator}__", in_place(name))
    for operator, name in COMPARISONS.items():
        setattr(ndarray, f"__{operator}__", binary(name))
    ndarray.__neg__ = lambda self: self._cupy.negative(self)  # type: ignore[attr-defined]
    ndarray.__invert__ = lambda self: self._cupy.invert(self)  # type: ignore[attr-defined]
    ndarray.__abs__ = lambda self: self._cupy.absolute(self)  # type: ignore[attr-defined]


_add_operators()


class Linalg:
    """cupy.linalg: what it finds singular or not finite comes back as NaN, and is no error."""

    def __init__(self, cupy: Cupy) -> None:
        self._cupy = cupy

    def _done(self, function: Any, *arrays: Any, **keywords: Any) -> Any:
        held = [self._cupy._held(array) for array in arrays]
        found = function(*held, **keywords)
        several = isinstance(found, tuple)
        return tuple(map(self._cupy._new, found)) if several else self._cupy._new(found)

    def eigh(self, a: Any, UPLO: str = "L") -> Any:
        return self._done(np.linalg.eigh, a, UPLO=UPLO)

    def qr(self, a: Any, mode: str = "reduced") -> Any:
        return self._done(np.linalg.qr, a, mode=mode)

    def svd(self, a: Any, full_matrices: bool = True, compute_uv: bool = True) -> Any:
        return self._done(np.linalg.svd, a, full_matrices=full_matrices, compute_uv=compute_uv)

    def solve(self, a: Any, b: Any) -> Any:
        return self._done(np.linalg.solve, a, b)

    def cholesky(self, a: Any) -> Any:
        try:
            return self._done(np.linalg.cholesky, a)
        except np.linalg.LinAlgError:  # which CuPy does not say: it stops, and leaves the rest
            return self._done(np.tril, a)


class Cupy:
    """The module: what is not here, the package may not use."""

    ndarray = ndarray
    float32, float64, int32, int64, bool_ = np.float32, np.float64, np.int32, np.int64, np.bool_

    def __init__(self) -> None:
        self.counts = Counts()
        self.launched: list[str] = []  # kernels of our own, in order
        for name in UFUNCS:
            setattr(self, name, Ufunc(self, getattr(np, name)))
        for alias, name in ALIASES.items():
            setattr(self, alias, getattr(self, name))
        self.linalg = Linalg(self)
        self.cuda = SimpleNamespace(runtime=SimpleNamespace(memGetInfo=lambda: (2**30, 2**31)))

    def RawModule(self, *, code: str, options: tuple[str, ...] = ()) -> Any:
        """Kernels of a CUDA text, whose threads run on the CPU one by one; `launched` hears."""
        from shim import RawModule

        return RawModule(code, options, self.launched.append)

    def _new(self, held: Any) -> ndarray:
        self.counts.allocations += 1
        return ndarray(self, np.asarray(held))

    def _operand(self, value: Any) -> Any:
        if isinstance(value, ndarray):
            return value._held
        if isinstance(value, (bool, int, float, np.generic)):
            return value
        raise TypeError(f"Unsupported type {type(value)}")

    def _target(self, out: Any, operands: list[Any]) -> np.ndarray:
        if not isinstance(out, ndarray):
            raise TypeError(f"`out` must be a cupy.ndarray, not {type(out)}")
        for one in operands:
            if isinstance(one, np.ndarray) and np.may_share_memory(one, out._held):
                same = (one.ctypes.data, one.shape, one.strides)
                if same != (out._held.ctypes.data, out.shape, out._held.strides):
                    raise ValueError("`out` overlaps an operand: CuPy would compute rubbish")
        return out._held

    def _reduced(self, function: Any, a: ndarray, out: Any, **keywords: Any) -> ndarray:
        held = self._held(a)
        if out is None:
            return self._new(function(held, **keywords))
        function(held, out=self._target(out, [held]), **keywords)
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
        return self._new(np.array(a, dtype=dtype))

    def asnumpy(
        self,
        a: Any,
        stream: Any = None,
        order: str = "C",
        out: Any = None,
        *,
        blocking: bool = True,
    ) -> np.ndarray:
        self.counts.copies += 1
        self.counts.syncs += 1
        return self._held(a).copy()

    # --- new arrays -------------------------------------------------------------------------------

    def empty(self, shape: Any, dtype: Any = float, order: str = "C") -> ndarray:
        held = np.empty(shape, dtype)
        if held.dtype.kind == "f":
            held.fill(np.nan)  # what is read before it is written must show
        return self._new(held)

    def zeros(self, shape: Any, dtype: Any = float, order: str = "C") -> ndarray:
        return self._new(np.zeros(shape, dtype))

    def ones(self, shape: Any, dtype: Any = float, order: str = "C") -> ndarray:
        return self._new(np.ones(shape, dtype))

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
            return self._new(np.array(obj._held, dtype=dtype))
        return self.asarray(obj, dtype)

    def zeros_like(
        self, a: Any, dtype: Any = None, order: str = "K", subok: Any = None, shape: Any = None
    ) -> ndarray:
        return self._new(np.zeros_like(self._held(a), dtype=dtype))

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
        return self._new(np.full(shape, self._operand(fill_value), dtype))

    def ascontiguousarray(self, a: Any, dtype: Any = None) -> ndarray:
        held = self._held(a)
        if held.flags.c_contiguous and dtype in (None, held.dtype):
            return a
        return self._new(np.ascontiguousarray(held, dtype))

    def concatenate(
        self,
        tup: Any,
        axis: Any = 0,
        out: Any = None,
        *,
        dtype: Any = None,
        casting: str = "same_kind",
    ) -> ndarray:
        return self._new(np.concatenate([self._held(one) for one in tup], axis))

    def stack(
        self,
        tup: Any,
        axis: Any = 0,
        out: Any = None,
        *,
        dtype: Any = None,
        casting: str = "same_kind",
    ) -> ndarray:
        return self._new(np.stack([self._held(one) for one in tup], axis))

    def arange(self, start: Any, stop: Any = None, step: Any = 1, dtype: Any = None) -> ndarray:
        return self._new(np.arange(start, stop, step, dtype=dtype))

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

    def sort(self, a: Any, axis: int = -1) -> ndarray:
        return self._new(np.sort(self._held(a), axis))

    def cumsum(self, a: Any, axis: Any = None) -> ndarray:
        return self._new(np.cumsum(self._held(a), axis))

    def argsort(self, a: Any, axis: int = -1) -> ndarray:
        return self._new(np.argsort(self._held(a), axis))

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
        for one in (a, b):  # cuBLAS takes rows or columns in order; anything else is copied first
            self.counts.allocations += not (one.flags.c_contiguous or one.flags.f_contiguous)
        self.counts.allocations += a.shape[:-2] != b.shape[:-2]  # a batch is broadcast by copies
        if out is None:
            return self._new(np.matmul(a, b))
        target = self._target(out, [a, b])
        if np.may_share_memory(a, target) or np.may_share_memory(b, target):
            raise ValueError("`out` is an operand of the product")
        fits = target.flags.c_contiguous and a.dtype == b.dtype == target.dtype
        self.counts.allocations += not fits
        np.matmul(a, b, out=target)
        return out

    def einsum(self, *operands: Any, **kwargs: Any) -> ndarray:
        subscripts, *arrays = operands
        return self._new(np.einsum(subscripts, *map(self._held, arrays), **kwargs))

    def diagonal(self, a: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> ndarray:
        return ndarray(self, np.diagonal(self._held(a), offset, axis1, axis2))

    def flatnonzero(self, a: Any) -> ndarray:
        self.counts.syncs += 1  # how many there are
        return self._new(np.flatnonzero(self._held(a)))

    def tensordot(self, a: Any, b: Any, axes: Any = 2) -> ndarray:
        return self._new(np.tensordot(self._held(a), self._held(b), axes))

    def take(self, a: Any, indices: Any, axis: Any = None, out: Any = None) -> ndarray:
        held, where = self._held(a), self._held(indices)
        if out is None:
            return self._new(np.take(held, where, axis=axis))
        np.take(held, where, axis=axis, out=self._target(out, [held, where]))
        return out

    def take_along_axis(self, a: Any, indices: Any, axis: Any) -> ndarray:
        return self._new(np.take_along_axis(self._held(a), self._held(indices), axis))

    def where(self, condition: Any, x: Any = None, y: Any = None) -> ndarray:
        return self._new(np.where(self._held(condition), self._operand(x), self._operand(y)))

    def copyto(self, dst: Any, src: Any, casting: str = "same_kind", where: Any = None) -> None:
        source, mask = self._operand(src), True if where is None else self._held(where)
        np.copyto(self._target(dst, [source]), source, casting=casting, where=mask)
