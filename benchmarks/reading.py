"""Time reading a CSV file beside pyarrow and pandas: `python -m benchmarks.reading [ROUNDS]`.

Three files of 60,000 rows x 40 columns and a label: numbers, numbers beside text, text alone. The
readers take turns in one process; no digest is taken of the files. The time of all cores is told
beside the clock's: on a machine that is not quiet it says more.
"""

from __future__ import annotations

import csv
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from trainer.data.sources.column_roles import Roles
from trainer.data.sources.tables import read_table

ROWS, COLUMNS = 60_000, 40


def write_files(folder: Path) -> list[Path]:
    """The three files, as pandas would write them."""
    rng = np.random.default_rng(0)
    words = np.array([f"cat{i}" for i in range(30)])
    made: dict[str, list[Any]] = {"numeric": [], "mixed": [], "one-hot": []}
    for i in range(COLUMNS):
        numbers = [repr(x) for x in rng.normal(size=ROWS).round(6).tolist()]
        text = words[rng.integers(0, len(words), ROWS)].tolist()
        made["numeric"].append(numbers)
        made["mixed"].append(text if i % 4 == 0 else numbers)
        made["one-hot"].append(text)
    label = rng.integers(0, 2, ROWS).tolist()
    paths = []
    for name, columns in made.items():
        paths.append(folder / f"{name}.csv")
        with paths[-1].open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow([*(f"x{i}" for i in range(COLUMNS)), "y"])
            writer.writerows(zip(*columns, label, strict=True))
    return paths


def readers() -> dict[str, Callable[[str], Any]]:
    """By name, ours first; pandas where it is installed."""
    from pyarrow import csv as arrow_csv

    found: dict[str, Callable[[str], Any]] = {
        "ours": lambda path: read_table(path, Roles(("y",)), labels=True),
        "pyarrow": arrow_csv.read_csv,
    }
    try:
        import pandas  # type: ignore[import-untyped,import-not-found,unused-ignore]
    except ImportError:
        return found
    return {**found, "pandas": pandas.read_csv}


def main() -> None:
    """Measure and print a table."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 9
    print("file     reader   ms, least  median  cores' ms  ratio of least, of cores', to pyarrow")
    with tempfile.TemporaryDirectory() as folder:
        for path in write_files(Path(folder)):
            spent: dict[str, list[tuple[float, float]]] = {name: [] for name in readers()}
            for _ in range(rounds + 1):
                for name, read in readers().items():
                    start, used = time.perf_counter(), time.process_time()
                    read(str(path))
                    spent[name].append((time.perf_counter() - start, time.process_time() - used))
            clock = {name: [1e3 * a for a, _ in pairs[1:]] for name, pairs in spent.items()}
            cores = {name: min(1e3 * b for _, b in pairs[1:]) for name, pairs in spent.items()}
            for name in spent:
                least = min(clock[name])
                ratios = least / min(clock["pyarrow"]), cores[name] / cores["pyarrow"]
                print(
                    f"{path.stem:8} {name:8} {least:9.0f} {np.median(clock[name]):7.0f}"
                    f" {cores[name]:10.0f}  {ratios[0]:.2f} {ratios[1]:.2f}"
                )


if __name__ == "__main__":
    main()
