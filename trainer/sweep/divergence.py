"""Why a column diverged: the largest lr that its data and its penalty allow."""

from __future__ import annotations

import math

import numpy as np

from trainer.config.schema.optimizer import Sgd, Solver
from trainer.config.schema.penalty import L2L1
from trainer.model.curvature import largest_curvature
from trainer.sweep.build import Columns
from trainer.wording.divergence import Divergence

_TAME_LR = 0.01  # what any of the optimizers survives on scaled features


def divergence(columns: Columns) -> Divergence:
    """Why the first column diverged.

    Full-batch sgd with momentum μ and a constant lr is stable below 2(1 + μ)/(λmax + l2), with
    Nesterov's look-ahead below a (1 + 2μ)-th of that (docs/mathematics.md).
    """
    spec, o = columns.spec, columns.spec.optimizer
    if _squares_overflow(columns, "float64"):
        return {"cause": "target", "precision": "float64"}
    if columns.lr is None or isinstance(o, Solver):
        return {"cause": "first weights"}
    if _squares_overflow(columns, spec.dtype):
        return {"cause": "target", "precision": spec.dtype}
    tame: Divergence = {"cause": "lr", "try_lr": min(o.lr / 10, _TAME_LR)}
    if not isinstance(o, Sgd) or o.schedule.name != "constant":
        return tame
    lr, l2 = float(columns.lr[0]), float(columns.l2[0])
    curvature = data_curvature(columns)
    numerator = 2 * (1 + o.momentum)
    if o.nesterov:
        numerator /= 1 + 2 * o.momentum
    steepest = curvature + l2  # 0 of counts that are all 0
    bound = numerator / steepest if steepest > 0 else math.inf
    if not (0 < bound < np.inf and lr < np.inf):
        return tame
    found: Divergence = {
        "cause": "small batches" if lr < bound else "full batch",
        "try_lr": min(lr / 3, bound / 2) * (o.lr / lr),
        "lr": lr,
        "bound": bound,
        "momentum": o.momentum,
        "nesterov": o.nesterov,
    }
    if l2 > curvature and bound < lr and lr * curvature < numerator:  # the data alone would do
        found["cause"] = "penalty"
        found["try_l2"] = numerator / lr / 10
        found["has_l2"] = isinstance(spec.penalty, L2L1)
    elif columns.model.curvature is None:
        found["cause"] = "steep"
    return found


def _squares_overflow(columns: Columns, precision: str) -> bool:
    """Whether the first loss is infinite for what the target is, whatever lr is."""
    if not columns.model.quadratic:
        return False
    largest = float(np.abs(columns.prepared.train.y).max(initial=0.0))
    return largest > math.sqrt(np.finfo(precision).max)


def data_curvature(columns: Columns) -> float:
    """λmax of the data term's Hessian, or above it where that depends on the weights.

    Of a loss whose curvature has no bound: where ŷ is the mean of the target.
    """
    bound = columns.model.curvature
    if bound is None:
        bound = _curvature_at_the_mean(columns)
    with np.errstate(all="ignore"):
        return largest_curvature(
            columns.prepared.train.X,
            columns.s / columns.s.sum(),
            columns.spec.bias,
            bound,
        )


def _curvature_at_the_mean(columns: Columns) -> float:
    """The largest second derivative of the loss by z where ŷ is the mean of the target."""
    mean = (columns.s / columns.s.sum()) @ columns.prepared.train.y.astype(np.float64)  # (C,)
    found, variance = np.empty((1, len(mean), 1)), columns.model.variance
    assert variance is not None
    variance(np, mean[None, :, None], found)
    return float(found.max())
