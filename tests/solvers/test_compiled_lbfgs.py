"""The compiled pairs and recursion of L-BFGS against the text, and columns on their own."""

import numpy as np
import pytest

from trainer.model import compiled
from trainer.solvers.compiled_lbfgs import compiled_lbfgs
from trainer.solvers.lbfgs import direct

needs_library = pytest.mark.skipif(compiled.load()[0] is None, reason=compiled.load()[1])
SHAPES = [(1, 1, 1), (5, 1, 1), (65, 10, 1), (31, 1, 7), (9, 3, 16), (6, 2, 128), (4, 3, 200)]
PAIRS = 4


def drawn(shape, seed=0):
    draw = np.random.default_rng(seed)
    P = shape[0]
    s = draw.standard_normal((PAIRS, *shape))
    y = s + 0.3 * draw.standard_normal((PAIRS, *shape))
    rho = 1 / (s * y).sum(axis=(1, 2))
    rho[1, ::2] = 0  # a pair that does not count
    return draw.standard_normal(shape), draw.uniform(0.5, 2, (P, 1, shape[2])), s, y, rho


@needs_library
@pytest.mark.parametrize("count", [0, 1, PAIRS])
@pytest.mark.parametrize("shape", SHAPES)
def test_the_recursion_is_the_texts(shape, count):
    q, scale, s, y, rho = drawn(shape)
    order, ours = [2, 1, 0, 3][:count], q.copy()
    compiled_lbfgs(np, PAIRS).direct(ours, scale, s, y, rho, order)
    direct(np, q, scale, s, y, rho, order, np.empty(shape))
    np.testing.assert_allclose(ours, q, rtol=1e-9, atol=1e-11 * np.abs(q).max())


@needs_library
@pytest.mark.parametrize("shape", SHAPES)
def test_a_column_without_numbers_spoils_no_other(shape):
    q, scale, s, y, rho = drawn(shape)
    twin, order = compiled_lbfgs(np, PAIRS), [3, 2, 1, 0]
    healthy, K = q.copy(), shape[2]
    twin.direct(healthy, scale, s, y, rho, order)
    q[..., K // 2] = np.nan
    s[:, ..., K // 2] = np.inf
    twin.direct(q, scale, s, y, rho, order)
    others = np.arange(K) != K // 2
    np.testing.assert_array_equal(q[..., others], healthy[..., others])
    assert np.isnan(q[..., K // 2]).all()


@needs_library
@pytest.mark.parametrize("bias", [0, 1])
@pytest.mark.parametrize("shape", SHAPES)
def test_a_pair_is_written_and_summed_up(shape, bias):
    draw, (P, _, K) = np.random.default_rng(1), shape
    step, before, after = draw.standard_normal((3, *shape))
    l2, spectrum = draw.uniform(0, 2, K), draw.uniform(0.1, 2, P)
    moved, inner = np.arange(K) % 3 != 1, P - bias
    s, y = np.full((2, *shape), np.nan)
    found = compiled_lbfgs(np, PAIRS).pair(inner, moved, l2, spectrum, (step, before, after), s, y)
    np.testing.assert_array_equal(s, np.where(moved, step, 0))
    np.testing.assert_array_equal(y, np.where(moved, after - before, 0))
    v = y - np.where(np.arange(P)[:, None, None] < inner, l2 * s, 0)
    pairs = [(s, y), (s, v), (v / spectrum[:, None, None], v), (s, s), (y, y)]
    right = np.array([(a * b).sum(axis=(0, 1)) for a, b in pairs])
    np.testing.assert_allclose(found, right, rtol=1e-9, atol=1e-12 * np.abs(right).max())


def test_more_pairs_than_it_has_room_for_go_by_the_text():
    assert compiled_lbfgs(np, 65) is None
