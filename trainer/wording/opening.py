"""What a run says about itself, in sentences: its data, its objective, how it might be mended."""

from __future__ import annotations

import math

import numpy as np

from trainer.catalog import LOSSES, MODELS
from trainer.config import Spec
from trainer.config.schema.optimizer import Sgd, Solver
from trainer.config.schema.penalty import L2L1
from trainer.data import Summary
from trainer.model.curvature import largest_curvature
from trainer.sweep.build import Columns
from trainer.train.stack import Settings

_TAME_LR = 0.01  # what any of the optimizers survives on scaled features


def data_line(summary: Summary, spec: Spec) -> str:
    """Rows x columns, the split, class counts and one-hot expansions."""
    total = sum(summary.rows.values())
    columns = f"{summary.columns:,} columns"
    if summary.expansions:
        parts = ", ".join(f"{_short(name)} → {n}" for name, n in summary.expansions.items())
        columns += f" ({summary.features} features; one-hot: {parts})"
    split = ", ".join(f"{n:,} {name}" for name, n in summary.rows.items())
    text = f"{summary.source}: {total:,} rows x {columns}; {split}"
    if counts := summary.class_counts.get("train"):
        text += f"; {_classes(counts, not MODELS[spec.model].output_a_class)}"
    elif summary.outputs > 1:
        text += f"; {summary.outputs:,} outputs"
    for name, n in summary.dropped.items():
        text += f"; {n:,} rows of {name} dropped for missing values"
    for name, n in summary.imputed.items():
        text += f"; {n:,} missing values of {name} filled in"
    for name, columns_unseen in summary.unseen.items():
        for column, n in columns_unseen.items():
            text += (
                f"; {n:,} rows of {name} have a {_short(column)} that training does not: all zeros"
            )
    return text


def _classes(counts: dict[str, int], binary: bool) -> str:
    if len(counts) <= 5:
        parts = ", ".join(f"{_short(label)}: {n:,}" for label, n in counts.items())
        return f"training classes {parts}{' (positive)' if binary else ''}"
    least, most = min(counts.values()), max(counts.values())
    return f"{len(counts)} classes of {least:,} to {most:,} training rows"


def _short(name: str) -> str:
    """A label or a column's name as one word among others; they may be of any length."""
    return name if len(name) <= 40 else f"{name[:39]}…"


def objective_line(columns: Columns, several: bool = False) -> str:
    """The objective of the first column with its numbers, and scikit-learn's C for the penalty.

    Of several trials, whose numbers may differ, the penalty is named and not counted out.
    """
    spec, l2, l1 = columns.spec, columns.l2[0], columns.l1[0]
    text = f"J = mean {LOSSES[spec.model, spec.loss_name].formula}"
    if spec.class_weight != "none":
        text = text.replace("mean", "class-weighted mean")
    elif not (columns.s == columns.s[0]).all():
        text = text.replace("mean", "weighted mean")
    if several:
        return f"{text} + l2/2·‖W‖² + l1·‖W‖₁, each trial with its own l2 and l1"
    if l2:
        text += f" + {l2:.4g}/2·‖W‖²"
    if l1:
        text += f" + {l1:.4g}·‖W‖₁"
    if l2 or l1:
        return f"{text}   ({_equivalent(columns)})"
    decay = getattr(spec.optimizer, "weight_decay", 0)
    return text + (f"   (weight decay {decay:g}, outside J)" if decay else "   (no penalty)")


def _equivalent(columns: Columns) -> str:
    """The penalty of the first column, which is not 0, in another library's words."""
    l2, l1 = columns.l2[0], columns.l1[0]
    without, with_l1 = MODELS[columns.spec.model].equivalent
    return (with_l1 if l1 else without).format(
        C=inverse_c(columns)[0], l2=l2, l2_sum=l2 * columns.s.sum(), a=l2 + l1, ratio=l1 / (l2 + l1)
    )


def inverse_c(columns: Columns) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """scikit-learn's C of each column: 1/((l2 + l1)·S); infinite without a penalty."""
    with np.errstate(divide="ignore", over="ignore"):
        return np.asarray(1.0 / ((columns.l2 + columns.l1) * columns.s.sum()))


