"""Many cases on two processes, and what came of them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

WORKER = Path(__file__).with_name("hostile_worker.py")


@dataclass
class Report:
    codes: Counter[str] = field(default_factory=Counter)
    """By exit code; `none` where a case hung or crashed the process."""
    kinds: Counter[str] = field(default_factory=Counter)
    found: list[str] = field(default_factory=list)
    """A case that broke a promise, a line each and what it printed."""
    slowest: float = 0.0

    def __str__(self) -> str:
        codes = ", ".join(
            f"{count} ended with {code}" for code, count in sorted(self.codes.items())
        )
        kinds = ", ".join(f"{kind} {count}" for kind, count in sorted(self.kinds.items()))
        return "\n".join(
            [f"{codes}; the slowest took {self.slowest:.1f} s; {kinds}", *self.found[:20]]
        )


def campaign(
    folder: Path, seed: int, start: int, stop: int, *, processes: int = 2, own: bool = False
) -> Report:
    """Cases start to stop of a seed; `own`: each as a process of its own, as users run it."""
    step = -(-(stop - start) // processes)
    parts = [(i, min(i + step, stop)) for i in range(start, stop, step)]
    report = Report()
    with ThreadPoolExecutor(processes) as pool:
        for part in pool.map(lambda ends: _part(folder / str(ends[0]), seed, *ends, own), parts):
            report.codes += part.codes
            report.kinds += part.kinds
            report.found += part.found
            report.slowest = max(report.slowest, part.slowest)
    return report


def _part(folder: Path, seed: int, start: int, stop: int, own: bool) -> Report:
    report = Report()
    while start < stop:  # a hang or a crash ends a worker: the next one goes on behind it
        root = folder / str(start)
        done = _worker(root, seed, start, stop, own)
        begun = None
        for record in map(json.loads, done.stdout.splitlines()):
            if "begin" in record:
                begun = record
                report.kinds[record["kind"]] += 1
                continue
            report.codes[str(record["code"])] += 1
            report.slowest = max(report.slowest, record["seconds"])
            if record["faults"]:
                assert begun is not None
                name = f"case {seed}-{begun['begin']}, {begun['kind']}, {begun['what']}"
                report.found.append(f"{name}: {record['faults']}\n{record['err']}")
            start, begun = record["end"] + 1, None
        if begun is None and start < stop:
            raise RuntimeError(f"the worker did not start: {done.stderr[-2000:]}")
        if begun is not None:
            report.codes["none"] += 1
            name = f"case {seed}-{begun['begin']}, {begun['kind']}, {begun['what']}"
            report.found.append(
                f"{name}: a hang or a crash ({done.returncode})\n{done.stderr[-3000:]}"
            )
            start = begun["begin"] + 1
    return report


def _worker(root: Path, seed: int, start: int, stop: int, own: bool) -> subprocess.CompletedProcess:
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    for variable, name in (("TMPDIR", "tmp"), ("HOME", "home")):
        (root / name).mkdir(parents=True)
        environment[variable] = str(root / name)
    arguments = [str(root), str(seed), str(start), str(stop), *(["process"] if own else [])]
    return subprocess.run(
        [sys.executable, str(WORKER), *arguments],
        capture_output=True, text=True, errors="replace", env=environment, stdin=subprocess.DEVNULL,
        timeout=1800,
    )  # fmt: skip


if __name__ == "__main__":  # for reproduction: hostile_campaign.py FOLDER SEED START STOP [process]
    where, *numbers = sys.argv[1:5]
    print(campaign(Path(where), *map(int, numbers), own="process" in sys.argv))
