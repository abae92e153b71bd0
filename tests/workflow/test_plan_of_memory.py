"""What a plan says of memory holds what a run takes: a row of scripts/memory.py."""

import importlib.util
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "memory.py"


@pytest.fixture
def script():
    spec = importlib.util.spec_from_file_location("memory_script", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_table_of_runs_is_whole(script):
    assert len(script.RUNS) == 10


def test_twelve_thousand_features_take_no_more_than_told(script, tmp_path):
    """Of which tables of all pairs would take gigabytes."""
    planned, took = script.compare(script.RUNS["many features"], tmp_path)
    assert took <= planned <= script.MOST * took
    assert took < 400
