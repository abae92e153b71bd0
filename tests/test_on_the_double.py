"""The tests' way onto a GPU, walked where there is none: STACKED_TRAINER_TEST_DEVICE=double."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from double import Cupy
from stacks import DEVICE, WANTED

from trainer import device

TESTS = Path(__file__).parent
SAVED = "sweep/test_saved_sweeps.py"
SELECTION = [
    "test_on_the_double.py",
    "train/test_fit.py",
    "solvers/test_solvers.py::test_a_stack_is_its_single_runs",
    "solvers/test_hessians.py",
    "train/test_state.py",
    "sweep/test_scheduler.py",
    f"{SAVED}::test_a_sweep_killed_after_each_round_ends_as_an_unbroken_one[adam]",
    f"{SAVED}::test_a_sweep_killed_after_each_round_ends_as_an_unbroken_one[lbfgs]",
    f"{SAVED}::test_stacks_that_wait_on_the_host_and_short_stretches[halving-stopped]",
    "model/test_extremes.py",
    "model/test_gradients.py",
    "workflow/test_run.py::test_manifest",  # from a spec to a folder
]
HALVING = "sweep/test_scheduler.py::test_halving_over_two_stacks_and_their_repeats_is_the_slow_one"
# Further shapes and seeds of what has gone through the same calls of CuPy.
OTHERS = " or ".join(f"shape{i}-" for i in (2, 3, 6, 7, 10, 11))
SEEDS = [f"tests/{HALVING}[{of}-{seed}]" for of in ("1-2", "3-3", "2-4") for seed in range(1, 5)]


def test_stacks_and_runs_are_on_the_device_that_is_named():
    assert DEVICE.kind == ("cpu" if WANTED == "cpu" else "gpu")
    assert isinstance(DEVICE.xp, Cupy) == (WANTED == "double")
    assert device.choose("cpu").kind == "cpu"
    assert WANTED == "cpu" or device.choose("gpu").xp is device.choose("auto").xp is DEVICE.xp


@pytest.mark.skipif(WANTED != "cpu", reason="the tests are on another device already")
def test_some_of_the_tests_pass_on_the_double(tmp_path):
    alone = ["-n0", "-p", "no:cacheprovider", f"--basetemp={tmp_path / 'double'}"]
    chosen = [str(TESTS / name) for name in SELECTION]
    alone += ["-k", f"not ({OTHERS})", *(f"--deselect={name}" for name in SEEDS)]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", *alone, *chosen],
        cwd=TESTS.parent,
        env=os.environ | {"STACKED_TRAINER_TEST_DEVICE": "double"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    outcomes = {what: int(n) for n, what in re.findall(r"(\d+) (\w+)", done.stdout.split("\n")[-2])}
    assert outcomes["deselected"] == 3 * 6 + len(SEEDS), done.stdout
    assert outcomes["passed"] > 90
    assert outcomes["skipped"] == 2, done.stdout  # this test, and one of threads
