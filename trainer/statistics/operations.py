"""How many draws a run can afford, by a count of operations: a clock would change its bytes.

An operation is what takes about a nanosecond on a core of 2025; the numbers below were measured so.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

_SHARE = 0.05  # of the run
_START = 1_000_000_000  # of a run without rows: imports, files, the page
_CELL = 10  # to read, split, hash and scale a number of X
_STEP = 30_000  # of a stack, whatever its size
_PRODUCTS = 4 / 20  # of a number of X, an output and a column: two products, 20 flops a nanosecond
_ROW, _OUTPUT, _RANKED = 25, 2, 30  # of a row in a draw: as it is, of each output, ranked by it


class Drawn(NamedTuple):
    """Rows that are drawn, their outputs C, and whether areas under curves are read of them."""

    rows: int
    outputs: int
    ranked: bool

    @property
    def operations(self) -> int:
        """Of one draw."""
        each = _OUTPUT + _RANKED * self.ranked
        return self.rows * (_ROW + each * self.outputs)


def run_operations(
    rows: int, everyone: int, features: int, outputs: int, steps: int, passes: int
) -> float:
    """Operations of a run.

    Args:
        rows: that are trained on.
        everyone: those held out, too.
        features: D.
        outputs: C.
        steps: of all stacks.
        passes: over the rows, of all columns.
    """
    return (
        _START
        + _CELL * everyone * features
        + _STEP * steps
        + _PRODUCTS * rows * features * outputs * passes
    )


def affordable(whole: float, drawn: Sequence[Drawn], most: int) -> int:
    """How many draws take a twentieth of a run, at most so many; two digits of it, as people count.

    Args:
        whole: operations of the run.
        drawn: what each draw is of.
        most: what is wanted.
    """
    count = int(_SHARE * whole / max(1, sum(part.operations for part in drawn)))
    unit: int = 10 ** max(0, len(str(count)) - 2)
    return min(most, count // unit * unit)
