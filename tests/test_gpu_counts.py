"""The pages' tables of what a GPU is asked to do are those of the tests that count it."""

import re

import pytest
from test_docs import ROOT, script

from trainer.model import MODELS
from trainer.optim.first_order import OPTIMIZERS

COUNTS = script("gpu_counts")


@pytest.mark.parametrize("path", COUNTS.PAGES, ids=lambda path: path.name)
def test_the_tables_are_current(path):
    page = path.read_text("utf-8")
    assert COUNTS.with_tables(page) == page, "run python scripts/gpu_counts.py"


def test_every_table_is_shown_once():
    shown = [
        name
        for path in COUNTS.PAGES
        for name in re.findall(r"<!-- counts of ([\w ]+) -->", path.read_text("utf-8"))
    ]
    assert sorted(shown) == sorted(COUNTS.TABLES)
    assert len(shown) == 8


def rows(name):
    return COUNTS.TABLES[name]().splitlines()[2:]


def test_the_tables_are_whole():
    losses = len(MODELS) - 1  # a linear model has one loss by two names
    assert len(rows("steps")) == losses * len(OPTIMIZERS) == 25
    assert len(rows("rounds")) == len(rows("Newton rounds and certificates")) == 4 * 2
    assert COUNTS.ROUNDS_BEFORE.keys() == COUNTS._tests("test_round_launches").ROUNDS.keys()
    assert COUNTS.NEWTON_BEFORE.keys() == COUNTS._tests("test_newton_launches").COUNTS.keys()


def test_nothing_is_dearer_than_when_it_was_first_counted():
    now = COUNTS._tests("test_round_launches").KERNELS
    for case, before in COUNTS.ROUNDS_BEFORE.items():
        for then, ours in zip(before, now[case], strict=True):
            assert all(one <= other for one, other in zip(ours, then, strict=True)), case
    newton = COUNTS._tests("test_newton_launches").COUNTS
    for case, before in COUNTS.NEWTON_BEFORE.items():
        for then, ours in zip(before, newton[case][1:], strict=True):
            assert ours[1] <= then[1], case  # waits


def test_estimates_are_said_to_be_no_measurements():
    page = (ROOT / "docs" / "gpu.md").read_text("utf-8")
    before = page[: page.index("<!-- counts of estimated steps -->")]
    heading = before.rindex("\n## ")
    assert before[heading:].startswith("\n## Estimates, not measurements\n")
    assert "nobody has measured" in before[heading:]
    assert "estimated" not in page[page.index("\n## What has run") :]
