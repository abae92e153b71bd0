"""Time sweeps against their peers and write a page and a picture to docs/benchmarks/."""

from __future__ import annotations

import argparse
import platform
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.sweep import memory
from benchmarks.sweep.cases import FOLDS, SIZES, case
from benchmarks.sweep.contenders import CONTENDERS, Contender
from benchmarks.sweep.table import Measured, page, picture
from benchmarks.sweep.timing import check, in_turn, present

KS, QUICK_KS = [16, 64, 256, 1024], [4]
_SAME_QUICK = "60000"  # of the same shape as another when both are tiny


def main(argv: Sequence[str]) -> None:
    """Read the arguments, measure, write."""
    args = _arguments(argv)
    start = time.perf_counter()
    contenders = present()
    folds = [1, FOLDS] if args.folds == "both" else [1 if args.folds == "no" else FOLDS]
    names = args.problem or [name for name in SIZES if not (args.quick and name == _SAME_QUICK)]
    wanted = [(name, f) for name in names for f in folds]
    measured = [_measure(name, f, contenders, args) for name, f in wanted]
    if not args.no_memory:
        print("peak memory", file=sys.stderr)
        some = 2 if args.quick else None  # each is a process, which imports for seconds
        _add_peaks(measured[:some], wanted[:some], contenders, args.quick)
    text = page(measured, args.name, args.rounds)
    print(text)
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / f"sweep-{args.name}.md").write_text(text, encoding="utf-8")
    picture(measured, args.out / f"sweep-{args.name}.png")
    print(f"{time.perf_counter() - start:.0f} s in all", file=sys.stderr)


def _arguments(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/bench --sweep", description=__doc__)
    parser.add_argument("--problem", action="append", choices=list(SIZES))
    parser.add_argument("--folds", choices=["both", "yes", "no"], default="both")
    parser.add_argument("--trials", type=int, nargs="+", metavar="K", help="squares")
    parser.add_argument("--rounds", type=int, help="measured runs of each contender")
    parser.add_argument(
        "--seconds", type=float, help="of one run, about; longer sweeps are run in part"
    )
    parser.add_argument("--no-memory", action="store_true", help="time only")
    parser.add_argument("--quick", action="store_true", help="tiny everything: a smoke test")
    parser.add_argument("--name", default=platform.machine(), help="of the machine, for the files")
    parser.add_argument(
        "--out", type=Path, default=Path(__file__).parent.parent.parent / "docs/benchmarks"
    )
    args = parser.parse_args(argv)
    args.trials = args.trials or (QUICK_KS if args.quick else KS)
    args.rounds = args.rounds or (1 if args.quick else 3)
    args.seconds = args.seconds or (0.05 if args.quick else 0.4)
    if any(round(K**0.5) ** 2 != K for K in args.trials):
        parser.error("--trials: a grid of as many learning rates as penalties has K = 4, 9, 16, …")
    return args


def _measure(
    name: str, folds: int, contenders: Sequence[Contender], args: argparse.Namespace
) -> Measured:
    one = case(name, folds, args.quick)
    found = Measured(one.name, folds, {}, check(one, contenders, min(args.trials[0], 16)))
    for K in args.trials:
        start = time.perf_counter()
        found.timings[K] = in_turn(one, K, contenders, args.rounds, args.seconds)
        took = time.perf_counter() - start
        print(f"{found.title}, K = {K}: {took:.0f} s", file=sys.stderr)
    return found


def _add_peaks(
    measured: Sequence[Measured],
    wanted: Sequence[tuple[str, int]],
    contenders: Sequence[Contender],
    quick: bool,
) -> None:
    """Measure memory: of loops at the smallest K, for all K."""
    asked: list[tuple[Measured, Contender, int, dict[str, Any]]] = []
    for one, (name, folds) in zip(measured, wanted, strict=True):
        for contender in contenders:
            if one.folds > 1 and contender.module != "ours":
                continue  # they go fold after fold: what they hold is the same
            for K in list(one.timings)[: 1 if contender.fit_seconds else None]:
                i = CONTENDERS.index(contender)
                words = {"name": name, "folds": folds, "K": K, "contender": i, "quick": quick}
                asked.append((one, contender, K, words))
    found = memory.peaks([words for *_, words in asked])
    for (one, contender, first, _), peak in zip(asked, found, strict=True):
        Ks = list(one.timings) if contender.fit_seconds else [first]
        one.peaks |= {(contender.name, K): peak for K in Ks}
