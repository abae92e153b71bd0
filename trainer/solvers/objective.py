"""The data term of J for K columns and its gradient, by a pass over the rows in float64.

Passes are `trainer.solvers.passes`', parameters w (P, C, K) those of `trainer.solvers.problem`.

Letters: N rows, b of a chunk, r directions, P parameters an output, C outputs, K columns.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from functools import cached_property, partial
from typing import Any

import numpy as np

from trainer.machine.interrupted import ShouldStop, ask, never
from trainer.model.step import flat, scores
from trainer.solvers.basis import OwnBasis
from trainer.solvers.lbfgs import dot
from trainer.solvers.linear_systems import are_definite, solved
from trainer.solvers.moments import Moments, are_worth, sums_of, training_moments
from trainer.solvers.passes import NAMES, Pass, chunk_rows
from trainer.solvers.problem import EPS, Problem
from trainer.train.batches import Chunk, RowSet
from trainer.train.buffers import Buffers
from trainer.train.step_record import StepRecorder

Array = Any
Numbers = np.ndarray[Any, np.dtype[np.float64]]
_FLAT = 16 * EPS  # of |J|: differences below it are rounding
_FEW_OUTPUTS = 32  # up to which eigenvalues of many small matrices come quickly, on a GPU too
_TINY = float(np.finfo(np.float64).tiny)


class Objective:
    """J without l1 on some rows, in buffers of its own: its value, its gradient, its biases' part.

    Attributes:
        problem: the columns.
        rows: the training rows, in the problem's basis or centred only, as the basis says.
        chunk_rows: how many of them go by at once.
    """

    def __init__(self, problem: Problem, rows: RowSet, whole: Objective | None = None) -> None:
        """Have room for passes; of some columns of a `whole`, which knows the targets already."""
        self._should_stop: ShouldStop = never if whole is None else whole._should_stop
        self.problem, self.rows, self._whole = problem, rows, whole
        self.device, self.model, self.basis = problem.device, problem.model, problem.basis
        _, outputs, columns = problem.shape
        xp = self.device.xp
        width = int(rows.X.shape[1])  # r, or D
        self.chunk_rows = chunk_rows(self.device, len(rows), width, outputs * columns)
        self._passes = [
            Pass(problem, rows, part, self.chunk_rows) for part in self.device.row_parts(rows.X)
        ]
        self._kept_at: Array | None = None  # w (P, C, K) of the last pass
        self._none = xp.zeros((outputs, columns))
        self._row = xp.empty((1, columns))
        self._ones = xp.ones((1, problem.inner * outputs))
        self._square = xp.empty((problem.inner, outputs, columns))

    @property
    def logs_all(self) -> bool:
        """Whether errors are logged whole, asked for or not: as it costs nothing."""
        return all(one.compiled for one in self._passes)

    @property
    def is_own(self) -> bool:
        """Whether columns have targets, rows or coordinates of their own."""
        return self.rows.several or self.basis.is_own

    @contextlib.contextmanager
    def asking(self, should_stop: ShouldStop) -> Iterator[None]:
        """Within its block passes that take long raise Interrupted where `should_stop()`.

        What they were to write to is then not to be read.
        """
        self._should_stop = should_stop
        try:
            yield
        finally:
            self._should_stop = never

    def ask(self) -> None:
        """Go on, or not; `asking` says whom to ask.

        Raises:
            Interrupted: it should stop.
        """
        ask(self._should_stop)

    def take(self, columns: Any) -> Objective:
        """The objective of some of the columns, on the same rows; of all of them this one."""
        every = np.arange(self.problem.shape[2])
        if np.array_equal(every[columns], every):
            return self
        return Objective(self.problem.take(columns), self.rows.take(columns), self)

    def value(self, w: Array, grad: Array, full: bool, at_zeros: bool = False) -> Array:
        """Sums (6, K) by `NAMES`, the data term of J first; grad (P, C, K) ← dJ/dw without l1.

        `full` is whether all of them are wanted, or J and the loss alone; `at_zeros` whether all
        weights are known to be 0.
        """
        if not full and self.moments is not None:
            return self._by_moments(self.moments, w, grad)
        device, problem = self.device, self.problem
        weights = self.of_rows(w)
        offset = self._offset(w, weights)
        given = weights, offset, full, at_zeros, self._should_stop
        self._kept_at = None
        device.side_by_side([partial(one.run, *given) for one in self._passes])
        self._kept_at = None if self._passes[0].kept is None else w.copy()
        first, *others = self._passes
        for one in others:
            first.add(one)
        found, total, width = first.found, first.sum, int(self.rows.X.shape[1])
        if isinstance(self.basis, OwnBasis):
            self.basis.turn_gradient(total[:width], total[width])
            total = total[: width + problem.bias]
        elif not self.basis.centred:
            total[:width] -= self.basis.means * total[width:]
        self.finish(w, total, found, grad, full)
        return found

    @cached_property
    def moments(self) -> Moments | None:
        """Those of the rows, which J and its slope need no pass for; None where they need one."""
        if self._whole is not None:
            return self._whole.moments
        rows, basis, (_, C, K) = self.rows, self.basis, self.problem.shape
        if not self.model.quadratic or self.is_own or not are_worth(C, K):
            return None
        if isinstance(basis, OwnBasis) or basis.truth is None or rows.codes is not None:
            return None
        if not bool((rows.q[:, 0] == rows.r).all()):
            return None
        return training_moments(self.device, basis, rows.X, rows.y[:, :, 0], rows.q[:, 0, 0])

    def _by_moments(self, of: Moments, w: Array, grad: Array) -> Array:
        """`value` of J and the loss from moments; by the rows where these would lose digits."""
        xp, problem, r = self.device.xp, self.problem, self.problem.inner
        self._kept_at = None
        bias = w[r] if problem.bias else self._none
        squares, doubtful = sums_of(self.device, of, w[:r], bias, grad[:r])
        xp.multiply(w[:r], problem.l2, out=self._square)
        grad[:r] += self._square
        if problem.bias:
            grad[r] = of.total * (bias - of.bias[:, None]) - of.offset[:, None]
        found = xp.zeros((len(NAMES), problem.shape[2]))
        found[:2] = 0.5 * squares.sum(axis=0)
        where = np.flatnonzero(self.device.to_host(doubtful))  # device -> host
        if len(where):
            self._by_rows(where, w, grad, found)
        return found

    def _by_rows(self, where: Any, w: Array, grad: Array, found: Array) -> None:
        """Have the sums and gradients of some columns by a pass over the rows."""
        xp, at = self.device.xp, self.device.to_device(where)
        some = Objective(self.problem.take(where), self.rows.take(where))
        some.moments = None
        own = xp.take(w, at, axis=-1)
        slope = xp.empty_like(own)
        with some.asking(self._should_stop):
            found[:, at] = some.value(own, slope, full=False)
        grad[:, :, at] = slope

    def gradient_error(self, of: Moments, w: Array) -> Array:
        """How far dJ/dW by moments may be from that of the rows, in its norm (K,), at most.

        Rounding of a product, which passes over the rows have too, is not in it.
        """
        xp, inner = self.device.xp, w[: self.problem.inner]
        near = xp.sqrt((of.weights * of.weights).sum())
        return of.error * (xp.sqrt(dot(xp, inner, inner)) + near)

    def finish(self, w: Array, total: Array, found: Array, grad: Array, full: bool) -> None:
        """What is left of `value` once the rows have gone by.

        Args:
            w: (P, C, K).
            total: the data term's gradient by the weights of the centred rows, and by the bias.
            found: the sums, of which the gradient's square is added where `full`.
            grad: (P, C, K) ← dJ/dw without l1.
            full: as `value` has it.
        """
        device, problem, r = self.device, self.problem, self.problem.inner
        width = len(total) - problem.bias
        grad[r:] = total[width:]
        grad[:r] = total[:r] if self.basis.rotated else self.basis.inner(device.xp, total[:width])
        device.xp.multiply(w[:r], problem.l2, out=self._square)
        grad[:r] += self._square
        log = StepRecorder(found[1:], full)
        log.add_gradient(device, grad[:r], self._square, self._ones, self._row)

    def rounding(self, value: Numbers) -> Numbers:
        """Differences of J, where it is `value` (K,) on the host, that are rounding alone."""
        return np.asarray(_FLAT * (np.abs(value) + self.least[1]))

    @property
    def least(self) -> Numbers:
        """(2, 1|K): what the data term cannot go below, how large its terms are there; mostly 0."""
        return self._of_targets[:2]

    @property
    def curvature_at_targets(self) -> Numbers:
        """(1|K,) the largest second derivative of the loss where ŷ = y; 0 where it is bounded."""
        assert self.model.curvature is not None or self.model.variance is not None
        largest: Numbers = self._of_targets[2]
        return largest

    @cached_property
    def _of_targets(self) -> Numbers:
        """(3, 1|K) `least` and `curvature_at_targets`: one pass, one wait."""
        least_of, curved = self.model.least, self.model.curvature is None
        if self._whole is not None and not self.rows.several:
            return self._whole._of_targets
        if least_of is None and not curved:
            return np.zeros((3, 1))
        xp, columns = self.device.xp, self.problem.shape[2] if self.rows.several else 1
        total = xp.zeros((3, columns))
        for chunk, _ in self._chunks():
            found = xp.empty_like(chunk.y)
            if curved and self.model.variance is not None:
                self.model.variance(xp, chunk.y, found)
                if chunk.idle is not None:
                    found = xp.where(chunk.idle, 0.0, found)
                total[2] = xp.maximum(total[2], found.max(axis=(0, 1)))
            if least_of is not None:
                found = xp.empty_like(chunk.y)
                least_of(xp, chunk.y, found)
                found = found * chunk.q
                total[0] += found.sum(axis=(0, 1))
                total[1] += xp.absolute(found).sum(axis=(0, 1))
        told: Numbers = self.device.to_host(total)  # device -> host
        return told

    def mean_score(self) -> Array:
        """The scores (C, 1|K) whose ŷ is the mean of the targets; 0 where they are not finite."""
        xp = self.device.xp
        columns = self.problem.shape[2] if self.rows.several else 1
        mean = xp.zeros((1, self.problem.outputs, columns))
        for chunk, _ in self._chunks():
            if self.rows.several:
                mean[0] += (chunk.y * chunk.q).sum(axis=0)
            else:
                mean[0, :, 0] += xp.einsum("nc,n->c", chunk.y[:, :, 0], chunk.q[:, 0, 0])
        z = xp.empty_like(mean)
        with np.errstate(all="ignore"):
            self.model.link(xp, mean, z)
        return xp.where(xp.isfinite(z), z, 0.0)[0]

    def curvature(self, w: Array) -> Numbers:
        """(K,) the largest second derivative of the loss by z; without any, of the rows at w."""
        if self.model.curvature is not None:
            return np.full(self.problem.shape[2], self.model.curvature)
        found: Numbers = self.device.to_host(self.second_derivatives(w, False)[1])  # device -> host
        return found

    def second_derivatives(self, w: Array, of_biases: bool) -> tuple[Array | None, Array | float]:
        """`bias_hessian`, where it is wanted, and `curvature` on the device: one pass for both.

        A `curvature` that is the same everywhere is that number, of all columns.
        """
        xp, variance, bound = self.device.xp, self.model.variance, self.model.curvature
        if bound is not None:
            return self.bias_hessian(w) if of_biases else None, bound
        assert variance is not None
        assert not self.model.coupled, "biases that are coupled have a bound of their curvature"
        total, largest = xp.zeros(self.problem.shape[1:]), xp.zeros(self.problem.shape[2])
        for chunk, b in self._scored(w):
            with np.errstate(all="ignore"):  # past e^z the first weights are an outcome
                self.model.activation(xp, b.z, b.error, b.scratch)
                variance(xp, b.error, b.z)
            if chunk.idle is not None:
                xp.copyto(b.z, 0, where=chunk.idle)
            largest = xp.maximum(largest, b.z.max(axis=(0, 1)))
            if of_biases:
                total += _weighted(chunk.q, b.z)
        return total.T if of_biases else None, largest

    def at_zeros(self, full: bool) -> tuple[Array, Array]:
        """`value` (6, 1) where all parameters are 0, and dJ/dw (P, C, 1): of every column's."""
        xp, one = self.device.xp, self.take(slice(0, 1))
        gradient = xp.zeros(one.problem.shape)
        return one.value(xp.zeros(one.problem.shape), gradient, full, at_zeros=True), gradient

    def of_rows(self, w: Array) -> Array:
        """The weights in the coordinates that the rows have."""
        return self.basis.of_rows(self.device.xp, w[: self.problem.inner])

    def _offset(self, w: Array, weights: Array) -> Array:
        """The bias (C, K) of the rows as they are stored, for weights in their coordinates."""
        bias = w[self.problem.inner] if self.problem.bias else self._none
        if self.basis.centred:
            return bias
        return bias - self.basis.stored_shift(self.device.xp, weights)

    def _chunks(self) -> Iterator[tuple[Chunk, Buffers]]:
        for one in self._passes:
            yield from one.chunks()

    def _scored(self, w: Array) -> Iterator[tuple[Chunk, Buffers]]:
        """The rows by chunks, with their scores in z: kept ones, where scores are few.

        A pass keeps them, one at w if none was last: their bits do not tell which it was.
        """
        weights, last = self.of_rows(w), self._kept_at
        offset, kept = self._offset(w, weights), self._passes[0].kept is not None
        if kept and (last is None or not bool((last == w).all())):
            self._keep(w, weights, offset)
        for one in self._passes:
            if kept:
                yield from one.scored(offset, self._should_stop)
                continue
            for chunk, b in one.chunks(should_stop=self._should_stop):
                with np.errstate(all="ignore"):
                    scores(self.device, chunk.X, weights, offset, b.z)
                yield chunk, b

    def _keep(self, w: Array, weights: Array, offset: Array) -> None:
        """Have the passes keep scores at w, and know that they do."""
        self._kept_at = None
        given = weights, offset, self._should_stop
        with np.errstate(all="ignore"):
            self.device.side_by_side([partial(one.keep, *given) for one in self._passes])
        self._kept_at = w.copy()

    # --- the bias, which nothing penalises ---

    def bias_hessian(self, w: Array) -> Array:
        """The second derivatives of J by the biases: (K, C, C) where coupled, else (K, C)."""
        if self.model.coupled:
            return self._coupled_bias_curvature(w)
        return self.bias_curvature(w).T

    def bias_step(self, hessian: Array, row: Array) -> Array:
        """−H⁻¹·g of the bias alone (C, K), for dJ/db = row (C, K); infinite where H has nothing.

        `hessian` is as `bias_hessian` has it.
        """
        xp, C = self.device.xp, self.problem.outputs
        if not self.model.coupled:
            return -row / xp.maximum(hessian.T, _TINY)
        second = hessian
        largest = second.max(axis=(1, 2))  # (K,)
        # all biases alike change nothing, and row has none of that
        row = row - row.sum(axis=0) / C
        shifted = second + largest[:, None, None]
        # what bounds divide by had better be too small
        if C > _FEW_OUTPUTS:
            diagonal = xp.arange(C)
            shifted[:, diagonal, diagonal] -= C * EPS * largest[:, None]
            found = solved(xp, shifted, xp.ascontiguousarray(row.T)[:, :, None])[:, :, 0].T
            return -xp.where(are_definite(xp, shifted), found, row / _TINY)
        curvature, directions = xp.linalg.eigh(shifted)
        curvature = xp.maximum(curvature - C * EPS * largest[:, None], _TINY)
        along = xp.einsum("kcd,ck->kd", directions, row) / curvature
        return -xp.einsum("kcd,kd->ck", directions, along)

    def _coupled_bias_curvature(self, w: Array) -> Array:
        """Σ_rows p·∂²L/∂z_a∂z_b (K, C, C): −p·ŷ_a·ŷ_b, and what brings the sum of a row to 0.

        Of a pass over the rows it takes C/(2·D), and on a CPU half of that: BLAS makes half of what
        is symmetric.
        """
        xp, (_, C, K) = self.device.xp, self.problem.shape
        total = xp.zeros((K, C, C))
        for chunk, b in self._scored(w):
            self.model.activation(xp, b.z, b.error, b.scratch)
            root = xp.ascontiguousarray(b.error.transpose(2, 0, 1))  # (K, n, C)
            if chunk.idle is not None:
                xp.copyto(root, 0, where=chunk.idle[:, 0].T[:, :, None])
            root *= xp.sqrt(chunk.q[:, 0].T)[:, :, None]
            parts = self.device.product_parts(K, root.size * C)
            self.device.side_by_side([partial(_subtract, total[k], root[k]) for k in parts])
        diagonal = xp.arange(C)
        total[:, diagonal, diagonal] = 0
        total[:, diagonal, diagonal] = -total.sum(axis=2)
        return total

    def bias_curvature(self, w: Array) -> Array:
        """Σ_rows p·∂²L/∂z_c² (C, K): the curvature of J along each bias."""
        if self.model.quadratic:  # 1 of every row, wherever it is
            return self.device.xp.zeros(self.problem.shape[1:]) + self.rows.totals()
        xp, variance = self.device.xp, self.model.variance
        assert variance is not None
        total = xp.zeros(self.problem.shape[1:])
        for chunk, b in self._scored(w):
            self.model.activation(xp, b.z, b.error, b.scratch)
            variance(xp, b.error, b.z)
            if chunk.idle is not None:
                xp.copyto(b.z, 0, where=chunk.idle)
            total += _weighted(chunk.q, b.z)
        return total


def _weighted(q: Array, values: Array) -> Array:
    """Σ_rows q·values (C, K) of q (b, 1, 1|K) and values (b, C, K), which it may overwrite."""
    if q.shape[2] > 1:
        values *= q
        return values.sum(axis=0)
    return (q.reshape(1, -1) @ flat(values)).reshape(values.shape[1:])  # (1, b) · (b, C·K)


def _subtract(total: Array, root: Array) -> None:
    """Take rootᵀ·root from the total (K, C, C), of roots (K, n, C)."""
    total -= root.transpose(0, 2, 1) @ root
