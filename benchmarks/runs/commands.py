"""Time whole commands, from nothing to the run folder, beside those of another checkout.

Each is a process of its own on one core, started anew for every run.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.shared import arguments, text
from benchmarks.shared.processes import ROOT, Contender
from benchmarks.shared.rounds import Limits, in_rounds

COMMANDS = {
    "run.py configs/softmax.yaml": ["configs/softmax.yaml"],
    "run.py configs/logistic.yaml": ["configs/logistic.yaml"],
    "run.py configs/sweep_softmax.yaml": ["configs/sweep_softmax.yaml"],
    "run.py configs/path_logistic_l1.yaml": ["configs/path_logistic_l1.yaml"],
    "run.py --help": ["--help"],
}
_CAPTION = """# Whole commands

Measured by `scripts/bench commands` on {machine}.
{shared}

`python scripts/run.py` as a user types it, from starting Python to the end: a process anew for each
of {rounds} rounds, all on one core, those of two checkouts in turn. **seconds** are of processor
time, all its processes included; **ratio** is the time over that of this commit in the same round.

| command | checkout | seconds | by the clock | ratio |
|---|---|---:|---:|---|
"""


class Command:
    """A command of a checkout, started in a folder of its own each time."""

    def __init__(self, words: Sequence[str], checkout: str) -> None:
        self.words, self.checkout = list(words), Path(checkout)
        if not (self.checkout / "scripts" / "run.py").exists():
            raise FileNotFoundError(f"{self.checkout} has no scripts/run.py")

    def run(self) -> None:
        """Run it; its children's time is counted by whoever asks."""
        with tempfile.TemporaryDirectory() as folder:
            given = [str(self.checkout / w) if w.endswith(".yaml") else w for w in self.words]
            out = [] if "--help" in given else ["--out", str(Path(folder) / "run")]
            subprocess.run(
                [sys.executable, str(self.checkout / "scripts" / "run.py"), *given, *out],
                cwd=folder,
                env={**os.environ, "PYTHONPATH": str(self.checkout)},
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                check=True,
            )


def main(argv: Sequence[str]) -> None:
    """Read the arguments, measure, print and write."""
    parser = arguments.parser("commands", __doc__, 7)
    parser.add_argument("--base", type=Path, help="another checkout, whose commands are timed too")
    parser.add_argument("--only", metavar="TEXT", help="commands with this in them")
    args = parser.parse_args(argv)
    names = [name for name in COMMANDS if not args.only or args.only in name]
    names = names[:1] if args.quick else names
    rounds = min(args.rounds, 2) if args.quick else args.rounds
    checkouts = [ROOT, *([args.base.resolve()] if args.base else [])]
    lines = []
    for name in names:
        print(name, file=sys.stderr, flush=True)
        who = [_contender(name, one) for one in checkouts]
        found = in_rounds(who, None, Limits(rounds, call=120, all=60), args.core)
        lines += [text.seconds(name, one, found[0]) for one in found]
    head = _CAPTION.format(machine=text.machine(args.name), shared=text.shared(), rounds=rounds)
    page = head + "\n".join(lines) + "\n"
    print(page)
    arguments.write(args, "commands", page)


def _contender(name: str, checkout: Path) -> Contender:
    settings: dict[str, Any] = {"words": COMMANDS[name], "checkout": str(checkout)}
    return Contender(text.commit(checkout), "benchmarks.runs.commands:Command", settings)
