"""The CUDA twin of a step's two halves on a stack's own arrays: one kernel each.

A step is five launches: rows are taken, X·W, `error_step`, Xᵀ(dL/dz ⊙ q), `update`; lars asks for
norms of whole columns before its update, which is one more. Nothing is copied, nothing waits; what
a step logs stays in parts on the device until a stretch has ended. Which rows it takes and where it
logs is counted on the device, so that each step of a full batch launches the same: many of them are
captured once in a CUDA graph, which is launched as one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from trainer.model import kernels
from trainer.model.kernels import (
    ERROR_STEPS,
    LOGGED,
    TAKE_ROWS,
    UPDATES,
    WEIGHT_SQUARES,
    ErrorBlocks,
    Launch,
    UpdateBlocks,
    take_launch,
)
from trainer.model.step import flat

if TYPE_CHECKING:
    from trainer.device import Device
    from trainer.train.halves import NumpyHalves

Array = Any
GRAPHS = 32, 1
"""Steps of a graph: 32 spare the host nearly all its work, and one at a time go the rest."""
_PART_NODES = 6  # of a part of a batch: rows taken, errors, two products of two kernels at most
_NODE = 2**16
"""Bytes of a GPU that CUDA's driver keeps for a kernel in a graph, beside CuPy's pool.

