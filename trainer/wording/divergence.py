"""What would mend a run that diverged: a copyable override, and the bound that was broken."""

from __future__ import annotations

import math
from typing import Literal, TypedDict

Cause = Literal["target", "first weights", "lr", "penalty", "small batches", "full batch", "steep"]


class Divergence(TypedDict, total=False):
    """Why a run diverged, and the numbers of a cure.

    Attributes:
        cause: what it was: the target's size, a solver's first weights, the learning rate of a
            rule without a bound; else, of sgd with a constant lr, the penalty alone, batches of a
            few rows, the bound of all rows, or a loss whose curvature has none.
        precision: of target: the narrowest that cannot hold its squares.
        try_lr: of lr, small batches and full batch: an `optimizer.lr` that would do.
        try_l2: of penalty: an l2 that would do.
        has_l2: of penalty: whether the config writes l2, which can be overridden alone.
        lr: the column's own.
        bound: what it must be below.
        momentum, nesterov: of sgd.
    """

    cause: Cause
    precision: str
    try_lr: float
    try_l2: float
    has_l2: bool
    lr: float
    bound: float
    momentum: float
    nesterov: bool


def mend_divergence(found: Divergence) -> str:
    """A copyable override, and for constant-lr sgd the bound it broke."""
    cause = found["cause"]
    if cause == "target":
        if found["precision"] == "float64":  # and so is the standard deviation
            return "the squares of the target are past float64; other units of it are right"
        past = f"the squares of the target are past {found['precision']}"
        return f"{past}; try data.scale_target=standard"
    if cause == "first weights":
        return "no solver gets anywhere from such first weights; init: zeros, or scaled features"
    if cause == "penalty":
        l2 = _rounded_down(found["try_l2"])
        cure = f"penalty.l2={l2}" if found["has_l2"] else f"'penalty={{l2: {l2}}}'"
        return (
            f"try {cure}: with lr {found['lr']:g} the penalty"
            f" alone is too strong, full-batch sgd needs lr below {_bound(found)}"
        )
    cure = f"try optimizer.lr={_rounded_down(found['try_lr'])}"
    if cause == "steep":
        return (
            f"{cure}, or 'optimizer={{name: auto}}', which needs none: this loss is the steeper the"
            " larger ŷ is, and even where ŷ is the mean of the target full-batch sgd needs lr"
            f" below {_bound(found)}"
        )
    if cause == "small batches":
        return f"{cure}: small batches need less than full-batch sgd"
    if cause == "full batch":
        return (
            f"{cure}: on this data full-batch sgd with momentum"
            f" {found['momentum']:g} needs lr below {_bound(found)}, and small batches less"
        )
    return cure


def _bound(found: Divergence) -> str:
    formula = "2(1 + momentum)/λmax"
    if found["nesterov"]:
        formula = "2(1 + momentum)/((1 + 2·momentum)·λmax)"
    return f"{formula} = {found['bound']:.3g}"


def _rounded_down(value: float) -> str:
    """One significant digit, towards 0."""
    exponent = math.floor(math.log10(value))
    return f"{math.floor(value / 10.0**exponent) * 10.0**exponent:.1g}"
