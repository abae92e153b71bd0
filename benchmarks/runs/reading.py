"""Time reading a CSV file beside pyarrow and pandas.

Three files of 60,000 rows x 40 columns and a label: numbers, numbers beside text, text alone.
"""

from __future__ import annotations

import csv
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.shared import arguments, text
from benchmarks.shared.processes import Contender
from benchmarks.shared.rounds import Limits, in_rounds

ROWS, COLUMNS = 60_000, 40
_CAPTION = """# Reading CSV files

Measured by `scripts/bench reading` on {machine}.
{shared}

Three files of {rows:,} rows x {columns} columns and a label: numbers, numbers beside text, text
alone. Each reader is a process of its own on one core, all in turn, up to {rounds} rounds; no
digest is taken of the files. **seconds** are of processor time; **ratio** is the time over ours.

| file | reader | seconds | by the clock | ratio |
|---|---|---:|---:|---|
"""


def write_files(folder: Path, rows: int) -> list[Path]:
    """The three files, as pandas would write them."""
    rng = np.random.default_rng(0)
    words = np.array([f"cat{i}" for i in range(30)])
    made: dict[str, list[Any]] = {"numeric": [], "mixed": [], "one-hot": []}
    for i in range(COLUMNS):
        numbers = [repr(x) for x in rng.normal(size=rows).round(6).tolist()]
        text = words[rng.integers(0, len(words), rows)].tolist()
        made["numeric"].append(numbers)
        made["mixed"].append(text if i % 4 == 0 else numbers)
        made["one-hot"].append(text)
    label = rng.integers(0, 2, rows).tolist()
    paths = []
    for name, columns in made.items():
        paths.append(folder / f"{name}.csv")
        with paths[-1].open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow([*(f"x{i}" for i in range(COLUMNS)), "y"])
            writer.writerows(zip(*columns, label, strict=True))
    return paths


class Reader:
    """One of ours, pyarrow's and pandas'."""

    def __init__(self, path: str, by: str) -> None:
        self.path = path
        if by == "ours":
            from trainer.data.sources.column_roles import Roles
            from trainer.data.sources.tables import read_table

            self.read: Callable[[str], Any] = lambda path: read_table(
                path, Roles(("y",)), labels=True
            )
        elif by == "pyarrow":
            from pyarrow import csv as arrow_csv

            self.read = arrow_csv.read_csv
        else:
            import pandas  # type: ignore[import-untyped,import-not-found,unused-ignore]

            self.read = pandas.read_csv

    def run(self) -> None:
        """Read the file."""
        self.read(self.path)


def main(argv: Sequence[str]) -> None:
    """Read the arguments, measure, print and write."""
    args = arguments.parser("reading", __doc__, 7).parse_args(argv)
    rows = ROWS // 10 if args.quick else ROWS
    rounds = min(args.rounds, 2) if args.quick else args.rounds
    lines = []
    with tempfile.TemporaryDirectory() as folder:
        for path in write_files(Path(folder), rows):
            print(path.name, file=sys.stderr, flush=True)
            target = "benchmarks.runs.reading:Reader"
            who = [
                Contender(by, target, {"path": str(path), "by": by})
                for by in ("ours", "pyarrow", "pandas")
            ]
            found = in_rounds(who, None, Limits(rounds, call=60, all=10), args.core)
            lines += [text.seconds(path.stem, one, found[0]) for one in found]
    head = {"machine": text.machine(args.name, "pyarrow", "pandas"), "shared": text.shared()}
    page = _CAPTION.format(rows=rows, columns=COLUMNS, rounds=rounds, **head)
    page += "\n".join(lines) + "\n"
    print(page)
    arguments.write(args, "reading", page)
