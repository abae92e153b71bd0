"""Peak memory of one contender, in a process of its own.

python -m benchmarks.sweep.memory '{"case": "digits", "folds": 5, "K": 64, "contender": 0}'
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from benchmarks.sweep.cases import case
from benchmarks.sweep.contenders import CONTENDERS
from benchmarks.sweep.work import few_steps

_AT_ONCE = 2


def peaks(asked: Sequence[dict[str, Any]]) -> list[float]:
    """MiB of each: keywords of `peak`."""
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return list(pool.map(_asked, asked))


def _asked(asked: dict[str, Any]) -> float:
    command = [sys.executable, "-m", "benchmarks.sweep.memory", json.dumps(asked)]
    root = Path(__file__).parent.parent.parent
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{asked}: {done.stderr}")
    return float(done.stdout.splitlines()[-1])


def peak(name: str, folds: int, K: int, contender: int, quick: bool) -> float:
    """MiB that this process holds at most: the libraries, the rows and some steps of all columns.

    The peaks of the processes that it has started are added.
    """
    one = CONTENDERS[contender]
    whole = case(name, folds, quick)
    one.make(few_steps(whole, K, looped=one.fit_seconds is not None)).run()
    return (_peak("self") + sum(_peak(child) for child in _children())) / 1024


def _peak(process: str) -> int:
    """Largest resident set, KiB; not getrusage's, which a process begins with its parent's."""
    lines = (Path("/proc") / process / "status").read_text(encoding="utf-8").splitlines()
    return next((int(line.split()[1]) for line in lines if line.startswith("VmHWM:")), 0)


def _children() -> list[str]:
    found = Path("/proc/self/task").glob("*/children")
    return [child for path in found for child in path.read_text(encoding="utf-8").split()]


if __name__ == "__main__":
    print(peak(**json.loads(sys.argv[1])))
