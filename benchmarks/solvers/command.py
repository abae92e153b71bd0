"""Time solvers to the same objective beside their peers and print a page of it.

A benchmark of many minutes, which runs in parts: choose problems, parts and numbers of penalties.
"""

from __future__ import annotations

import argparse
import platform
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.solvers.cases import PROBLEMS, Case, case
from benchmarks.solvers.reference import TIGHT
from benchmarks.solvers.table import page
from benchmarks.solvers.tasks import FOLDS, Task, lasso, penalties, ridge, sparse
from benchmarks.solvers.timing import measure

PARTS = ("l2", "folds", "ridge", "lasso", "l1")
_RIDGE = ("diamonds", "embeddings")
_LASSO = ("breast_cancer", "digits", "embeddings")
_SPARSE = ("breast_cancer", "embeddings")


def main(argv: Sequence[str]) -> None:
    """Read the arguments, measure, print and write."""
    args = _arguments(argv)
    start = time.perf_counter()
    measured, notes = [], []
    for name in args.problems:
        found = case(name, args.embeddings)
        if found is None:
            notes.append(f"{name} left out: `--embeddings PATH.npz` says where they are.")
            continue
        for task in tasks(found, args.parts, args.penalties):
            folds = f", {task.folds} folds" if task.folds > 1 else ""
            print(f"{task.case.title}, {task.part}, K = {task.K}{folds}", file=sys.stderr)
            measured.append(measure(task, args.rounds, args.seconds))
            text = page(measured, args.name, notes, (args.rounds, args.seconds, TIGHT))
            if args.out:  # after each task: an interruption loses one
                args.out.parent.mkdir(parents=True, exist_ok=True)
                args.out.write_text(text, encoding="utf-8")
    print(page(measured, args.name, notes, (args.rounds, args.seconds, TIGHT)))
    print(f"{time.perf_counter() - start:.0f} s in all", file=sys.stderr)


def tasks(one: Case, parts: Sequence[str], numbers: Sequence[int]) -> Iterator[Task]:
    """The tasks of a data set, those of a section one after another."""
    for part, folds in (("l2", 1), ("folds", FOLDS)):
        if part in parts and one.model != "linear":
            yield from (penalties(one, K, folds) for K in numbers)
    if "ridge" in parts and one.name in _RIDGE:
        yield from (ridge(one, folds) for folds in (1, FOLDS))
    if "lasso" in parts and one.name in _LASSO:
        yield lasso(one)
    if "l1" in parts and one.name in _SPARSE:
        yield sparse(one)


def _arguments(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/bench --solvers", description=__doc__)
    add = parser.add_argument
    add("--problems", type=_of(PROBLEMS), default=list(PROBLEMS), metavar=",".join(PROBLEMS))
    add("--parts", type=_of(PARTS), default=list(PARTS), metavar=",".join(PARTS))
    add("--penalties", type=_numbers, default=[1, 45, 96], metavar="K,K", help="of l2 and folds")
    add("--embeddings", type=Path, metavar="PATH.npz", help="X (N, D) and y (N,) of 0 and 1")
    add("--rounds", type=int, default=5, help="timed runs of each contender")
    add("--seconds", type=float, default=120.0, help="of a contender: a run, and about all rounds")
    add("--name", default=platform.machine(), help="of the machine, for the page")
    add("--out", type=Path, metavar="PAGE.md", help="where the page is written, after each task")
    return parser.parse_args(argv)


class _of:
    """Words of a list, between commas."""

    def __init__(self, known: Sequence[str]) -> None:
        self.known = known

    def __call__(self, text: str) -> list[str]:
        words = text.split(",")
        for word in words:
            if word not in self.known:
                raise argparse.ArgumentTypeError(f"{word} is none of {', '.join(self.known)}")
        return words


def _numbers(text: str) -> list[int]:
    return [int(word) for word in text.split(",")]
