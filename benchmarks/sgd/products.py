"""What the matrix library alone does."""

from __future__ import annotations

import numpy as np

from benchmarks.shared.problems import Problem


class Products:
    """Large square products of the matrix library in float32: what one thread of it can do."""

    size = 2048
    flop = 2.0 * size**3

    def __init__(self, problem: Problem) -> None:
        shape = 2, self.size, self.size
        self.a, self.b = np.random.default_rng(0).standard_normal(shape, dtype=np.float32)
        self.out = np.empty_like(self.a)

    def run(self) -> None:
        """Multiply once."""
        np.matmul(self.a, self.b, out=self.out)
