"""Two runs started at once, each beside its time alone: `python -m benchmarks.busy`.

Runs are processes of their own with nothing set, as a user starts them. Each case is timed alone
and twice at once in turn, so that a machine that slows down slows both. `steps` is the time from
the first step to the last, `wall` from the data in memory to the run folder, `cpu` the time of all
its threads on a processor in that; starting Python and reading the data are in none of them.

A ratio is that of the slower of two runs at once to the run alone just before: the median over the
rounds, with the least and the most. Where fewer than two cores are free, two runs at once take
twice as long whatever they do, and only `cpu` tells whether they were in each other's way. `--base`
times another checkout's run alone in the same rounds, `--pin` gives each process a core.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
Numbers = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Case:
    """A run on made-up rows.

    Attributes:
        shape: rows, features and classes; one class for a number, two for a label.
        spec: all of the config but its data.
        pairs: whether it is timed twice at once too.
    """

    shape: tuple[int, int, int]
    spec: dict[str, Any]
    pairs: bool = True


_SGD = {"name": "sgd", "lr": 0.1, "batch_size": 256}
_LR = {"geomspace": {"start": 1e-3, "stop": 0.3, "num": 64}}
_L2 = {"geomspace": {"start": 1e-6, "stop": 1.0, "num": 32}}
CASES = {
    "sgd 60000x784x10, K = 1": Case(
        (60_000, 784, 10), {"model": "softmax", "optimizer": {**_SGD, "epochs": 3}}
    ),
    "sgd 60000x784x10, K = 64": Case(
        (60_000, 784, 10),
        {
            "model": "softmax",
            "optimizer": {**_SGD, "epochs": 1},
            "sweep": {"parameters": {"optimizer.lr": _LR}},
        },
    ),
    "lbfgs 6046x384, K = 1": Case(
        (6_046, 384, 2), {"model": "logistic", "optimizer": {"name": "lbfgs"}}
    ),
    "lbfgs 6046x384, K = 32": Case(
        (6_046, 384, 2),
        {
            "model": "logistic",
            "optimizer": {"name": "lbfgs"},
            "sweep": {"parameters": {"penalty.l2": _L2}},
        },
    ),
    "lbfgs 200000x500": Case(
        (200_000, 500, 2), {"model": "logistic", "optimizer": {"name": "lbfgs"}}, pairs=False
    ),
    "exact 200000x500": Case(
        (200_000, 500, 1), {"model": "linear", "optimizer": {"name": "exact"}}, pairs=False
    ),
}


def rows(shape: tuple[int, int, int]) -> tuple[Numbers, Numbers]:
    """Features (N, D) and targets (N,) that a linear model explains in part."""
    n, d, classes = shape
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n, d), dtype=np.float32)
    z = X @ rng.standard_normal((d, classes), dtype=np.float32)
    z += np.sqrt(d / 4) * rng.standard_normal(z.shape, dtype=np.float32)
    return X, z[:, 0] if classes == 1 else z.argmax(axis=1)


def worker(name: str, data: Path) -> None:
    """Load the rows, say so, wait for a line, run; print the seconds."""
    import trainer

    case = CASES[name]
    X, y = np.load(data / "X.npy"), np.load(data / "y.npy")
    trainer.run({**case.spec, "device": "cpu"}, out=data / f"warm-{os.getpid()}", data=_few(X, y))
    print("ready", flush=True)
    for _ in sys.stdin:
        print(json.dumps(_timed(case, X, y)), flush=True)


def _few(X: Numbers, y: Numbers) -> dict[str, Any]:
    return {"train": (X[:2000], y[:2000])}


def _timed(case: Case, X: Numbers, y: Numbers) -> dict[str, float]:
    import time

    import trainer

    first: list[float] = []

    def should_stop() -> None:
        first.append(time.perf_counter())

    spec = {**case.spec, "device": "cpu"}
    with tempfile.TemporaryDirectory() as folder:
        start, begun = time.perf_counter(), time.process_time()
        trainer.run(spec, out=Path(folder) / "r", data={"train": (X, y)}, should_stop=should_stop)
        wall, cpu = time.perf_counter() - start, time.process_time() - begun
    # it is asked once before the first step, and once after each
    return {"steps": first[-1] - first[0], "wall": wall, "cpu": cpu}


class Workers:
    """Processes that have loaded a case's rows and wait; they differ in their checkout alone."""

    def __init__(self, name: str, checkouts: list[Path], pin: bool) -> None:
        self._folder = tempfile.TemporaryDirectory()
        data = Path(self._folder.name)
        for file, array in zip(("X.npy", "y.npy"), rows(CASES[name].shape), strict=True):
            np.save(data / file, array)
        self._all = [self._started(name, data, one) for one in checkouts]
        for place, one in enumerate(self._all):
            if pin:
                import psutil

                psutil.Process(one.pid).cpu_affinity([place % (os.cpu_count() or 1)])
        for one in self._all:
            self._line(one)

    def _started(self, name: str, data: Path, checkout: Path) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, str(Path(__file__).resolve()), "--worker", name, str(data)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            cwd=checkout,
            env={**os.environ, "PYTHONPATH": str(checkout)},
        )

    def run(self, *which: int) -> list[dict[str, float]]:
        """Start these at once; the seconds of each."""
        for one in which:
            pipe = self._all[one].stdin
            assert pipe is not None
            pipe.write("go\n")
            pipe.flush()
        return [json.loads(self._line(self._all[one])) for one in which]

    @staticmethod
    def _line(one: subprocess.Popen[str]) -> str:
        assert one.stdout is not None
        line = one.stdout.readline()
        if not line:
            raise SystemExit(f"a run failed with exit code {one.wait()}")
        return line

    def close(self) -> None:
        """End all."""
        for one in self._all:
            one.communicate()
        self._folder.cleanup()


