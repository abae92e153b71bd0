"""Time sweeps against their peers; write a page and a picture."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from benchmarks.shared import arguments, text
from benchmarks.shared.rounds import Limits, in_rounds
from benchmarks.sweep.cases import FOLDS, SIZES, Case, case
from benchmarks.sweep.contenders import WAYS, Way
from benchmarks.sweep.table import Measured, page, picture
from benchmarks.sweep.work import few_rows, few_steps

KS, QUICK_KS = [64, 256], [4]
TOLERANCE = 1e-3  # of the val loss
_CHECK_TRIALS = 16


def main(argv: Sequence[str]) -> None:
    """Read the arguments, measure, print and write."""
    args = _arguments(argv)
    folds = [1, FOLDS] if args.folds == "both" else [1 if args.folds == "no" else FOLDS]
    ways = [way for way in WAYS if not args.only or way is WAYS[0] or args.only in way.name]
    machine = text.machine(args.name, "jax", "torch", "scikit-learn")
    measured: list[Measured] = []
    for name in args.problem or (["digits"] if args.quick else SIZES):
        for f in folds:
            measured.append(_measure(case(name, f, args.quick), ways, args))
            made = page(measured, machine, args.rounds, text.shared())
            path = arguments.write(args, "sweep", made)  # an interruption loses one
    print(made)
    picture(measured, path.with_name(f"{path.name}.png"))


def _arguments(argv: Sequence[str]) -> argparse.Namespace:
    parser = arguments.parser("sweep", __doc__, 3)
    add = parser.add_argument
    add("--problem", action="append", choices=list(SIZES))
    add("--folds", choices=["both", "yes", "no"], default="both")
    add("--trials", type=int, nargs="+", metavar="K", help="squares")
    add("--seconds", type=float, help="of one run, about; longer sweeps are run in part")
    add("--only", metavar="TEXT", help="ours and contenders with this in the name")
    add("--no-memory", action="store_true", help="time only")
    args = parser.parse_args(argv)
    args.trials = args.trials or (QUICK_KS if args.quick else KS)
    args.seconds = args.seconds or (0.05 if args.quick else 0.4)
    if args.quick:  # each of these starts all processes once more
        args.rounds, args.no_memory, args.folds = 1, True, args.folds.replace("both", "yes")
    if any(round(K**0.5) ** 2 != K for K in args.trials):
        parser.error("--trials: a grid of as many learning rates as penalties has K = 4, 9, 16, …")
    return args


def _measure(one: Case, ways: Sequence[Way], args: argparse.Namespace) -> Measured:
    found = Measured(one.name, one.folds, {})
    wrong = check(one, ways, found, 4 if args.quick else _CHECK_TRIALS)
    for K in args.trials:
        print(f"{found.title}, K = {K}", file=sys.stderr, flush=True)
        who = [way.contender(way.work(one, K, args.seconds)) for way in ways]
        limits = Limits(args.rounds, call=60, all=6, first=120)
        timings = in_rounds(who, one, limits, check=lambda _, this: wrong.get(this.name, ""))
        found.timings[K] = timings
        if not args.no_memory:
            _add_peaks(one, K, ways, found)
    return found


def check(one: Case, ways: Sequence[Way], into: Measured, K: int) -> dict[str, str]:
    """Compare val losses with ours on few rows; what is wrong, by name."""
    who = [way.contender(few_rows(one, K)) for way in ways]
    found = in_rounds(who, one.first(few_rows(one, K).rows or len(one.X)), Limits(0, first=120))
    wrong = {}
    for way, timed in zip(ways, found, strict=True):
        if timed.words or found[0].words:
            continue
        off = float(abs(timed.value / found[0].value - 1).max())
        into.differences[way.name] = off
        if way.same and not off <= TOLERANCE:
            wrong[way.name] = f"its val losses are {off:.1%} off"
    return wrong


def _add_peaks(one: Case, K: int, ways: Sequence[Way], found: Measured) -> None:
    """Measure memory over some steps of all rows."""
    who = [way.contender(few_steps(one, K, looped=way.fit_seconds is not None)) for way in ways]
    for timed in in_rounds(who, one, Limits(0, first=120)):
        if not timed.words:
            found.peaks[timed.name, K] = timed.peak
