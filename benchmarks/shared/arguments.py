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
    add("--rounds", type=int, default=rounds, help=f"timed runs of each contender ({rounds})")
    core = (os.cpu_count() or 1) - 1
    add("--core", type=int, default=core, help=f"for what keeps to one ({core})")
    add("--name", default=platform.machine(), help="of the machine, for the files")
    add("--out", type=Path, default=ROOT / "docs" / "benchmarks", metavar="FOLDER")
    return made


def write(args: argparse.Namespace, part: str, page: str) -> Path:
    """Write the page of a part; return its path without its suffix, for a picture."""
    args.out.mkdir(parents=True, exist_ok=True)
    path = Path(args.out) / f"{part}-{args.name}"
    path.with_name(f"{path.name}.md").write_text(page, encoding="utf-8")
    return path
