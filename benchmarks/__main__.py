"""Time the trainer beside its peers: one part, or all of them after another.

Each part takes arguments of its own: `scripts/bench PART --help`.
"""

from __future__ import annotations

import sys
import time
from importlib import import_module

PARTS = {
    "sgd": ("benchmarks.sgd.command", "steps of one SGD fit, and of K at once"),
    "loss": ("benchmarks.sgd.loss", "one fit to the validation loss that SGDClassifier reaches"),
    "sweep": ("benchmarks.sweep.command", "whole sweeps beside searches and loops"),
    "solvers": ("benchmarks.solvers.command", "fits to the optimum, paths of penalties"),
    "commands": ("benchmarks.runs.commands", "whole commands, from nothing to the run folder"),
    "busy": ("benchmarks.runs.busy", "two runs at once beside one alone"),
    "reading": ("benchmarks.runs.reading", "CSV files beside pyarrow and pandas"),
}


def main(argv: list[str]) -> None:
    """Carry out the parts that are asked for."""
    parts = [argv[0]] if argv and argv[0] in PARTS else list(PARTS)
    rest = argv[1:] if argv and argv[0] in PARTS else argv
    if "-h" in rest or "--help" in rest:
        if len(parts) > 1:
            print(__doc__, *(f"  {part:9} {says}" for part, (_, says) in PARTS.items()), sep="\n")
            print("\nAll parts take --quick, --rounds, --core, --name and --out.")
            return
    elif rest and not rest[0].startswith("-"):
        sys.exit(f"scripts/bench: {rest[0]} is none of {', '.join(PARTS)}")
    for part in parts:
        start = time.perf_counter()
        import_module(PARTS[part][0]).main(rest)
        print(f"{part}: {time.perf_counter() - start:.0f} s", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
