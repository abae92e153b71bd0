"""Which kernels CuPy would compile for what ran on its double (tests/double.py).

As read in the source of CuPy 14: one for each function, with the precision, the number of axes and
the contiguity of every operand. Axes of which all operands go on from one to the next are one axis
before; of two axes they are not joined. Reductions by CUB have one more for each size of a block.
"""

from __future__ import annotations

import sys
from types import FrameType
from typing import Any

import numpy as np
from double import Cupy

Signature = tuple[Any, ...]
COMPILED = {"elementwise", "reduction", "whole reduction", "scan"}  # the rest is of libraries
_ITEMS = 4  # numbers that a thread of CUB reduces
_LEAST, _MOST = 32, 512  # threads of its blocks
_BETWEEN = {"launch", "_made", "_reduced", "sum", "max", "min", "all", "any", "argmax"}
# whole or of the last axes: compiled in CuPy already; a product that is one number is a sum
_OF_CUB = {"sum", "max", "min", "_inner"}


def record(cupy: Cupy) -> set[Signature]:
    """The set of what is compiled for this double from now on."""
    found: set[Signature] = set()
    launch = cupy.counts.launch

    def heard(what: str, *arrays: Any) -> None:
        launch(what, *arrays)
        if what in COMPILED and (made := _signature(what, arrays, sys._getframe(1))) is not None:
            found.add(made)

    cupy.counts.launch = heard  # type: ignore[method-assign]
    return found


def _signature(what: str, arrays: tuple[Any, ...], frame: FrameType) -> Signature | None:
    name, axis = _caller(frame)
    if "reduction" in what:
        a = next(one for one in arrays if one.size == max(other.size for other in arrays))
        size = a.size // max(1, min(one.size for one in arrays))
        if what == "whole reduction" or _trails(a, axis):
            if name in _OF_CUB:
                return None
            threads = min(_MOST, max(_LEAST, 1 << (-(-size // _ITEMS) - 1).bit_length()))
            return name, what, str(a.dtype), threads
        order = [i for i in range(a.ndim) if i in axis] + [
            i for i in range(a.ndim) if i not in axis
        ]
        others = [one for one in arrays if one is not a]
        return name, what, _operands([a.transpose(order)]), _operands(others)
    return name, what, _operands(arrays)


def _caller(frame: FrameType) -> tuple[str, tuple[int, ...]]:
    """The function of CuPy that launches, and the axes that it reduces."""
    axis: tuple[int, ...] = ()
    while True:
        name, known = frame.f_code.co_name, frame.f_locals
        if name == "_reduced":
            axis = tuple(known["axes"])
            return known["function"].__name__, axis
        if name == "__call__":
            return known["self"]._ufunc.__name__, axis
        if name not in _BETWEEN or frame.f_back is None:
            return name, axis
        frame = frame.f_back


def _trails(a: np.ndarray, axis: tuple[int, ...]) -> bool:
    last = tuple(range(a.ndim - len(axis), a.ndim))
    return bool(a.flags.c_contiguous and axis == last)


def _operands(arrays: Any) -> tuple[tuple[Any, ...], ...]:
    """Of each its type, and of arrays how many axes are left and whether they are in order."""
    some = [one for one in arrays if isinstance(one, np.ndarray)]
    shape = np.broadcast_shapes(*(one.shape for one in some)) if _broadcast(some) else None
    if shape is not None:
        some = [np.broadcast_to(one, shape) for one in some]
        some = _joined(some, shape)
    views = iter(some)
    return tuple(
        (str(view.dtype), view.ndim, bool(view.flags.c_contiguous))
        if isinstance(one, np.ndarray) and (view := next(views)) is not None
        else (type(one).__name__,)
        for one in arrays
    )


def _broadcast(arrays: list[np.ndarray]) -> bool:
    try:
        np.broadcast_shapes(*(one.shape for one in arrays))
    except ValueError:  # rows that are taken, and their places
        return False
    return True


def _joined(arrays: list[np.ndarray], shape: tuple[int, ...]) -> list[np.ndarray]:
    """The same with axes joined as CuPy joins them."""
    loose = [one for one in arrays if not one.flags.c_contiguous]
    if len(shape) <= 1:
        return arrays
    if not loose:
        return [one.reshape(-1) for one in arrays]
    if len(shape) == 2 and len(arrays) > 1:
        return arrays
    axes, sizes, last = [], list(shape), -1
    for at, size in enumerate(shape):
        if size == 1:
            continue
        if last >= 0:
            if all(one.strides[at] * size == one.strides[last] for one in loose):
                sizes[at] *= sizes[last]
            else:
                axes.append(last)
        last = at
    axes += [last] if last >= 0 else []
    if len(axes) == len(shape):
        return arrays
    new = [sizes[at] for at in axes]
    return [
        np.lib.stride_tricks.as_strided(one, new, [one.strides[at] for at in axes])
        for one in arrays
    ]
