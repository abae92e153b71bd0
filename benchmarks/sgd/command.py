"""Time steps on one core, and by the clock on all; write a page and a picture.

Each contender is a process of its own; all take turns.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from benchmarks.sgd.cases import SHAPES, problem, timed_for
from benchmarks.sgd.contenders import check, contenders, on_two_cores
from benchmarks.sgd.table import Measured, page, picture
from benchmarks.shared import arguments, text
from benchmarks.shared.problems import Problem
from benchmarks.shared.processes import Contender
from benchmarks.shared.rounds import Limits, in_rounds

_PRODUCTS = Contender("large products", "benchmarks.sgd.products:Products")
_QUICK = {"digits": (1,), "binary": (64,)}
_FREE = {"mnist": (1, 64), "digits": (64,)}  # what all cores are tried on


def main(argv: Sequence[str]) -> None:
    """Read the arguments, measure, print and write."""
    parser = arguments.parser("sgd", __doc__, 7)
    parser.add_argument("--problem", action="append", choices=SHAPES)
    parser.add_argument(
        "--columns", type=int, nargs="+", metavar="K", help="in place of each problem's"
    )
    parser.add_argument("--seconds", type=float, default=0.3, help="of one run of ours, about")
    parser.add_argument("--only", metavar="TEXT", help="ours and contenders with this in the name")
    parser.add_argument("--device", choices=["cpu", "gpu"], default="cpu", help="of our own runs")
    args = parser.parse_args(argv)
    if args.quick:
        args.seconds, args.rounds = 0.02, min(args.rounds, 2)
    machine = text.machine(args.name, "jax", "torch", "scikit-learn")
    measured: list[Measured] = []
    for name in args.problem or (_QUICK if args.quick else SHAPES):
        whole = problem(name, args.quick)
        for K in args.columns or (_QUICK.get(name, (64,)) if args.quick else SHAPES[name][4]):
            free = name in _FREE and K in _FREE[name] and not args.quick
            measured.append(_measure(whole, K, free, args))
            made = page(measured, machine, args.rounds, text.shared())
            path = arguments.write(args, "sgd", made)  # an interruption loses one
    print(made)
    picture(measured, path.with_name(f"{path.name}.svg"))


def _measure(whole: Problem, K: int, free: bool, args: argparse.Namespace) -> Measured:
    one = timed_for(whole, K, args.seconds)
    print(f"{one.name}, K = {K}, {one.steps} steps", file=sys.stderr, flush=True)
    limits = Limits(args.rounds, call=120, all=6, first=400)
    core = args.core if args.device == "cpu" else None
    who = [*contenders(one, K, args.device), *([_PRODUCTS] if core is not None else [])]
    kept = [c for i, c in enumerate(who) if not (i and args.only) or args.only in c.name]
    found = in_rounds(kept, one, limits, core, check)
    products = found.pop() if found[-1].contender is _PRODUCTS else None
    on_all = free and core is not None and not args.only
    free_found = in_rounds(on_two_cores(K), one, limits, None, check) if on_all else []
    return Measured(one, K, found, products, free_found)
