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
        self._views: dict[int, Buffers] = {}

    def of(self, rows: int) -> Buffers:
        """Views of the first rows, each made once."""
        if rows not in self._views:
            self._views[rows] = self.first(rows)
        return self._views[rows]

    def first(self, rows: int) -> Buffers:
        """Return views of the first rows."""
        view = object.__new__(Buffers)
        view.z, view.error, view.loss = self.z[:rows], self.error[:rows], self.loss[:rows]
        view.flat_z, view.total = self.flat_z[:rows], self.total
        view.ones = self.ones[:, : rows * self.z.shape[1]]
        view.scratch = self.scratch.first(rows)
        return view
