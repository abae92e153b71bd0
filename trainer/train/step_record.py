"""What a step logs: five numbers a column, as plain sums in one slot of a ring on the device.

Roots and quotients wait for the host, so that a step only adds and compares. A stretch of steps
returns them as `Records`; some steps also leave their whole arrays in a `Snapshot`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from trainer.model.row_sums import weighted_sums
from trainer.train.saved import Saved

if TYPE_CHECKING:
    from trainer.device import Device


Array = Any
Numbers = np.ndarray[Any, np.dtype[np.float64]]


class StepRecorder:
    """One slot of the ring: views (K,) that a step adds to, all zero before it.

    A slot that is not `full` takes the loss alone.
    """

    names = ("loss", "error_squares", "error_max", "dz_squares", "grad_squares")

    def __init__(self, slot: Array, full: bool = True) -> None:
        self.full = full
        self.loss, self.error_squares, self.error_max, self.dz_squares, self.grad_squares = slot

    def add_loss(self, device: Device, r: Array, loss: Array, free: Array, ones: Array) -> None:
        """Add Σ_rows r·loss of a chunk: r (1|K, b), loss (b, K), free (1, K), ones (1, b·C)."""
        weighted_sums(device, r, loss, ones, free)
        self.loss += free[0]

    def add_error(
        self,
        device: Device,
        error: Array,
        dz: Array,
        free: Array,
        wide: Array,
        ones: Array,
        row: Array,
    ) -> None:
        """Add the squares of ŷ − y and dL/dz (b, C, K), and take the largest of (ŷ − y)².

        Sums are products with `ones` (1, b·C): quicker and more exact than NumPy's over an axis.
        The largest is taken over rows first, into `wide` (C, K), as long stretches of memory are
        compared quicker than short ones.
        """
        if not self.full:
            return
        xp = device.xp
        columns = row.shape[-1]
        xp.multiply(error, error, out=free)
        xp.max(free, axis=0, out=wide)
        xp.max(wide, axis=0, out=row[0])
        xp.maximum(self.error_max, row[0], out=self.error_max)
        device.matmul(ones, free.reshape(-1, columns), out=row)
        self.error_squares += row[0]
        if dz is not error:  # two of the arrays are one where dL/dz = ŷ − y
            xp.multiply(dz, dz, out=free)
            device.matmul(ones, free.reshape(-1, columns), out=row)
        self.dz_squares += row[0]

    def add_gradient(
        self, device: Device, grad: Array, free: Array, ones: Array, row: Array
    ) -> None:
        """Add the squares of dJ/dW (D, C, K); ones (1, D·C)."""
        if not self.full:
            return
        device.xp.multiply(grad, grad, out=free)
        device.matmul(ones, free.reshape(-1, row.shape[-1]), out=row)
        self.grad_squares += row[0]

    @staticmethod
    def values(ring: Numbers, elements: Numbers) -> dict[str, Numbers]:
        """Turn a fetched ring (S, 5, K) into the columns of the step log, each (S, K).

        `elements` (S, 1) or (1, K) is B·C, how many numbers each step's ŷ − y has.
        """
        loss, error_squares, error_max, dz_squares, grad_squares = ring.transpose(1, 0, 2)
        return {
            "loss": loss,
            "error_rms": np.sqrt(error_squares / elements),
            "error_max": np.sqrt(error_max),
            "dz_rms": np.sqrt(dz_squares / elements),
            "grad_norm": np.sqrt(grad_squares),
        }


class Records(NamedTuple):
    """The log of a stretch of S steps: `step` and `epoch` (S,), each value (S, K).

    Loss and lr are of every step, the other values NaN between the steps of `Settings.log_every`.
    `takes` (S, K) says which columns moved at a step; None: all. `whole` is False where a stop has
    cut the stretch short: what ends with it has not been looked at.
    """

    step: np.ndarray[Any, np.dtype[np.int64]]
    epoch: np.ndarray[Any, np.dtype[np.int32]]
    values: dict[str, Numbers]
    takes: np.ndarray[Any, np.dtype[np.bool_]] | None = None
    whole: bool = True

    def saved(self) -> Saved:
        """A record of them: what they are made of, by name."""
        return {name: value for name, value in self._asdict().items() if value is not None}


def joined(parts: Sequence[Records]) -> Records:
    """The records of one stretch that stops have cut, from its parts in order."""
    if len(parts) == 1:
        return parts[0]
    takes = [one.takes for one in parts if one.takes is not None]
    return Records(
        np.concatenate([one.step for one in parts]),
        np.concatenate([one.epoch for one in parts]),
        {name: np.concatenate([one.values[name] for one in parts]) for name in parts[0].values},
        np.concatenate(takes) if takes else None,
        parts[-1].whole,
    )


class Snapshot:
    """The full ŷ − y, dL/dz and dJ/dW of one step, copied to the host while the step runs.

    `arrays`: error, dz (B, C, K), grad_weights (D, C, K: smooth part), weights (D, C, K) and bias
    (C, K) before the update, rows (B,): positions in the stack's rows.
    """

    def __init__(self, step: int) -> None:
        self.step = step
        self._parts: dict[str, list[np.ndarray[Any, Any]]] = {}

    def add(self, **arrays: np.ndarray[Any, Any]) -> None:
        """Append rows to the named arrays."""
        for name, array in arrays.items():
            self._parts.setdefault(name, []).append(np.array(array))

    @property
    def arrays(self) -> dict[str, np.ndarray[Any, Any]]:
        """The arrays, whole."""
        return {name: np.concatenate(parts) for name, parts in self._parts.items()}
