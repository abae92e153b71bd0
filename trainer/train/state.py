"""The state of a stack: a flat record of named arrays; copies and moves are loops over names."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from trainer.streams import INIT, uniform

Array = Any
Numbers = np.ndarray[Any, np.dtype[np.float64]]


@dataclass
class State:
    """K columns after `step` steps.

    Attributes:
        step: steps taken, from 0.
        arrays: by name: "weights" (D, C, K), "bias" (C, K), and one "<parameter>.<slot>" of the
            same shape for each array the optimizer keeps.
        live: (K,) on the host: False for a column that has been stopped and no longer moves.
        numbers: by name, (K,) on the host: what a solver knows of each column.
    """

    step: int
    arrays: dict[str, Array] = field(default_factory=dict)
    live: np.ndarray[Any, np.dtype[np.bool_]] = field(default_factory=lambda: np.ones(1, bool))
    numbers: dict[str, Numbers] = field(default_factory=dict)

    def moved(self, move: Callable[[Array], Array]) -> State:
        """The state with each array moved: to the host, to a device, to some of its columns."""
        arrays = {name: move(array) for name, array in self.arrays.items()}
        return State(self.step, arrays, self.live, self.numbers)

    @property
    def weights(self) -> Array:
        """The weights (D, C, K)."""
        return self.arrays["weights"]

    @property
    def bias(self) -> Array:
        """The bias (C, K)."""
        return self.arrays["bias"]


def normal_weights(seed: int, features: int, outputs: int) -> Numbers:
    """Draw standard normal numbers (D, C), the same on every device and NumPy version.

    Box & Muller 1958 on splitmix64's bits: NumPy does not promise fixed streams (NEP 19).
    """
    count = features * outputs
    u = uniform(seed, INIT, 0, 2 * count)
    normal: Numbers = np.sqrt(-2 * np.log(u[:count])) * np.cos(2 * np.pi * u[count:])
    return normal.reshape(features, outputs)