As measured with CUDA 11.2, by graphs of 500, 1,000 and 2,000 (NVIDIA's developer forum, "Increasing
memory footprint with large task graphs", 2023).
"""


def graph_bytes(device: Device, parts: int) -> int:
    """Bytes that the graphs of a stack take of a GPU, whose batches have so many parts."""
    if device.products is None or not (kernels.wanted() and kernels.graphs_wanted()):
        return 0
    return sum(GRAPHS) * (parts * _PART_NODES + 1) * _NODE


class FusedHalves:
    """The kernels of a step, launched on the arrays of one stack.

    Attributes:
        at_once: most steps of one call of `steps`; 1: without a CUDA graph it is not called.
        narrow, adds: see `NumpyHalves`; where the device has products of its own it does both.
    """

    def __init__(
        self,
        device: Device,
        rules: tuple[int, int],
        numbers: Mapping[str, int],
        l2: Array,
        ring: Array,
        text: NumpyHalves,
        tf32: bool,
    ) -> None:
        """Have room for the parts of sums; the text gives what only snapshots need.

        Args:
            device: where the stack is.
            rules: of loss and optimizer, as rules.h numbers them.
            numbers: fields of the plan that never change.
            l2: (K,) on the device.
            ring: (S, 5, K), what each step of a stretch logs.
            text: the halves in NumPy's terms.
            tf32: whether products are in TF32, if it makes them itself.
        """
        self._plan, self._by_value = kernels.new_plan(**numbers)
        self._text, self._xp, self._products = text, device.xp, device.products
        self.narrow = self.adds = self._products is not None
        self.at_once = max(GRAPHS) if self.adds and kernels.graphs_wanted() else 1
        loss, update = rules
        module = kernels.kernels_of(device.xp, str(ring.dtype))
        self._error_step = module.get_function(ERROR_STEPS[loss])
        self._update = module.get_function(UPDATES[update])
        norms = WEIGHT_SQUARES.get(UPDATES[update])
        self._norms = None if norms is None else module.get_function(norms)
        self._take_rows = module.get_function(TAKE_ROWS)
        self._held: dict[str, Array | None] = {}
        self._made: dict[tuple[int, int], tuple[Callable[[], None], Callable[[], None]]] = {}
        self._graphs: dict[int, Any] = {}  # by their steps
        self._ready = False  # whether a full batch's step has been taken: what it needs is loaded
        self._launches: dict[int, Launch] = {}  # by rows of a part
        self._batches, self._ring = text.batches, ring
        self._plan.batch, self._plan.places = text.batches.size, len(text.batches.rows)
        self._takes = text.batches.gathered is not None
        self._now = device.xp.zeros(2, np.int64)
        shape = len(ring), int(self._plan.coefficients), ring.shape[2]
        self._table = device.xp.empty(shape, ring.dtype)
        self._share_out(text.batches.chunk_rows)
        z = text.buffers(text.batches.chunk_rows).z
        self._point({"z": z, "gradient": text.gradients[0], "l2": l2, "ring": ring})
        self._point({"y": text.batches.rows.y, "X": text.batches.rows.X})
        self._point({"now": self._now, "table": self._table})
        self._place_rows(tf32 and self.narrow)

    def _place_rows(self, tf32: bool) -> None:
        """Where products read X: in TF32 the beginnings of rows are aligned, with zeros between."""
        batches, features, self._tf32 = self._batches, int(self._plan.features), tf32
        self._plan.width = width = kernels.padded(features) if tf32 else features
        if not self._takes:
            self._X = batches.rows.padded(self._xp, width)[:, :features]
            return
        taken: Array = batches.gathered
        if width > features:
            taken = self._xp.zeros((batches.chunk_rows, width), taken.dtype)
        self._point({"taken": taken})
        self._X = taken[:, :features]

    def _share_out(self, rows: int) -> None:
        """Blocks for parts of at most so many rows, and room for what they add up."""
        plan = self._plan
        D, C, K = shape = int(plan.features), int(plan.outputs), int(plan.columns)
        self._rows, self._parameters = ErrorBlocks.of(rows, C, K), UpdateBlocks.of(D, C, K)
        plan.block_rows, plan.tile = self._rows.rows, self._rows.tile
        plan.weight_blocks = self._parameters.weights
        of_rows, of_weights = kernels.parts_of(rows, shape, len(self._ring))
        partial = self._xp.empty(of_rows, self._ring.dtype)
        self._squares = self._xp.empty(of_weights, self._ring.dtype)
        self._point({"partial": partial, "squares": self._squares})
        if self._norms is not None:  # few beside the squares of all steps, which are counted
            self._point({"lengths": self._xp.empty((2, *of_weights[1:]), self._ring.dtype)})

    def _point(self, arrays: Mapping[str, Array | None]) -> None:
        """Have the plan point to these arrays, and keep them; graphs are of what it pointed to."""
        for name, array in arrays.items():
            assert array is None or array.flags.c_contiguous, name
            address = 0 if array is None else array.data.ptr
            if getattr(self._plan, name) != address:
                setattr(self._plan, name, address)
                self._made.clear()
                self._graphs.clear()
        self._held.update(arrays)

    def begin(self, arrays: dict[str, Array], table: Array, first: int) -> None:
        """Go on with a state's arrays, by coefficients (S, J, K) of the steps from `first` on."""
        self._begun = arrays, table, first
        self._place = self._batches.batch(first).start
        now = np.array([self._place, -1])  # the first step opens slot 0
        self._given = np.ascontiguousarray(table, self._ring.dtype), now  # while they are copied
        self._table[: len(table)].set(self._given[0])
        self._now.set(now)
        slots = [one for name, one in arrays.items() if name != "parameters"]
        named = dict(zip(("slot0", "slot1"), slots, strict=False))
        self._point({"parameters": arrays["parameters"], **named})
        self._point(self._batches.placed())

    def rows(self, part: slice) -> Array:
        """X (b, D) of a part of the batch; where the products are its own, X·W is made as well."""
        plan, size = self._plan, part.stop - part.start
        plan.start, plan.rows = part.start - self._place, size
        plan.first = plan.start == 0
        X = self._X[:size] if self._takes else self._X[part]
        if self._takes:
            self._launch(self._take_rows, take_launch(size, int(plan.features)))
        if self.narrow:
            self._products_of(X)[0]()
        return X

    def errors(
        self,
        part: slice,
        slot: int,
        full: bool,
        into: Array,
        look: Callable[[Array, Array], None] | None,
    ) -> Array:
        """The first half: dL/dz ⊙ q (b, C, K) in place of z; dJ/db is left in parts.

        Where the products are its own, so is Xᵀ(dL/dz ⊙ q), which it adds to that of earlier parts.
        """
        plan, size = self._plan, part.stop - part.start
        z = self._text.buffers(size).z
        if look is not None:
            self._text.begin(*self._begun)
            self._text.show(z.copy(), part, look)
        if plan.first:  # later parts have no more rows: their blocks add to these blocks' sums
            plan.row_blocks = self._rows.count(size)
        if size not in self._launches:
            self._launches[size] = self._rows.launch(size)
        self._launch(self._error_step, self._launches[size])
        if self.narrow:
            self._made[plan.start, size][1]()
        return z

    def _products_of(self, X: Array) -> tuple[Callable[[], None], Callable[[], None]]:
        """What makes z = X·W and Xᵀ(dL/dz ⊙ q) of the part that the plan has."""
        key = int(self._plan.start), len(X)
        if key not in self._made:
            z, parameters, grad = self._text.buffers(len(X)).flat_z, *self._weights()
            assert self._products is not None
            make, later = self._products.product, not self._plan.first
            self._made[key] = (
                make(X, parameters, z, tf32=self._tf32),
                make(X.T, z, grad, add=later, tf32=self._tf32),
            )
        return self._made[key]

    def _weights(self) -> tuple[Array, Array]:
        """W and dJ/dW (D, C·K)."""
        return flat(self._begun[0]["parameters"][:-1]), flat(self._text.gradients[0][:-1])

    def move(self, slot: int, full: bool, look: Callable[[], None] | None) -> None:
        """The second half; to be looked at, dJ/dW has its l2 added before."""
        if look is not None:
            self._text.show_gradient(look)
        how = self._parameters.launch
        if self._norms is not None:
            self._launch(self._norms, how._replace(grid=(self._parameters.weights, how.grid[1])))
        self._launch(self._update, how)
        self._ready |= self._place + self._batches.size <= self._plan.places
        self._move_on(1)

    def _move_on(self, steps: int) -> None:
        """Know where the device is after some steps; an epoch ends where the next one starts."""
        self._place += steps * self._batches.size
        if self._place >= self._plan.places:
            self._place = 0

    def _launch(self, kernel: Callable[..., None], how: Launch) -> None:
        shared = how.shared * self._ring.dtype.itemsize
        kernel(how.grid, how.block, (self._by_value,), shared_mem=shared)

    def logged(self, count: int) -> Array:
        """(count, 5, K): what the steps so far have logged, sums of parts taken together."""
        ring = self._ring[:count]
        ring[:, LOGGED] = self._xp.sum(self._squares[:count], axis=1)
        return ring

    def steps(self, slot: int, first: int, last: int) -> None:
        """Whole steps, of one epoch; at most `at_once`."""
        batch = self._batches.batch(last)
        is_full = batch.stop - batch.start == self._batches.size
        step, last_full = first, last if is_full else last - 1
        while step <= last:
            step += self._replay(step, last_full) or self._take(step, 1)

    def _take(self, first: int, count: int) -> int:
        """Launch so many steps one by one."""
        for step in range(first, first + count):
            for part in self._batches.parts(step):
                self.rows(part)
                self.errors(part, 0, True, self._text.gradients[0], None)
            self.move(0, True, None)
        return count

    def _replay(self, first: int, last: int) -> int:
        """Launch a graph of steps of full batches; return of how many, 0 where there is none.

        A step of a full batch is taken without one first: what is loaded at a first launch, such
        as the products that cuBLAS has for this many rows, cannot be captured.
        """
        count = next((one for one in GRAPHS if one <= last - first + 1), 0)
        products = self._products
        if products is None or count == 0 or self.at_once == 1 or not self._ready:
            return 0
        place = self._place
        try:
            if count not in self._graphs:
                self._graphs[count] = products.captured(lambda: self._take(first, count))
                self._place = place  # nothing has run
            self._graphs[count].launch()
        except Exception as error:  # whatever a driver says against it: steps go without
            self._place, self.at_once = place, 1
            products.failed = (str(error).strip().splitlines() or [type(error).__name__])[0]
            return 0
        self._move_on(count)
        return count
