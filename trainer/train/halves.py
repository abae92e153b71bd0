"""The two halves of a step as a stack runs them: `trainer.model.step` with the arrays of one stack.

A device may bring compiled twins (`trainer.train.twins`), which have the same methods.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from trainer.model import Model
from trainer.model.penalties import add_l2_gradient
from trainer.model.step import Parameter, error, errors, flat, move
from trainer.optim.first_order import Hyper, Optimizer, Room
from trainer.train.batches import Batches
from trainer.train.buffers import Buffers
from trainer.train.step_record import StepRecorder

if TYPE_CHECKING:
    from trainer.device import Device

Array = Any


class NumpyHalves:
    """Both halves, written for any array module.

    Attributes:
        at_once: most steps of one call of `steps`; 1: it has none.
        narrow: whether it makes the two products of a step itself.
        adds: whether it then adds the gradient of a batch's later parts to the first one's.
    """

    at_once = 1
    narrow = False
    adds = False

    def __init__(
        self,
        device: Device,
        model: Model,
        optimizer: Optimizer,
        prox: Callable[..., None] | None,
        batches: Batches,
        hyper: Hyper,
        buffers: Callable[[int], Buffers],
        gradient: tuple[Array, Array],
        ring: Array,
        bias: bool,
        shared: Array | None = None,
    ) -> None:
        """Have room for a step's coefficients, each repeated for its C outputs.

        Args:
            device: where the stack is.
            model: a row of the model table.
            optimizer: a row of the optimizer table.
            prox: of the l1 penalty; None without one.
            batches: where its rows come from.
            hyper: (K,) each.
            buffers: for a chunk of so many rows.
            gradient: (D + 1, C, K), and as much to overwrite.
            ring: (S, 5, K), what each step of a stretch logs.
            bias: whether it is trained.
            shared: (D + 1, C, K) weights and bias of the features that columns share, by which
                scores are; None: the parameters themselves.
        """
        xp, self.device, self._model, self.batches = device.xp, device, model, batches
        self._optimizer, self._prox, self.buffers, self._bias = optimizer, prox, buffers, bias
        self._grad, self._free = self.gradients = gradient
        self._ring, self._shared = ring, shared
        rows, outputs, columns = self._grad.shape
        dtype, wide = self._grad.dtype, outputs * columns
        self._l2 = device.to_device(np.tile(hyper["l2"], outputs), dtype)  # (C·K,)
        self._ones = xp.ones((1, (rows - 1) * outputs), dtype)
        self._total = xp.empty((1, columns), dtype)
        names = list(optimizer.tables(np.zeros((2, columns)), hyper, 1))
        self._row = xp.empty((len(names), outputs, columns), dtype)
        row = dict(zip(names, self._row.reshape(len(names), wide), strict=True))  # (C·K,) each
        none = xp.zeros(wide, dtype)
        self._rows = (
            row,
            {
                name: none if name in optimizer.of_weights else one
                for name, one in row.items()
                if name not in optimizer.not_of_bias
            },
        )

    def begin(self, arrays: dict[str, Array], table: Array, first: int) -> None:
        """Go on with a state's arrays, by coefficients (S, J, K) of the steps from `first` on."""
        self._table, D = self.device.to_device(table, self._grad.dtype), len(self._grad) - 1
        parts = slice(0, D), slice(D, D + 1)
        self._offset = (arrays["parameters"] if self._shared is None else self._shared)[D]
        self._parameters: Sequence[Parameter] = [
            Parameter(
                p=flat(arrays["parameters"][part]),
                grad=flat(self._grad[part]),
                slots=[flat(arrays[slot][part]) for slot in self._optimizer.slots],
                row=row,
                room=Room.of(self.device.xp, self._free[part], self._grad.shape[2], self._ones),
                prox=prox,
            )
            for part, row, prox in zip(parts, self._rows, (self._prox, None), strict=True)
        ][: 1 + self._bias]

    def rows(self, part: slice) -> Array:
        """X (b, D) of a part of the batch."""
        return self.batches.gather(part)

    def errors(
        self,
        part: slice,
        slot: int,
        full: bool,
        into: Array,
        look: Callable[[Array, Array], None] | None,
    ) -> Array:
        """The first half: dL/dz ⊙ q (b, C, K) of the rows; the last row of `into` ← dJ/db.

        `into` is one of the two gradients (D + 1, C, K).
        """
        b = self.buffers(part.stop - part.start)
        rows, log = self.batches.targets(part), StepRecorder(self._ring[slot], full)
        return errors(
            self.device, self._model, b.z, self._offset, rows, into[-1], log, b, look or _nothing
        )

    def show(self, z: Array, part: slice, look: Callable[[Array, Array], None]) -> None:
        """Have ŷ − y and dL/dz looked at, of X·W in z (b, C, K), which is overwritten."""
        b, y = self.buffers(part.stop - part.start), self.batches.targets(part).y
        z += self._offset
        look(b.error, error(self._model, self.device.xp, z, y, b.error, b.loss, b.scratch))

    def show_gradient(self, look: Callable[[], None]) -> None:
        """Have dJ/dW looked at with its l2 added, and take that away again."""
        grad = self._grad.copy()
        weights = self._parameters[0]
        add_l2_gradient(self.device.xp, weights.grad, weights.p, self._l2, weights.room.free)
        look()
        self.device.xp.copyto(self._grad, grad)

    def steps(self, slot: int, first: int, last: int) -> None:
        """Whole steps: none at a time."""
        raise NotImplementedError

    def logged(self, count: int) -> Array:
        """(count, 5, K): what the first steps of the stretch have logged."""
        return self._ring[:count]

    def move(self, slot: int, full: bool, look: Callable[[], None] | None) -> None:
        """The second half."""
        xp = self.device.xp
        xp.copyto(self._row, self._table[slot][:, None, :])  # (J, C, K) ← (J, 1, K)
        log, update = StepRecorder(self._ring[slot], full), self._optimizer.update
        ones, total, parameters = self._ones, self._total, self._parameters
        move(self.device, update, parameters, self._l2, log, ones, total, look or _nothing)


def _nothing(*arrays: Array) -> None:
    """Look at nothing."""
