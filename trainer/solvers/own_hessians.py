"""Second derivatives of columns whose rows or coordinates are their own: some for each that differ.

They go over the shared rows, a chunk at a time in the coordinates of their column; nothing is kept.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from trainer.solvers.basis import OwnBasis
from trainer.solvers.hessians import Hessians
from trainer.solvers.problem import Problem
from trainer.train.batches import RowSet

Flags = np.ndarray[Any, np.dtype[np.bool_]]
Indices = np.ndarray[Any, np.dtype[np.int64]]


class OwnHessians:
    """`trainer.solvers.hessians.Hessians` of K columns, those alike together."""

    def __init__(self, several: Sequence[Hessians], which: Indices) -> None:
        """Take those of columns that differ, and which of them each column (K,) has."""
        self._several, self._which = several, which
        first = several[0]
        self.device, self.model, self.outputs = first.device, first.model, first.outputs
        self.parameters, self.order, self.blocks = first.parameters, first.order, first.blocks
        self.pairs, self.at_once = first.pairs, first.at_once

    def take(self, columns: Any) -> OwnHessians:
        """Those of some of the columns."""
        return OwnHessians(self._several, self._which[columns])

    def of(self, column: int) -> Hessians:
        """Those of one column."""
        return self._several[int(self._which[column])]

    def alike(self, which: Flags) -> Iterator[tuple[Hessians, Flags]]:
        """Columns (K,) that are alike, and their second derivatives."""
        for number, one in enumerate(self._several):
            own = which & (self._which == number)
            if own.any():
                yield one, own


AnyHessians = Hessians | OwnHessians


def hessians_of(problem: Problem, rows: RowSet) -> AnyHessians:
    """The second derivatives of a stack's columns; nothing is made yet."""
    basis = problem.basis
    if not isinstance(basis, OwnBasis):
        return Hessians(problem, rows)
    _, first = np.unique(basis.which, return_index=True)
    several = [
        Hessians(replace(problem, basis=basis.of_one(int(k))), rows.of_column(int(k)), False)
        for k in first
    ]
    return OwnHessians(several, np.unique(basis.which, return_inverse=True)[1])
