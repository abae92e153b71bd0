"""Time one fit of ours to the validation loss that scikit-learn's SGDClassifier reaches.

Both are trained epoch by epoch at several learning rates outside the timing. The loss to reach is
SGDClassifier's least, and one per cent of it; the fewest epochs in which one gets there are timed.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from benchmarks.sgd.cases import SHAPES, problem
from benchmarks.shared import arguments, text
from benchmarks.shared.problems import Array, Problem
from benchmarks.shared.processes import Contender, processes, stored
from benchmarks.shared.rounds import Limits, Timed, take_turns

Curves = dict[float | str, list[float]]
"""By learning rate, the validation loss after each epoch."""
Best = tuple[float | str, int]
EPOCHS, SLACK = 10, 1.01
OURS = Contender("ours, one fit, every step logged", "benchmarks.sgd.to_loss:Ours")
PEER = Contender("scikit-learn SGDClassifier", "benchmarks.sgd.to_loss:Sgd")
_CAPTION = """# One fit to the same validation loss

Measured by `scripts/bench loss` on {machine}.
{shared}

One fit of ours (SGD with momentum, every step logged) and one of `SGDClassifier(loss="log_loss")`,
each a process of its own on one core with one thread, in turn. The loss to reach is the least
validation loss that SGDClassifier comes to in {epochs} epochs at any of its learning rates, and one
per cent of it; each has the learning rate with which it is there in the fewest epochs, found
outside the timing. **seconds** are of processor time, without evaluations; **ratio** is the time
over ours. For ten classes SGDClassifier is one-vs-rest.

| problem | loss | contender | learning rate | epochs | seconds | ratio |
|---|---:|---|---|---:|---:|---|
"""


@dataclass(frozen=True)
class Held:
    """Rows to train on, and those held out."""

    train: Problem
    X: Array
    y: Array


def held_out(whole: Problem) -> Held:
    """The last fifth is held out."""
    batches = len(whole.X) * 4 // 5 // whole.batch
    rows = batches * whole.batch
    train = replace(whole, X=whole.X[:rows], y=whole.y[:rows], steps=batches)
    return Held(train, whole.X[rows:], whole.y[rows:])


def quickest(curves: Curves, loss: float) -> Best | None:
    """The learning rate that is at a loss first, and after how many epochs; None if none is."""
    reached = {
        rate: next((epoch for epoch, value in enumerate(curve, 1) if value <= loss), None)
        for rate, curve in curves.items()
    }
    there = [(epochs, rate) for rate, epochs in reached.items() if epochs]
    if not there:
        return None
    epochs, rate = min(there, key=lambda one: one[0])
    return rate, epochs


def main(argv: Sequence[str]) -> None:
    """Read the arguments, measure, print and write."""
    parser = arguments.parser("loss", __doc__, 7)
    parser.add_argument("--problem", action="append", choices=SHAPES)
    args = parser.parse_args(argv)
    names = args.problem or (["digits"] if args.quick else [n for n in SHAPES if n != "hundred"])
    lines, named = [], text.machine(args.name, "scikit-learn")
    for name in names:
        print(name, file=sys.stderr, flush=True)
        limits = Limits(args.rounds, all=5, first=900)
        lines += _measure(problem(name, args.quick), limits, args.core)
        head = _CAPTION.format(machine=named, shared=text.shared(), epochs=EPOCHS)
        page = head + "\n".join(lines) + "\n"
        arguments.write(args, "loss", page)  # an interruption loses one
    print(page)


def _measure(whole: Problem, limits: Limits, core: int) -> list[str]:
    with stored(held_out(whole)) as path, processes([OURS, PEER], path, core) as started:
        found = [Timed(one.contender) for one in started]
        for timed, process in zip(found, started, strict=True):
            timed.words = process.make(limits.call).words
            reply = process.call("curves", EPOCHS, limit=limits.first or limits.call)
            timed.words, timed.value = timed.words or reply.words, reply.value
        if found[1].words:
            return [_row(whole.name, np.nan, found[1], found[0], None)]
        loss = SLACK * float(min(min(curve) for curve in found[1].value.values()))
        best = [quickest(timed.value, loss) for timed in found]
        for timed, one in zip(found, best, strict=True):
            timed.words = "" if one else f"not reached in {EPOCHS} epochs"
        take_turns(found, started, limits, [one or () for one in best])
    pairs = zip(found, best, strict=True)
    return [_row(whole.name, loss, timed, found[0], one) for timed, one in pairs]


def _row(name: str, loss: float, one: Timed, ours: Timed, best: Best | None) -> str:
    cells = [name, text.number(loss), one.name]
    if best is None or one.words:
        return f"| {' | '.join(cells)} | – | – | – | {one.words} |"
    seconds = text.number(float(np.median(one.cpu)))
    cells += [str(best[0]), str(best[1]), seconds, text.ratio(one, ours)]
    return f"| {' | '.join(cells)} |"
