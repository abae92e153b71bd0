"""Passes over the rows whose two products are in TF32, on a GPU that multiplies so.

TF32 keeps 10 bits behind the first of what it multiplies, and adds up in float32. Weights are
multiplied as two such numbers, large and small part, so that scores are those of the weights to
float32; what is left to round are the rows, each number of them once for all, and ŷ − y. Both
roundings differ from row to row and cancel in sums over many of them, those of weights would not.

Sums over a chunk of the rows are float32's, sums of chunks float64's; all that needs no rows is
`trainer.solvers.objective`'s, in float64.

Shapes: N rows, b of a chunk, r numbers of a row, C outputs, K columns, P parameters an output.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from trainer.model import kernels
from trainer.model.compiled_errors import RULES, rule_of
from trainer.model.kernel_errors import kernel_errors_of
from trainer.model.row_sums import weighted_sums
from trainer.model.step import errors, flat
from trainer.solvers.basis import CHUNK
from trainer.solvers.passes import NAMES
from trainer.solvers.rotated_rows import RotatedRows
from trainer.solvers.tf32_sizes import chunk_rows
from trainer.train.batches import FullBatch, RowSet
from trainer.train.buffers import Buffers
from trainer.train.step_record import StepRecorder

if TYPE_CHECKING:
    from trainer.device import Device
    from trainer.solvers.objective import Objective

Array = Any
Numbers = np.ndarray[Any, np.dtype[np.float64]]
_SPLIT = 2.0**13 + 1  # a float32 times it tells its first 11 bits (Dekker 1971)
_FLAT = 2.0**-20  # of |J|: differences below it are the rounding of sums in float32


def single_rows(
    device: Device, rows: RowSet, rotated: RotatedRows, p: Numbers, r: Numbers
) -> RowSet:
    """The rows of a basis in float32, without their mean, each beginning at 16 bytes.

    Args:
        device: where they are.
        rows: the training rows as they are.
        rotated: the same in the basis.
        p: (N,) row weights of the objective, on the host.
        r: (N,) those of the logged loss.
    """
    X, basis = rotated.rows.X, rotated.basis
    N, width = map(int, X.shape)
    there = device.xp.zeros((N, kernels.padded(width)), np.float32)[:, :width]
    size = max(1, device.at_once(8 * CHUNK) // (8 * max(width, 1)))
    for start in range(0, N, size):
        part = slice(start, start + size)
        there[part] = basis.about_mean(X[part])
    return rows.rotated(device, there, p, r)


class _Tf32Step(NamedTuple):
    """A chunk of the rows: which, and what makes its scores and its gradient's sums."""

    part: slice
    products: tuple[Callable[[], None], ...]  # z ← X·W by W's two parts
    gradient: Callable[[], None]


