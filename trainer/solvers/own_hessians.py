"""Second derivatives of columns whose rows or coordinates are their own: some for each that differ.

They go over the shared rows, a chunk at a time in the coordinates of their column; nothing is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
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

    def __init__(self, make: Callable[[int], Hessians], which: Indices) -> None:
        """Say how those of columns that differ are made, and which of them each column (K,) has."""
        self._make, self._which = make, which
        first = make(int(which[0]))
        self.device, self.model, self.outputs = first.device, first.model, first.outputs
        self.parameters, self.order, self.blocks = first.parameters, first.order, first.blocks
        self.pairs, self.at_once = first.pairs, first.at_once

    def take(self, columns: Any) -> OwnHessians:
        """Those of some of the columns."""
        return OwnHessians(self._make, self._which[columns])

    def of(self, column: int) -> Hessians:
        """Those of one column."""
        return self._make(int(self._which[column]))

    def alike(self, which: Flags) -> Iterator[tuple[Hessians, Flags]]:
        """Columns (K,) that are alike, and their second derivatives."""
        for number in np.unique(self._which[which]).tolist():
            yield self._make(number), which & (self._which == number)


AnyHessians = Hessians | OwnHessians


def hessians_of(problem: Problem, rows: RowSet) -> AnyHessians:
    """The second derivatives of a stack's columns; nothing is made yet."""
    basis = problem.basis
    if not isinstance(basis, OwnBasis):
        return Hessians(problem, rows)
    _, first, which = np.unique(basis.which, return_index=True, return_inverse=True)

    @cache
    def make(number: int) -> Hessians:
        k = int(first[number])
        return Hessians(replace(problem, basis=basis.of_one(k)), rows.of_column(k), False)

    return OwnHessians(make, which.reshape(-1))
