"""Runs whose n-th array is refused; `campaigns.allocations` goes through every n of them."""

import json

import pytest

from campaigns import allocations, faults

# numbers of arrays, also from the last: while the run is set up, while it trains, at its end
RUNS = {"plain": [40, -60], "folds": [-330, -120], "solver": [-500, -365]}


@pytest.mark.parametrize("kind", RUNS)
def test_an_array_that_memory_has_no_room_for_loses_nothing(kind, tmp_path):
    found = list(allocations.failures(kind, tmp_path, RUNS[kind]))
    assert [(f.n, f.problems, f.lines) for f in found if f.problems] == []
    assert [f.refused for f in found] == [1] * len(RUNS[kind])


def test_every_kind_of_run_is_in_the_table():
    assert RUNS.keys() == faults.KINDS.keys()
    assert sum(map(len, RUNS.values())) == 6


def test_what_is_wrong_is_seen(tmp_path):
    whole = dict.fromkeys(faults.SAME, b"1")
    for name in whole:
        (tmp_path / name).write_bytes(b"1")
    manifest = {"status": "finished"}

    def problems(exit_code=0, lines=()):
        (tmp_path / "manifest.json").write_text(json.dumps(manifest))
        return list(allocations._problems(tmp_path, whole, exit_code, list(lines)))

    assert problems() == []
    assert problems(1, ["a", "b"]) == [
        "it does not end with a line",
        "its status is finished, its exit code 1",
    ]
    assert problems(7, ["Traceback"])[:2] == ["a traceback", "exit code 7"]
    (tmp_path / "trials.csv").write_bytes(b"2")
    assert problems() == ["trials.csv is another file"]
    manifest["warning"] = "a stack goes on in two halves"
    assert problems() == []
    (tmp_path / "trials.csv").unlink()
    assert problems() == ["lost: trials.csv"]
