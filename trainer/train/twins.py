"""The compiled twins of a step's two halves, for stacks whose model and optimizer have them.

A twin sees the stack's own arrays by their addresses: it changes nothing but them, and what it
computes is tested against the two halves of `trainer.model.step`, which run where there is none.
"""

from __future__ import annotations

import ctypes
import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from trainer.model import compiled, kernels
from trainer.model.compiled import ERRORS, GRADIENT, MOVE, NARROW, SCORES, Plan, room_of_errors
from trainer.model.compiled_errors import RULES, rule_of
from trainer.model.models import Model
from trainer.model.penalties import soft_threshold
from trainer.model.step import flat
from trainer.optim import first_order
from trainer.optim.first_order import Hyper, Optimizer
from trainer.train.batches import Batches, MiniBatches
from trainer.train.buffers import Buffers
from trainer.train.fused import FusedHalves
from trainer.train.halves import NumpyHalves

if TYPE_CHECKING:
    from trainer.device import Device

Array = Any
_UPDATES: dict[Callable[..., Any], int] = {
    first_order.sgd: 0,
    first_order.nesterov: 1,
    first_order.adam: 2,
    first_order.adamw: 2,
    first_order.lars: 3,
}
# names of the coefficients, in the order in which rules.h reads them
COEFFICIENTS: tuple[tuple[str, ...], ...] = (
    ("lr", "momentum", "threshold"),
    ("lr", "momentum", "threshold", "lookahead"),
    (
        *("beta1", "beta2", "eps", "one_minus_beta1", "one_minus_beta2"),
        *("rate", "root", "threshold", "decay"),
    ),
    ("lr", "momentum", "trust_coefficient"),
)
_PIECE_FLOP = 2e8  # of steps between two questions whether to stop: some 10 ms
_WHOLE = 16  # numbers that the rows of a narrow product are padded to a multiple of
_PADDED = 4096  # features of a narrow product, at most


class CompiledHalves:
    """The compiled step of one stack; a narrow one makes its own products, all in one call."""

    adds = False

    def __init__(
        self,
        library: compiled.Library,
        precision: str,
        plan: Plan,
        text: NumpyHalves,
        shared: Array | None,
    ) -> None:
        """Begin with a plan of what never changes; the text gives what only snapshots need."""
        self._shared = shared  # see `NumpyHalves`
        self._plan, self._at, self._text = plan, ctypes.byref(plan), text
        self._step, self._steps = library.step[precision], library.steps[precision]
        self._held: dict[str, Array | None] = {}
        self._last_row = {id(one): one[-1].ctypes.data for one in text.gradients}
        self.narrow = bool(plan.narrow)
        self._batches = text.batches
        flop = 4.0 * self._batches.size * plan.features * plan.outputs * plan.columns
        one = self._batches.gathered is not None and self._batches.chunk_rows == self._batches.size
        self.at_once = max(1, int(_PIECE_FLOP / flop)) if one and shared is None else 1

    def point(self, arrays: Mapping[str, Array | None]) -> None:
        """Have the plan point to these arrays, and keep them."""
        for name, array in arrays.items():
            if array is not None and self._held.get(name) is array:
                continue
            assert array is None or array.flags.c_contiguous, name
            setattr(self._plan, name, None if array is None else array.ctypes.data)
        self._held.update(arrays)

    def begin(self, arrays: dict[str, Array], table: Array, first: int) -> None:
        """Go on with a state's arrays, by coefficients (S, J, K) of the steps from `first` on."""
        table = np.ascontiguousarray(table, arrays["parameters"].dtype)
        self._begun = arrays, table, first
        slots = [one for name, one in arrays.items() if name != "parameters"]
        named = dict(zip(("slot0", "slot1"), slots, strict=False))
        self.point({"parameters": arrays["parameters"], "table": table, **named})
        self._weights = flat(arrays["parameters"][:-1])
        self.point(self._batches.placed())

    def rows(self, part: slice) -> Array:
        """X (b, D) of a part of the batch; where the product is narrow, X·W is made as well."""
        gathered = self._batches.gathered
        if gathered is None:
            return self._batches.gather(part)
        size = part.stop - part.start
        self._step(self._at, SCORES, part.start, size, 0, None)
        return gathered[:size]

    def logged(self, count: int) -> Array:
        """(count, 5, K): what the first steps of the stretch have logged."""
        return self._text.logged(count)

    def errors(
        self,
        part: slice,
        slot: int,
        full: bool,
        into: Array,
        look: Callable[[Array, Array], None] | None,
    ) -> Array:
        """The first half, and where the product is narrow Xᵀ(dL/dz ⊙ q): in place of z."""
        size = part.stop - part.start
        z = self._text.buffers(size).z
        if look is not None:
            self._text.begin(*self._begun)
            self._text.show(z.copy(), part, look)
        if self._shared is not None:
            self.point({"parameters": self._shared})
        self._step(self._at, ERRORS | GRADIENT, part.start, size, slot, self._last_row[id(into)])
        return z

    def move(self, slot: int, full: bool, look: Callable[[], None] | None) -> None:
        """The second half; to be looked at, dJ/dW has its l2 added before."""
        if look is not None:
            self._text.show_gradient(look)
        if self._shared is not None:
            self.point({"parameters": self._begun[0]["parameters"]})
        self._step(self._at, MOVE, 0, 0, slot, None)

    def steps(self, slot: int, first: int, last: int) -> None:
        """Whole steps, of one epoch; at most `at_once`."""
        batches, size = self._batches, self._batches.size
        start, stop = batches.batch(first).start, batches.batch(last).stop
        if self.narrow:
            self._steps(self._at, start, stop, size, slot)
            return
        take, at, grad = self._step, self._at, self._text.gradients[0]
        matmul, into, G = self._text.device.matmul, self._last_row[id(grad)], flat(grad[:-1])
        X: Array = batches.gathered
        z = self._text.buffers(size).flat_z
        for number, place in enumerate(range(start, stop, size), slot):
            X, z = X[: stop - place], z[: stop - place]  # the last one may be shorter
            take(at, SCORES, place, len(X), 0, None)
            matmul(X, self._weights, out=z)  # (b, D) · (D, C·K)
            take(at, ERRORS, place, len(X), number, into)
            matmul(X.T, z, out=G)  # (D, b) · (b, C·K)
            take(at, MOVE, 0, 0, number, None)


