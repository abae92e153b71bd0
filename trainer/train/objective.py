"""J of K columns, its gradient and its Hessians, in the coordinates of a basis and in float64.

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
from trainer.optim.basis import Basis
from trainer.train.chunks import Chunk, FullBatch, RowSet
from trainer.train.log import Log
from trainer.train.stack import Buffers

Array = Any
Numbers = np.ndarray[Any, np.dtype[np.float64]]
MOST_CACHED = 1 << 20  # bytes of one (b, C, K) array: passes over it stay in the cache
FEWEST_ROWS = 256  # rows of a chunk, or products are all overhead
_PAIRS = 96  # parameters up to which products of features are made once for all columns
_ROWS = 4096  # of a chunk where products of features are made
_RIDGE = 4 * float(np.finfo(np.float64).eps)  # of the largest curvature, a parameter
_TINY = float(np.finfo(np.float64).tiny)
_PRODUCTS = 256 * 2**20  # bytes of products of features that are kept
MOST_HESSIANS = 256 * 2**20  # bytes of those that are worked on together
NAMES = ("mean", *Log.names)  # of the sums of one evaluation


@dataclass(frozen=True)
class Turned:
    """The rows of a stack in the coordinates of a basis.

    Attributes:
        rows: X (N, r) and the rest in float64.
        basis: the coordinates.
    """

    rows: RowSet
    basis: Basis


class Objective:
    """The data term of J for K columns, and l2/2·‖W‖² beside it."""

    def __init__(
        self, device: Device, model: Model, turned: Turned, outputs: int, bias: bool, l2: Numbers
    ) -> None:
        self.device, self.model, self.bias = device, model, bias
        self.outputs, self.columns = outputs, len(l2)
        self.rows = turned.rows
        self.inner = int(self.rows.X.shape[1])  # r
        self.shape = (self.inner + bias, outputs, self.columns)  # P, C, K
        self.l2 = device.to_device(l2)
        xp = device.xp
        row = 8 * max(outputs * self.columns, self.inner)  # the second product finds X in the cache
        size = min(len(self.rows), max(FEWEST_ROWS, MOST_CACHED // row))
        self.chunk_rows = size
        self._buffers = Buffers(xp, size, outputs, self.columns, np.float64)
        self._batches = FullBatch(device, self.rows, size)
        self._part = xp.empty(self.shape, np.float64)
        self._bias = xp.empty((outputs, self.columns))
        self._none = xp.zeros((outputs, self.columns))
        self._row = xp.empty((1, self.columns))
        self._ones = xp.ones((1, self.inner * outputs))
        self._long = FullBatch(device, self.rows, min(len(self.rows), max(size, _ROWS)))
        self._gram: Array | None = None
        self._kept: dict[int, Array] = {}
        self._square = xp.empty((self.inner, outputs, self.columns))

    def penalty(self, w: Array) -> Array:
        """l2/2·‖W‖² (K,)."""
        inner = w[: self.inner]
        return 0.5 * self.l2 * self.device.xp.einsum("pck,pck->k", inner, inner)

    def value(self, w: Array, grad: Array, full: bool) -> Array:
        """Sums (6, K) by `NAMES`, the data term of J first; grad (P, C, K) ← dJ/dw."""
        device, r = self.device, self.inner
        xp = device.xp
        found = xp.zeros((len(NAMES), self.columns))
        log = Log(found[1:], full)
        into = grad
        for chunk, b in self._chunks():
            scores(device, chunk.X, w[:r], self._offset(w), b.z)
            dz = error(self.model, xp, b.z, chunk.y, b.error, b.loss, b.scratch)
            log.add_loss(device, chunk.r, b.loss, self._row)
            device.matmul(chunk.q[:, 0, 0][None, :], b.loss, out=self._row)
            found[0] += self._row[0]
            log.add_error(device, b.error, dz, b.z, self._bias, b.ones, self._row)
            dz *= chunk.q
            row = into[r] if self.bias else self._bias
            gradient(device, chunk.X, dz, b.ones[:, : len(b.loss)], into[:r], row)
            if into is not grad:
                grad += into
            into = self._part
        xp.multiply(w[:r], self.l2, out=self._square)
        grad[:r] += self._square
        log.add_gradient(device, grad[:r], self._square, self._ones, self._row)
        return found

    def _offset(self, w: Array) -> Array:
        return w[self.inner] if self.bias else self._none

    def _chunks(self) -> Iterator[tuple[Chunk, Buffers]]:
        for chunk in self._batches.chunks(1):
            yield chunk, self._buffers.first(chunk.rows.stop - chunk.rows.start)

    # --- second derivatives ---

    def bias_step(self, w: Array, row: Array) -> Array:
        """−H⁻¹·g of the bias alone (C, K), for dJ/db = row (C, K)."""
        xp, C = self.device.xp, self.outputs
        curvature = self.bias_curvature(w)  # (C, K)
        if not self.model.coupled:
            return -row / xp.maximum(curvature, _TINY)
        second = self._mixed_bias_curvature(w)  # (K, C, C)
        diagonal = xp.arange(C)
        second[:, diagonal, diagonal] += curvature.T * (1 + _RIDGE * C) + _TINY
        return -xp.linalg.solve(second, row.T[:, :, None])[:, :, 0].T

    def _mixed_bias_curvature(self, w: Array) -> Array:
        """−Σ_rows p·ŷ_a·ŷ_b for b ≠ a, and 0 for b = a: (K, C, C)."""
        xp, r = self.device.xp, self.inner
        total = xp.zeros((self.columns, self.outputs, self.outputs))
        for chunk, b in self._chunks():
            scores(self.device, chunk.X, w[:r], self._offset(w), b.z)
            self.model.activation(xp, b.z, b.error, b.scratch)
            share = xp.ascontiguousarray(b.error.transpose(2, 0, 1))  # (K, n, C)
            total -= (share * chunk.q[:, 0]).transpose(0, 2, 1) @ share
        diagonal = xp.arange(self.outputs)
        total[:, diagonal, diagonal] = 0
        return total

    def bias_curvature(self, w: Array) -> Array:
        """Σ_rows p·∂²L/∂z_c² (C, K): the curvature of J along each bias."""
        xp, r, variance = self.device.xp, self.inner, self.model.variance
        assert variance is not None
        total = xp.zeros((self.outputs, self.columns))
        for chunk, b in self._chunks():
            scores(self.device, chunk.X, w[:r], self._offset(w), b.z)
            self.model.activation(xp, b.z, b.error, b.scratch)
            variance(xp, b.error, b.z)
            total += xp.einsum("nck,n->ck", b.z, chunk.q[:, 0, 0])
        return total

    @property
    def order(self) -> int:
        """Q, parameters of one Hessian: P·C where outputs are coupled, else P an output."""
        P, C, _ = self.shape
        return P * C if self.model.coupled else P

    def at_once(self) -> int:
        """How many columns' Hessians are worked on together."""
        blocks = 1 if self.model.coupled else self.outputs
        return max(1, MOST_HESSIANS // (8 * self.order**2 * blocks))

    def hessians(self, w: Array, l2: Array) -> Array:
        """∂²J/∂w² of k columns.

        Args:
            w: (P, C, k).
            l2: (k,).

        Returns:
            (k·C, P, P), of column k and output c at k·C + c; (k, P·C, P·C), parameter p of output c
            at p·C + c, where outputs are coupled.
        """
        xp, (P, C, _) = self.device.xp, self.shape
        k = w.shape[2]
        pairs = [(a, b) for a in range(C) for b in range(a, C) if a == b or self.model.coupled]
        second = xp.zeros((len(pairs), k, P, P))
        for chunk in self._batches.chunks(1):
            h = self._curvatures(chunk, w, pairs)  # (n, pairs·k)
            self._add_products(chunk, h, second.reshape(-1, P, P))
        diagonal = xp.arange(self.inner)
        for i, (a, b) in enumerate(pairs):
            if a == b:
                second[i][:, diagonal, diagonal] += l2[:, None]
        if not self.model.coupled:
            return xp.ascontiguousarray(second.transpose(1, 0, 2, 3)).reshape(-1, P, P)
        whole = xp.empty((k, P, C, P, C))
        for i, (a, b) in enumerate(pairs):
            whole[:, :, a, :, b] = second[i]
            whole[:, :, b, :, a] = second[i]
        return whole.reshape(k, P * C, P * C)

    def _curvatures(self, chunk: Chunk, w: Array, pairs: list[tuple[int, int]]) -> Array:
        """p·∂²L/∂z_a∂z_b of a chunk's rows: (n, pairs·k)."""
        device, r, variance = self.device, self.inner, self.model.variance
        assert variance is not None
        xp, n, k = device.xp, chunk.X.shape[0], w.shape[2]
        b = Buffers(xp, n, self.outputs, k, np.float64)
        offset = w[r] if self.bias else xp.zeros((self.outputs, k))
        scores(device, chunk.X, xp.ascontiguousarray(w[:r]), offset, b.z)
        self.model.activation(xp, b.z, b.error, b.scratch)
        variance(xp, b.error, b.z)
        h = xp.empty((n, len(pairs), k))
        for i, (a, c) in enumerate(pairs):
            if a == c:
                h[:, i] = b.z[:, a]
            else:
                xp.multiply(b.error[:, a], b.error[:, c], out=h[:, i])
                xp.negative(h[:, i], out=h[:, i])
        h *= chunk.q
        return h.reshape(n, -1)

    def _add_products(self, chunk: Chunk, h: Array, out: Array) -> None:
        """Add Xᵀ·diag(h_j)·X for each j to out (j, P, P); the bias is a feature of ones."""
        P = self.shape[0]
        if P <= _PAIRS:
            upper = np.triu_indices(P)
            out[:, upper[0], upper[1]] += h.T @ self._products(chunk)  # (j, P·(P + 1)/2)
            out[:, upper[1], upper[0]] = out[:, upper[0], upper[1]]
            return
        X = self._with_ones(chunk.X)  # (n, P)
        for j in range(out.shape[0]):
            out[j] += X.T @ (X * h[:, j, None])

    def _products(self, chunk: Chunk) -> Array:
        """x_a·x_b of a chunk's rows for all a <= b (n, P·(P + 1)/2): the same at every round."""
        if chunk.rows.start not in self._kept:
            X, upper = self._with_ones(chunk.X), np.triu_indices(self.shape[0])
            products = X[:, upper[0]] * X[:, upper[1]]
            room = _PRODUCTS - sum(one.nbytes for one in self._kept.values())
            if products.nbytes > room:
                return products
            self._kept[chunk.rows.start] = products
        return self._kept[chunk.rows.start]

    def _with_ones(self, X: Array) -> Array:
        xp = self.device.xp
        return xp.concatenate([X, xp.ones((len(X), 1))], axis=1) if self.bias else X

    @property
    def blocks(self) -> int:
        """Hessians a column: one an output, or one for all where outputs are coupled."""
        return 1 if self.model.coupled else self.outputs

    def inverses(self, w: Array, l2: Array) -> Array:
        """H⁻¹ of k columns, (Q, Q, blocks, k), for w (P, C, k) and l2 (k,)."""
        xp = self.device.xp
        found = xp.linalg.inv(self._regular(self.hessians(w, l2)))  # (k·blocks, Q, Q)
        shape = (w.shape[2], self.blocks, self.order, self.order)
        return found.reshape(shape).transpose(2, 3, 1, 0)

    def _regular(self, hessians: Array) -> Array:
        """The Hessians with a little more on their diagonals.

        softmax has directions without curvature (all its biases moved alike), saturated rows too.
        """
        diagonal = self.device.xp.arange(self.order)
        largest = hessians[:, diagonal, diagonal].max(axis=1)  # (n,)
        hessians[:, diagonal, diagonal] += (_RIDGE * self.order * largest + _TINY)[:, None]
        return hessians

    def newton(self, w: Array, gradient: Array, l2: Array) -> Array:
        """−H⁻¹·g of k columns.

        Args:
            w: (P, C, k).
            gradient: (P, C, k).
            l2: (k,).
        """
        xp, (P, C, _) = self.device.xp, self.shape
        k = w.shape[2]
        hessians = self._regular(self.hessians(w, l2))  # (n, Q, Q)
        right = gradient.transpose(2, 0, 1) if self.model.coupled else gradient.transpose(2, 1, 0)
        right = right.reshape(-1, self.order, 1)  # (n, Q, 1)
        found = -xp.linalg.solve(hessians, right)[..., 0]
        if self.model.coupled:
            return xp.ascontiguousarray(found.reshape(k, P, C).transpose(1, 2, 0))
        return xp.ascontiguousarray(found.reshape(k, C, P).transpose(2, 1, 0))

    def curvature(self, w: Array, elements: Array, l2: float) -> Array:
        """The rows and columns of one column's Hessian that belong to some of its elements.

        Args:
            w: (P, C), one column.
            elements: (n,) numbers p·C + c; all of one output c where outputs are not coupled.
            l2: of the column.

        Returns:
            (n, n).
        """
        xp, C, r = self.device.xp, self.outputs, self.inner
        feature, output = elements // C, elements % C
        if self.model.quadratic:
            found = self._constant()[feature[:, None], feature]
        else:
            found = xp.zeros((len(elements), len(elements)))
            for chunk in self._long.chunks(1):
                X = self._with_ones(chunk.X)
                self._add_curvature(X[:, feature], output, self._predicted(X, w), chunk, found)
        number = xp.arange(len(elements))
        found[number, number] += l2 * (feature < r)
        return found

    def _constant(self) -> Array:
        """The Gram matrix (P, P): the Hessian of a squared loss wherever it is."""
        if self._gram is None:
            xp, P = self.device.xp, self.shape[0]
            self._gram = xp.zeros((P, P))
            for chunk in self._long.chunks(1):
                X = self._with_ones(chunk.X) * xp.sqrt(chunk.q[:, 0])
                self._gram += X.T @ X
        return self._gram

    def _predicted(self, X: Array, w: Array) -> Array:
        """ŷ (n, C, 1) of one column's w (P, C)."""
        xp = self.device.xp
        b = Buffers(xp, len(X), self.outputs, 1, np.float64)
        b.z[:, :, 0] = X @ w
        self.model.activation(xp, b.z, b.error, b.scratch)
        return b.error

    def _add_curvature(
        self, X: Array, output: Array, predicted: Array, chunk: Chunk, out: Array
    ) -> None:
        """Add Σ p·∂²L/∂z_a∂z_b·x·x of a chunk; X (b, n) and `output` (n,) are the elements'."""
        xp, p, variance = self.device.xp, chunk.q[:, 0], self.model.variance
        assert variance is not None
        if not self.model.coupled:
            spread = xp.empty_like(predicted)
            variance(xp, predicted, spread)
            out += (X * (p * spread[:, int(output[0])])).T @ X
            return
        share = predicted[:, :, 0]  # (b, C)
        mixed = X * share[:, output]
        out -= (mixed * p).T @ mixed
        for c in range(self.outputs):  # diag(ŷ): ŷ_c, of which the line above took ŷ_c²
            own = xp.flatnonzero(output == c)
            if len(own):
                out[own[:, None], own] += (X[:, own] * (p * share[:, c : c + 1])).T @ X[:, own]
