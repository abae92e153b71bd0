"""What a solver is told of its columns beside their problem."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from trainer.solvers.choose import Method

Numbers = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True)
class SolverSettings:
    """What K columns share, and (K,) arrays of what they do not.

    Attributes:
        method: how directions are made.
        max_iter: (K,) most iterations.
        tol: (K,) bound of max |dJ/dW|, the bias included.
        log_every: iterations between full records of the step log.
    """

    method: Method
    max_iter: Numbers
    tol: Numbers
    log_every: int = 1

    def take(self, columns: Any) -> SolverSettings:
        """The settings of some of the columns."""
        return replace(self, max_iter=self.max_iter[columns], tol=self.tol[columns])
