"""The CUDA kernels of a round of L-BFGS on a solver's own arrays: seven launches, no wait."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from trainer.model import round_kernels
from trainer.model.kernels import Launch, point_to, wanted
from trainer.model.round_kernels import KERNELS, SUMS, RoundBlocks, most_pairs

if TYPE_CHECKING:
    from trainer.solvers.problem import Problem
    from trainer.solvers.slopes import Tried

Array = Any
Numbers = np.ndarray[Any, np.dtype[np.float64]]
Flags = np.ndarray[Any, np.dtype[np.bool_]]


class KernelRounds:
    """What of a round needs no rows: sums of the points, the pairs, their direction."""

    def __init__(self, problem: Problem, pairs: int, spectrum: Array) -> None:
        """Have room for the parts of sums.

        Args:
            problem: the columns.
            pairs: m.
            spectrum: (P,) λ.
        """
        P, C, K = problem.shape
        xp = problem.device.xp
        self._device, self._columns = problem.device, K
        self._blocks = blocks = RoundBlocks.of(P * C, C, K, pairs)
        self._partial = xp.empty(blocks.parts(K, pairs))
        self._coefficients = xp.empty((2, max(pairs, 1), K))
        self._plan, self._by_value = round_kernels.new_plan(
            rows=P * C,
            weights=problem.inner * C,
            outputs=C,
            columns=K,
            pairs=pairs,
            sparse=problem.sparse,
            block_rows=blocks.rows,
            row_blocks=blocks.sums.grid[0],
            product_rows=blocks.product_rows,
            product_blocks=blocks.products.grid[0],
            tile=blocks.tile,
            product_columns=blocks.product_columns,
        )
        module = round_kernels.kernels_of(xp)
        self._kernels = {name: module.get_function(name) for name in KERNELS}
        self._held: dict[str, Array] = {}
        self._point(
            l2=problem.l2,
            l1=problem.l1,
            spectrum=spectrum,
            partial=self._partial,
            coefficients=self._coefficients,
        )

    def _point(self, **arrays: Array) -> None:
        """Have the plan point to these arrays, and keep them."""
        point_to(self._plan, arrays)
        self._held.update(arrays)

    def _send(self, **numbers: Numbers | Flags) -> None:
        """Have the plan point to numbers (K,) of the host, which are copied together."""
        table = np.stack([one.astype(float) for one in numbers.values()])
        there = self._device.to_device(table)
        self._point(**dict(zip(numbers, there, strict=True)))

    def _launch(self, name: str, how: Launch, shared: int) -> None:
        self._kernels[name](how.grid, how.block, (self._by_value,), shared_mem=8 * shared)

    def _begin(self, arrays: Mapping[str, Array], tried: Tried | None = None) -> None:
        """Have the plan point to a state's arrays, and to the points that it tries."""
        self._point(**{name: arrays[name] for name in ("w", "g", "d", "s", "y", "rho")})
        if tried is not None:
            self._point(trial=tried.point, gradient=tried.gradient, step=tried.step)

    def try_points(
        self, arrays: Mapping[str, Array], length: Numbers, within: Flags, tried: Tried
    ) -> None:
        """Write points and steps of `tried`.

        Args:
            arrays: of the state.
            length: (K,) of the steps.
            within: (K,) columns that stay within their orthant.
            tried: the points.
        """
        self._begin(arrays, tried)
        self._send(length=length, within=within)
        self._launch("point_tried", self._blocks.elements, 0)

    def point_sums(self, arrays: Mapping[str, Array], tried: Tried) -> Array:
        """`SLOPES` (13, K) of the points that are tried from those of a state's arrays."""
        self._begin(arrays, tried)
        how = self._blocks.sums
        self._launch("point_sums", how, how.shared)
        parts = self._partial[: how.grid[0] * SUMS * self._columns]
        return self._device.xp.sum(parts.reshape(how.grid[0], SUMS, self._columns), axis=0)

    def take(
        self,
        arrays: Mapping[str, Array],
        slot: int,
        takes: Flags,
        moved: Flags,
        rho: Numbers,
        tried: Tried,
    ) -> None:
        """Move columns to the points that they take, and write a pair of each.

        Args:
            arrays: of the state.
            slot: of the pairs.
            takes: (K,) columns that take their points.
            moved: (K,) those of them with a pair.
            rho: (K,) 1/(sᵀy), 0 for a pair that does not count.
            tried: the points.
        """
        self._begin(arrays, tried)
        self._send(takes=takes, moved=moved, new_rho=rho)
        self._plan.slot = slot
        self._launch("point_taken", self._blocks.elements, 0)

    def direct(
        self,
        arrays: Mapping[str, Array],
        newest: int,
        count: int,
        gamma: Numbers,
        which: Flags,
        into: tuple[Array, Array],
    ) -> None:
        """Directions of some columns; of one that is not downhill −H₀·g, and no pair counts.

        Args:
            arrays: of the state.
            newest: the slot of the newest pair.
            count: pairs there are.
            gamma: (K,).
            which: (K,) columns.
            into: (P, C, K) each: all directions, and those of these columns.
        """
        plan, blocks = self._plan, self._blocks
        self._begin(arrays)
        self._send(gamma=gamma, which=which)
        self._point(found=into[0], into=into[1])
        plan.slot, plan.count = newest, count
        if count:
            self._launch("pair_products", blocks.products, blocks.products.shared)
            self._launch("pair_factors", blocks.factors, blocks.factors.shared)
        for name in ("pair_direction", "pair_choice"):
            self._launch(name, blocks.sums, blocks.sums.shared)

    def fix_gauge(self, arrays: Mapping[str, Array], into: Array) -> None:
        """`trainer.solvers.directions.fix_gauge` of softmax, of columns without second derivatives.

        Args:
            arrays: of the state.
            into: (P, C, K), the directions.
        """
        self._begin(arrays)
        self._point(into=into)
        self._launch("gauge_fixed", self._blocks.gauges, 0)


def kernel_rounds(problem: Problem, pairs: int, spectrum: Array) -> KernelRounds | None:
    """The kernels, or None where the device has none."""
    none = 0 in problem.shape or not most_pairs(pairs)
    if problem.device.twin != "cuda" or not wanted() or none:
        return None
    return KernelRounds(problem, pairs, spectrum)
