"""Memory that runs out at the n-th array of a run on a CPU, for n = 1, 2, … until a run passes.

A run that failed is gone on with then, and must end with the bytes of one that met no refusal; but
where a line says that a stack was cut into halves, whose results are those to rounding alone.

An array is one that NumPy makes by a call of `MAKERS`: whoever calls it then gets a MemoryError.
By hand, every 10th:

    python -m campaigns.allocations plain|folds|solver [10]
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from itertools import count
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

from campaigns.faults import KINDS, SAME, Fault, command, contents

MAKERS = (
    "array", "ascontiguousarray", "compress", "concatenate", "copy", "empty", "empty_like", "full",
    "full_like", "ones", "ones_like", "repeat", "stack", "take", "vstack", "where", "zeros",
    "zeros_like",
)  # fmt: skip
_HALVES = "two halves"


class _Counting:
    """Counts arrays, and refuses one: the n-th; none with n = 0."""

    def __init__(self, n: int) -> None:
        self.made, self.refused = 0, 0
        self._n, self._numbers = n, count(1)

    def around(self, make: Callable[..., Any]) -> Callable[..., Any]:
        """What counts the calls of a function before it makes them."""

        def made(*given: Any, **more: Any) -> Any:
            self.made = next(self._numbers)
            if self.made == self._n:
                self.refused += 1
                raise MemoryError("Unable to allocate 5 bytes")
            return make(*given, **more)

        return made


def failures(kind: str, work: Path, numbers: Sequence[int] | None = None) -> Iterator[Fault]:
    """Refuse one array after another of a kind of run, in this process.

    Args:
        kind: of `trainer`'s runs in `campaigns.faults.KINDS`.
        work: an empty folder for all this.
        numbers: which arrays; negative ones count from a run's last. All by default.
    """
    config = work / "config.yaml"
    config.write_text(json.dumps(KINDS[kind]))
    command(str(config), "--out", str(work / "warm"))  # imports, and what is kept
    _, _, seen = _refusing(0, str(config), "--out", str(work / "whole"))
    whole = contents(work / "whole")
    for n in range(1, seen.made + 1) if numbers is None else numbers:
        n = n if n > 0 else seen.made + 1 + n
        folder = work / f"run-{n}"
        exit_code, lines, counting = _refusing(n, str(config), "--out", str(folder))
        problems = list(_problems(folder, whole, exit_code, lines))
        shutil.rmtree(folder, ignore_errors=True)
        yield Fault(n, counting.refused, exit_code, lines, problems)


def _refusing(n: int, *arguments: str) -> tuple[int, list[str], _Counting]:
    """Carry out a command whose n-th array is refused."""
    counting = _Counting(n)
    patched: Any = {name: counting.around(getattr(np, name)) for name in MAKERS}
    with mock.patch.multiple(np, **patched):
        exit_code, lines = command(*arguments)
    return exit_code, lines, counting


def _problems(
    folder: Path, whole: dict[str, bytes], exit_code: int, lines: list[str]
) -> Iterator[str]:
    """What is wrong about the end of a run, and of the one that goes on from there."""
    if any("Traceback" in line or "fault of ours" in line for line in lines):
        yield "a traceback"
    if exit_code not in (0, 1, 2):
        yield f"exit code {exit_code}"
    warnings = [line for line in lines if line.startswith("warning: ")]
    if exit_code and len(lines) - len(warnings) != 1:
        yield "it does not end with a line"
    manifest = folder / "manifest.json"
    status = json.loads(manifest.read_bytes())["status"] if manifest.exists() else None
    if status not in (("finished",) if exit_code == 0 else ("failed", None)):
        yield f"its status is {status}, its exit code {exit_code}"
    if exit_code and (folder / "config.yaml").exists():
        again, more = command("--resume", str(folder))
        if again:
            yield f"gone on with: exit code {again}: {more[-1:]}"
    elif exit_code:
        return
    here = contents(folder)
    if _HALVES in json.loads(here["manifest.json"]).get("warning", ""):
        whole = {name: data for name, data in whole.items() if name not in SAME}
    for name in SAME:
        if name not in here:
            yield f"lost: {name}"
        elif here[name] != whole.get(name, here[name]):
            yield f"{name} is another file"


def _main(words: Sequence[str]) -> int:
    """Print the faults that are problems; the exit code."""
    wrong, runs = 0, 0
    numbers = range(1, 100_000, int(words[1])) if words[1:] else None
    with tempfile.TemporaryDirectory() as work:
        for fault in failures(words[0], Path(work), numbers):
            if not fault.refused:
                break
            runs += 1
            if fault.problems:
                wrong += 1
                print(f"array {fault.n}: {'; '.join(fault.problems)}", *fault.lines, sep="\n    ")
    print(f"{words[0]}: {runs} runs, {wrong} with problems")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(_main(sys.argv[1:]))
