"""Seeded corruptions of configs, overrides, data and run folders: only codes 0, 2 and 3.

200 cases are quick, 800 more are marked slow. No traceback, no warning, no hang, nothing written
outside the run folder. What they found is in test_found.py. A case that breaks a promise is made
again by `python tests/hostile/hostile_campaign.py FOLDER SEED NUMBER NUMBER+1`; `... 5 1000 3000`
makes 2,000.
"""

import pytest
from hostile_campaign import campaign

SEED = 5
PARTS = [
    pytest.param(0, 200, False, id="200"),
    pytest.param(200, 206, True, id="6 as processes"),
    pytest.param(1000, 1800, False, id="800", marks=pytest.mark.slow),
    pytest.param(3000, 3020, True, id="20 as processes", marks=pytest.mark.slow),
]


@pytest.mark.parametrize(("start", "stop", "own"), PARTS)
def test_only_promised_endings(start, stop, own, tmp_path, capsys):
    report = campaign(tmp_path, SEED, start, stop, own=own)
    with capsys.disabled():
        print(f"\n{stop - start} hostile cases: {report}")
    assert not report.found, str(report)
    assert sum(report.codes.values()) == stop - start
    assert set(report.codes) <= {"0", "2", "3"}, str(report)
