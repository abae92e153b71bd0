"""Targets and row weights that differ from column to column: the compiled errors, by their strides.

y is (B, C, 1|K) and q (B, 1|C, 1|K). The truth is the NumPy text on rows that are the columns laid
one after the other, each with its own target and weight.
"""

import ctypes
import itertools

import numpy as np
import pytest

from trainer.model import MODELS, Scratch, compiled
from trainer.model.compiled import ERRORS, Plan, room_of_errors
from trainer.model.compiled_errors import RULES, rule_of
from trainer.model.step import error

pytestmark = pytest.mark.skipif(compiled.load()[0] is None, reason=compiled.load()[1])
CLOSE = {"float32": 2e-6, "float64": 1e-13}  # of the largest value; sums are of few rows
KEYS = list(MODELS)
SHAPES = [(1, 1), (1, 7), (1, 200), (3, 1), (20, 1), (40, 1), (3, 7), (2, 16), (10, 33), (3, 130)]
CASES = [
    (key, *strides, precision)
    for key, *strides, precision in itertools.product(KEYS, *[(False, True)] * 3, CLOSE)
    if not (key[0] == "softmax" and strides[2])  # a row's loss is one number: so is its weight
]
ROWS = 45  # more than a chain of 32


@pytest.fixture(params=compiled.SETS)
def library(request, monkeypatch):
    monkeypatch.setenv("STACKED_TRAINER_COMPILED", request.param)
    found, why = compiled.load.__wrapped__()
    if found is None:
        pytest.skip(why)
    return found


def by_the_text(model, z, y, q, r):
    """dL/dz ⊙ q (B, C, K), dJ/db (C, K), and the six sums (6, K) of the log, in float64."""
    B, C, K = z.shape
    alone = not model.coupled  # an output is a row too: each has a weight of its own
    as_rows = (B * C * K, 1, 1) if alone else (B * K, C, 1)

    def to_rows(array):
        whole = np.broadcast_to(array, z.shape)
        return np.ascontiguousarray(whole if alone else whole.swapaxes(1, 2)).reshape(as_rows)

    def back(array):
        array = array.astype(float)
        return array.reshape(z.shape) if alone else array.reshape(B, K, -1).swapaxes(1, 2)

    z_rows, off, loss = to_rows(z), np.empty(as_rows, z.dtype), np.empty((as_rows[0], 1), z.dtype)
    scratch = Scratch.of(np, *as_rows, z.dtype)
    dz = back(error(model, np, z_rows.copy(), to_rows(y), off, loss, scratch))
    off, loss = back(off), back(loss)
    sums = [q * loss, r[:, None, None] * loss, off**2, dz**2]
    mean, logged, squares, of_dz = (one.astype(float).sum(axis=(0, 1)) for one in sums)
    largest = (off**2).max(axis=(0, 1))
    return dz * q, (dz * q).sum(axis=0), [mean, logged, squares, largest, of_dz, np.zeros(K)]


def by_the_twin(library, model, z, bias, y, q, r):
    B, C, K = z.shape
    precision = str(z.dtype)
    found, into = np.zeros((6, K), z.dtype), np.empty((C, K), z.dtype)
    z, room = z.copy(), np.empty(room_of_errors(C, K), z.dtype)
    strides = [
        0 if size == 1 else step // z.itemsize
        for a in (y, q)
        for size, step in zip(a.shape, a.strides, strict=True)
    ]
    names = ("y_row", "y_output", "y_column", "q_row", "q_output", "q_column")
    plan = Plan(outputs=C, columns=K, loss=RULES[rule_of(model)])
    for name, value in zip(names, strides, strict=True):
        setattr(plan, name, value)
    plan.y_output = 1 if C == 1 else plan.y_output
    plan.r_row = 1
    arrays = {"z": z, "parameters": bias, "y": y, "q": q, "r": r, "room": room}
    arrays |= {"mean": found, "ring": found[1:]}
    for name, array in arrays.items():
        setattr(plan, name, array.ctypes.data)
    for start, stop in ((0, 32), (32, B)):
        plan.z, gradient = z[start:].ctypes.data, np.empty((C, K), z.dtype)
        library.step[precision](
            ctypes.byref(plan), ERRORS, start, stop - start, 0, gradient.ctypes.data
        )
        into = gradient if start == 0 else into + gradient
    return z, into, found


def test_the_table_of_cases_is_whole():
    assert len(CASES) == (5 * 8 + 4) * 2
    assert set(KEYS) == {key for key, *_ in CASES}


@pytest.mark.parametrize(("key", "y_column", "q_column", "q_output", "precision"), CASES)
def test_each_column_has_its_own_targets_and_weights(
    key, y_column, q_column, q_output, precision, library
):
    model = MODELS[key]
    loose = 10 if key[1] == "squared_error" and precision == "float32" else 1
    for C, K in SHAPES:
        draw = np.random.default_rng(C * 1000 + K)
        y_shape = (ROWS, C, K if y_column else 1)
        q_shape = (ROWS, C if q_output else 1, K if q_column else 1)
        if key[0] == "softmax":
            y = np.moveaxis(draw.dirichlet(np.ones(C), (ROWS, y_shape[2])), 2, 1)
        else:
            y = draw.integers(0, 2, y_shape)
        y = np.ascontiguousarray(y, precision)
        q = draw.uniform(0.1, 2, q_shape).astype(precision) * draw.integers(0, 2, q_shape)
        q, r = q.astype(precision), draw.uniform(0, 1, ROWS).astype(precision)
        z = draw.standard_normal((ROWS, C, K)).astype(precision)
        bias = draw.standard_normal((C, K)).astype(precision)
        dz, slopes, sums = by_the_text(model, z + bias, y, q, r)
        ours, into, found = by_the_twin(library, model, z, bias, y, q, r)
        limit = loose * CLOSE[precision]
        assert np.abs(ours - dz).max() <= limit * max(np.abs(dz).max(), 1e-30), (C, K)
        assert np.abs(into - slopes).max() <= limit * ROWS**0.5 * np.abs(dz).max(), (C, K)
        for at, right in enumerate(sums):
            if at or precision == "float64":
                scale = max(np.abs(right).max(), np.abs(r).max())
                assert np.abs(found[at] - right).max() <= 2 * limit * scale, (C, K, at)
