"""The packages that all parts want, for a GPU whose machine has no network."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[2]
_TESTS = "pytest", "pytest-xdist", "hypothesis", "scikit-learn"
_SAME = ("cupy-cuda12x", "cupy-cuda13x"), ("cuml-cu12", "cuml-cu13")  # one is enough


def requirements(cuda: int) -> list[str]:
    """Lines of a pip requirements file: our own, CuPy's, the tests', the peers'.

    Args:
        cuda: 12 or 13.
    """
    found = tomllib.loads((_ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    project = found["project"]
    extras = project["optional-dependencies"]
    tests = [line for line in extras["test"] if name_of(line) in _TESTS]
    peers = [line for line in extras["bench"] if name_of(line) == "torch"]
    jax = [line.replace("jax", f"jax[cuda{cuda}]", 1) for line in extras["bench"] if "jax" in line]
    build = found["build-system"]["requires"]
    return [*project["dependencies"], *extras[f"cuda{cuda}"], *build, *tests, *peers, *jax]


def lines(cuda: int) -> list[str]:
    """`requirements` with words on what is not in every registry."""
    return [
        f"# what scripts/gpu wants, of CUDA {cuda}; pip download -r THIS -d wheelhouse",
        *requirements(cuda),
        f"# cuml-cu{cuda}  # where it can be had: a peer for solvers",
    ]


def name_of(requirement: str) -> str:
    """A requirement's package, as wheels spell it but with dashes."""
    match = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert match is not None, requirement
    return re.sub(r"[-_.]+", "-", match[0]).lower()


def install(folder: Path, tell: Callable[[str], None]) -> str:
    """Install from a folder of wheels what is not installed; return what went wrong, or "".

    Args:
        folder: of wheels.
        tell: hears what is installed and what is neither there nor in the folder.
    """
    there = {name_of(path.name.split("-")[0]) for path in folder.glob("*.whl")}
    if not there:
        return f"--wheelhouse: there is no wheel in {folder}"
    wanted, absent = [], []
    for line in dict.fromkeys([*requirements(12), *requirements(13), "cuml-cu12", "cuml-cu13"]):
        name = name_of(line)
        same = next((names for names in _SAME if name in names), (name,))
        if any(_installed(one) for one in same):
            continue
        if name in there:
            wanted.append(line)
        elif not there & set(same):
            absent.append(name)
    if absent:
        tell(f"neither installed nor in {folder}: {', '.join(dict.fromkeys(absent))}")
    if not wanted:
        return ""
    tell(f"installing from {folder}: {', '.join(wanted)}")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index"]
    command += ["--find-links", str(folder), *wanted]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    importlib.invalidate_caches()
    if not done.returncode:
        return ""
    said = [line for line in done.stderr.splitlines() if line.strip()]
    return f"--wheelhouse: {said[-1].strip() if said else 'pip failed'}"


def _installed(name: str) -> bool:
    try:
        metadata.version(name)
    except metadata.PackageNotFoundError:
        return False
    return True
