"""Time one stack against its peers and write the table and its picture to docs/benchmarks/."""

from __future__ import annotations

import argparse
import platform
import sys
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import ours, plain
from benchmarks.measure import Timing, in_turn, peak_gflops
from benchmarks.problems import Array, Problem, problems, settings
from benchmarks.solvers import command as solvers
from benchmarks.sweep import command as sweep
from benchmarks.table import Measured, picture, table

LOOP_LIMIT = 64  # beyond that a loop of single fits only takes longer


def main() -> None:
    """Read the arguments, measure, write."""
    for flag, command in (("--sweep", sweep), ("--solvers", solvers)):
        if flag in sys.argv:
            command.main([word for word in sys.argv[1:] if word != flag])
            return
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__)
    parser.add_argument("--sweep", action="store_true", help="whole sweeps; with --help of its own")
    parser.add_argument("--solvers", action="store_true", help="to the optimum; the same")
    parser.add_argument("--problem", action="append", choices=["mnist", "higgs", "digits"])
    parser.add_argument("--columns", type=int, nargs="+", default=[1, 16, 64, 256], metavar="K")
    parser.add_argument("--rounds", type=int, default=7, help="measured runs of each contender")
    parser.add_argument("--device", choices=["cpu", "gpu"], default="cpu", help="of our own runs")
    parser.add_argument("--quick", action="store_true", help="a tenth of everything: a smoke test")
    parser.add_argument("--name", default=platform.machine(), help="of the machine, for the files")
    parser.add_argument(
        "--out", type=Path, default=Path(__file__).parent.parent / "docs/benchmarks"
    )
    args = parser.parse_args()
    chosen = problems(args.quick)
    measured = [
        Measured(chosen[name], K, _measure(chosen[name], K, args.rounds, args.device))
        for name in args.problem or chosen
        for K in args.columns
    ]
    text = table(measured, args.name, peak_gflops(), args.rounds)
    print(text)
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / f"sgd-{args.name}.md").write_text(text, encoding="utf-8")
    picture(measured, args.out / f"sgd-{args.name}.svg")


def _measure(problem: Problem, K: int, rounds: int, device: str) -> list[Timing]:
    lr, l2 = settings(K)
    print(f"{problem.name}, K = {K}", file=sys.stderr)
    found = _contenders(problem, lr, l2, device)
    return in_turn(found, rounds, lambda name: print(f"  {name}", file=sys.stderr))


def _contenders(problem: Problem, lr: Array, l2: Array, device: str) -> dict[str, Any]:
    K = len(lr)
    found: dict[str, Any] = {
        "ours, every step logged": ours.Stacked(problem, lr, l2, 1, device),
        "ours, nothing logged": ours.Stacked(problem, lr, l2, 0, device),
    }
    if K == 1:
        found["NumPy loop"] = plain.Bare(problem, lr, l2)
    elif device == "cpu":
        found["ours, half of K on each of two threads"] = ours.Halves(problem, lr, l2)
    if 1 < K <= LOOP_LIMIT:
        found["ours, one fit after another"] = ours.Loop(problem, lr, l2)
    return found | _torch(problem, lr, l2) | _jax(problem, lr, l2) | _sklearn(problem, lr, l2)


def _torch(problem: Problem, lr: Array, l2: Array) -> dict[str, Any]:
    try:
        from benchmarks import torches
    except ImportError as error:
        return _absent(error)
    if len(lr) == 1:
        compiled = torches.Compiled(problem, lr, l2)
        return {"torch eager": torches.Eager(problem, lr, l2), "torch.compile": compiled}
    found: dict[str, Any] = {"torch.func.vmap": torches.Vmap(problem, lr, l2)}
    if len(lr) <= LOOP_LIMIT:
        found["torch loop"] = torches.Eager(problem, lr, l2)
    return found


def _jax(problem: Problem, lr: Array, l2: Array) -> dict[str, Any]:
    try:
        from benchmarks import jaxes
    except ImportError as error:
        return _absent(error)
    if len(lr) == 1:
        return {"JAX jit+scan": jaxes.Scan(problem, lr, l2)}
    return {"JAX vmap+scan": jaxes.Scan(problem, lr, l2)}


def _sklearn(problem: Problem, lr: Array, l2: Array) -> dict[str, Any]:
    if len(lr) > 1:
        return {}
    try:
        from benchmarks import sklearns
    except ImportError as error:
        return _absent(error)
    return {"scikit-learn SGDClassifier": sklearns.Sgd(problem, lr, l2)}


def _absent(error: ImportError) -> dict[str, Any]:
    print(f'  {error.name} is not installed: pip install "stacked-trainer[bench]"', file=sys.stderr)
    return {}


if __name__ == "__main__":
    np.seterr(over="ignore")
    main()
