"""The measured sweeps as a Markdown page and as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from benchmarks.shared import text
from benchmarks.shared.picture import draw
from benchmarks.shared.rounds import Timed
from benchmarks.sweep.cases import BATCH, EPOCHS

_CAPTION = """# Sweeps of K trials

Measured by `scripts/bench sweep` on {machine}.
{shared}

Each contender is a process of its own that may use all cores, all in turn, up to {rounds} rounds
(fewer where they take long). K trials are a grid of learning rates and penalties l2: SGD with
momentum, {epochs} epochs in batches of {batch}, the val loss of each trial at the end. Held out is
the last fifth of the rows, or each of 5 folds in turn; all have the same rows in float32.

- **seconds** are those of the whole sweep, the median of the rounds; in brackets is what was run
  where that is less than all: the time is scaled up from it. So is ours, with its fixed costs,
  while those of a loop are a small part of each of its fits.
- **ratio** is a contender's time over that of "ours, trained" in the same round: the median, with
  the least and the most; above 1 it is slower. **processor** is the time of all its threads and
  processes on a core, which other users of the machine disturb less than the time by the **clock**.
- **ours, trained** reads the arrays, makes the folds, trains with every step's numbers computed and
  scores (`trainer.sweep.sweep.set_up` and `train`), but writes nothing. **ours, whole run with
  report** is `trainer.run` as anyone calls it: the same and the step log, tables, model and report;
  it is timed once.
- **JAX** and **torch.func.vmap** train all trials of a fold at once, fold after fold, and log
  nothing. Compilation is not in the time: each has run once before. **torch loop** is one fit after
  another.
- **scikit-learn GridSearchCV** has two processes (n_jobs=2) and `SGDClassifier` with as many epochs
  (tol=None). It is one-vs-rest (for 10 classes ten binary fits), takes a step a row and has no
  momentum, so that only its time is compared.
- **difference** is the largest one of a trial's val loss from ours, compared on few rows.
- **peak** is the resident memory, in MiB, of the process with its libraries and all rows, over some
  steps of all K; GridSearchCV's adds its two processes.
"""


@dataclass
class Measured:
    """All that is known of one data set and one way of holding out.

    Attributes:
        name: of the data set.
        folds: 1 or 5.
        timings: for each K, ours first.
        differences: by contender, of the val losses.
        peaks: MiB by contender and K.
    """

    name: str
    folds: int
    timings: dict[int, list[Timed]]
    differences: dict[str, float] = field(default_factory=dict)
    peaks: dict[tuple[str, int], float] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """Of its section."""
        return f"{self.name}, {'5 folds' if self.folds > 1 else 'one held-out fifth'}"


def page(measured: Sequence[Measured], machine: str, rounds: int, shared: str) -> str:
    """The Markdown page."""
    lines = [
        _CAPTION.format(machine=machine, shared=shared, rounds=rounds, epochs=EPOCHS, batch=BATCH)
    ]
    for one in measured:
        for K, timings in one.timings.items():
            lines += [
                f"\n## {one.title}, K = {K}\n",
                "| contender | seconds | ratio by the clock | processor seconds | ratio | peak MiB "
                "| difference |",
                "|---|---:|---:|---:|---:|---:|---:|",
                *(_row(one, K, timing, timings[0]) for timing in timings),
            ]
    return "\n".join(lines) + "\n"


def _row(one: Measured, K: int, timing: Timed, ours: Timed) -> str:
    part = timing.contender.words
    cells = [f"{timing.name} [{part}]" if part else timing.name]
    if timing.words:
        cells += [text.NOTHING, timing.words, text.NOTHING, text.NOTHING]
    else:
        for clock, times in (("wall", timing.wall), ("cpu", timing.cpu)):
            cells += [text.number(float(np.median(times))), text.ratio(timing, ours, clock)]
    peak, off = one.peaks.get((timing.name, K)), one.differences.get(timing.name)
    cells += [text.NOTHING if peak is None else f"{peak:,.0f}"]
    cells += [text.NOTHING if off is None else f"{off:.0e}"]
    return f"| {' | '.join(cells)} |"


def picture(measured: Sequence[Measured], path: Path) -> None:
    """Processor seconds and peak memory against K, a panel a section."""
    seconds: dict[str, dict[str, list[tuple[int, float]]]] = {}
    peaks: dict[str, dict[str, list[tuple[int, float]]]] = {}
    for one in measured:
        title = one.title.replace(", ", "\n")
        times, held = seconds.setdefault(title, {}), peaks.setdefault(title, {})
        for K, timings in one.timings.items():
            for timing in timings:
                if timing.cpu:
                    times.setdefault(timing.name, []).append((K, float(np.median(timing.cpu))))
                if (timing.name, K) in one.peaks:
                    held.setdefault(timing.name, []).append((K, one.peaks[timing.name, K]))
    lines = {"processor seconds of the sweep": seconds}
    draw(path, lines | ({"peak MiB": peaks} if any(peaks.values()) else {}))
