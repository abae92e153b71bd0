"""Rows drawn with replacement: as many as there are, evenly, and the same in any order."""

import numpy as np
import pytest

from trainer.statistics.draws import repeat_draws, row_draws, units_of
from trainer.streams import RESAMPLES, random_bits


def test_draws_are_the_halves_of_their_stream():
    units, right = 8, np.zeros((3, 8))
    bits = random_bits(5, RESAMPLES, 0, 3 * 4).tolist()
    for word, both in enumerate(bits):  # Python's integers have no end
        for half in (both >> 32, both % (1 << 32)):
            right[word // 4, (half * units) >> 32] += 1
    assert row_draws(5, units, 0, 3).tolist() == right.tolist()
    assert row_draws(0, 8, 0, 2).tolist() == [[1, 0, 2, 0, 2, 1, 1, 1], [1, 0, 0, 0, 3, 1, 2, 1]]


def test_a_draw_is_its_number_s_whatever_is_drawn_with_it():
    whole = row_draws(3, 17, 0, 12)
    parts = [row_draws(3, 17, a, b) for a, b in ((0, 1), (1, 7), (7, 12))]
    assert np.array_equal(whole, np.concatenate(parts))
    assert not np.array_equal(whole[0], whole[1])
    assert not np.array_equal(whole, row_draws(4, 17, 0, 12))
    assert not np.array_equal(whole, repeat_draws(3, 17, 0, 12))


def test_every_unit_is_as_likely():
    units, draws = 30, 20_000
    counts = row_draws(1, units, 0, draws)
    assert counts.shape == (draws, units)
    assert (counts.sum(axis=1) == units).all()
    p = 1 / units  # the counts of a draw are multinomial
    error = np.sqrt(units * p * (1 - p) / draws)
    assert np.abs(counts.mean(axis=0) - 1).max() < 4.5 * error
    np.testing.assert_allclose(counts.var(axis=0), 1 - p, rtol=0.06)
    np.testing.assert_allclose(np.cov(counts.T)[0, 1:], -p, atol=0.045)


@pytest.mark.parametrize("units", [0, 1 << 31])
def test_what_32_bits_cannot_choose_among_is_refused(units):
    with pytest.raises(ValueError, match="units to draw from"):
        row_draws(0, units, 0, 1)


def test_labels_are_numbered_alike_in_all_parts():
    units, count = units_of(np.array([7, 9, 7]), np.array([2, 9]))
    assert count == 3
    assert [part.tolist() for part in units] == [[1, 2, 1], [0, 2]]
