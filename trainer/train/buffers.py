"""The arrays that a step writes into: there before the first step, so that none allocates."""

from __future__ import annotations

from typing import Any

from trainer.model import Scratch


class Buffers:
    """Arrays for the b rows of a chunk: z, error (b, C, K), loss (b, K), ones (1, b·C), scratch.

    And flat_z (b, C·K), a view; total (1, K), for a sum over rows.
    """

    def __init__(self, xp: Any, rows: int, outputs: int, columns: int, dtype: Any) -> None:
        shape = (rows, outputs, columns)
        self.z, self.error = xp.empty(shape, dtype), xp.empty(shape, dtype)
        self.flat_z = self.z.reshape(rows, outputs * columns)
        self.loss = xp.empty((rows, columns), dtype)
        self.total = xp.empty((1, columns), dtype)
        self.ones = xp.ones((1, rows * outputs), dtype)
        self.scratch = Scratch.of(xp, *shape, dtype)
        self.views: dict[int, Buffers] = {}

    def first(self, rows: int) -> Buffers:
        """Return views of the first rows, made at the first call."""
        if rows not in self.views:
            self.views[rows] = self._first(rows)
        return self.views[rows]

    def _first(self, rows: int) -> Buffers:
        view = object.__new__(Buffers)
        view.z, view.error, view.loss = self.z[:rows], self.error[:rows], self.loss[:rows]
        view.flat_z, view.total = self.flat_z[:rows], self.total
        view.ones = self.ones[:, : rows * self.z.shape[1]]
        view.scratch, view.views = self.scratch.first(rows), {}
        return view
