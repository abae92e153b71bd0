"""Runs whose n-th call to the disk is refused; `campaigns.faults` goes through every n of them."""

import sys

import pytest

from campaigns import faults

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs LD_PRELOAD and /proc")
# numbers of calls: at the start, while it trains, at the end, past it
RUNS = {
    ("plain", False): [4, 24, 47, 62, -70, -30, -9, -2],
    ("folds", False): [66, -75, -60],
    ("folds", True): [11, -75, -50],
    ("solver", True): [45, -8, 100_000],
}


@pytest.mark.parametrize(("kind", "stuck"), RUNS)
def test_a_refused_call_loses_nothing(kind, stuck, tmp_path):
    numbers = RUNS[kind, stuck]
    try:
        found = list(faults.failures(kind, tmp_path, numbers, stuck=stuck))
    except FileNotFoundError:
        pytest.skip("needs a C compiler")
    assert len(found) == len(numbers)
    assert [(f.n, f.problems, f.lines) for f in found if f.problems] == []
    assert all(f.refused for f in found if f.n < 100_000)
    codes = {f.exit_code for f in found if f.refused}
    assert codes == {1} if stuck else 0 in codes  # what comes only once is tried again


def test_every_kind_of_run_is_in_the_table():
    assert {kind for kind, _ in RUNS} == faults.KINDS.keys()
    assert sum(map(len, RUNS.values())) == 17


def test_what_is_wrong_is_seen(tmp_path):
    """The campaign's own eyes: each of these is a problem."""
    run, places = tmp_path / "run", tmp_path / "elsewhere"
    run.mkdir()
    places.mkdir()
    whole = {
        "manifest.json": b'{"status": "finished"}',
        "trials.csv": b"1\n2\n",
        "model.json": b"3",
    }
    for name, data in whole.items():
        (run / name).write_bytes(data)

    def problems(exit_code=0, lines=()):
        return list(faults._problems(run, places, whole, exit_code, list(lines)))

    assert problems() == []
    assert problems(1, ["a"]) == ["its status is finished, its exit code 1", "its steps are lost"]
    assert "a traceback" in problems(1, ["Traceback (most recent call last):"])
    assert "it ends without a word" in problems(1)
    assert problems(7)[0] == "exit code 7"
    (run / ".trials.csv.1.tmp").write_bytes(b"")
    assert problems() == ["left behind: ['.trials.csv.1.tmp']"]
    (run / ".trials.csv.1.tmp").unlink()
    (run / "trials.csv").write_bytes(b"1\n3\n")
    assert problems() == ["trials.csv is another file"]
    (run / "trials.csv").unlink()
    assert problems() == ["lost: ['trials.csv']"]
    (places / "a").mkdir()
    (places / "a" / "trials.csv").write_bytes(b"4\n")
    assert "trials.csv is another file elsewhere" in problems()
