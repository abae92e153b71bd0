"""The measured times as a Markdown table and as a picture."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.measure import Timing
from benchmarks.problems import Problem

_CAPTION = """# One SGD fit, and K of them at once

Measured by `scripts/bench` on {machine}: {rounds} rounds, all contenders in turn in one process,
each round a whole run of the steps from zero weights. All reach the same weights (the last column:
the largest difference from ours, as a share of max|W|; scikit-learn's SGD takes other steps, so
only its time is compared). `ratio` is a contender's time over that of our stack with every step
logged, as the median of the rounds with the least and the most; above 1 it is slower than ours.
`peak` is the share of {peak:.0f} GFLOP/s, this machine's float32 matrix product, that the two
products of a step amount to.
"""


@dataclass(frozen=True)
class Measured:
    """The timings of one problem at one K; ours is the first."""

    problem: Problem
    K: int
    timings: Sequence[Timing]

    @property
    def flop(self) -> float:
        """Floating-point operations of the two products of one step."""
        p = self.problem
        return 4.0 * p.batch * int(p.X.shape[1]) * p.outputs * self.K


def table(measured: Sequence[Measured], machine: str, peak: float, rounds: int) -> str:
    """The Markdown page."""
    named = f"{machine} ({platform.system()}, {_cores()} cores, NumPy {np.__version__})"
    lines = [_CAPTION.format(machine=named, rounds=rounds, peak=peak)]
    for one in measured:
        lines += [
            f"\n## {one.problem.name}, K = {one.K}\n",
            "| contender | ms a step | ratio (least–most) | peak | difference |",
            "|---|---:|---:|---:|---:|",
            *(_row(one, timing, peak) for timing in one.timings),
        ]
    return "\n".join(lines) + "\n"


def _row(one: Measured, timing: Timing, peak: float) -> str:
    step = float(np.median(timing.seconds)) / one.problem.steps
    median, least, most = timing.ratio(one.timings[0])
    share = one.flop / step / 1e9 / peak
    difference = "–" if timing.difference is None else f"{timing.difference:.0e}"
    numbers = (
        f"{step * 1e3:.3f} | {median:.2f} ({least:.2f}–{most:.2f}) | {share:.0%} | {difference}"
    )
    return f"| {timing.name} | {numbers} |"


def _cores() -> int:
    import os

    return os.cpu_count() or 1


def picture(measured: Sequence[Measured], path: Path) -> None:
    """Milliseconds a step and column against K, a panel a problem; nothing without matplotlib."""
    try:
        import matplotlib
    except ImportError:
        print('no picture: pip install "stacked-trainer[bench]" brings matplotlib')
        return
    matplotlib.use("Agg")
    from matplotlib import pyplot

    problems = list(dict.fromkeys(one.problem.name for one in measured))
    figure, axes = pyplot.subplots(
        1, len(problems), figsize=(4.2 * len(problems), 3.6), squeeze=False
    )
    for axis, problem in zip(axes[0], problems, strict=True):
        curves: dict[str, list[tuple[int, float]]] = {}
        for one in measured:
            if one.problem.name == problem:
                for timing in one.timings:
                    step = float(np.median(timing.seconds)) / one.problem.steps * 1e3
                    curves.setdefault(timing.name, []).append((one.K, step / one.K))
        for name, points in curves.items():
            bold = name == measured[0].timings[0].name
            axis.plot(*zip(*points, strict=True), marker="o", label=name, lw=2.5 if bold else 1)
        axis.set(xscale="log", yscale="log", xlabel="K", title=problem)
    axes[0][0].set_ylabel("ms a step and column")
    axes[0][-1].legend(fontsize=6)
    figure.tight_layout()
    figure.savefig(path)