class Tf32Objective:
    """`trainer.solvers.objective.Objective`'s value and gradient with products in TF32."""

    def __init__(self, objective: Objective, rows: RowSet) -> None:
        """Have buffers, and the products that they are for.

        Args:
            objective: of the same columns, in float64.
            rows: of `single_rows`.
        """
        self.objective, self.problem, self.device = objective, objective.problem, objective.device
        self.rows, xp = rows, self.device.xp
        _, C, K = self.problem.shape
        N, width = map(int, rows.X.shape)
        size = chunk_rows(self.device, N, width, C * K)
        self._buffers = Buffers(xp, size, C, K, np.float32)
        self._batches = FullBatch(self.device, rows, size)
        rule, y = RULES.get(rule_of(self.problem.model)), rows.y
        self._errors = kernel_errors_of(xp, rule, y, self._batches.placed(), size, K)
        # the two parts of W (r, C·K), what is free, and the gradient of a chunk
        single = xp.empty((4, width, C * K), np.float32)
        self._large, self._small, self._free, self._part = single
        self._bias, self._row = xp.empty((2, C, K), np.float32)
        self._sum = xp.empty((width + self.problem.bias, C, K))
        self.length, self.share, self._squares = self._weighed()
        self._steps = [self._step(part) for part in self._batches.parts(1)]

    def _weighed(self) -> tuple[float, float, Array]:
        """Σ q·‖x‖² of the rows and Σ q², and (1, r) the former of each number of a row."""
        xp, rows = self.device.xp, self.rows
        squares = xp.zeros((1, len(self._large)))
        for part in self._batches.parts(1):
            x, q = rows.X[part], rows.q[part].reshape(1, -1)
            squares += q @ (x * x)
        q = rows.q.reshape(1, -1)
        found = xp.stack([squares.sum(), (q @ q.T).sum(dtype=np.float64)])
        length, share = self.device.to_host(found).tolist()  # device -> host
        return length, share, xp.asarray(squares, dtype=np.float32)

    def _step(self, part: slice) -> _Tf32Step:
        assert self.device.products is not None
        make, X = self.device.products.product, self.rows.X[part]
        z = self._buffers.first(part.stop - part.start).flat_z
        halves = (
            make(X, self._large, z, tf32=True),
            make(X, self._small, z, add=True, tf32=True),
        )
        return _Tf32Step(part, halves, make(X.T, z, self._part, tf32=True))

    @property
    def logs_all(self) -> bool:
        """Whether errors are logged whole, asked for or not: they always are."""
        return True

    def rounding(self, value: Numbers) -> Numbers:
        """Differences of J, where it is `value` (K,) on the host, that are rounding alone."""
        return np.asarray(_FLAT * (np.abs(value) + self.objective.least[1]))

    def value(self, w: Array, grad: Array, full: bool, at_zeros: bool = False) -> Array:
        """Sums (7, K): those of `Objective.value`, and the mean squares of the scores.

        Arguments are those of `Objective.value`.

        Raises:
            Interrupted: as `Objective.asking` says, asked before each chunk.
        """
        xp, (_, C, K), bias = self.device.xp, self.problem.shape, self.problem.bias
        weights = flat(self.objective.of_rows(w))
        self._split(weights)
        if bias:
            self._bias[...] = w[self.problem.inner]
        else:
            self._bias.fill(0)
        found = xp.zeros((len(NAMES), K), np.float32)
        total, width = self._sum, len(self._large)
        total.fill(0)
        if self._errors is not None:
            self._errors.begin(self._bias, found)
        for step in self._steps:
            self.objective.ask()
            for product in step.products:
                product()
            self._judge(step.part, found)
            step.gradient()
            total[:width] += self._part.reshape(width, C, K)
            if self._errors is None and bias:
                total[width] += self._row
        if self._errors is not None:
            self._errors.end(self._row)
            if bias:
                total[width] = self._row
        sums = xp.empty((len(NAMES) + 1, K))
        sums[:-1] = found
        sums[-1] = (self._squares @ self._free).reshape(C, K).sum(axis=0)
        self.objective.finish(w, total, sums[:-1], grad, full)
        return sums

    def _split(self, weights: Array) -> None:
        """W (r, C·K) in two parts that TF32 has whole; their squares are left in `free`."""
        xp, large, small, free = self.device.xp, self._large, self._small, self._free
        small[...] = weights
        xp.multiply(small, np.float32(_SPLIT), out=free)
        xp.subtract(free, small, out=large)
        xp.subtract(free, large, out=large)
        small[...] = weights - large
        xp.multiply(large, large, out=free)

    def _judge(self, part: slice, found: Array) -> None:
        """Make dL/dz ⊙ q of the scores z of a part of the rows, in their place."""
        b = self._buffers.first(part.stop - part.start)
        if self._errors is not None:
            self._errors.run(part, b.flat_z, self._row)
            return
        device, rows = self.device, self._batches.targets(part)
        log, model = StepRecorder(found[1:], True), self.problem.model
        dz = errors(device, model, b.z, self._bias, rows, self._row, log, b, lambda *shown: None)
        weighted_sums(device, rows.q[:, 0].T, b.loss, b.ones, b.total)
        found[0] += b.total[0]
        if dz is not b.z:
            b.z[...] = dz  # where the product reads it
