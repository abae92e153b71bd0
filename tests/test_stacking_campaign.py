"""A part of the campaign of random runs: `python -m campaigns.stacking` has 300 of them."""

import pytest
from stacks import WANTED

from campaigns.stacking import carry_out, hit
from campaigns.stacking_cases import AXES, KINDS, draw_case

pytestmark = pytest.mark.skipif(WANTED != "cpu", reason="the promise to 1e-13 is of a CPU")
CASES = [
    *((1, number) for number in (13, 44, 47, 51, 52, 56, 65, 69, 80, 81, 87, 88, 89, 92, 100)),
    (2, 179),  # fillings of targets of their own, in resamples
]


def test_these_have_every_kind_of_column():
    assert len(AXES) == 18
    assert len(KINDS) == sum(map(len, AXES.values())) == 68
    assert hit([draw_case(*case) for case in CASES]) == KINDS


@pytest.mark.parametrize(("seed", "number"), CASES)
def test_a_column_is_the_plain_run_with_its_settings_and_rows(seed, number):
    told = carry_out(draw_case(seed, number), most=3)
    assert told.faults == []
    assert told.columns >= 2
