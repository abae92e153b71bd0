"""J of K columns and its gradient, in the coordinates of a basis and in float64.

Parameters w (P, C, K) are the inner weights (r, C, K) with the bias of the centred rows as one row
more; P = r without a bias. Rows go by in chunks, so (N, C, K) never exists.

Letters: N rows, b of a chunk, r directions, C outputs, K columns.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from trainer.device import Device
from trainer.model import Model
from trainer.model.step import error, gradient, scores
from trainer.solvers.basis import Basis
from trainer.train.batches import Chunk, FullBatch, RowSet
from trainer.train.stack import Buffers
from trainer.train.step_record import StepRecorder

Array = Any
Numbers = np.ndarray[Any, np.dtype[np.float64]]
MOST_CACHED = 1 << 20  # bytes of one (b, C, K) array: passes over it stay in the cache
FEWEST_ROWS = 256  # rows of a chunk, or products are all overhead
_EPS = float(np.finfo(np.float64).eps)
_TINY = float(np.finfo(np.float64).tiny)
NAMES = ("mean", *StepRecorder.names)  # of the sums of one evaluation


@dataclass(frozen=True)
class RotatedRows:
    """The rows of a stack in the coordinates of a basis.

    Attributes:
        rows: X (N, r), or (N, D) where the basis is not theirs, and the rest, in float64.
        basis: the coordinates.
    """

    rows: RowSet
    basis: Basis


class Objective:
    """The data term of J for K columns, and l2/2·‖W‖² beside it."""

    def __init__(
        self,
        device: Device,
        model: Model,
        rotated: RotatedRows,
        outputs: int,
        bias: bool,
        l2: Numbers,
    ) -> None:
        self.device, self.model, self.bias = device, model, bias
        self.outputs, self.columns = outputs, len(l2)
        self.rows, self.basis = rotated.rows, rotated.basis
        self.inner = len(self.basis.spectrum)  # r
        self.shape = (self.inner + bias, outputs, self.columns)  # P, C, K
        self.l2 = device.to_device(l2)
        xp = device.xp
        width = int(self.rows.X.shape[1])  # r, or D
        row = 8 * max(outputs * self.columns, width)  # the second product finds X in the cache
        size = min(len(self.rows), max(FEWEST_ROWS, MOST_CACHED // row))
        self.chunk_rows = size
        self._buffers = Buffers(xp, size, outputs, self.columns, np.float64, width)
        self._batches = FullBatch(device, self.rows, size)
        self._sum = xp.empty((width + bias, outputs, self.columns))
        self._part = xp.empty((width + bias, outputs, self.columns))
        self._bias = xp.empty((outputs, self.columns))
        self._none = xp.zeros((outputs, self.columns))
        self._row = xp.empty((1, self.columns))
        self._ones = xp.ones((1, self.inner * outputs))
        self._square = xp.empty((self.inner, outputs, self.columns))

    def penalty(self, w: Array) -> Array:
        """l2/2·‖W‖² (K,)."""
        inner = w[: self.inner]
        return 0.5 * self.l2 * self.device.xp.einsum("pck,pck->k", inner, inner)

    def value(self, w: Array, grad: Array, full: bool) -> Array:
        """Sums (6, K) by `NAMES`, the data term of J first; grad (P, C, K) ← dJ/dw."""
        device, r, width = self.device, self.inner, len(self._sum) - self.bias
        xp = device.xp
        found = xp.zeros((len(NAMES), self.columns))
        log = StepRecorder(found[1:], full)
        weights, into = self._of_rows(w), self._sum
        for chunk, b in self._chunks():
            scores(device, chunk.X, weights, self._offset(w), b.z)
            dz = error(self.model, xp, b.z, chunk.y, b.error, b.loss, b.scratch)
            log.add_loss(device, chunk.r, b.loss, self._row)
            device.matmul(chunk.q[:, 0, 0][None, :], b.loss, out=self._row)
            found[0] += self._row[0]
            log.add_error(device, b.error, dz, b.z, self._bias, b.ones, self._row)
            row = into[width] if self.bias else self._bias
            gradient(device, chunk.X, dz, chunk.q, b.room, into[:width], row)
            if into is not self._sum:
                self._sum += into
            into = self._part
        grad[r:] = self._sum[width:]
        grad[:r] = self._sum[:r] if self.basis.rotated else self.basis.inner(xp, self._sum[:width])
        xp.multiply(w[:r], self.l2, out=self._square)
        grad[:r] += self._square
        log.add_gradient(device, grad[:r], self._square, self._ones, self._row)
        return found

    def _of_rows(self, w: Array) -> Array:
        """The weights in the coordinates that the rows have."""
        inner = w[: self.inner]
        return inner if self.basis.rotated else self.basis.weights(self.device.xp, inner)

    def _offset(self, w: Array) -> Array:
        return w[self.inner] if self.bias else self._none

    def _chunks(self) -> Iterator[tuple[Chunk, Buffers]]:
        for chunk in self._batches.chunks(1):
            yield chunk, self._buffers.first(chunk.rows.stop - chunk.rows.start)

    # --- the bias, which nothing penalises ---

    def bias_step(self, w: Array, row: Array) -> Array:
        """−H⁻¹·g of the bias alone (C, K), for dJ/db = row (C, K); infinite where H has nothing."""
        xp, C = self.device.xp, self.outputs
        if not self.model.coupled:
            return -row / xp.maximum(self.bias_curvature(w), _TINY)
        second = self._coupled_bias_curvature(w)  # (K, C, C)
        largest = second.max(axis=(1, 2))  # (K,)
        # all biases alike change nothing, and row has none of that
        row = row - row.sum(axis=0) / C
        curvature, directions = xp.linalg.eigh(second + largest[:, None, None])
        # what bounds divide by had better be too small
        curvature = xp.maximum(curvature - C * _EPS * largest[:, None], _TINY)
        along = xp.einsum("kcd,ck->kd", directions, row) / curvature
        return -xp.einsum("kcd,kd->ck", directions, along)

    def _coupled_bias_curvature(self, w: Array) -> Array:
        """Σ_rows p·∂²L/∂z_a∂z_b (K, C, C): −p·ŷ_a·ŷ_b, and what brings the sum of a row to 0."""
        xp, weights = self.device.xp, self._of_rows(w)
        total = xp.zeros((self.columns, self.outputs, self.outputs))
        for chunk, b in self._chunks():
            scores(self.device, chunk.X, weights, self._offset(w), b.z)
            self.model.activation(xp, b.z, b.error, b.scratch)
            share = xp.ascontiguousarray(b.error.transpose(2, 0, 1))  # (K, n, C)
            total -= (share * chunk.q[:, 0]).transpose(0, 2, 1) @ share
        diagonal = xp.arange(self.outputs)
        total[:, diagonal, diagonal] = 0
        total[:, diagonal, diagonal] = -total.sum(axis=2)
        return total

    def bias_curvature(self, w: Array) -> Array:
        """Σ_rows p·∂²L/∂z_c² (C, K): the curvature of J along each bias."""
        xp, variance, weights = self.device.xp, self.model.variance, self._of_rows(w)
        assert variance is not None
        total = xp.zeros((self.outputs, self.columns))
        for chunk, b in self._chunks():
            scores(self.device, chunk.X, weights, self._offset(w), b.z)
            self.model.activation(xp, b.z, b.error, b.scratch)
            variance(xp, b.error, b.z)
            total += xp.einsum("nck,n->ck", b.z, chunk.q[:, 0, 0])
        return total
