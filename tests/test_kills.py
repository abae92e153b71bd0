"""A part of the campaign that kills runs: `scripts/kill` has more kinds, times and signals."""

import os
import sys

import pytest

from campaigns.kill import Campaign

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX"),
]
# with seeds by which each of the three signals comes twice
KINDS = {"plain": 1, "early_stopping": 1, "parked": 1, "folds": 4, "newton": 1, "owlqn": 2}


@pytest.fixture(scope="module")
def campaign(tmp_path_factory):
    return Campaign(tmp_path_factory.mktemp("kill"), part=8, checkpoints=1, most=1)


@pytest.mark.parametrize(("kind", "seed"), KINDS.items())
def test_a_run_that_was_killed_ends_with_the_bytes_of_one_that_was_not(campaign, kind, seed):
    victim = campaign.kill(kind, seed)
    assert victim.faults == []
    assert victim.resumed or not victim.kills[0].endswith("-9")


def test_all_of_them_are_tried():
    assert len(KINDS) == 6
    assert os.access("scripts/kill", os.X_OK)
