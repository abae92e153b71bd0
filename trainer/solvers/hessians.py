"""Hessians of J: those of many columns at once, or some rows and columns of one.

    ∂²J/∂w_pa∂w_qb = Σ_rows p·x_p·x_q·∂²L/∂z_a∂z_b + l2·[p = q, a = b]

Nothing here depends on how many columns a stack has: what is made once for the rows serves all.

Letters: P parameters an output (r weights, and a bias), C outputs, k columns, Q parameters of one
Hessian, n rows of a chunk.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cached_property, partial
from typing import Any

import numpy as np

from trainer.solvers.active_set import is_unique
from trainer.solvers.problem import Problem
from trainer.train.batches import Chunk, FullBatch, RowSet
from trainer.train.buffers import Buffers

Array = Any
_ROWS = 4096  # of a chunk
SMALL = 96  # parameters up to which products of features are made once for all columns
_SHARED = 8  # Hessians from which on such products are worth making
_KEPT = 256 * 2**20  # bytes of such products
_KEPT_FEATURES = 16 * 2**20  # bytes of the features of all rows
_SCORES = 1 << 24  # bytes of the scores of a chunk
MOST_HESSIANS = 256 * 2**20  # bytes of those that are worked on together
_EPS = float(np.finfo(np.float64).eps)
RIDGE = 4 * _EPS  # of a parameter's own curvature, a parameter
_TINY = float(np.finfo(np.float64).tiny)


class Interrupted(Exception):
    """A signal came while a Hessian was summed up, which may take longer than one can wait."""


class Hessians:
    """The second derivatives of one model on the same rows."""

    def __init__(self, problem: Problem, rows: RowSet) -> None:
        """Make nothing yet.

        Args:
            problem: which model and basis; how many columns it has makes no difference.
            rows: the training rows in that basis.
        """
        device, model, bias = problem.device, problem.row, problem.bias
        self.device, self.model, self.outputs, self.bias = device, model, problem.outputs, bias
        self.basis = problem.basis
        self.inner = problem.inner  # r
        self.parameters = self.inner + bias  # P
        self._rows = rows
        self._batches = FullBatch(device, rows, min(len(rows), _ROWS))
        self._products: dict[int, Array] = {}
        self._kept: dict[int, Array] = {}
        self._room: dict[tuple[int, int], Buffers] = {}
        self._constant: Array | None = None
        self._independent: bool | None = None
        xp, C = device.xp, problem.outputs if model.coupled else 1
        unsaturated = xp.concatenate([self.basis.spectrum, xp.ones(int(bias))])  # (P,)
        largest = 1.0 if model.curvature is None else model.curvature
        floor = _EPS * largest * unsaturated[:, None] * xp.ones((1, C))  # (P, C)
        self.floor = floor.reshape(-1) + _TINY  # (Q,)

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
        padded = self.device.xp.zeros((rows, -(-self.parameters // 16) * 16))
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
        pairs = len(self.pairs())
        hessians = MOST_HESSIANS // (8 * self.order**2 * self.blocks)
        return int(max(1, min(hessians, _SCORES // (8 * pairs * self._batches.chunk_rows))))

    def step(
        self,
        w: Array,
        gradient: Array,
        l2: Array,
        should_stop: Callable[[], object] = lambda: False,
    ) -> Array:
        """−H⁻¹·g of k columns.

        Args:
            w: (P, C, k).
            gradient: (P, C, k).
            l2: (k,).
            should_stop: asked between chunks of rows.

        Raises:
            Interrupted: `should_stop()`.
        """
        xp, P, C, k = self.device.xp, self.parameters, self.outputs, w.shape[2]
        hessians = self._regular(self.whole(w, l2, should_stop))  # (k·blocks, Q, Q)
        right = gradient.transpose(2, 0, 1) if self.model.coupled else gradient.transpose(2, 1, 0)
        found = -xp.linalg.solve(hessians, right.reshape(-1, self.order, 1))[..., 0]
        if self.model.coupled:
            return xp.ascontiguousarray(found.reshape(k, P, C).transpose(1, 2, 0))
        return xp.ascontiguousarray(found.reshape(k, C, P).transpose(2, 1, 0))

    def _regular(self, hessians: Array) -> Array:
        """The Hessians with a little more on their diagonals.

        J has none along softmax's gauge freedom (all biases alike), nor where rows are saturated.
        """
        diagonal = self.device.xp.arange(self.order)
        own = hessians[:, diagonal, diagonal]  # (k·blocks, Q)
        # what is left of a parameter whose rows are all saturated gives no step to speak of
        hessians[:, diagonal, diagonal] = own + (RIDGE * self.order * own + self.floor)
        return hessians

    def floored(self, hessians: Array, elements: Array | None = None) -> Array:
        """Parts of Hessians (k, m, m) with what they have at least on their diagonals.

        Where all rows are saturated a step would be endless, as in `_regular`. `elements` (m,) are
        as in `part`; without them those of a whole.
        """
        floor, diagonal = self.floor, self.device.xp.arange(hessians.shape[1])
        if elements is not None:
            floor = floor[elements if self.model.coupled else elements // self.outputs]
        hessians[:, diagonal, diagonal] += floor
        return hessians

    # --- whole Hessians ---

    def whole(
        self, w: Array, l2: Array, should_stop: Callable[[], object] = lambda: False
    ) -> Array:
        """The Hessians of k columns.

        Args:
            w: (P, C, k).
            l2: (k,).
            should_stop: as in `step`.

        Returns:
            (k·C, P, P), of column k and output c at k·C + c; (k, P·C, P·C), parameter p of output c
            at p·C + c, where outputs are coupled.
        """
        xp, P, C, k = self.device.xp, self.parameters, self.outputs, w.shape[2]
        pairs, inner = self.pairs(), xp.arange(self.inner)
        second = self._second(w, pairs, should_stop).reshape(len(pairs), k, P, P)
        whole = xp.zeros((k, C, P, P) if not self.model.coupled else (k, P, C, P, C))
        for (a, b), part in zip(pairs, second, strict=True):
            if a == b:
                whole[:, a] = part
            else:  # all scores of a row moved alike change nothing: blocks of a row sum to 0
                whole[:, :, a, :, b] = whole[:, :, b, :, a] = part
                whole[:, :, a, :, a] -= part
                whole[:, :, b, :, b] -= part
        for c in range(C):
            own = whole[:, :, c, :, c] if self.model.coupled else whole[:, c]  # a view
            own[:, inner, inner] += l2[:, None]
        return whole.reshape(-1, self.order, self.order)

    def pairs(self) -> list[tuple[int, int]]:
        """The pairs of outputs from which the whole follows."""
        C = self.outputs
        if not self.model.coupled:
            return [(c, c) for c in range(C)]
        return [(a, b) for a in range(C) for b in range(a + 1, C)]

    def _second(
        self, w: Array, pairs: list[tuple[int, int]], should_stop: Callable[[], object]
    ) -> Array:
        """Σ p·∂²L/∂z_a∂z_b·x·xᵀ for each pair of outputs and column: (pairs·k, P, P)."""
        xp, P, count = self.device.xp, self.parameters, len(pairs) * w.shape[2]
        if P > SMALL or (count < _SHARED and not self._products):
            total = xp.zeros((count, P, P))
            for chunk in self._chunks(should_stop):
                h, X = self._curvatures(chunk, w, pairs), self._features(chunk)  # (n, P)
                for j in range(count):
                    total[j] += self.device.product(X.T, X * h[:, j, None])
            return total
        half = xp.zeros((count, P * (P + 1) // 2))
        for chunk in self._chunks(should_stop):
            half += self._curvatures(chunk, w, pairs).T @ self._products_of(chunk)
        return xp.take(half, self._place, axis=1)

    def _chunks(self, should_stop: Callable[[], object]) -> Iterator[Chunk]:
        for chunk in self._batches.chunks(1):
            if should_stop():
                raise Interrupted
            yield chunk

    def _curvatures(self, chunk: Chunk, w: Array, pairs: list[tuple[int, int]]) -> Array:
        """p·∂²L/∂z_a∂z_b of a chunk's rows: (n, pairs·k)."""
        xp, n, k = self.device.xp, chunk.X.shape[0], w.shape[2]
        predicted, spread = self._predicted(chunk, w)
        h = xp.empty((n, len(pairs), k))
        for i, (a, b) in enumerate(pairs):
            if a == b:
                h[:, i] = spread[:, a]
            else:
                xp.multiply(predicted[:, a], predicted[:, b], out=h[:, i])
                xp.negative(h[:, i], out=h[:, i])
        h *= chunk.q
        return h.reshape(n, -1)

    def _predicted(self, chunk: Chunk, w: Array) -> tuple[Array, Array]:
        """ŷ and ∂²L/∂z_c² (n, C, k) of a chunk's rows."""
        xp, variance = self.device.xp, self.model.variance
        assert variance is not None
        b = self._buffers(chunk.X.shape[0], w.shape[2])
        weights = w[: self.inner] if self.basis.rotated else self.basis.weights(xp, w[: self.inner])
        flat = xp.ascontiguousarray(weights).reshape(len(weights), self.outputs * w.shape[2])
        self.device.matmul(chunk.X, flat, out=b.z.reshape(len(b.z), -1))
        if self.bias:
            offset = w[self.inner]
            if not self.basis.centred:
                offset = offset - self.basis.shift(xp, weights)
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
        if 8 * len(self._rows) * self.parameters > _KEPT_FEATURES:
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
            if found.nbytes + sum(one.nbytes for one in self._products.values()) <= _KEPT:
                self._products[chunk.rows.start] = found
        return found

    # --- parts of one column's ---

    def part(
        self, w: Array, elements: Array, should_stop: Callable[[], object] = lambda: False
    ) -> Array:
        """What some elements of one column have in the Hessian of its data term.

        Args:
            w: (P, C), one column.
            elements: (m,) numbers p·C + c; all of one output c where outputs are not coupled.
            should_stop: as in `step`.

        Returns:
            (m, m), not to be written to.
        """
        xp, C = self.device.xp, self.outputs
        feature, output = elements // C, elements % C
        if self.model.quadratic:
            gram = self.gram()
            return gram if len(feature) == len(gram) else gram[feature[:, None], feature]
        found = xp.zeros((len(elements), len(elements)))
        for X, p, predicted, spread in self._of_column(w, feature, should_stop):
            self._add_part(X, output, p, predicted, spread, found)
        return self.floored(found[None], elements)[0]

    def second_at_zeros(self) -> Array:
        """∂²L/∂z_a∂z_b (C, C) of any row where all scores are 0."""
        xp, variance, C = self.device.xp, self.model.variance, self.outputs
        assert variance is not None
        b = Buffers(xp, 1, C, 1, np.float64)
        b.z[...] = 0
        self.model.activation(xp, b.z, b.error, b.scratch)
        variance(xp, b.error, b.z)
        predicted, spread = b.error[0], b.z[0, :, 0]  # (C, 1), (C,)
        mixed = -predicted @ predicted.T if self.model.coupled else xp.zeros((C, C))
        mixed[xp.arange(C), xp.arange(C)] = spread
        return mixed

    def _of_column(
        self, w: Array, feature: Array, should_stop: Callable[[], object]
    ) -> Iterator[tuple[Array, Array, Array, Array]]:
        """Chunk by chunk: features (n, m), p (n, 1), ŷ (n, C) and ∂²L/∂z_c² (n, C)."""
        xp, P = self.device.xp, self.parameters
        all_of_them = not self.model.coupled and len(feature) == P  # else some twice, others not
        for chunk in self._chunks(should_stop):
            predicted, spread = self._predicted(chunk, w[:, :, None])
            X = self._features(chunk)
            X = X if all_of_them else xp.take(X, feature, axis=1)
            yield X, chunk.q[:, 0], predicted[:, :, 0], spread[:, :, 0]

    def _add_part(
        self, X: Array, output: Array, p: Array, predicted: Array, spread: Array, out: Array
    ) -> None:
        """Add Σ p·∂²L/∂z_a∂z_b·x·x of a chunk; X (n, m) and `output` (m,) are the elements'."""
        xp = self.device.xp
        if not self.model.coupled:
            c = int(output[0])
            root = X * xp.sqrt(p * spread[:, c : c + 1])  # of both factors: half of the products
            out += self.device.product(root.T, root)
            return
        mixed = X * predicted[:, output]
        out -= self.device.product((mixed * p).T, mixed)
        for c in range(self.outputs):  # diag(ŷ): ŷ_c, of which the line above took ŷ_c²
            own = xp.flatnonzero(output == c)
            if len(own):
                share = p * predicted[:, c : c + 1]
                out[own[:, None], own] += (X[:, own] * share).T @ X[:, own]

    def independent(self) -> bool:
        """Whether no parameter depends on others, by the Gram matrix: then no subset of them does.

        What a parameter has that those before it do not is no less where there are fewer of them.
        Constant features have nothing, and have no weights with l1.
        """
        if self._independent is None:
            xp, gram = self.device.xp, self.gram()
            some = xp.flatnonzero(xp.diagonal(gram) > 0)
            none = xp.zeros(len(some))
            part = xp.take(xp.take(gram, some, axis=0), some, axis=1)
            self._independent = is_unique(xp, part, none, none, none)
        return self._independent

    def gram(self) -> Array:
        """The Gram matrix (P, P): the Hessian of a squared loss wherever it is."""
        if self._constant is None:
            parts = self.device.row_parts(self._rows.X)
            first, *others = self.device.side_by_side([partial(self._gram_of, p) for p in parts])
            self._constant = sum(others, first)
        return self._constant

    def _gram_of(self, part: slice) -> Array:
        """What some of the rows have in the Gram matrix."""
        xp, rows = self.device.xp, self._rows.part(part)
        total = xp.zeros((self.parameters, self.parameters))
        for chunk in FullBatch(self.device, rows, min(len(rows), _ROWS)).chunks(1):
            X = self._made_features(chunk) * xp.sqrt(chunk.q[:, 0])
            total += X.T @ X
        return total
