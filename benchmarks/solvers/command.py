"""Time solvers to the same objective beside their peers and print a page of it.

A benchmark of many minutes, which runs in parts: choose problems, parts and numbers of penalties.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.shared import arguments, text
from benchmarks.shared.rounds import Limits
from benchmarks.solvers.cases import MADE, PROBLEMS, Case, case
from benchmarks.solvers.table import page
from benchmarks.solvers.tasks import FOLDS, Task, lasso, penalties, ridge, sparse
from benchmarks.solvers.timing import measure

PARTS = ("l2", "folds", "ridge", "lasso", "l1")
_LARGE = tuple(name for name in MADE if name != "synthetic")  # one penalty only
_RIDGE = ("diamonds", "embeddings")
_LASSO = ("breast_cancer", "digits", "embeddings")
_SPARSE = ("breast_cancer", "embeddings")


def main(argv: Sequence[str]) -> None:
    """Read the arguments, measure, print and write."""
    args = _arguments(argv)
    limits = Limits(args.rounds, call=args.seconds, all=args.seconds, first=5 * args.seconds)
    machine, measured, notes, made = text.machine(args.name, "scikit-learn", "torch"), [], [], ""
    for name in args.problems:
        found = case(name, args.embeddings)
        if found is None:
            notes.append(f"{name} left out: `--embeddings PATH.npz` says where they are.")
            continue
        numbers = [1] if args.quick or name in _LARGE else args.penalties
        for task in tasks(found, args.parts, numbers):
            folds = f", {task.folds} folds" if task.folds > 1 else ""
            print(f"{task.case.title}, {task.part}, K = {task.K}{folds}", file=sys.stderr)
            measured.append(measure(task, limits, args.core))
            made = page(measured, machine, notes, limits, text.shared())
            arguments.write(args, "solvers", made)  # an interruption loses one
    print(made)


def tasks(one: Case, parts: Sequence[str], numbers: Sequence[int]) -> Iterator[Task]:
    """The tasks of a data set, those of a section one after another."""
    for part, folds in (("l2", 1), ("folds", FOLDS)):
        if part in parts and one.model != "linear" and not (folds > 1 and one.name in _LARGE):
            yield from (penalties(one, K, folds) for K in numbers)
    if "ridge" in parts and one.name in _RIDGE:
        yield from (ridge(one, folds) for folds in (1, FOLDS))
    if "lasso" in parts and one.name in _LASSO:
        yield lasso(one)
    if "l1" in parts and one.name in _SPARSE:
        yield sparse(one)


def _arguments(argv: Sequence[str]) -> argparse.Namespace:
    parser = arguments.parser("solvers", __doc__, 5)
    add = parser.add_argument
    add("--problems", type=_of(PROBLEMS), metavar=",".join(PROBLEMS))
    add("--parts", type=_of(PARTS), metavar=",".join(PARTS))
    add("--penalties", type=_numbers, default=[1, 45, 96], metavar="K,K", help="of l2 and folds")
    add("--embeddings", type=Path, metavar="PATH.npz", help="X (N, D) and y (N,) of 0 and 1")
    add("--seconds", type=float, default=120.0, help="of a contender: a run, and about all rounds")
    args = parser.parse_args(argv)
    args.problems = args.problems or (["breast_cancer"] if args.quick else list(PROBLEMS))
    args.parts = args.parts or (["l2", "lasso"] if args.quick else list(PARTS))
    if args.quick:
        args.rounds, args.seconds = min(args.rounds, 2), min(args.seconds, 20.0)
    return args


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
