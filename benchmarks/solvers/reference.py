"""J*: the least objective of each fold and penalty that anyone has reached."""

from __future__ import annotations

import numpy as np

from benchmarks.shared.problems import Array
from benchmarks.solvers.tasks import Solutions, Task

TIGHT = 1e-11
_ROUNDING = 1e-12  # of J₀: by which sums in another order differ


class Reference:
    """The best objective so far, which begins with our own at a tight tolerance.

    Attributes:
        least: (F, K) J*.
        lowered: by whom it was lowered since, and by how much of J₀ at most.
    """

    def __init__(self, task: Task, tight: Solutions) -> None:
        self._start, self._found = task.start, tight
        self.least = task.objective(tight)
        self.lowered: dict[str, float] = {}

    def gap(self, value: Array) -> float:
        """The largest (J − J*)/J₀; not a number where J is none."""
        return float(((value - self.least) / self._start).max())

    def same_support(self, found: Solutions) -> int:
        """On how many penalties the weights that are 0 are those of our tight solution."""
        pairs = zip(found, self._found, strict=True)
        same = [((w != 0) == (tight != 0)).all(axis=(0, 1)) for (w, _), (tight, _) in pairs]
        return int(np.all(same, axis=0).sum())

    def take(self, name: str, value: Array) -> None:
        """Lower J* to what a contender has reached."""
        below = float(((self.least - value) / self._start).max())
        if below > _ROUNDING:
            self.lowered[name] = max(below, self.lowered.get(name, 0.0))
        self.least = np.fmin(self.least, value)
