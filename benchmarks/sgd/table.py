"""The measured steps as a Markdown page and as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from benchmarks.sgd.contenders import difference
from benchmarks.sgd.products import Products
from benchmarks.shared import text
from benchmarks.shared.picture import draw
from benchmarks.shared.problems import Problem
from benchmarks.shared.rounds import Timed

_CAPTION = """# Steps of one SGD fit, and of K at once

Measured by `scripts/bench sgd` on {machine}.
{shared}

Each contender is a process of its own on one core, the same for all, with one thread: up to
{rounds} rounds, all in turn, each a run of the steps from zero weights. All reach the same weights
(the last column: the largest difference from ours, as a share of max|W|; scikit-learn's SGD takes
a step a row, so only its time is compared). Rows beyond whole batches are left out.

- **µs a step** are those of processor time, the median of the rounds; beside a contender stands in
  brackets what was run where that is less than all, and its time is scaled up.
- **ratio** is its time over that of ours, every step logged, in the same round: the median, with
  the least and the most; above 1 it is slower than ours.
- **by the clock** is the same ratio of the time by the clock, on the same core.
- **compiling** is the processor time of a first run beyond a later one, in seconds.
- **peak** is the share of what one core reaches in large products of the matrix library in the same
  rounds ({size} x {size} x {size}, float32), that the two products of a step amount to.
- **ours** trains the K columns as a sweep on one core does, in stacks that keep in the cache, one
  after another (60000x784x10 at K = 256: two of 128), and returns the log of every step: loss,
  error_rms, error_max, dz_rms and grad_norm of each column. **JAX** shuffles once an epoch, by the
  same order, and returns the same five numbers of every step; gradients are written out, and sums
  are products where XLA is quicker so. torch and scikit-learn log nothing.
- **AVX2**, **baseline** and **NumPy** are ours in lesser instruction sets and without the compiled
  step (`STACKED_TRAINER_COMPILED`).
"""
_SUMMARY = {
    "JAX vmap+scan": ("ours", "JAX vmap+scan"),
    "JAX by hand": ("ours", "JAX by hand"),
    "AVX2 / vmap+scan": ("ours, AVX2", "JAX vmap+scan"),
    "baseline / vmap+scan": ("ours, baseline", "JAX vmap+scan"),
    "NumPy": ("ours", "ours, NumPy"),
    "torch": ("ours", "torch eager", "torch.compile", "torch.func.vmap", "torch loop"),
}


@dataclass
class Measured:
    """The timings of one problem at one K.

    Attributes:
        problem: with its steps.
        K: columns.
        timings: on one core, ours first.
        products: of the matrix library, beside them.
        free: on all cores, ours first.
    """

    problem: Problem
    K: int
    timings: Sequence[Timed]
    products: Timed | None = None
    free: Sequence[Timed] = field(default_factory=list)

    @property
    def flop(self) -> float:
        """Floating-point operations of the two products of one step."""
        p = self.problem
        return 4.0 * p.batch * int(p.X.shape[1]) * p.outputs * self.K

    @property
    def best(self) -> float:
        """Of large products, a second of one core."""
        held = self.products
        return Products.flop / float(np.median(held.cpu)) if held and held.cpu else np.nan

    def step(self, one: Timed, clock: str = "cpu") -> float:
        """Seconds of a step."""
        times = getattr(one, clock)
        return float(np.median(times)) / self.problem.steps if times else np.nan


def page(measured: Sequence[Measured], machine: str, rounds: int, shared: str) -> str:
    """The Markdown page."""
    head = _CAPTION.format(machine=machine, rounds=rounds, size=Products.size, shared=shared)
    lines = [head, *_summary(measured)]
    for one in measured:
        title = f"{one.problem.name}, K = {one.K}"
        if one.timings:
            peak = f": {one.best / 1e9:.0f} GFLOP/s of large products"
            lines += [f"\n## {title}{peak if np.isfinite(one.best) else ''}\n"]
            lines += [
                "| contender | µs a step | ratio (least–most) | by the clock | compiling | peak "
                "| difference |",
                "|---|---:|---:|---:|---:|---:|---:|",
                *(_row(one, timing) for timing in one.timings),
            ]
        if one.free:
            lines += [
                f"\n## {title}: all cores, by the clock\n",
                "| contender | µs a step | ratio (least–most) |",
                "|---|---:|---:|",
                *(_clock_row(one, timing) for timing in one.free),
            ]
    return "\n".join(lines) + "\n"


def _summary(measured: Sequence[Measured]) -> list[str]:
    """Our time as a share of a peer's, the quickest of several."""
    some = [one for one in measured if one.timings]
    if not some:
        return []
    lines = [
        "\n## Our time as a share of others'\n",
        "Every step logged; the median of the rounds. Under 1 we are quicker.\n",
        f"| problem | K | {' | '.join(_SUMMARY)} | peak |",
        f"|---|---:|{'---:|' * len(_SUMMARY)}---:|",
    ]
    for one in some:
        found = {timing.name: timing for timing in one.timings}
        cells = [_share(found, *names) for names in _SUMMARY.values()]
        row = [one.problem.name, str(one.K), *cells, _peak(one, one.timings[0])]
        lines.append(f"| {' | '.join(row)} |")
    return lines


def _share(found: dict[str, Timed], ours: str, *others: str) -> str:
    base = found.get(ours)
    there = [found[name] for name in others if name in found and found[name].cpu]
    if not base or not base.cpu or not there:
        return text.NOTHING
    return text.number(max(base.ratio(one)[0] for one in there))


def _row(one: Measured, timing: Timed) -> str:
    ours, part = one.timings[0], timing.contender.words
    cells = [f"{timing.name} [{part}]" if part else timing.name]
    cells += [text.number(1e6 * one.step(timing)), text.ratio(timing, ours)]
    if timing.words:
        return f"| {' | '.join(cells)} | – | – | – | – |"
    off = difference(ours, timing)
    cells += [text.ratio(timing, ours, "wall"), f"{timing.compiling:.1f}", _peak(one, timing)]
    cells += [text.NOTHING if off is None else f"{off:.0e}"]
    return f"| {' | '.join(cells)} |"


def _peak(one: Measured, timing: Timed) -> str:
    share = one.flop / one.step(timing) / one.best
    return f"{share:.0%}" if np.isfinite(share) else text.NOTHING


def _clock_row(one: Measured, timing: Timed) -> str:
    step = text.number(1e6 * one.step(timing, "wall"))
    return f"| {timing.name} | {step} | {text.ratio(timing, one.free[0], 'wall')} |"


def picture(measured: Sequence[Measured], path: Path) -> None:
    """Microseconds a step and column against K, a panel a problem."""
    panels: dict[str, dict[str, list[tuple[int, float]]]] = {}
    for one in measured:
        curves = panels.setdefault(one.problem.name, {})
        for timing in one.timings:
            if timing.cpu:
                point = one.K, 1e6 * one.step(timing) / one.K
                curves.setdefault(timing.name, []).append(point)
    draw(path, {"µs a step and column": panels})
