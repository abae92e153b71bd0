"""The measured sweeps as a Markdown page and as a picture."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from benchmarks.sweep.cases import BATCH, EPOCHS
from benchmarks.sweep.timing import Timing

_CAPTION = """# Sweeps of K trials

Measured by `scripts/bench --sweep` on {machine}: up to {rounds} rounds (fewer where they take
long), all contenders in turn in one process. K trials are a grid of learning rates and penalties
l2: SGD with momentum, {epochs} epochs in batches of {batch}, the val loss of each trial at the end.
Held out is the last fifth of the rows, or each of 5 folds in turn; all have the same rows in
float32.

- **seconds** are those of the whole sweep, the median of the rounds; below, in brackets, is what
  was run where that is less than all: the time is scaled up from it. So is ours, with its fixed
  costs, while those of a loop are a small part of each of its fits.
- **ratio** is a contender's time over that of "ours, trained" in the same round: the median, with
  the least and the most; above 1 it is slower.
- **ours, trained** reads the arrays, makes the folds, trains with every step's numbers computed and
  scores (`trainer.sweep.sweep.set_up` and `train`), but writes nothing. **ours, whole run with
  report** is `trainer.run` as anyone calls it: the same and the step log, tables, model and report;
  it is run once.
- **JAX** and **torch.func.vmap** train all trials of a fold at once, fold after fold. Compilation
  is not in the time: each contender has run once before. **torch loop** is one fit after another.
- **scikit-learn GridSearchCV** has two processes (n_jobs=2) and `SGDClassifier` with as many epochs
  (tol=None). It is one-vs-rest (for 10 classes ten binary fits), takes a step a row and has no
  momentum, so that only its time is compared.
- **difference** is the largest one of a trial's val loss from ours, checked on few rows, K = 16.
- **peak** is the resident memory, in MiB, of a process of its own with its libraries and all rows,
  over some steps of all K. A loop's does not depend on K; that of peers, who go fold after fold,
  not on the folds. GridSearchCV's adds its two processes.
"""
_NOTHING = "–"


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
    timings: dict[int, list[Timing]]
    differences: dict[str, float]
    peaks: dict[tuple[str, int], float] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """Of its section."""
        return f"{self.name}, {'5 folds' if self.folds > 1 else 'one held-out fifth'}"


def page(measured: Sequence[Measured], machine: str, rounds: int) -> str:
    """The Markdown page."""
    cores = os.cpu_count() or 1
    named = f"{machine} ({platform.system()}, {cores} cores, NumPy {np.__version__})"
    lines = [_CAPTION.format(machine=named, rounds=rounds, epochs=EPOCHS, batch=BATCH)]
    for one in measured:
        lines += [f"\n## {one.title}\n", *_seconds(one)]
        lines += ["", *_peaks(one)] if one.peaks else []
    return "\n".join(lines) + "\n"


def _seconds(one: Measured) -> list[str]:
    Ks = list(one.timings)
    head = " | ".join(f"K = {K}: seconds, ratio" for K in Ks)
    lines = [f"| contender | {head} | difference |", f"|---|{'---|' * len(Ks)}---:|"]
    for i, first in enumerate(one.timings[Ks[0]]):
        cells = " | ".join(_cell(one.timings[K][i], one.timings[K][0]) for K in Ks)
        lines.append(f"| {first.name} | {cells} | {one.differences[first.name]:.0e} |")
    return lines


def _cell(timing: Timing, ours: Timing) -> str:
    median, least, most = timing.ratio(ours)
    text = f"{_number(float(np.median(timing.seconds)))}, **{_number(median)}**"
    text += f" ({_number(least)}–{_number(most)})"
    return f"{text}<br>[{timing.words}]" if timing.words else text


def _peaks(one: Measured) -> list[str]:
    Ks = list(one.timings)
    head = " | ".join(f"K = {K}: peak MiB" for K in Ks)
    lines = [f"| contender | {head} |", f"|---|{'---:|' * len(Ks)}"]
    for name in dict.fromkeys(name for name, _ in one.peaks):
        peaks = [one.peaks.get((name, K)) for K in Ks]
        cells = " | ".join(_NOTHING if peak is None else f"{peak:,.0f}" for peak in peaks)
        lines.append(f"| {name} | {cells} |")
    return lines


def _number(x: float) -> str:
    """Three digits, without an exponent."""
    return f"{x:,.0f}" if x >= 100 else f"{x:.{2 if x < 10 else 1}f}"


def picture(measured: Sequence[Measured], path: Path) -> None:
    """Seconds and peak memory against K, a column a section; nothing without matplotlib."""
    try:
        import matplotlib
    except ImportError:
        print('no picture: pip install "stacked-trainer[bench]" brings matplotlib')
        return
    matplotlib.use("Agg")
    from matplotlib import pyplot

    lines = 2 if any(one.peaks for one in measured) else 1
    size = (3 * len(measured) + 1, 1 + 2.7 * lines)
    figure, axes = pyplot.subplots(lines, len(measured), figsize=size, squeeze=False, sharey="row")
    for column, one in enumerate(measured):
        names = [timing.name for timing in next(iter(one.timings.values()))]
        for line, of in enumerate((_time_points(one), _peak_points(one))[:lines]):
            for i, name in enumerate(names):
                points = of(name)
                bold = 2.5 if i == 0 else 1
                label = name if line == 0 else None
                xs, ys = [x for x, _ in points], [y for _, y in points]
                axes[line][column].plot(xs, ys, "o-", ms=3, lw=bold, color=f"C{i}", label=label)
            axes[line][column].set(xscale="log", yscale="log", xlabel="K")
        axes[0][column].set_title(one.title.replace(", ", "\n"), fontsize=9)
    axes[0][0].set_ylabel("seconds of the sweep")
    if lines == 2:
        axes[1][0].set_ylabel("peak MiB")
    handles, labels = axes[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="lower center", ncol=4, fontsize=8)
    figure.tight_layout(rect=(0, 0.08, 1, 1))
    figure.savefig(path, dpi=80)


_Points = Callable[[str], list[tuple[int, float]]]


def _time_points(one: Measured) -> _Points:
    return lambda name: [
        (K, float(np.median(timing.seconds)))
        for K, timings in one.timings.items()
        for timing in timings
        if timing.name == name
    ]


def _peak_points(one: Measured) -> _Points:
    return lambda name: [(K, peak) for (of, K), peak in one.peaks.items() if of == name]
