"""What folds and resamples cost beside a loop of scikit-learn, as a table in Markdown.

CPU seconds of the fits alone, on one thread of the matrix library: reading, start-up and what is
written left out; the least of some rounds, in which all take turns. Columns of all row sets are in
one stack, or each row set has a stack of its own (`apart`).

    python scripts/row_sets.py [CASE ...] [--rounds 3] [--quick]
"""

from __future__ import annotations

import argparse
import os
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # before NumPy is loaded

import numpy as np

from trainer.config import load_spec
from trainer.device import choose
from trainer.machine.threads import one_thread_a_product
from trainer.sweep import share_rows
from trainer.sweep.sweep import set_up, train
from trainer.workflow.recorder import NullObserver

Numbers = np.ndarray[Any, np.dtype[np.float64]]
Indices = np.ndarray[Any, np.dtype[np.int64]]


class Case(NamedTuple):
    """Logistic fits: rows, features, targets, penalties C, and folds or resamples."""

    rows: int
    features: int
    targets: int
    C: Numbers
    repeat: dict[str, int]


CASES = {
    "10 targets x 7 C x 5 folds, 1,000 x 50": Case(
        1000, 50, 10, np.logspace(-3, 3, 7), {"folds": 5}
    ),
    "1,000 resamples, 1,000 x 20": Case(1000, 20, 1, np.ones(1), {"bootstrap": 1000}),
}


def rows_of(case: Case) -> tuple[Numbers, Numbers]:
    """Normal features (N, D), and labels (N, T) of noisy scores."""
    draw = np.random.default_rng(0)
    X = draw.standard_normal((case.rows, case.features))
    noise = draw.standard_normal((case.rows, case.targets))
    z = X @ draw.standard_normal((case.features, case.targets)) * 0.3 + noise
    return X, (z > 0).astype(np.float64)


def ours(case: Case) -> float:
    """All fits as a run has them; returns the largest bound of J − J*."""
    X, Y = rows_of(case)
    tree: dict[str, Any] = {
        "model": "logistic",
        "data": {"train": "arrays"},
        "precision": "float64",
        "device": "cpu",
        "optimizer": {"name": "auto"},
        "repeat": case.repeat,
        "sweep": {"parameters": {"penalty.C": case.C.tolist()}},
    }
    if case.targets > 1:
        tree["targets"] = "separate"
    arrays = {"train": (X, Y if case.targets > 1 else Y[:, 0])}
    with one_thread_a_product():
        sweep = set_up(load_spec(tree), arrays, choose("cpu"))
        train(sweep, NullObserver(lambda: None))
    return max(float(job.training.result.facts["gap"].max()) for job in sweep.jobs)


def apart(case: Case) -> float:
    """The same with a stack a row set."""
    with _patched():
        return ours(case)


@contextmanager
def _patched() -> Iterator[None]:
    shares = share_rows.can_share
    share_rows.can_share = lambda spec: False
    try:
        yield
    finally:
        share_rows.can_share = shares


def loop(case: Case, solver: str) -> float:
    """A loop of LogisticRegression over the same numbers of rows; its gaps are not known."""
    from sklearn.linear_model import LogisticRegression  # not installed with the trainer

    X, Y = rows_of(case)
    warnings.simplefilter("ignore")
    for rows in _row_sets(case):
        own = X[rows]
        own = (own - own.mean(axis=0)) / own.std(axis=0)
        for y in Y[rows].T:
            for C in case.C:
                LogisticRegression(C=C, solver=solver, max_iter=1000).fit(own, y)
    return float("nan")


def _row_sets(case: Case) -> Iterator[Indices]:
    if (folds := case.repeat.get("folds")) is not None:
        every = np.arange(case.rows)
        yield from (every[every % folds != f] for f in range(folds))
    draw = np.random.default_rng(1)
    for _ in range(case.repeat.get("bootstrap", 0)):
        yield draw.integers(0, case.rows, case.rows)


WAYS: dict[str, Callable[[Case], float]] = {
    "one stack": ours,
    "apart": apart,
    "scikit-learn, newton-cholesky": lambda case: loop(case, "newton-cholesky"),
    "scikit-learn, lbfgs": lambda case: loop(case, "lbfgs"),
}


def measure(case: Case, rounds: int) -> dict[str, tuple[float, float]]:
    """CPU seconds of each way, and the largest bound of J − J*."""
    found: dict[str, tuple[float, float]] = {}
    for _ in range(rounds):
        for name, way in WAYS.items():
            start = time.process_time()
            gap = way(case)
            seconds = time.process_time() - start
            found[name] = min(found.get(name, (np.inf, gap)), (seconds, gap))
    return found


def main() -> None:
    """Print a table a case."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("case", nargs="*", default=list(CASES), metavar="CASE")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="few rows, one round")
    args = parser.parse_args()
    for name in args.case:
        case = CASES[name]
        if args.quick:
            fewer = {key: min(count, 3) for key, count in case.repeat.items()}
            case, args.rounds = case._replace(rows=120, C=case.C[:2], repeat=fewer), 1
        print(f"**{name}**\n\n| | CPU seconds | of one stack | J − J* at most |\n|---|--:|--:|--:|")
        found = measure(case, args.rounds)
        for way, (seconds, gap) in found.items():
            ratio = seconds / found["one stack"][0]
            told = "" if np.isnan(gap) else f"{gap:.1e}"
            print(f"| {way} | {seconds:.3f} | {ratio:.1f} | {told} |")
        print()


if __name__ == "__main__":
    main()
