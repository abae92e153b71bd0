"""Hessians of J: those of many columns at once, or some rows and columns of one.

    ∂²J/∂w_pa∂w_qb = Σ_rows p·x_p·x_q·∂²L/∂z_a∂z_b + l2·[p = q, a = b]

Nothing here depends on how many columns a stack has: what is made once for the rows serves all. Nor
does it on what was made before: a run that is taken up again has the bits of one that goes on.

Letters: P parameters an output (r weights, and a bias), C outputs, k columns, Q parameters of one
Hessian, n rows of a chunk.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property, partial
from itertools import pairwise
from typing import Any

import numpy as np

from trainer.machine.interrupted import ShouldStop, ask, never
from trainer.solvers.active_set import is_unique
from trainer.solvers.basis import Basis
from trainer.solvers.hessian_sizes import (
    KEPT,
    KEPT_FEATURES,
    SHARED,
    columns_at_once,
    count_pairs,
    has_products,
    padded_width,
    rows_at_once,
)
from trainer.solvers.linear_systems import solved
from trainer.solvers.problem import Problem
from trainer.train.batches import Chunk, FullBatch, RowSet
from trainer.train.buffers import Buffers

Array = Any
Numbers = np.ndarray[Any, np.dtype[np.float64]]
Indices = np.ndarray[Any, np.dtype[np.int64]]
Flags = np.ndarray[Any, np.dtype[np.bool_]]
_EPS = float(np.finfo(np.float64).eps)
RIDGE = 4 * _EPS  # of a parameter's own curvature, a parameter
_TINY = float(np.finfo(np.float64).tiny)


class Hessians:
    """The second derivatives of one model on the same rows."""

    def __init__(self, problem: Problem, rows: RowSet, keeps: bool = True) -> None:
        """Make nothing yet.

        Args:
            problem: which model and basis; how many columns it has makes no difference.
            rows: the training rows in that basis.
            keeps: whether what rounds share is kept: features, and their products.
        """
        device, model, bias = problem.device, problem.row, problem.bias
        self.device, self.model, self.outputs, self.bias = device, model, problem.outputs, bias
        assert isinstance(problem.basis, Basis)
        self.basis = problem.basis
        self.inner, self.parameters = problem.inner, problem.inner + bias  # r, P
        self._rows, self._keeps = (rows := rows.bare), keeps
        self._batches = FullBatch(device, rows, rows_at_once(device, len(rows), self.order))
        self._products, self._kept = dict[int, Array](), dict[int, Array]()
        self._room: dict[tuple[int, int], Buffers] = {}
        self._constant: Array | None = None
        xp, C = device.xp, problem.outputs if model.coupled else 1
        unsaturated = xp.concatenate([self.basis.spectrum, xp.ones(int(bias))])  # (P,)
        largest = 1.0 if model.curvature is None else model.curvature
        floor = _EPS * largest * unsaturated[:, None] * xp.ones((1, C))  # (P, C)
        self.floor = floor.reshape(-1) + _TINY  # (Q,)

    def take(self, columns: Any) -> Hessians:
        """Those of some columns, which are all alike."""
        return self

    def of(self, column: int) -> Hessians:
        """Those of one column."""
        return self

    def alike(self, which: Flags) -> Iterator[tuple[Hessians, Flags]]:
        """Columns (K,) of the same rows."""
        yield self, which

    @cached_property
    def _place(self) -> Array:
        """(P²,) where each element of a symmetric matrix stands in its upper triangle."""
        upper = np.triu_indices(self.parameters)
        place = np.zeros((self.parameters, self.parameters), np.int64)
        place[upper] = place.T[upper] = np.arange(len(upper[0]))
        return self.device.to_device(place.reshape(-1))

    @cached_property
    def padded(self) -> Array:
        """The rows in the basis, a 1 with a bias, and zeros up to a multiple of 16 numbers."""
        X, rows = self._made_features(self._rows), len(self._rows)
        padded = self.device.xp.zeros((rows, padded_width(self.parameters)))
        padded[:, : self.parameters] = X
        return padded

    def placed(self) -> dict[str, Array | None]:
        """What a compiled step reads of the rows."""
        return self._batches.placed()

    @property
    def order(self) -> int:
        """Q: P·C where outputs are coupled, else P."""
        return self.parameters * (self.outputs if self.model.coupled else 1)

    @property
    def blocks(self) -> int:
        """Hessians a column: one an output, or one for all where outputs are coupled."""
        return 1 if self.model.coupled else self.outputs

    def at_once(self) -> int:
        """How many columns' Hessians are worked on together."""
        one = 8 * self.order**2 * self.blocks
        pairs = count_pairs(self.outputs, self.model.coupled)
        return columns_at_once(self.device, self._batches.chunk_rows, one, pairs)

    def step(
        self,
        w: Array,
        gradient: Array,
        l2: Array,
        should_stop: ShouldStop = never,
    ) -> Array:
        """−H⁻¹·g of k columns.

        Args:
            w: (P, C, k).
            gradient: (P, C, k).
            l2: (k,).
            should_stop: asked between pieces that take a CPU a second at most.

        Raises:
            Interrupted: `should_stop()`.
        """
        xp, P, C, k = self.device.xp, self.parameters, self.outputs, w.shape[2]
        hessians = self._regular(self.whole(w, l2, should_stop))  # (k·blocks, Q, Q)
        right = gradient.transpose(2, 0, 1) if self.model.coupled else gradient.transpose(2, 1, 0)
        right = right.reshape(-1, self.order, 1)
        found = -solved(xp, hessians, right, should_stop)[..., 0]
        known = xp.isfinite(found).all(axis=1, keepdims=True)  # a GPU says nothing of the others
        found = xp.where(known, found, -right[..., 0] / _diagonals(hessians))
        if self.model.coupled:
            return xp.ascontiguousarray(found.reshape(k, P, C).transpose(1, 2, 0))
        return xp.ascontiguousarray(found.reshape(k, C, P).transpose(2, 1, 0))

    def _regular(self, hessians: Array) -> Array:
        """The Hessians with a little more on their diagonals.

        J has none along softmax's gauge freedom (all biases alike), nor where rows are saturated.
        """
        own = _diagonals(hessians)  # (k·blocks, Q)
        # what is left of a parameter whose rows are all saturated gives no step to speak of
        own += RIDGE * self.order * own + self.floor
        return hessians

    def floored(self, hessians: Array) -> Array:
        """Whole Hessians (n, Q, Q) with what they have at least on their diagonals.

        Where all rows are saturated a step would be endless, as in `_regular`.
        """
        own = _diagonals(hessians)
        own += self.floor
        return hessians

    def floored_part(self, part: Numbers, elements: Indices) -> Numbers:
        """The same of a `part` (m, m), on the host."""
        diagonal = np.arange(len(part))
        floor = self._host_floor[elements if self.model.coupled else elements // self.outputs]
        part[diagonal, diagonal] += floor
        return part

    @cached_property
    def _host_floor(self) -> Numbers:
        found: Numbers = self.device.to_host(self.floor)  # device -> host
        return found

    # --- whole Hessians ---

    def whole(self, w: Array, l2: Array, should_stop: ShouldStop = never) -> Array:
        """The Hessians of k columns.

        Args:
            w: (P, C, k).
            l2: (k,).
            should_stop: as in `step`.

        Returns:
            (k·C, P, P), of column k and output c at k·C + c; (k, P·C, P·C), parameter p of output c
            at p·C + c, where outputs are coupled.
        """
        P, C, k = self.parameters, self.outputs, w.shape[2]
        if self.model.quadratic and not self._keeps:  # the same wherever it is
            second = self.device.xp.zeros((C * k, 1, 1)) + self.gram(should_stop)
        else:
            second = self._second(w, self.pairs(), should_stop)
        if self.model.coupled:
            whole = self._coupled(second.reshape(-1, k, P, P))
        else:
            whole = second.reshape(C, k, P, P).transpose(1, 0, 2, 3).reshape(-1, P, P)
        inner = _diagonals(whole).reshape(k, -1, P, C if self.model.coupled else 1)
        inner[:, :, : self.inner] += l2[:, None, None, None]
        return whole

    def _coupled(self, second: Array) -> Array:
        """(k, P·C, P·C) of all pairs of outputs, from those of two (pairs, k, P, P).

        All scores of a row moved alike change nothing: the blocks of a row sum to 0.
        """
        xp, C, (_, k, P, _) = self.device.xp, self.outputs, second.shape
        every = xp.take(second, self._pair_of, axis=0)  # (C·C, k, P, P)
        own = every[:: C + 1]  # of one output and itself, a view
        own[...] = 0
        own[...] = -every.reshape(C, C, k, P, P).sum(axis=1)
        return every.reshape(C, C, k, P, P).transpose(2, 3, 0, 4, 1).reshape(k, P * C, P * C)

    @cached_property
    def _pair_of(self) -> Array:
        """(C²,) which pair two outputs are; anything for one and itself."""
        pair_of = np.zeros((self.outputs, self.outputs), np.int64)
        for i, (a, b) in enumerate(self.pairs()):
            pair_of[a, b] = pair_of[b, a] = i
        return self.device.to_device(pair_of.reshape(-1))

    def pairs(self) -> list[tuple[int, int]]:
        """The pairs of outputs from which the whole follows."""
        C = self.outputs
        if not self.model.coupled:
            return [(c, c) for c in range(C)]
        return [(a, b) for a in range(C) for b in range(a + 1, C)]

    def _second(self, w: Array, pairs: list[tuple[int, int]], should_stop: ShouldStop) -> Array:
        """Σ p·∂²L/∂z_a∂z_b·x·xᵀ for each pair of outputs and column: (pairs·k, P, P)."""
        xp, P, count = self.device.xp, self.parameters, len(pairs) * w.shape[2]
        if not self._shares(count):
            total = xp.zeros((count, P, P))
            for chunk in self._chunks(should_stop):
                h = self._curvatures(chunk, w)
                self._add_products(h, self._features(chunk), total, should_stop)
            return total
        half = xp.zeros((count, P * (P + 1) // 2))
        for chunk in self._chunks(should_stop):
            half += self._curvatures(chunk, w).T @ self._products_of(chunk)
        return xp.take(half, self._place, axis=1)

    def _shares(self, count: int) -> bool:
        """Whether products of features are worth making for so many Hessians: there or not."""
        rows = self._batches.chunk_rows
        return count >= SHARED and has_products(self.device, rows, self.parameters)

    def _add_products(self, h: Array, X: Array, total: Array, should_stop: ShouldStop) -> None:
        """Add Σ h_j·x·xᵀ of a chunk's rows to (count, P, P), as many at once as there is room for.

        They are one product, X by copies of itself that are weighted side by side.
        """
        (n, P), count = X.shape, h.shape[1]
        size = max(1, self.device.at_once(0) // (8 * n * max(1, P)))
        for first in range(0, count, size):
            ask(should_stop)
            some = h[:, first : first + size, None] * X[:, None]  # (n, s, P)
            found = self.device.product(X.T, some.reshape(n, -1))  # (P, s·P), symmetric
            total[first : first + size] += found.reshape(P, -1, P).transpose(1, 0, 2)

    def _chunks(self, should_stop: ShouldStop) -> Iterator[Chunk]:
        for chunk in self._batches.chunks(1):
            ask(should_stop)
            yield chunk

    def _curvatures(self, chunk: Chunk, w: Array) -> Array:
        """p·∂²L/∂z_a∂z_b of a chunk's rows for the pairs of outputs: (n, pairs·k)."""
        xp, C, (n, k) = self.device.xp, self.outputs, (len(chunk.X), w.shape[2])
        predicted, spread = self._predicted(chunk, w)
        if not self.model.coupled:
            return (spread * chunk.q).reshape(n, -1)
        h, at = xp.empty((n, len(self.pairs()), k)), 0
        for a in range(C - 1):  # by all outputs after it, as in `pairs`
            others = predicted[:, a + 1 :]
            xp.multiply(predicted[:, a : a + 1], others, out=h[:, at : at + C - 1 - a])
            at += C - 1 - a
        h *= -chunk.q
        return h.reshape(n, -1)

    def _predicted(self, chunk: Chunk, w: Array) -> tuple[Array, Array]:
        """ŷ and ∂²L/∂z_c² (n, C, k) of a chunk's rows."""
        xp, variance = self.device.xp, self.model.variance
        assert variance is not None
        b = self._buffers(chunk.X.shape[0], w.shape[2])
        weights = self.basis.of_rows(xp, w[: self.inner])
        flat = xp.ascontiguousarray(weights).reshape(len(weights), self.outputs * w.shape[2])
        self.device.matmul(chunk.X, flat, out=b.z.reshape(len(b.z), -1))
        offset = w[self.inner] if self.bias else 0.0
        if not self.basis.centred:
            offset = offset - self.basis.stored_shift(xp, weights)
        b.z += offset
        self.model.activation(xp, b.z, b.error, b.scratch)
        variance(xp, b.error, b.z)
        return b.error, b.z

    def _buffers(self, rows: int, columns: int) -> Buffers:
        """Buffers for a chunk, the last ones if they fit."""
        if (rows, columns) not in self._room:
            made = Buffers(self.device.xp, rows, self.outputs, columns, np.float64)
            self._room = {(rows, columns): made}
        return self._room[rows, columns]

    def _features(self, chunk: Chunk) -> Array:
        """The rows in the basis with the bias as a feature of ones, (n, P); of few rows kept."""
        at = chunk.rows.start
        large = 8 * len(self._rows) * self.parameters > self.device.at_once(KEPT_FEATURES)
        if large or not self._keeps:
            return self._made_features(chunk)
        if at not in self._kept:
            self._kept[at] = self._made_features(chunk)
        return self._kept[at]

    def _made_features(self, chunk: Chunk | RowSet) -> Array:
        xp = self.device.xp
        b = self.basis
        X = b.about_mean(chunk.X)
        X = X if b.rotated else self.device.product(X, b.directions)
        return xp.concatenate([X, xp.ones((len(X), 1))], axis=1) if self.bias else X

    def _products_of(self, chunk: Chunk) -> Array:
        """x_p·x_q of a chunk's rows for all p <= q (n, P·(P + 1)/2): the same at every round."""
        found = self._products.get(chunk.rows.start)
        if found is None:
            X, P = self._features(chunk), self.parameters
            found, at = self.device.xp.empty((len(X), P * (P + 1) // 2)), 0
            for p in range(P):  # row by row of the triangle, as in `_place`
                self.device.xp.multiply(X[:, p, None], X[:, p:], out=found[:, at : at + P - p])
                at += P - p
            kept = sum(one.nbytes for one in self._products.values())
            if self._keeps and kept + found.nbytes <= self.device.at_once(KEPT):
                self._products[chunk.rows.start] = found
        return found

    # --- parts of one column's ---

    def part(self, w: Array, elements: Indices, should_stop: ShouldStop = never) -> Array:
        """What some elements of one column have in the Hessian of its data term.

        Args:
            w: (P, C), one column.
            elements: (m,) numbers p·C + c on the host, those of one output after those of another;
                all of one output where outputs are not coupled.
            should_stop: as in `step`.

        Returns:
            (m, m), on the device, without the floor of their curvature.
        """
        xp, m = self.device.xp, len(elements)
        output = elements % self.outputs  # rises
        place = self.device.to_device(np.stack([elements // self.outputs, output]))
        total = xp.zeros((m, m))
        for chunk in self._chunks(should_stop):
            predicted, spread = self._predicted(chunk, w[:, :, None])
            X, p = self._features(chunk), chunk.q[:, 0]
            # all elements of one output are the features as they are
            X = X if self._are_all(elements) else xp.take(X, place[0], axis=1)  # (n, m)
            if self.model.coupled:
                found = self._mixed(X, place[1], output, p, predicted[..., 0])
            else:
                c = int(output[0])
                root = X * xp.sqrt(p * spread[:, c])  # of both factors: half of the products
                found = self.device.product(root.T, root)
            total += found
        return total

    def _are_all(self, elements: Indices) -> bool:
        return not self.model.coupled and len(elements) == self.parameters

    def _mixed(self, X: Array, place: Array, output: Indices, p: Array, predicted: Array) -> Array:
        """Σ p·∂²L/∂z_a∂z_b·x·x of a chunk for elements (m,) of coupled outputs.

        diag(ŷ) − ŷ·ŷᵀ has ŷ_c beside −ŷ_c² where both elements are of one output c.
        """
        mixed = X * self.device.xp.take(predicted, place, axis=1)
        found = -self.device.product((mixed * p).T, mixed)
        ends = np.searchsorted(output, np.arange(self.outputs + 1)).tolist()
        for c, (first, last) in enumerate(pairwise(ends)):
            if first < last:
                own, share = X[:, first:last], p * predicted[:, c : c + 1]
                found[first:last, first:last] += (own * share).T @ own
        return found

    def second_at_zeros(self) -> Numbers:
        """∂²L/∂z_a∂z_b (C, C) of any row where all scores are 0, on the host."""
        variance, C = self.model.variance, self.outputs
        assert variance is not None
        b = Buffers(np, 1, C, 1, np.float64)
        b.z[...] = 0
        self.model.activation(np, b.z, b.error, b.scratch)
        variance(np, b.error, b.z)
        predicted, spread = b.error[0], b.z[0, :, 0]  # (C, 1), (C,)
        mixed: Numbers = -predicted @ predicted.T if self.model.coupled else np.zeros((C, C))
        np.fill_diagonal(mixed, spread)
        return mixed

    @cached_property
    def independent(self) -> bool:
        """Whether no parameter depends on others, by the Gram matrix: then no subset of them does.

        What a parameter has that those before it do not is no less where there are fewer of them.
        Constant features have nothing, and have no weights with l1.
        """
        gram = self.host_gram
        some = np.flatnonzero(np.diagonal(gram) > 0)
        none = np.zeros(len(some))
        return is_unique(np.take(np.take(gram, some, axis=0), some, axis=1), none, none, none)

    @cached_property
    def host_gram(self) -> Numbers:
        """The Gram matrix (P, P) on the host: the Hessian of a squared loss wherever it is."""
        found: Numbers = self.device.to_host(self.gram())  # device -> host
        return found

    def gram(self, should_stop: ShouldStop = never) -> Array:
        """The Gram matrix (P, P): the Hessian of a squared loss wherever it is.

        Raises:
            Interrupted: `should_stop()`, asked as in `step`.
        """
        if self._constant is None:
            parts = self.device.row_parts(self._rows.X)
            tasks = [partial(self._gram_of, part, should_stop) for part in parts]
            first, *others = self.device.side_by_side(tasks)
            self._constant = sum(others, first)
        return self._constant

    def _gram_of(self, part: slice, should_stop: ShouldStop) -> Array:
        """What some of the rows have in the Gram matrix."""
        xp, rows = self.device.xp, self._rows.part(part)
        total, size = xp.zeros((self.parameters, self.parameters)), self._batches.chunk_rows
        for chunk in FullBatch(self.device, rows, min(len(rows), size)).chunks(1):
            ask(should_stop)
            X, root = self._made_features(chunk), xp.sqrt(chunk.q[:, 0])
            X = xp.multiply(X, root, out=X if self.bias else None)  # with a bias it is a copy
            total += X.T @ X
        return total


def _diagonals(matrices: Array) -> Array:
    """(n, Q) of contiguous matrices (n, Q, Q), a view."""
    n, order, _ = matrices.shape
    return matrices.reshape(n, order * order)[:, :: order + 1]
