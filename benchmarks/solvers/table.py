"""The measured tasks as a Markdown page."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from benchmarks.shared import text
from benchmarks.shared.rounds import Limits
from benchmarks.solvers.reference import TIGHT
from benchmarks.solvers.tasks import Task
from benchmarks.solvers.timing import Measured, Result

_CAPTION = """# Solvers to the same objective

Measured by `scripts/bench solvers` on {machine}.
{shared}

Each contender is a process of its own on one core, the same for all, with one thread: up to
{rounds} rounds, or fewer where it takes more than {seconds:g} s in all, all in turn. All have the
same rows in float64, scaled before.

- **gap** is the largest (J − J*)/J₀ over all penalties and folds, evaluated from the weights
  outside the timing. J* is the least that anyone reached, our own solver at a tolerance of
  {tight:.0e} included; J₀ is J at zero weights (log of the number of classes, of numbers half the
  variance).
- **tol** is the loosest of a contender's tolerances, half a decade apart, with a gap of at most
  the one in the title.
- **seconds** are of processor time; **ratio** is that over ours in the same round: the median, with
  the least and the most; above 1 it is slower. **by the clock** is the same of the clock's time.
- **ours** reads the arrays, makes the folds, solves for all penalties and scores those held out.
- cold: each penalty starts at zero. warm: where the next stronger one ended. GridSearchCV makes one
  fit after another, and takes the tolerance at which cold fits solve the task.
- **same support**: on how many penalties the weights that are 0 are those of our tight solution.
- liblinear penalises its intercept, by little (intercept_scaling).
"""
_PARTS = {
    "l2": "penalties C = 1e-6 … 1e6 (one: C = 1)",
    "ridge": "ridge, l2 = 100 … 1e-6",
    "lasso": "lasso path to 1e-3 of the strongest",
    "l1": "l1 path to 1e-3 of the strongest",
}


def page(
    measured: Sequence[Measured], machine: str, notes: Sequence[str], limits: Limits, shared: str
) -> str:
    """The Markdown page.

    Args:
        measured: tasks; those of one section follow each other.
        machine: its name and what is installed.
        notes: of what was left out.
        limits: of each contender.
        shared: the sentence on the machine's load.
    """
    told = {"rounds": limits.rounds, "seconds": limits.all, "tight": TIGHT, "shared": shared}
    head = _CAPTION.format(machine=machine, **told)
    lines, last = [head, *(f"- {note}" for note in notes)], ""
    for one in measured:
        title = _title(one.task)
        if title != last:
            lines += [f"\n## {title}\n", *_head(one.task)]
        last = title
        lines += [_row(one.task, result, one.results[0]) for result in one.results]
    below = [_lowered(one) for one in measured if one.lowered]
    lines += ["\nOur reference was not the least:\n", *below] if below else []
    return "\n".join(lines) + "\n"


def _title(task: Task) -> str:
    folds = f", {task.folds} folds" if task.folds > 1 else ""
    return f"{task.case.title}: {_PARTS[task.part]}{folds}, gap {task.target:.0e}"


def _head(task: Task) -> list[str]:
    support = " same support |" if task.form == "l1" else ""
    head = f"| K | contender | seconds | ratio | by the clock | tol | gap |{support}"
    return [head, f"|---:|---|---:|---|---|---:|---:|{'---:|' if support else ''}"]


def _row(task: Task, result: Result, ours: Result) -> str:
    timed = result.timed
    seconds = text.number(float(np.median(timed.cpu))) if timed.cpu else text.NOTHING
    cells = [str(task.K), result.way.name, seconds, text.ratio(timed, ours.timed)]
    cells += [text.ratio(timed, ours.timed, "wall") if timed.cpu else text.NOTHING]
    closed = not result.way.checked or result.tol == 0
    cells += [text.NOTHING if closed or np.isnan(result.tol) else f"{result.tol:.0e}"]
    cells += [text.NOTHING if np.isnan(result.gap) else f"{result.gap:.1e}"]
    if task.form == "l1":
        cells += [text.NOTHING if result.support is None else f"{result.support} of {task.K}"]
    return "| " + " | ".join(cells) + " |"


def _lowered(one: Measured) -> str:
    by = ", ".join(f"{name} by {below:.1e} of J₀" for name, below in one.lowered.items())
    return f"- {_title(one.task)}, K = {one.task.K}: {by}"
