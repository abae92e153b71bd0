"""Percentile intervals, and what they take to be of use."""

import numpy as np
import pytest
from scipy.stats import bootstrap, norm

from trainer.statistics.draws import row_draws
from trainer.statistics.intervals import Interval, fewest_resamples, percentile_interval
from trainer.statistics.operations import Drawn, affordable, run_operations


def test_the_middle_share_of_the_draws():
    values = np.arange(1001.0)
    assert percentile_interval(values, 0.95) == pytest.approx((25.0, 975.0, 0))
    assert percentile_interval(values, 0.5) == pytest.approx((250.0, 750.0, 0))


@pytest.mark.parametrize("count", [1, 2, 3, 10, 997])
def test_its_ends_are_numpys_quantiles_to_the_bit(count):
    values = np.random.default_rng(count).standard_normal(count)
    for level in (0.95, 0.9, 0.5, 0.01):
        found = percentile_interval(values, level)
        right = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
        assert (found.low, found.high) == tuple(right)


def test_what_is_undefined_is_left_out_and_counted():
    values = np.array([np.nan, 3.0, 1.0, np.nan, 2.0])
    assert percentile_interval(values, 0.5) == Interval(1.5, 2.5, 2)
    assert percentile_interval(np.full(4, np.nan), 0.95) is None
    assert percentile_interval(np.full(4, np.inf), 0.95) is None


def test_of_a_mean_it_is_scipys_and_the_normal_one():
    rows = np.random.default_rng(0).normal(3, 2, 400)
    means = row_draws(0, 400, 0, 4000) @ rows / 400
    found = percentile_interval(means, 0.9)
    scipy = bootstrap(
        (rows,), np.mean, n_resamples=4000, confidence_level=0.9, method="percentile", rng=1
    ).confidence_interval
    error = rows.std() / 20
    near = pytest.approx(rows.mean() + norm.ppf([0.05, 0.95]) * error, abs=0.1 * error)
    assert [found.low, found.high] == near
    assert [found.low, found.high] == pytest.approx(list(scipy), abs=0.12 * error)


@pytest.mark.parametrize(("level", "fewest"), [(0.95, 100), (0.99, 500), (0.9, 50), (0.5, 10)])
def test_the_fewest_draws_of_use(level, fewest):
    assert fewest_resamples(level) == fewest


def test_draws_are_a_twentieth_of_a_run_by_a_count():
    run = run_operations(rows=1000, everyone=1200, features=20, outputs=1, steps=300, passes=30)
    assert run == 1e9 + 10 * 1200 * 20 + 30_000 * 300 + 0.2 * 1000 * 20 * 30
    part = Drawn(rows=200, outputs=1, ranked=True)
    assert part.operations == 200 * (25 + 2 + 30)
    assert affordable(run, [part], 1000) == 1000
    large = Drawn(rows=10_000, outputs=10, ranked=False)
    assert affordable(run, [large], 1000) == 110  # 0.05 · run / 450,000, 112.1
    assert affordable(run, [large], 50) == 50
    assert affordable(run, [Drawn(1000, 10, ranked=False)], 1000) == 1000
    assert affordable(run, [Drawn(2000, 10, ranked=False)], 1000) == 560  # two digits of 560.6
    assert affordable(run, [Drawn(10**8, 1, ranked=False)], 1000) == 0
