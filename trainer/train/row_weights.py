"""Row weights of row sets and targets, on the host: which rows a column has, and how much of each.

A column's weights are those of its row set on the rows whose labels its target knows, to the sum
that they had: p_ik = s_ik/S_k, where a plain run on these rows has the same. Weight 0 says that a
row is not the column's; nothing that stands in it counts.

Letters: N rows, R row sets, T targets, V pairs of the two that differ, K columns.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from typing import Any

import numpy as np

Array = Any
Numbers = np.ndarray[Any, np.dtype[np.float64]]
Indices = np.ndarray[Any, np.dtype[np.int64]]


class WeightTables:
    """The weights of R row sets, and which labels of T targets are missing."""

    def __init__(self, q: Array, r: Array, y: Array, whole: bool) -> None:
        """Look for missing labels.

        Args:
            q: (N,) or (R, N) row weights of the objective.
            r: the same of the logged loss.
            y: (N, C) or (N, C, T) targets, NaN where a label is missing; or (N,) class codes.
            whole: whether weights keep their sum where labels are missing.
        """
        self.q, self._whole = np.atleast_2d(q), whole
        self.r = self.q if r is q else np.atleast_2d(r)  # many row sets' tables are large
        missing = np.isnan(y) if y.ndim > 1 else np.zeros((len(y), 1), bool)
        self._missing = np.asarray(missing.reshape(*missing.shape[:2], -1).any(axis=1))  # (N, T)
        self._lacks = np.asarray(self._missing.any(axis=0))  # (T,)
        self._broken: Indices = np.zeros(0, np.int64)  # rows of X that are not finite

    def weighted(self, q: Array | None, r: Array | None) -> WeightTables:
        """The same with other weights."""
        other = copy(self)
        other.q = self.q if q is None else np.atleast_2d(q)
        other.r = self.r if r is None else np.atleast_2d(r)
        return other

    def without_unused(self, X: Array) -> Array:
        """X with zeros for rows that are not finite, where a row may have weight 0.

        Who has such a row has a weight of NaN for it instead: 0 times NaN would reach all.
        """
        if not self._lacks.any() and bool(self.q.all()) and bool(self.r.all()):
            return X
        with np.errstate(all="ignore"):
            suspects = np.flatnonzero(~np.isfinite(X.sum(axis=1)))
        self._broken = suspects[~np.isfinite(X[suspects]).all(axis=1)]
        if len(self._broken):
            X = X.copy()
            X[self._broken] = 0
        return X

    def of(
        self, target: Indices | None, row_set: Indices | None
    ) -> tuple[Numbers, Numbers, Indices | None]:
        """The weights (V, N) of objective and logged loss, and which of them a column has (K,).

        Args:
            target: (K,) of each column; None: all have the first.
            row_set: (K,) of each column; None: all have the first.
        """
        if target is None and row_set is None:
            return *self._of_pairs([(0, 0)]), None
        columns = len(target if row_set is None else row_set)  # type: ignore[arg-type]
        zeros = np.zeros(columns, np.int64)
        own = zeros if target is None else target
        lacking = np.where(self._lacks[own], own + 1, 0)  # 0: all that lack no label
        both = np.stack([zeros if row_set is None else row_set, lacking])  # (2, K)
        pairs, share = np.unique(both, axis=1, return_inverse=True)
        q, r = self._of_pairs([(one, lacks - 1) for one, lacks in pairs.T.tolist()])
        return q, r, share.reshape(-1) if len(q) > 1 else None

    def _of_pairs(self, pairs: Sequence[tuple[int, int]]) -> tuple[Numbers, Numbers]:
        """(V, N) each, of row sets and targets, one array where all rows weigh the same in both.

        A target of -1 lacks no label.
        """
        q = np.concatenate([self._weights(self.q, *pair) for pair in pairs])
        if self.r is self.q:
            return q, q
        return q, np.concatenate([self._weights(self.r, *pair) for pair in pairs])

    def _weights(self, table: Numbers, row_set: int, target: int) -> Numbers:
        given = table[row_set : row_set + 1]
        found = given
        if target >= 0 and self._lacks[target]:
            found = np.where(self._missing[:, target], 0.0, given)
            if self._whole:
                with np.errstate(invalid="ignore"):  # none is left: NaN, which shows
                    found = found * (given.sum() / found.sum())
        if len(self._broken):
            found = found.copy()
            broken = found[:, self._broken]
            found[:, self._broken] = np.where(broken == 0, 0.0, np.nan)
        return found
