"""Arguments that all parts of the benchmark take, and where their pages go."""

from __future__ import annotations

import argparse
import os
import platform
from pathlib import Path

from benchmarks.shared.processes import ROOT


def parser(part: str, description: str | None, rounds: int) -> argparse.ArgumentParser:
    """A parser with --quick, --rounds, --core, --name and --out."""
    made = argparse.ArgumentParser(prog=f"scripts/bench {part}", description=description)
    add = made.add_argument
    add("--quick", action="store_true", help="tiny everything, to see that it runs")
    add("--rounds", type=_count, default=rounds, help=f"timed runs of each contender ({rounds})")
    cores = _cores()
    words = f"for what keeps to one ({cores[-1]})"
    add("--core", type=int, default=cores[-1], choices=cores, metavar="CORE", help=words)
    add("--name", default=platform.machine(), help="of the machine, for the files")
    add("--out", type=Path, default=ROOT / "docs" / "benchmarks", metavar="FOLDER")
    return made


def _cores() -> list[int]:
    """Those that this process may use: in a container mostly not all."""
    if hasattr(os, "sched_getaffinity"):  # Linux
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def _count(word: str) -> int:
    """A whole number from 1."""
    if not word.isdecimal() or int(word) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number from 1, got {word}")
    return int(word)


def write(args: argparse.Namespace, part: str, page: str) -> Path:
    """Write the page of a part; return its path without its suffix, for a picture."""
    args.out.mkdir(parents=True, exist_ok=True)
    path = Path(args.out) / f"{part}-{args.name}"
    path.with_name(f"{path.name}.md").write_text(page, encoding="utf-8")
    return path
