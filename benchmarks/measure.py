"""Timing contenders in turn, so that a machine that slows down slows all of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
# OpenBLAS's idle threads spin for 2^26 ticks of the clock after a product before they sleep: some
# 30 ms, on the cores of whoever is timed next.
_IDLE = 0.1  # seconds
TOLERANCE = 2e-3  # of max|W| after the timed steps, float32


@dataclass(frozen=True)
class Timing:
    """Seconds of one contender, one a round; and how far its weights are from ours."""

    name: str
    seconds: Array
    difference: float | None

    def ratio(self, ours: Timing) -> tuple[float, float, float]:
        """Median, least and most of this contender's time over ours, round by round."""
        ratios = self.seconds / ours.seconds
        return float(np.median(ratios)), float(ratios.min()), float(ratios.max())


def in_turn(contenders: Mapping[str, Any], rounds: int, say: Callable[[str], None]) -> list[Timing]:
    """Run all contenders once unmeasured (compilation, caches), then `rounds` times in turn.

    Args:
        contenders: by name, the first is ours; each has `run() -> weights (D, C, K)` or None.
        rounds: measured runs of each.
        say: told each name as its first run starts.

    Raises:
        ValueError: a contender reached other weights than ours.
    """
    weights = {}
    for name, contender in contenders.items():
        say(name)
        weights[name] = contender.run()
    ours = next(iter(weights.values()))
    differences = {name: _difference(name, w, ours) for name, w in weights.items()}
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, contender in contenders.items():
            seconds[name].append(timed(contender.run))
    return [Timing(name, np.array(s), differences[name]) for name, s in seconds.items()]


def timed(run: Callable[[], object]) -> float:
    """Seconds of a call, once the threads of whatever was timed before have gone to sleep."""
    time.sleep(_IDLE)
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def _difference(name: str, weights: Array | None, ours: Array) -> float | None:
    if weights is None:
        return None
    difference = float(abs(weights - ours).max() / abs(ours).max())
    if not difference <= TOLERANCE:
        raise ValueError(f"{name}: its weights differ from ours by {difference:.2g} of max|W|")
    return difference


def peak_gflops(rounds: int = 30) -> float:
    """Float32 matrix product of NumPy on this machine: the best of some large square products."""
    n = 2048
    a, b = np.random.default_rng(0).standard_normal((2, n, n), dtype=np.float32)
    out, seconds = np.empty_like(a), []
    for _ in range(rounds):
        start = time.perf_counter()
        np.matmul(a, b, out=out)
        seconds.append(time.perf_counter() - start)
    return float(2 * n**3 / min(seconds) / 1e9)
