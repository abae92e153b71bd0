"""The CUDA kernel of a step's first half for rows that go by whole: a solver's pass over them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from trainer.model import kernels
from trainer.model.compiled import strides
from trainer.model.kernels import ERROR_STEPS, ERROR_SUMS, LOGGED, REALS, ErrorBlocks, Launch

Array = Any
TOLD = LOGGED + 1  # numbers a column that a solver is told of errors


class KernelErrors:
    """`trainer.model.compiled_errors.CompiledErrors` of a GPU.

    A part of the rows is one launch; what it adds up stays in parts until the pass has ended.
    """

    def __init__(
        self,
        xp: Any,
        rule: int,
        arrays: Mapping[str, Array | None],
        rows: int,
        outputs: int,
        columns: int,
    ) -> None:
        """Have room for the parts of sums.

        Args:
            xp: the array module of a GPU.
            rule: of the loss, as rules.h numbers them.
            arrays: y, and the rows' `codes`, `q`, `r`, `order`, `targets`, `shares`; all numbers
                are of q's precision.
            rows: of a part, at most.
            outputs: C.
            columns: K.
        """
        q = arrays["q"]
        assert q is not None
        self._xp, self._held, dtype = xp, dict(arrays), q.dtype
        self._blocks, self._size = ErrorBlocks.of(rows, outputs, columns), dtype.itemsize
        self._partial = xp.empty((self._blocks.count(rows), outputs + TOLD, columns), dtype)
        module = kernels.kernels_of(xp, str(dtype))
        self._step = module.get_function(ERROR_STEPS[rule])
        self._sums = module.get_function(ERROR_SUMS)
        wide = min(32, columns)
        beside = -(-columns // wide)
        self._ending = Launch((outputs + TOLD, beside), (wide, 256 // wide, 1), 256)
        self._launches: dict[int, Launch] = {}  # by rows of a part
        self._plan, self._by_value = kernels.new_plan(
            outputs=outputs,
            columns=columns,
            mean=1,
            **strides(arrays["y"], q, arrays),
            block_rows=self._blocks.rows,
            tile=self._blocks.tile,
        )
        kernels.point_to(self._plan, {**arrays, "partial": self._partial})

    def begin(self, offset: Array, found: Array) -> None:
        """Begin a pass over the rows.

        Args:
            offset: (C, K), the bias.
            found: (6, K) ← losses times q, what is logged, and 0, when the pass ends.
        """
        self._begun = offset, found  # which the plan points to
        kernels.point_to(self._plan, {"parameters": offset, "ring": found})
        self._plan.first = True

    def run(self, part: slice, z: Array, into: Array) -> Array:
        """Errors of a part of the rows, of which the first has no fewer than any other.

        Args:
            part: of the rows.
            z: (b, C·K), X·W of them; becomes dL/dz ⊙ q, which is returned.
            into: untouched: dJ/db comes when the pass ends.
        """
        plan, size = self._plan, part.stop - part.start
        plan.start, plan.rows, plan.z = part.start, size, z.data.ptr
        if plan.first:
            plan.row_blocks = self._blocks.count(size)
        if size not in self._launches:
            self._launches[size] = self._blocks.launch(size, TOLD)
        self._launch(self._step, self._launches[size])
        plan.first = False
        return z

    def end(self, into: Array) -> None:
        """End the pass: into (C, K) ← dJ/db, and the sums to `found`."""
        kernels.point_to(self._plan, {"slot0": into})
        self._launch(self._sums, self._ending)

    def _launch(self, kernel: Any, how: Launch) -> None:
        kernel(how.grid, how.block, (self._by_value,), shared_mem=self._size * how.shared)


def kernel_errors_of(
    xp: Any,
    rule: int | None,
    y: Array,
    placed: Mapping[str, Array | None],
    rows: int,
    columns: int,
) -> KernelErrors | None:
    """The kernel for some rows, or None where there is none.

    Args:
        xp: the array module of a GPU.
        rule: of the loss, as rules.h numbers them; None for one of somebody's own.
        y: (N, C, T) targets, or the (C, C, 1) that codes pick from.
        placed: the rows' `codes`, `q`, `r`, `targets`, `shares`, and `order` None.
        rows: of a part, at most.
        columns: K.
    """
    outputs = int(y.shape[1])
    if rule is None or str(y.dtype) not in REALS or 0 in (len(y), rows, outputs, columns):
        return None
    return KernelErrors(xp, rule, {**placed, "y": y}, rows, outputs, columns)