def measure(name: str, rounds: int, base: Path | None, pin: bool) -> Iterator[str]:
    """Time a case; yield rows of a table."""
    case = CASES[name]
    checkouts = [ROOT, ROOT] if case.pairs else [ROOT]
    workers = Workers(name, [*checkouts, *([base] if base else [])], pin)
    alone, pairs, other = [], [], []
    for _ in range(rounds):
        alone += workers.run(0)
        if case.pairs:
            pairs.append(workers.run(0, 1))
        if base:
            other += workers.run(len(checkouts))
    workers.close()
    for what in ("steps", "wall", "cpu"):
        own = np.array([one[what] for one in alone])
        cells = [name, what, f"{np.median(own):.2f}"]
        cells.append(_ratio([max(a[what], b[what]) for a, b in pairs], own) if pairs else "–")
        cells.append(_ratio([one[what] for one in other], own) if other else "–")
        yield "| " + " | ".join(cells) + " |"


def _ratio(seconds: list[float], own: Numbers) -> str:
    ratios = np.array(seconds) / own
    return f"{np.median(ratios):.2f} ({ratios.min():.2f}–{ratios.max():.2f})"


def main() -> None:
    """Read the arguments, measure, print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.busy", description=__doc__)
    parser.add_argument("--case", action="append", metavar="TEXT", help="cases with this in a name")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--base", type=Path, help="another checkout, to be timed alone as well")
    parser.add_argument("--pin", action="store_true", help="a core for each process")
    args = parser.parse_args()
    load = ", ".join(f"{one:.1f}" for one in _load())
    print(f"{os.cpu_count()} cores; processes that want one, 1, 5 and 15 minutes: {load}\n")
    print("| case | | seconds alone | two at once / alone | base alone / alone |")
    print("|---|---|---:|---:|---:|")
    for name in CASES:
        if not args.case or any(text in name for text in args.case):
            for row in measure(name, args.rounds, args.base and args.base.resolve(), args.pin):
                print(row, flush=True)


def _load() -> tuple[float, ...]:
    import psutil

    return tuple(psutil.getloadavg())


if __name__ == "__main__":
    if sys.argv[1:2] == ["--worker"]:
        worker(sys.argv[2], Path(sys.argv[3]))
    else:
        main()
