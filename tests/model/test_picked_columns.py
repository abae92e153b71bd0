"""Both twins where columns pick targets and weights from tables: against the text, to the bit.

To the bit they are what they are of tables laid out for each column, a target and a weight each.
"""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from double import Cupy
from stacks import DEVICE, Problem, make_problem, make_stack, start, train

from trainer import device as devices
from trainer.model import MODELS, compiled
from trainer.model.compiled_errors import errors_of
from trainer.train.batches import FullBatch, RowSet
from trainer.train.fused import FusedHalves
from trainer.train.halves import NumpyHalves

KEYS = [key for key in MODELS if key != ("linear", "squared_error")]
SHAPES = [(1, 1), (1, 7), (1, 40), (3, 1), (20, 1), (3, 7), (3, 130)]
CASES = [
    (key, shape, precision)
    for key, shape, precision in itertools.product(KEYS, SHAPES, ("float32", "float64"))
]  # fmt: skip
N, T, R = 45, 4, 3


def test_the_table_of_cases_is_whole():
    assert len(CASES) == 5 * 7 * 2


def tables(key, C, K, precision):
    """Targets (N, C, T), weights (R, N) with zeros, and which of them each column has."""
    draw = np.random.default_rng(C * 100 + K)
    y = draw.integers(0, 2, (N, C, T)).astype(float)
    if key[0] == "softmax":
        y = np.moveaxis(draw.dirichlet(np.ones(C), (N, T)), 2, 1)
    y = y.astype(precision)
    p = draw.uniform(0.5, 2, (R, N)) * (draw.random((R, N)) > 0.3)
    return y, p / p.sum(axis=1, keepdims=True), draw.integers(0, T, K), draw.integers(0, R, K)


def errors(rows, key, K, z):
    """dL/dz ⊙ q, dJ/db and the sums of the twin, of scores z (N, C, K)."""
    _, C, _ = z.shape
    batches = FullBatch(DEVICE, rows, N)
    twin = errors_of(np, MODELS[key], rows.y, batches.placed(), K)
    found, into, z = np.zeros((6, K), z.dtype), np.empty((C, K), z.dtype), z.copy()
    twin.begin(np.zeros((C, K), z.dtype), found)
    twin.run(slice(0, N), z, into)
    return z, into, found


@pytest.mark.skipif(compiled.load()[0] is None, reason=compiled.load()[1])
@pytest.mark.parametrize(("key", "shape", "precision"), CASES)
def test_a_picked_column_is_the_one_laid_out_in_the_c_twin(key, shape, precision):
    C, K = shape
    y, p, target, row_set = tables(key, C, K, precision)
    if K == 1:  # outputs side by side, where they are in memory
        y, target = np.ascontiguousarray(y[:, :, :1]), target * 0
    X = np.ones((N, 1), precision)
    z = np.random.default_rng(1).standard_normal((N, C, K)).astype(precision)
    every = np.arange(K)
    picked = RowSet(DEVICE, X, y, p, p, C, target=target, row_set=row_set)
    laid_out = RowSet(
        DEVICE, X, np.ascontiguousarray(y[:, :, target]), p[row_set], p[row_set], C,
        target=every, row_set=every,
    )  # fmt: skip
    ours, right = (errors(rows, key, K, z) for rows in (picked, laid_out))
    for one, expected in zip(ours, right, strict=True):
        assert (one == expected).all()
    unused = p[row_set].T[:, None] == 0
    assert (ours[0][np.broadcast_to(unused, z.shape)] == 0).all()
    broken = np.where(unused, np.nan, z)
    for one, expected in zip(errors(picked, key, K, broken), ours, strict=True):
        assert (one == expected).all()  # what an unused row holds reaches nothing


@pytest.mark.parametrize("batch_size", [None, 16])
@pytest.mark.parametrize("key", [key for key in KEYS if key[0] != "softmax"])
def test_steps_of_picked_columns_by_cuda_are_the_texts(key, batch_size, monkeypatch):
    whole = make_problem(*key, rows=60, outputs=T, weights="rows")
    y = whole.y[:, None].astype(float).copy()
    y[np.random.default_rng(2).random(60) < 0.3, 0, 1] = np.nan
    target = np.array([0, 1, 3, 2, 1])
    ends = []
    for device, kind in ((devices.from_cupy(Cupy(), "the double", twin="cuda"), FusedHalves),
                         (DEVICE, NumpyHalves)):  # fmt: skip
        if kind is NumpyHalves:
            monkeypatch.setattr(compiled, "load", lambda: (None, "the text"))
        rows = RowSet(device, whole.X, y, whole.p, whole.p, 1, target=target)
        stack = make_stack(
            Problem(*key, whole.X, whole.y[:, :1], whole.s, whole.w, 1), "adam", device=device,
            rows=rows, batch_size=batch_size, lr=np.linspace(0.02, 0.1, 5), l2=0.01,
        )  # fmt: skip
        assert isinstance(stack._halves, kind)
        state = start(stack)
        records = train(stack, state)
        values = np.concatenate([v for one in records for v in one.values.values()])
        ends.append((device.to_host(state.weights), device.to_host(state.bias), values))
    for ours, right in zip(*ends, strict=True):
        np.testing.assert_allclose(ours, right, rtol=1e-11, atol=1e-13)