def halves_of(
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
    tf32: bool = False,
    shared: Array | None = None,
) -> NumpyHalves | CompiledHalves | FusedHalves:
    """The halves of a stack: compiled where the device, its model and its optimizer have them.

    Arguments are those of `NumpyHalves`, and `tf32`: whether a GPU multiplies in TF32. Kernels of
    CUDA are not for columns that are standardised by their own rows.
    """
    text = NumpyHalves(
        device, model, optimizer, prox, batches, hyper, buffers, gradient, ring, bias, shared
    )
    X = batches.rows.X
    rows, C, K = gradient[0].shape
    D = rows - 1
    known = _knows(model, optimizer, prox) and str(X.dtype) in compiled.PRECISIONS
    if not known or 0 in (D, C, K, len(X)):
        return text
    loss, update = rules = RULES[rule_of(model)], _UPDATES[optimizer.update]
    same = {"features": D, "outputs": C, "columns": K, "coefficients": len(COEFFICIENTS[update])}
    same |= {"bias": bias, "prox": prox is not None}
    same |= compiled.strides(batches.rows.y, batches.rows.q, batches.placed())
    same |= {"decay": optimizer.update is first_order.adamw}
    l2 = device.to_device(hyper["l2"], X.dtype)
    if device.twin == "cuda" and kernels.wanted() and shared is None:
        return FusedHalves(device, rules, same, l2, ring, text, tf32)
    library, _ = compiled.load()
    if library is None or device.twin != "c":
        return text
    b = batches.chunk_rows
    whole = isinstance(batches, MiniBatches) and b == batches.size and shared is None
    narrow = _narrow((D, C, K), whole)
    padded = _padded(D) if narrow else D
    plan = Plan(**same, loss=loss, update=update, narrow=narrow, padded=padded)
    found = CompiledHalves(library, str(X.dtype), plan, text, shared)
    found.point({"X": X, "y": batches.rows.y, "ring": ring, "gradient": gradient[0]})
    found.point({"z": buffers(b).z, "l2": l2})
    wide = np.zeros((b, padded), X.dtype) if padded > D else batches.gathered
    found.point({"gathered": wide, "room": np.empty(_room((D, C, K), b, narrow), X.dtype)})
    return found


def twin_numbers(
    device: Device, shape: tuple[int, int, int], rows: int, whole: bool, steps: int
) -> int:
    """Numbers of the arrays that a twin has beside its stack's.

    Args:
        device: which brings it.
        shape: (D, C, K).
        rows: of a chunk.
        whole: whether a chunk is a whole batch of shuffled rows.
        steps: of a stretch.
    """
    if device.twin == "cuda" and kernels.wanted():
        return sum(math.prod(part) for part in kernels.parts_of(rows, shape, steps))
    if device.twin != "c":
        return 0
    narrow = _narrow(shape, whole)
    return _room(shape, rows, narrow) + (rows * _padded(shape[0]) if narrow else 0)


def padded_numbers(device: Device, features: int, rows: int) -> int:
    """Numbers of so many rows that are padded for TF32; 0 where they need not be."""
    padded = kernels.padded(features)
    return rows * padded if device.products is not None and padded > features else 0


def _narrow(shape: tuple[int, int, int], whole: bool) -> bool:
    """Whether the products of a stack are made by products.c."""
    D, C, K = shape
    return whole and C * K <= NARROW and D <= _PADDED


def _padded(features: int) -> int:
    return -(-features // _WHOLE) * _WHOLE


def _room(shape: tuple[int, int, int], rows: int, narrow: bool) -> int:
    """Numbers that the phases of a step overwrite, each for itself."""
    D, C, K = shape
    products = 0
    if narrow:  # see step.h
        products = _padded(D) if C * K == 1 else NARROW * (rows + _padded(D))
    return max(room_of_errors(C, K), products)


def _knows(model: Model, optimizer: Optimizer, prox: Any) -> bool:
    """Whether the rules are the table's own; somebody's own functions run as they are written."""
    own = rule_of(model) in RULES and optimizer.update in _UPDATES
    return own and prox in (None, soft_threshold)
