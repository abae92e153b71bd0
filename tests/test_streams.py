from __future__ import annotations

import numpy as np
import pytest
from double import Cupy
from hypothesis import given, settings
from hypothesis import strategies as st

from trainer.streams import random_bits, shuffle, uniform

MASK = (1 << 64) - 1


def splitmix64(state: int) -> int:
    """The next output of Steele, Lea, Flood's generator, in Python integers."""
    z = (state + 0x9E3779B97F4A7C15) & MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
    return z ^ (z >> 31)


def test_published_splitmix64_vector() -> None:
    assert splitmix64(0) == 0xE220A8397B1DCDAF  # the first output for seed 0


@settings(deadline=None)
@given(seed=st.integers(0, MASK), stream=st.integers(0, MASK), start=st.integers(0, 10_000))
def test_bits_are_splitmix64(seed: int, stream: int, start: int) -> None:
    state = splitmix64(splitmix64(seed) ^ stream)
    expected = [
        splitmix64((state + i * 0x9E3779B97F4A7C15) & MASK) for i in range(start, start + 3)
    ]
    assert random_bits(seed, stream, start, start + 3).tolist() == expected


def test_orders_are_pinned() -> None:
    assert shuffle(0, 0, 10).tolist() == [0, 7, 8, 2, 5, 9, 4, 6, 3, 1]
    assert shuffle(0, 1, 10).tolist() == [9, 0, 6, 7, 4, 3, 2, 1, 8, 5]
    assert shuffle(1, 2, 7).tolist() == [2, 3, 1, 5, 6, 0, 4]
    assert int((shuffle(7, 3, 100_000) * np.arange(100_000) % 1009).sum()) == 50274313


@settings(deadline=None)
@given(seed=st.integers(-(2**70), 2**70), epoch=st.integers(0, 2**64 - 1), n=st.integers(0, 3000))
def test_an_order_is_a_permutation(seed: int, epoch: int, n: int) -> None:
    order = shuffle(seed, epoch, n)
    assert order.dtype == np.int64
    assert np.array_equal(np.sort(order), np.arange(n))


@pytest.mark.parametrize("n", [0, 1, 2, 3, 64, 65, 1000, 4096])
def test_a_device_makes_the_same_order_from_two_numbers_and_no_copy(n: int) -> None:
    double = Cupy()
    for seed, epoch in ((0, 0), (7, 3), (-5, 2**64 - 1), (2**63, 12)):
        order = shuffle(seed, epoch, n, double)
        assert (double.counts.copies, double.counts.syncs) == (0, 0)
        there = double.asnumpy(order)
        assert there.dtype == np.int64
        assert there.tolist() == shuffle(seed, epoch, n).tolist()
        double.counts.__init__()  # type: ignore[misc]


def test_every_place_is_equally_likely() -> None:
    n, epochs = 5, 4000
    counts = np.zeros((n, n))
    for epoch in range(epochs):
        counts[np.arange(n), shuffle(0, epoch, n)] += 1
    expected = epochs / n
    assert ((counts - expected) ** 2 / expected).sum() < 42.3  # χ², 16 degrees, p = 0.0004


def test_uniform_has_its_moments_and_no_ends() -> None:
    u = uniform(0, 0, 0, 200_000)
    assert abs(u.mean() - 1 / 2) < 0.003
    assert abs(u.var() - 1 / 12) < 0.001
    assert 0 < u.min() < u.max() < 1
    assert np.array_equal(uniform(0, 0, 5, 9), u[5:9])
