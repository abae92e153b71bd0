"""Numbers, ratios and the machine, as the pages write them."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path

import numpy as np

from benchmarks.shared.processes import ROOT
from benchmarks.shared.rounds import Timed

NOTHING = "–"
SHARED = """The machine was shared: {load} processes wanted one of its cores on the average of the
last minute when this was written. Processor time tells less of that than the clock; read the spread
beside each ratio."""


def number(x: float) -> str:
    """Three digits, without an exponent."""
    if np.isnan(x):
        return NOTHING
    if x >= 100:
        return f"{x:,.0f}"
    return f"{x:.{1 if x >= 10 else 2 if x >= 1 else 3}f}"


def ratio(one: Timed, ours: Timed, clock: str = "cpu") -> str:
    """Median, least and most of a contender's time over ours; why there is none."""
    if one.words or not (one.cpu and ours.cpu):
        return one.words or NOTHING
    median, least, most = one.ratio(ours, clock)
    return f"**{number(median)}** ({number(least)}–{number(most)})"


def machine(name: str, *packages: str) -> str:
    """Its name, system, cores, processor, what is installed, and the trainer's commit."""
    found = [f"NumPy {np.__version__}"]
    for package in packages:
        try:
            found.append(f"{package} {metadata.version(package)}")
        except metadata.PackageNotFoundError:
            found.append(f"no {package}")
    cores = f"{os.cpu_count() or 1} cores{_processor()}"
    return f"{name} ({platform.system()}, {cores}, {', '.join(found)}) at {commit()}"


def _processor() -> str:
    import sys

    if sys.platform != "linux":
        return ""
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        names = [line.split(":")[1].strip() for line in file if line.startswith("model name")]
    return f" of {names[0]}" if names else ""


def commit(checkout: Path = ROOT) -> str:
    """The last that changed the trainer of a checkout, with a word where files differ from it."""
    try:
        found = _git(checkout, "log", "-1", "--format=%h")
        return found + (" with changes" if _git(checkout, "diff", "HEAD", "--name-only") else "")
    except (OSError, subprocess.CalledProcessError):
        return "an unknown commit"


def _git(checkout: Path, *words: str) -> str:
    command = ["git", *words, "--", "trainer"]
    done = subprocess.run(command, cwd=checkout, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def shared() -> str:
    """The sentence about the machine's load."""
    import psutil

    return SHARED.format(load=f"{psutil.getloadavg()[0]:.1f}")


def seconds(first: str, one: Timed, ours: Timed) -> str:
    """A row: what was done, by whom, processor seconds, those by the clock, the ratio."""
    cells = [number(float(np.median(t))) if t else NOTHING for t in (one.cpu, one.wall)]
    return f"| {first} | {one.name} | {' | '.join(cells)} | {ratio(one, ours)} |"
