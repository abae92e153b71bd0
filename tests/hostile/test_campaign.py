"""Seeded corruptions of configs, overrides, data and run folders: only codes 0, 2 and 3.

200 cases run with every suite; 2,000 are marked slow. No traceback, no hang, nothing written
outside the run folder. What the campaign found has a named test beside the code it was found in.
"""

import pytest
from hostile_campaign import campaign

SEED = 5
PARTS = [
    pytest.param(0, 200, False, id="200"),
    pytest.param(200, 212, True, id="12 as processes"),
    pytest.param(1000, 3000, False, id="2000", marks=pytest.mark.slow),
]


@pytest.mark.parametrize(("start", "stop", "own"), PARTS)
def test_only_promised_endings(start, stop, own, tmp_path, record_property):
    report = campaign(tmp_path, SEED, start, stop, own=own)
    record_property("campaign", str(report))
    print(report)
    assert not report.found, str(report)
    assert sum(report.codes.values()) == stop - start
    assert set(report.codes) <= {"0", "2", "3"}, str(report)
