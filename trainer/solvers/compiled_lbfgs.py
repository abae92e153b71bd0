"""The compiled twin of L-BFGS's pairs and recursion, in float64, where there is one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from trainer.model import compiled
from trainer.model.compiled import Library

Array = Any
_MOST_PAIRS = 64  # lbfgs_body.h's


class CompiledLbfgs:
    """Both, for arrays of C order of which none is another's view."""

    def __init__(self, library: Library) -> None:
        self._direct, self._pair = library.lbfgs_direct, library.lbfgs_pair

    def direct(
        self, q: Array, scale: Array, s: Array, y: Array, rho: Array, order: Sequence[int]
    ) -> None:
        """`trainer.solvers.lbfgs.direct`, by the slots of the pairs, the newest first."""
        slots = np.array(order, np.int64)
        flat = np.ascontiguousarray(scale)
        arrays = [one.ctypes.data for one in (slots, flat, s, y, rho, q)]
        self._direct(*q.shape, len(slots), *arrays)

    def pair(
        self,
        inner: int,
        moved: Array,
        l2: Array,
        spectrum: Array,
        steps: tuple[Array, Array, Array],
        s: Array,
        y: Array,
    ) -> Array:
        """Write a pair and sum up (5, K): s·y, s·v, v²/λ, s·s, y·y with v = y − l2·s of weights.

        Args:
            inner: r.
            moved: (K,) columns with a pair; others have zeros.
            l2: (K,).
            spectrum: (P,) λ.
            steps: the step and the gradients before and after it, (P, C, K) each.
            s: (P, C, K).
            y: (P, C, K).
        """
        sums = np.empty((5, s.shape[2]))
        arrays = [one.ctypes.data for one in (moved, l2, spectrum, *steps, s, y, sums)]
        self._pair(*s.shape, inner, *arrays)
        return sums


def compiled_lbfgs(xp: Any, pairs: int) -> CompiledLbfgs | None:
    """The twin, or None where arrays are not NumPy's or nothing was compiled."""
    library, _ = compiled.load()
    if library is None or xp is not np or pairs > _MOST_PAIRS:
        return None
    return CompiledLbfgs(library)
