"""What `--plan` says of peak memory beside what runs take, for ten runs unlike each other.

Each is planned and carried out in processes of their own. Ends with 1 where a run took more than
its plan said, or less than two thirds of it. With words, only the runs whose names have them.
"""

from __future__ import annotations

import csv
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

MOST = 1.5  # times what a run takes
# on Linux a parent's count of its child's memory begins with its own
_COMMAND = """
import sys
from trainer.cli import main
from trainer.machine.memory import peak_memory
code = main(sys.argv[1:])
print("peak", peak_memory())
sys.exit(code)
"""
_ROOT = str(Path(__file__).resolve().parents[1])


def _rows(rows: int, columns: int, outputs: int = 1, **more: Any) -> dict[str, Any]:
    """Synthetic training rows, and a quarter as many to validate on."""
    made = {"rows": rows, "columns": columns, "outputs": outputs}
    val = made | {"rows": rows // 4, "seed": 1}
    return {"train": {"synthetic": made}, "val": {"synthetic": val}} | more


def _run(model: str, data: dict[str, Any], name: str, **keys: Any) -> dict[str, Any]:
    keys = dict(keys)
    optimizer = {"name": name} | keys.pop("optimizer", {})
    return {"model": model, "data": data, "optimizer": optimizer, "device": "cpu"} | keys


def _sweep(path: str, num: int) -> dict[str, Any]:
    return {"parameters": {path: {"geomspace": {"start": 1e-4, "stop": 0.1, "num": num}}}}


RUNS: dict[str, dict[str, Any]] = {
    "many columns": _run(
        "softmax",
        _rows(4000, 64, 10),
        "adam",
        optimizer={"epochs": 4},
        sweep=_sweep("optimizer.lr", 128),
    ),
    "many features": _run(
        "linear", _rows(200, 12_000), "auto", penalty={"l1": 0.02}, optimizer={"max_iter": 50}
    ),
    "many rows": _run("logistic", _rows(1_000_000, 20), "sgd", optimizer={"epochs": 1}),
    "a thousand classes": _run(
        "softmax", _rows(20_000, 64, 1000), "lbfgs", optimizer={"max_iter": 10}
    ),
    "folds": _run(
        "logistic",
        {"train": {"synthetic": {"rows": 60_000, "columns": 40}}},
        "auto",
        repeat={"folds": 5},
        sweep=_sweep("penalty.l2", 8),
    ),
    "full batches of adam": _run(
        "softmax",
        _rows(50_000, 30, 5),
        "adam",
        optimizer={"batch_size": "full", "epochs": 30},
        sweep=_sweep("optimizer.lr", 16),
    ),
    "newton": _run(
        "softmax",
        _rows(5000, 100, 10),
        "newton",
        optimizer={"max_iter": 3},
        sweep=_sweep("penalty.l2", 4),
    ),
    "l1 by second derivatives": _run(
        "logistic", _rows(20_000, 300), "auto", sweep=_sweep("penalty.l1", 12)
    ),
    "float64 and several targets": _run(
        "linear",
        _rows(100_000, 100, 8),
        "sgd",
        precision="float64",
        optimizer={"epochs": 2, "batch_size": 1024},
    ),
    "text columns": _run(
        "logistic",
        {"train": {"table": "text.csv", "target": "bought"}, "val": 0.2},
        "adam",
    ),
}


def write_text(path: Path, rows: int = 40_000) -> None:
    """Write a table of words and numbers."""
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["city", "colour", "age", "income", "bought"])
        for i in range(rows):
            age, income = 18 + i * 7 % 60, i * 7919 % 50_021
            row = [f"city {i * 31 % 97}", f"colour {i % 12}", age, income, "yn"[(age + i) % 3 > 0]]
            table.writerow(row)


def peak(arguments: Sequence[str], folder: Path) -> tuple[int, str]:
    """The most memory (MiB) of a command in a process of its own, and what it printed."""
    command = [sys.executable, "-c", _COMMAND, *arguments]
    env = os.environ | {"PYTHONPATH": os.pathsep.join([_ROOT, os.environ.get("PYTHONPATH", "")])}
    done = subprocess.run(
        command, cwd=folder, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    if done.returncode:
        raise SystemExit(f"{' '.join(arguments)}: {done.stdout}")
    (found,) = re.findall(r"^peak (\d+)$", done.stdout, re.MULTILINE)
    return int(found) >> 20, done.stdout


def compare(run: dict[str, Any], folder: Path) -> tuple[int, int]:
    """MiB of a run's plan, and those that it took."""
    config = folder / "run.yaml"
    config.write_text(json.dumps(run), encoding="utf-8")
    _, printed = peak(["run", config.name, "--plan"], folder)
    (planned,) = re.findall(r"^peak memory: (\d+) MiB$", printed, re.MULTILINE)
    took, _ = peak(["run", config.name, "--quiet", "--out", "out"], folder)
    return int(planned), took


def main(words: Sequence[str] = ()) -> int:
    """Print a line a run."""
    worst = 0
    for name, run in RUNS.items():
        if words and not any(word in name for word in words):
            continue
        with tempfile.TemporaryDirectory() as folder:
            write_text(Path(folder) / "text.csv")
            planned, took = compare(run, Path(folder))
        ratio = planned / took
        bad = not 1 <= ratio <= MOST
        worst = max(worst, bad)
        said = f"{name:30} plan {planned:6,} MiB, run {took:6,} MiB, {ratio:.2f}"
        print(said + (" !" if bad else ""), flush=True)
    return worst


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
