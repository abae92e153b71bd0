"""The CUDA twin of a step's two halves on a stack's own arrays: one kernel each.

A step is five launches: rows are taken, X·W, `error_step`, Xᵀ(dL/dz ⊙ q), `update`. Nothing is
copied, nothing waits; what a step logs stays in parts on the device until a stretch has ended.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from trainer.model import kernels
from trainer.model.kernels import ERROR_STEPS, LOGGED, UPDATES, ErrorBlocks, Launch, UpdateBlocks

if TYPE_CHECKING:
    from trainer.device import Device
    from trainer.train.halves import NumpyHalves

Array = Any


class FusedHalves:
    """The two kernels of a step, launched on the arrays of one stack.

    Attributes:
        at_once: most steps of one call of `steps`: it has none.
        narrow: whether it makes the two products of a step itself.
    """

    at_once = 1
    narrow = False

    def __init__(
        self,
        device: Device,
        rules: tuple[int, int],
        numbers: Mapping[str, int],
        l2: Array,
        ring: Array,
        text: NumpyHalves,
    ) -> None:
        """Have room for the parts of sums; the text gives what only snapshots need.

        Args:
            device: where the stack is.
            rules: of loss and optimizer, as rules.h numbers them.
            numbers: fields of the plan that never change.
            l2: (K,) on the device.
            ring: (S, 5, K), what each step of a stretch logs.
            text: the halves in NumPy's terms.
        """
        self._plan, self._by_value = kernels.new_plan(**numbers)
        self._text, self._xp = text, device.xp
        loss, update = rules
        module = kernels.kernels_of(device.xp, str(ring.dtype))
        self._error_step = module.get_function(ERROR_STEPS[loss])
        self._update = module.get_function(UPDATES[update])
        self._held: dict[str, Array | None] = {}
        self._launches: dict[int, Launch] = {}  # by rows of a part
        self._batches, self._ring = text.batches, ring
        self._share_out(text.batches.chunk_rows)
        z = text.buffers(text.batches.chunk_rows).z
        self._point({"z": z, "gradient": text.gradients[0], "l2": l2, "ring": ring})
        self._point({"y": text.batches.rows.y})

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

    def _point(self, arrays: Mapping[str, Array | None]) -> None:
        """Have the plan point to these arrays, and keep them."""
        for name, array in arrays.items():
            assert array is None or array.flags.c_contiguous, name
            setattr(self._plan, name, 0 if array is None else array.data.ptr)
        self._held.update(arrays)

    def begin(self, arrays: dict[str, Array], table: Array) -> None:
        """Go on with a state's arrays, by the coefficients (S, J, K) of the next steps."""
        self._begun = arrays, table
        slots = [one for name, one in arrays.items() if name != "parameters"]
        named = dict(zip(("slot0", "slot1"), slots, strict=False))
        self._point({"parameters": arrays["parameters"], "table": table, **named})
        self._point(self._batches.placed())

    def rows(self, part: slice) -> Array:
        """X (b, D) of a part of the batch."""
        return self._batches.gather(part)

    def errors(
        self,
        part: slice,
        slot: int,
        full: bool,
        into: Array,
        look: Callable[[Array, Array], None] | None,
    ) -> Array:
        """The first half: dL/dz ⊙ q (b, C, K) in place of z; dJ/db is left in parts."""
        plan, size = self._plan, part.stop - part.start
        z = self._text.buffers(size).z
        if look is not None:
            self._text.begin(*self._begun)
            self._text.show(z.copy(), part, look)
        plan.start, plan.rows, plan.first = part.start, size, into is self._text.gradients[0]
        if plan.first:  # later parts have no more rows: their blocks add to these blocks' sums
            plan.row_blocks = self._rows.count(size)
        if size not in self._launches:
            self._launches[size] = self._rows.launch(size)
        self._launch(self._error_step, self._launches[size])
        return z

    def move(self, slot: int, full: bool, look: Callable[[], None] | None) -> None:
        """The second half; to be looked at, dJ/dW has its l2 added before."""
        if look is not None:
            self._text.show_gradient(look)
        self._plan.slot = slot
        self._launch(self._update, self._parameters.launch)

    def _launch(self, kernel: Callable[..., None], how: Launch) -> None:
        shared = how.shared * self._ring.dtype.itemsize
        kernel(how.grid, how.block, (self._by_value,), shared_mem=shared)

    def logged(self, count: int) -> Array:
        """(count, 5, K): what the steps so far have logged, sums of parts taken together."""
        ring = self._ring[:count]
        ring[:, LOGGED] = self._xp.sum(self._squares[:count], axis=1)
        return ring

    def steps(self, slot: int, first: int, last: int) -> None:
        """Whole steps: none at a time."""
        raise NotImplementedError
