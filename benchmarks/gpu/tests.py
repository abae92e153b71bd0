"""The most telling of the tests, on the device, in parallel with one cache of kernels."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from importlib.util import find_spec

from benchmarks.gpu.bench import ROOT, Bench

SELECTION = (
    "test_on_the_double.py::test_stacks_and_runs_are_on_the_device_that_is_named",
    "train/test_stacking.py::test_neighbours_never_change_a_bit",
    "train/test_stacking.py::test_a_stack_equals_its_single_runs",
    "model/test_gradients.py",
    "solvers/test_solvers.py::test_a_stack_is_its_single_runs",
    "solvers/test_hessians.py",
    "solvers/test_prox_newton.py",
    "sweep/test_scheduler.py",
    "train/test_fit.py",
    "model/test_extremes.py",
    "train/test_state.py",
    "optim/test_trajectories.py",
    "workflow/test_run.py::test_manifest",
)
_REHEARSED = SELECTION[0], "train/test_state.py"
_MOST = 8  # processes
_OUTCOME = re.compile(r"\b(PASSED|SKIPPED|XFAIL|FAILED|ERROR)\b")
_NAME = re.compile(r"tests/\S+::\S.*")
_NEEDS = "pytest", "xdist", "hypothesis", "sklearn"
_ALONE = ("-p", "no:cacheprovider", "-p", "no:benchmark")  # which warns where tests go in parallel
# of libraries that are newer than those that the tests have been run with
_PATIENT = ("-W", "default::DeprecationWarning", "-W", "default::PendingDeprecationWarning")


def tests(bench: Bench) -> None:
    """Run them, noting each that fails as soon as it has."""
    if missing := [name for name in _NEEDS if find_spec(name) is None]:
        raise ImportError(f"{', '.join(missing)} is not installed (scripts/gpu --wheels)")
    device = "double" if bench.tiny else "gpu"
    count = 0 if bench.tiny else max(2, min(_MOST, (os.cpu_count() or 2) // 2))
    chosen = [f"tests/{name}" for name in (_REHEARSED if bench.tiny else SELECTION)]
    with tempfile.TemporaryDirectory() as folder:
        command = [
            sys.executable,
            "-m",
            "pytest",
            "-v",
            "-rN",
            "--tb=short",
            "--maxfail=30",
            "-n",
            str(count),
        ]
        command += [*_ALONE, *_PATIENT, f"--basetemp={folder}/tests", *chosen]
        popen = subprocess.Popen(
            command,
            cwd=ROOT,
            env=os.environ | {"STACKED_TRAINER_TEST_DEVICE": device},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
        assert popen.stdout is not None
        counts = read(bench, popen.stdout)
        code = popen.wait()
    passed = counts.get("passed", 0)
    others = ", ".join(f"{n} {what}" for what, n in counts.items() if what != "passed")
    bench.value("tests that pass", passed, "tests", others)
    bench.check("pytest", code == 0 and passed > 0, f"exit code {code}")


def read(bench: Bench, lines: Iterable[str]) -> dict[str, int]:
    """Follow what pytest prints: what fails is a check, what passes is counted, the rest is shown.

    Returns:
        How many have passed, failed and so on.
    """
    counts: dict[str, int] = {}
    for line in lines:
        outcome, name = _OUTCOME.search(line), _NAME.search(line)
        if outcome and name:
            word = outcome[1].lower()
            counts[word] = counts.get(word, 0) + 1
            if word in ("failed", "error"):
                where = name[0].replace(outcome[1], "").split("  ")[0].strip()
                bench.check(where, False, word)
        elif line.strip() and not name:  # with several processes pytest names what it begins
            print(f"    {line.rstrip()[:200]}", flush=True)
    return counts
