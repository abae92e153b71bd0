"""Time two runs started at once beside one alone, and another checkout's run beside them.

Runs are processes of their own with nothing set, as a user starts them. Each case is timed alone
and twice at once in turn, so that a machine that slows down slows both.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.shared import arguments, text
from benchmarks.shared.processes import Contender, Process, processes, stored
from benchmarks.shared.worker import Reply

LIMIT = 300.0  # seconds of a run
Numbers = np.ndarray[Any, Any]
_CAPTION = """# Two runs at once

Measured by `scripts/bench busy` on {machine}.
{shared}

Runs of `trainer.run` on made-up rows, processes of their own with nothing set. `steps` is the time
from the first step to the last, `wall` from the data in memory to the run folder, `cpu` the time of
all its threads on a processor in that; starting Python and reading the data are in none of them.
A ratio is that of the slower of two runs at once to the run alone just before: the median of
{rounds} rounds, with the least and the most. Where fewer than two cores are free, two runs at once
take twice as long whatever they do, and only `cpu` tells whether they were in each other's way.

| case | | seconds alone | two at once / alone | {base} alone / alone |
|---|---|---:|---:|---:|
"""


@dataclass(frozen=True)
class Case:
    """A run on made-up rows.

    Attributes:
        shape: rows, features and classes; one class for a number, two for a label.
        spec: all of the config but its data.
    """

    shape: tuple[int, int, int]
    spec: dict[str, Any]


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
}


def rows(shape: tuple[int, int, int]) -> tuple[Numbers, Numbers]:
    """Features (N, D) and targets (N,) that a linear model explains in part."""
    n, d, classes = shape
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n, d), dtype=np.float32)
    z = X @ rng.standard_normal((d, classes), dtype=np.float32)
    z += np.sqrt(d / 4) * rng.standard_normal(z.shape, dtype=np.float32)
    return X, z[:, 0] if classes == 1 else z.argmax(axis=1)


class Runs:
    """`trainer.run` of a config on the same rows, whichever checkout's trainer it is."""

    def __init__(self, data: tuple[Numbers, Numbers], spec: dict[str, Any]) -> None:
        self.X, self.y = data
        self.spec = {**spec, "device": "cpu"}
        self._run(self.X[:2000], self.y[:2000])

    def run(self) -> float:
        """Seconds from the first step to the last."""
        return self._run(self.X, self.y)

    def _run(self, X: Numbers, y: Numbers) -> float:
        import time

        import trainer

        first: list[float] = []

        def should_stop() -> None:
            first.append(time.perf_counter())

        with tempfile.TemporaryDirectory() as folder:
            out, data = Path(folder) / "r", {"train": (X, y)}
            trainer.run(self.spec, out=out, data=data, should_stop=should_stop)
        # it is asked once before the first step, and once after each
        return first[-1] - first[0]


def measure(name: str, case: Case, rounds: int, base: Path | None) -> Iterator[str]:
    """Time a case; yield rows of the table."""
    who = [_contender(case), _contender(case), *([_contender(case, base)] if base else [])]
    with stored(rows(case.shape)) as path, processes(who, path) as started:
        ready = [process.make(LIMIT).words for process in started]
        alone, pairs, other = [], [], []
        for _ in range(0 if any(ready) else rounds):
            alone += _at_once(started[:1])
            pairs.append(_at_once(started[:2]))
            other += _at_once(started[2:])
    replies = [*alone, *other, *(one for two in pairs for one in two)]
    words = [one for one in (*ready, *(reply.words for reply in replies)) if one]
    if words:
        yield f"| {name} | | {words[0]} | – | – |"
        return
    for what in ("steps", "wall", "cpu"):
        own = [_seconds(one, what) for one in alone]
        cells = [name, what, text.number(float(np.median(own)))]
        cells.append(_ratio([max(_seconds(one, what) for one in two) for two in pairs], own))
        cells.append(_ratio([_seconds(one, what) for one in other], own))
        yield "| " + " | ".join(cells) + " |"


def _contender(case: Case, base: Path | None = None) -> Contender:
    paths = [str(base)] if base else []
    return Contender("run", "benchmarks.runs.busy:Runs", {"spec": case.spec}, paths=paths)


def _at_once(some: Sequence[Process]) -> list[Reply]:
    for one in some:
        one.ask("run")
    return [one.reply(LIMIT) for one in some]


def _seconds(one: Reply, what: str) -> float:
    return float(one.value if what == "steps" else getattr(one, what))


def _ratio(seconds: list[float], own: list[float]) -> str:
    if not seconds:
        return text.NOTHING
    ratios = np.array(seconds) / np.array(own)
    return f"{np.median(ratios):.2f} ({ratios.min():.2f}–{ratios.max():.2f})"


def main(argv: Sequence[str]) -> None:
    """Read the arguments, measure, print and write."""
    parser = arguments.parser("busy", __doc__, 5)
    parser.add_argument("--case", action="append", metavar="TEXT", help="cases with this in a name")
    parser.add_argument("--base", type=Path, help="another checkout, to be timed alone as well")
    args = parser.parse_args(argv)
    base = args.base and args.base.resolve()
    if args.quick:
        args.case, args.rounds = args.case or ["lbfgs 6046x384, K = 1"], min(args.rounds, 2)
    lines: list[str] = []
    for name, case in CASES.items():
        if not args.case or any(part in name for part in args.case):
            print(name, file=sys.stderr, flush=True)
            lines += measure(name, case, args.rounds, base)
    of = text.commit(base) if base else "another checkout"
    head = _CAPTION.format(
        machine=text.machine(args.name), shared=text.shared(), rounds=args.rounds, base=of
    )
    page = head + "\n".join(lines) + "\n"
    print(page)
    arguments.write(args, "busy", page)
