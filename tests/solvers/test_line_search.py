"""The line search of many columns: which points are good, and how far the next ones are."""

import numpy as np
import pytest

from trainer.solvers import line_search
from trainer.solvers.line_search import TrialPoint, shorten
from trainer.solvers.progress import at_start


@pytest.fixture(autouse=True)
def silent():
    """As in a stack, where a column that overflows is an outcome and not a warning."""
    with np.errstate(all="ignore"):
        yield


def progress(columns, value=1.0, evaluations=2.0):
    n = at_start(columns, np.full(columns, 0.25), np.zeros(columns, bool))
    n.value[:], n.evaluations[:], n.length[:] = value, evaluations, 1.0
    return n


def is_good(n, tried):
    return line_search.is_good(n, tried, rounding=1e-14 * np.abs(n.value))


def trial(value, promised, begin=-1.0, end=0.0):
    given = np.broadcast_arrays(*(np.asarray(x, float) for x in (value, promised, begin, end, 1.0)))
    return TrialPoint(*given)


def test_a_point_is_good_where_j_falls_by_a_share_of_what_was_promised():
    found = is_good(progress(4), trial([0.5, 0.99996, 1.5, np.nan], promised=-0.9))
    assert found.tolist() == [True, False, False, False]


def test_a_step_that_promises_a_rise_is_not_good_however_far_j_falls():
    assert not is_good(progress(1), trial([0.0], promised=0.1, begin=0.1)).any()


def test_a_first_point_is_good_if_it_is_finite():
    n = progress(3, value=np.inf, evaluations=1.0)
    assert is_good(n, trial([5.0, np.inf, np.nan], 0.0, begin=0.0)).tolist() == [True, False, False]


def test_where_j_is_flat_slopes_decide():
    flat = 1 + 1e-15
    found = is_good(
        progress(3),
        trial([flat] * 3, promised=-1e-18, begin=[-1e-9, -1e-9, 1e-9], end=[5e-10, 2e-9, 0.0]),
    )
    assert found.tolist() == [True, False, False]


@pytest.mark.parametrize("bend", [0.6, 1.0, 3.0])
def test_a_refused_step_is_cut_to_the_least_of_its_parabola(bend):
    slope = -1.0  # J(t) = 1 + slope·t + bend·t², whose least is at −slope/(2·bend)
    n = progress(2)
    plain = shorten(n, np.array([True, False]), trial([1 + slope + bend] * 2, promised=slope))
    assert n.length.tolist() == pytest.approx([np.clip(0.5 / bend, 0.1, 0.5), 1.0])
    assert n.tries.tolist() == [1, 0]
    assert not plain.any()
    assert not n.lost.any()


def test_no_step_short_enough_is_the_slope_itself_and_then_lost():
    n, up = progress(2), trial([2.0, 2.0], promised=-1.0)
    n.plain[1] = True  # has been tried
    for _ in range(40):
        assert not shorten(n, np.array([True, True]), up).any()
    assert shorten(n, np.array([True, True]), up).tolist() == [True, False]
    assert n.lost.tolist() == [False, True]


def test_a_first_point_that_is_not_finite_is_lost_at_once():
    n = progress(2, value=np.inf, evaluations=1.0)
    shorten(n, np.array([True, False]), trial([np.inf, 1.0], promised=0.0))
    assert n.lost.tolist() == [True, False]
