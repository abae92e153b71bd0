"""Which columns of a stack are scored together, and on which rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from trainer.model.metrics import Targets

Numbers = np.ndarray[Any, np.dtype[np.float64]]
Indices = np.ndarray[Any, np.dtype[np.int64]]


class ScoredColumns(NamedTuple):
    """Columns that are scored together: those of one target, on the same rows or each on its own.

    Attributes:
        columns: which of the K.
        target: which of T.
        share: which of the tables of weights; (k,) of each column where they have several.
        targets: of the rows that they use, on the host.
        rows: (n,) these rows, where others have weight 0; None: all.
        parts: those of one row set each, where these have several.
    """

    columns: Any
    target: int
    share: Any
    targets: Targets
    rows: Indices | None
    parts: Sequence[ScoredColumns] = ()

    def scores(self, every: Numbers) -> Numbers:
        """The scores (n, C, k) of them, of those of all rows and columns (N, C, K)."""
        own = every[:, :, self.columns]
        return own if self.rows is None else own[self.rows]

    def within(self, part: slice) -> Any:
        """Which of the rows of a part it uses."""
        if self.rows is None:
            return slice(None)
        first, last = np.searchsorted(self.rows, (part.start, part.stop))
        return self.rows[first:last] - part.start
