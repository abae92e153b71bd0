"""The array of the double of CuPy (tests/double.py): unseen by the host, its calls counted."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
from double_costs import Memory, flushed, is_contiguous

if TYPE_CHECKING:
    from double import Cupy

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
    "xor": "bitwise_xor",
    "rshift": "right_shift",
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
_PLACES = int, np.integer, slice, type(None), type(Ellipsis)  # of an index that makes a view


class Ufunc:
    """An elementwise function as CuPy has it: `out` and `dtype` are all its keywords."""

    def __init__(self, cupy: Cupy, ufunc: Any) -> None:
        self._cupy, self._ufunc, self.nin = cupy, ufunc, ufunc.nin

    def __call__(self, *args: Any, out: ndarray | None = None, dtype: Any = None) -> ndarray:
        cupy = self._cupy
        operands = [cupy._operand(arg) for arg in args]
        if len(operands) != self.nin:
            raise TypeError(f"wrong number of arguments for {self._ufunc.__name__}")
        known = [flushed(one) for one in operands]
        if out is None:
            found = cupy._new(np.asarray(self._ufunc(*known, dtype=dtype), order="C"))
        else:
            found = cupy._output(out)
            for arg in args:  # which CuPy knows by the object alone
                if isinstance(arg, ndarray) and arg is not out and overlap(arg, out):
                    arg.copy()
            self._ufunc(*known, out=found._held, dtype=dtype, casting="same_kind")
        cupy.counts.launch("elementwise", *operands, found._held)
        found._flush()
        return found


class ndarray:
    """An array that the host cannot see."""

    __array_ufunc__ = None
    __hash__ = None

    def __init__(self, cupy: Cupy, held: np.ndarray, memory: Memory) -> None:
        self._cupy, self._held, self._memory = cupy, held, memory

    def _view(self, held: np.ndarray) -> ndarray:
        return ndarray(self._cupy, held, self._memory)

    def _flush(self) -> None:
        whole = flushed(self._held)
        if whole is not self._held:
            self._held[...] = whole

    def __array__(self, *args: Any, **kwargs: Any) -> Any:
        raise TypeError("Implicit conversion to a NumPy array is not allowed. Use .get()")

    # --- what makes the host wait -----------------------------------------------------------------

    def get(
        self, stream: Any = None, order: str = "C", out: Any = None, blocking: bool = True
    ) -> np.ndarray:
        return self._cupy.asnumpy(self)

    def set(self, arr: Any, stream: Any = None) -> None:
        """Copy from the host, which waits for nothing; the driver has the pinned memory for it."""
        if not isinstance(arr, np.ndarray) or (arr.dtype, arr.shape) != (self.dtype, self.shape):
            raise TypeError("only a numpy.ndarray of the same dtype and shape can be set")
        if not is_contiguous(self._held):
            raise RuntimeError("Cannot set to non-contiguous array")
        self._cupy.counts.copies += 1
        self._held[...] = arr

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

    def __repr__(self) -> str:
        return f"<array {self.shape} {self.dtype} on the double's device>"

    # --- what costs nothing: shapes and views -----------------------------------------------------

    shape = property(lambda self: self._held.shape)
    ndim = property(lambda self: self._held.ndim)
    size = property(lambda self: self._held.size)
    strides = property(lambda self: self._held.strides)
    dtype = property(lambda self: self._held.dtype)
    itemsize = property(lambda self: self._held.itemsize)
    nbytes = property(lambda self: self._held.nbytes)
    T = property(lambda self: self._view(self._held.T))
    flags = property(lambda self: _flags(self._held))
    data = property(lambda self: SimpleNamespace(ptr=self._held.ctypes.data))

    def __len__(self) -> int:
        return len(self._held)

    def __iter__(self) -> Any:
        return (self[i] for i in range(len(self)))

    def reshape(self, *shape: Any, order: str = "C", copy: Any = None) -> ndarray:
        view = self._held.reshape(*shape)
        if self.size and not np.may_share_memory(view, self._held):
            return self._cupy._made("elementwise", view, self._held)  # not contiguous: copied
        return self._view(view)

    def view(self, dtype: Any = None, type: Any = None) -> ndarray:
        return self._view(self._held.view(self.dtype if dtype is None else dtype))

    def __getitem__(self, key: Any) -> ndarray:
        key, fancy = self._key(key)
        if fancy:
            found = self._held[key]
            return self._cupy._made("elementwise", found, found, *fancy)
        ends = () if any(part is Ellipsis for part in key) else (Ellipsis,)
        return self._view(self._held[(*key, *ends)])

    def __setitem__(self, key: Any, value: Any) -> None:
        operand, (key, fancy) = self._cupy._operand(value), self._key(key)
        ends = () if fancy or any(part is Ellipsis for part in key) else (Ellipsis,)
        where = self._held[(*key, *ends)]
        if not fancy and isinstance(operand, np.ndarray):
            if is_same(where, operand):
                return  # what `x[i] += 1` ends with
            refuse_moved(operand, where)
        if isinstance(operand, np.ndarray) and operand.size > 1:
            self._refuse_twice(key, fancy)
        if fancy and not isinstance(operand, np.ndarray):
            self._cupy.full((), operand, self.dtype)
        self._cupy.counts.launch("elementwise", operand, where, *fancy)
        self._held[key] = operand

    def _refuse_twice(self, key: tuple[Any, ...], fancy: list[np.ndarray]) -> None:
        """Refuse several values for one place: which of them CuPy leaves there is open."""
        if any(one.dtype != bool for one in fancy):
            places = np.arange(self.size).reshape(self.shape)[key]
            if len(np.unique(places)) < places.size:
                raise ValueError("a place is set twice: which value it has then is open")

    def _key(self, key: Any) -> tuple[tuple[Any, ...], list[np.ndarray]]:
        """The index on the host, and the arrays that are in it, whose cost is counted."""
        parts, counts = key if isinstance(key, tuple) else (key,), self._cupy.counts
        arrays = [part._held for part in parts if isinstance(part, ndarray)]
        if any(isinstance(one, bool) or not isinstance(one, (*_PLACES, ndarray)) for one in parts):
            raise TypeError("an index on the host would be copied to the device")
        for one in arrays:
            if one.dtype == bool:  # how many are true decides on the shape
                counts.syncs += 1
                self._cupy._new(np.zeros(one.shape, np.int32))
                counts.launch("scan", one)
        if len(arrays) > 1:  # becomes one index
            whole = self._cupy.zeros(np.broadcast_shapes(*(one.shape for one in arrays)), np.int64)
            for one in arrays:
                counts.launch("elementwise", one, whole._held, whole._held)
        held = tuple(part._held if isinstance(part, ndarray) else part for part in parts)
        return held, arrays

    # --- what computes ----------------------------------------------------------------------------

    def fill(self, value: Any) -> None:
        self._held.fill(self._cupy._operand(value))
        self._cupy.counts.launch("elementwise", self._held)

    def copy(self, order: str = "C") -> ndarray:
        return self._cupy._made("elementwise", self._held.copy(order=order), self._held)

    def sort(self, axis: int = -1, kind: Any = None) -> None:
        """In place, stable."""
        if not self._held.flags.c_contiguous:
            raise NotImplementedError("Sorting non-contiguous array is not supported.")
        self._cupy._new(np.empty_like(self._held))  # the other half of a radix sort
        self._held.sort(axis=axis, kind="stable")
        self._cupy.counts.launch("sort", self._held, self._held)

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
        found = self._cupy._made("elementwise", self._held.astype(dtype), self._held)
        if self.dtype != dtype:
            found._flush()
        return found

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
        return self._view(self._held.transpose(*axes))

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


def _flags(held: np.ndarray) -> SimpleNamespace:
    """Those that CuPy has as well."""
    names = "c_contiguous", "f_contiguous", "owndata", "fnc", "forc"
    return SimpleNamespace(**{name: getattr(held.flags, name) for name in names})


def overlap(a: ndarray, b: ndarray) -> bool:
    """Whether the first to last bytes of two arrays meet, which is all that CuPy looks at."""
    return bool(np.may_share_memory(a._held, b._held))


def refuse_moved(source: np.ndarray, target: np.ndarray) -> None:
    """Refuse a copy to overlapping memory that CuPy makes as a copy of bytes, which may not."""
    a, b = source.flags, target.flags
    as_bytes = (a.c_contiguous and b.c_contiguous) or (a.f_contiguous and b.f_contiguous)
    if as_bytes and (source.dtype, source.size) == (target.dtype, target.size):
        moved = source.ctypes.data != target.ctypes.data
        if moved and np.may_share_memory(source, target):
            raise ValueError("a copy of bytes to memory that overlaps theirs")


def is_same(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether two arrays are the same numbers at the same place."""
    return (a.ctypes.data, a.shape, a.strides) == (b.ctypes.data, b.shape, b.strides)