def mend_divergence(columns: Columns) -> str:
    """A copyable override for a run that diverged, and for constant-lr sgd the bound it broke."""
    spec = columns.spec
    if _squares_overflow(columns, "float64"):  # and so does the standard deviation
        return "the squares of the target are past float64; other units of it are right"
    if not isinstance(columns.settings, Settings) or isinstance(spec.optimizer, Solver):
        return "no solver gets anywhere from such first weights; init: zeros, or scaled features"
    if _squares_overflow(columns, spec.precision):
        return (
            f"the squares of the target are past {spec.precision}; try data.scale_target=standard"
        )
    lr = float(columns.settings.schedule.lr[0])
    if not isinstance(spec.optimizer, Sgd) or spec.optimizer.schedule.name != "constant":
        return f"try optimizer.lr={_rounded_down(min(spec.optimizer.lr / 10, _TAME_LR))}"
    curvature = data_curvature(columns)
    momentum, nesterov = spec.optimizer.momentum, spec.optimizer.nesterov
    numerator, words = 2 * (1 + momentum), "2(1 + momentum)/λmax"
    if nesterov:
        numerator /= 1 + 2 * momentum
        words = "2(1 + momentum)/((1 + 2·momentum)·λmax)"
    l2 = float(columns.l2[0])
    bound = numerator / (curvature + l2)
    if not (0 < bound < np.inf and lr < np.inf):
        return f"try optimizer.lr={_rounded_down(min(spec.optimizer.lr / 10, _TAME_LR))}"
    if l2 > curvature and bound < lr < numerator / curvature:
        weaker = _rounded_down(numerator / lr / 10)
        of_l2 = isinstance(spec.penalty, L2L1)
        cure = f"penalty.l2={weaker}" if of_l2 else f"'penalty={{l2: {weaker}}}'"
        return (
            f"try {cure}: with lr {lr:g} the penalty"
            f" alone is too strong, full-batch sgd needs lr below {words} = {bound:.3g}"
        )
    goal = _rounded_down(min(lr / 3, bound / 2) * (spec.optimizer.lr / lr))
    if lr < bound:
        return f"try optimizer.lr={goal}: small batches need less than full-batch sgd"
    return (
        f"try optimizer.lr={goal}: on this data full-batch sgd with momentum"
        f" {momentum:g} needs lr below {words} = {bound:.3g}, and small batches less"
    )


def _squares_overflow(columns: Columns, precision: str) -> bool:
    """Whether the first loss is infinite for what the target is, whatever lr is."""
    if not columns.model.quadratic:
        return False
    largest = float(np.abs(columns.prepared.train.y).max(initial=0.0))
    return largest > math.sqrt(np.finfo(precision).max)


def data_curvature(columns: Columns) -> float:
    """λmax of the data term's Hessian, or above it where that depends on the weights."""
    with np.errstate(all="ignore"):
        return largest_curvature(
            columns.prepared.train.X,
            columns.s / columns.s.sum(),
            columns.spec.bias,
            columns.model.curvature,
        )


def _rounded_down(value: float) -> str:
    """One significant digit, towards 0."""
    exponent = int(np.floor(np.log10(value)))
    return f"{np.floor(value / 10.0**exponent) * 10.0**exponent:.1g}"


def spec_line(spec: Spec) -> str:
    """Name, model and optimizer in one line; of a sweep what is swept."""
    if len(spec.trials) > 1:
        axes = ", ".join(f"{path} ({len(values):,})" for path, values in spec.axes.items())
        return f"{spec.name}: {spec.model}, {len(spec.trials):,} trials of {axes}"
    o = spec.optimizer
    if isinstance(o, Solver):
        most = f"at most {o.max_iter:,} iterations"
        return f"{spec.name}: {spec.model}, {o.name} to max|dJ/dW| {o.tol:g}, {most}"
    count, unit = (o.steps, "step") if o.steps else (o.epochs or 0, "epoch")
    length = f"{count:,} {unit}{'' if count == 1 else 's'}"
    size = "full batch" if o.batch_size == "full" else f"batches of {o.batch_size:,}"
    return f"{spec.name}: {spec.model}, {o.name} with lr {o.lr:g}, {length}, {size}"
