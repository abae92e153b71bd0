"""Minimisers of a quadratic with l1 in C, where the library is: trainer/model/sparse.c.

Coordinate descent (Friedman, Hastie & Tibshirani 2010) proposes which elements are not 0; the
linear system of these gives their values, and the slopes of the others show that it is the minimum
and the only one. So what is found does not depend on where descent began or stopped. Anything else
is left to `trainer.solvers.active_set`. Paths are those of `trainer.solvers.lasso_path`.
"""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np

from trainer.machine.interrupted import ShouldStop, ask, never
from trainer.model import compiled
from trainer.solvers import lasso_path
from trainer.solvers.active_set import Minimum

Array = Any
MOST = 2048  # elements: of more the copy that descent makes may not fit
_TRIES = 12  # systems; then the active set, from the start
_CORNERS = 64  # between two questions whether to stop
_PROVEN, _UNDECIDED = 1, 0  # sparse.c's
_DONE, _MORE = 1, 0


class _Path(ctypes.Structure):
    """`path` of sparse.c."""

    _fields_ = [
        *((name, ctypes.c_int64) for name in ("n", "k", "a", "reached", "gone")),
        ("now", ctypes.c_double),
        *((name, ctypes.c_void_p) for name in ("H", "c", "strengths", "free", "order")),
        *((name, ctypes.c_void_p) for name in ("inverse", "signs", "room", "found")),
    ]


def proven_minimum(
    M: Array,
    l2: Array,
    slope: Array,
    l1: Array,
    start: Array,
    near: Array,
    should_stop: ShouldStop = never,
) -> Minimum | None:
    """The minimum of `active_set.minimize`, where it is compiled and shown to be the only one.

    What is given is as there, and `near` (n,), where descent begins: the result has no trace of it.

    Raises:
        Interrupted: `should_stop()`, asked before each system.
    """
    library, n = compiled.load()[0], len(start)
    if library is None or not 0 < n <= MOST or M.dtype != np.float64:
        return None
    x, there = near.copy(), slope.copy()
    if near is not start:
        there += M @ (near - start) + l2 * (near - start)
    room, which = np.empty(n * n + 4 * n), np.empty(2 * n, np.int64)
    held = [np.ascontiguousarray(array) for array in (M, l2, l1, start, slope)]
    given = [array.ctypes.data for array in (*held, x, there, room, which)]
    for _ in range(_TRIES):
        ask(should_stop)
        told = library.minimum(n, *given)
        if told != _UNDECIDED:
            return Minimum(x, there) if told == _PROVEN else None
    return None


def follow_path(
    H: lasso_path.Numbers,
    c: lasso_path.Numbers,
    free: lasso_path.Flags,
    strengths: lasso_path.Numbers,
    should_stop: ShouldStop = never,
) -> lasso_path.Numbers | None:
    """Follow a path as `lasso_path.follow_path`, which does it where nothing is compiled."""
    library, n, k = compiled.load()[0], len(c), len(strengths)
    if library is None or n == 0:
        return lasso_path.follow_path(H, c, free, strengths, should_stop)
    arrays = {
        "H": H, "c": c, "strengths": strengths, "free": free, "order": np.zeros(n, np.int64),
        "inverse": np.empty((n, n)), "signs": np.zeros(n), "room": np.empty((7, n)),
        "found": np.zeros((n, k)),
    }  # fmt: skip
    held = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    path = _Path(n=n, k=k, gone=-1, now=np.inf)
    for name, array in held.items():
        setattr(path, name, array.ctypes.data)
    at = ctypes.byref(path)
    for _ in range(lasso_path.CORNERS * n // _CORNERS + 1):
        ask(should_stop)
        told = library.corners(_CORNERS, at)
        if told != _MORE:
            break
    found = held["found"]
    known = told == _DONE and lasso_path.are_least(H, c, free, strengths, found)
    return found if known else None
