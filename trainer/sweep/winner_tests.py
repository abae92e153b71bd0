"""Test metrics of winners, and what they are over repeats."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

Metrics = Mapping[str, float]


@dataclass(frozen=True)
class WinnerTests:
    """Test metrics of a winner, by their names with the split's before.

    Attributes:
        of_repeats: {repeat: those of its own model}.
        of_refit: those of the model that was trained again; empty without one.
    """

    of_repeats: Mapping[int, Metrics] = field(default_factory=dict)
    of_refit: Metrics = field(default_factory=dict)

    @property
    def means(self) -> dict[str, float]:
        """Over the repeats."""
        return means_and_stds(list(self.of_repeats.values()))[0]

    @property
    def stds(self) -> dict[str, float]:
        """Standard deviations over the repeats (ddof 1), no errors of a mean."""
        return means_and_stds(list(self.of_repeats.values()))[1]


def means_and_stds(of_repeats: Sequence[Metrics]) -> tuple[dict[str, float], dict[str, float]]:
    """Means of metrics over repeats, and standard deviations (ddof 1) where there are several.

    NaN where a metric is no number in a repeat; without a deviation there.
    """
    names = dict.fromkeys(name for metrics in of_repeats for name in metrics)
    values = {name: np.array([of.get(name, np.nan) for of in of_repeats]) for name in names}
    with np.errstate(invalid="ignore"):  # of infinite losses
        means = {name: float(of.mean()) for name, of in values.items()}
        of_several = values.items() if len(of_repeats) > 1 else ()
        # of equal values the mean may be a bit beside them
        stds = {n: float(of.std(ddof=1)) if np.ptp(of) else 0.0 for n, of in of_several}
    return means, {name: std for name, std in stds.items() if math.isfinite(std)}
