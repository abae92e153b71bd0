"""The measured tasks as a Markdown page."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence

import numpy as np

from benchmarks.solvers.tasks import Task
from benchmarks.solvers.timing import Measured, Result

Head = tuple[int, float, float]
_CAPTION = """# Solvers to the same objective

Measured by `scripts/bench --solvers` on {machine}:
rounds: {rounds}, or fewer where a contender takes more than {seconds:g} s in all; in turn (ours, a
peer, ours, …) in one process. All have the same rows in float64, scaled before.

- **gap** is the largest (J − J*)/J₀ over all penalties and folds, evaluated from the weights
  outside the timing. J* is the least that anyone reached, our own solver at a tolerance of
  {tight:.0e} included; J₀ is J at zero weights (log of the number of classes, of numbers half the
  variance).
- **tol** is the loosest of a contender's tolerances, half a decade apart, with a gap of at most
  the one in the title.
- **ratio** is its time over ours just before: the median, with the least and the most; above 1 it
  is slower.
- **threads** of the matrix library: the quicker of 1 and 2; ours and GridSearchCV choose their own.
  **ours, one thread** is the same on one.
- **ours** reads the arrays, makes the folds, solves for all penalties and scores those held out.
- cold: each penalty starts at zero. warm: where the next stronger one ended.
- **same support**: on how many penalties the weights that are 0 are those of our tight solution.
- liblinear penalises its intercept, by little (intercept_scaling).
"""
_PARTS = {
    "l2": "penalties C = 1e-6 … 1e6 (one: C = 1)",
    "ridge": "ridge, l2 = 100 … 1e-6",
    "lasso": "lasso path to 1e-3 of the strongest",
    "l1": "l1 path to 1e-3 of the strongest",
}


def page(measured: Sequence[Measured], machine: str, notes: Sequence[str], head: Head) -> str:
    """The Markdown page.

    Args:
        measured: tasks; those of one section follow each other.
        machine: its name.
        notes: of what was left out.
        head: rounds, seconds and the reference's tolerance.
    """
    rounds, seconds, tight = head
    text = _CAPTION.format(machine=_named(machine), rounds=rounds, seconds=seconds, tight=tight)
    lines, last = [text, *(f"- {note}" for note in notes)], ""
    for one in measured:
        title = _title(one.task)
        if title != last:
            lines += [f"\n## {title}\n", *_head(one.task)]
        last = title
        lines += [_row(one.task, result) for result in one.results]
    below = [_lowered(one) for one in measured if one.lowered]
    lines += ["\nOur reference was not the least:\n", *below] if below else []
    return "\n".join(lines) + "\n"


def _named(machine: str) -> str:
    try:
        import sklearn
    except ImportError:
        more = ""
    else:
        more = f", scikit-learn {sklearn.__version__}"
    cores = os.cpu_count() or 1
    return f"{machine} ({platform.system()}, {cores} cores, NumPy {np.__version__}{more})"


def _title(task: Task) -> str:
    folds = f", {task.folds} folds" if task.folds > 1 else ""
    return f"{task.case.title}: {_PARTS[task.part]}{folds}, gap {task.target:.0e}"


def _head(task: Task) -> list[str]:
    support = " same support |" if task.form == "l1" else ""
    head = f"| K | contender | seconds | ratio | tol | gap | threads |{support}"
    return [head, f"|---:|---|---:|---|---:|---:|---:|{'---:|' if support else ''}"]


def _row(task: Task, result: Result) -> str:
    cells = [str(task.K), result.contender.name, *_times(result)]
    closed = not result.contender.checked or result.tol == 0
    cells += ["–" if closed or np.isnan(result.tol) else f"{result.tol:.0e}"]
    cells += ["–" if np.isnan(result.gap) else f"{result.gap:.1e}"]
    cells += ["–" if result.threads is None else str(result.threads)]
    if task.form == "l1":
        cells += ["–" if result.support is None else f"{result.support} of {task.K}"]
    return "| " + " | ".join(cells) + " |"


def _times(result: Result) -> list[str]:
    if not result.seconds:
        return ["–", result.words or "–"]
    median, least, most = result.ratio
    ratio = f"**{_number(median)}** ({_number(least)}–{_number(most)})"
    return [_number(float(np.median(result.seconds))), ratio]


def _lowered(one: Measured) -> str:
    by = ", ".join(f"{name} by {below:.1e} of J₀" for name, below in one.lowered.items())
    return f"- {_title(one.task)}, K = {one.task.K}: {by}"


def _number(x: float) -> str:
    """Three digits, without an exponent."""
    if x >= 100:
        return f"{x:,.0f}"
    return f"{x:.{1 if x >= 10 else 2 if x >= 1 else 3}f}"
