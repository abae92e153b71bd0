"""What the numbers of a run may depend on besides its spec: the code and the libraries."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import platform
import subprocess
from pathlib import Path
from typing import Any

from trainer.machine import threads

__version__ = "0.1.0"  # of the package; pyproject.toml reads it here


def versions() -> dict[str, str]:
    """List the versions of the code, Python and the libraries; cupy's where it is installed."""
    found = {"trainer": __version__, "python": platform.python_version()}
    for name in ("numpy", "pyarrow", "pydantic", "safetensors"):  # a run loads them all
        found[name] = importlib.import_module(name).__version__
    for name in ("cupy-cuda12x", "cupy-cuda13x") if importlib.util.find_spec("cupy") else ():
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    found["platform"] = platform.platform()
    return found


def machine_facts() -> dict[str, Any]:
    """What of this machine the last bits of a run depend on: `cores`, `matrix_libraries`."""
    return {"cores": threads.cores(), "matrix_libraries": threads.told_libraries()}


def git_commit() -> dict[str, str | bool | None]:
    """Name the commit of the trainer's own checkout; None where it is installed from a wheel.

    `git_dirty` says whether tracked files differ from that commit.
    """
    nothing: dict[str, str | bool | None] = {"git_commit": None, "git_dirty": None}
    checkout = Path(__file__).resolve().parents[2]
    if not (checkout / ".git").exists():
        return nothing
    command = ["git", "-C", str(checkout), "describe", "--always", "--dirty", "--abbrev=40"]
    try:
        done = subprocess.run(
            [*command, "--exclude=*"], capture_output=True, text=True, timeout=5, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return nothing
    commit, _, dirty = done.stdout.strip().partition("-")
    return {"git_commit": commit, "git_dirty": dirty == "dirty"}
