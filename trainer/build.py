"""From specs and rows to a stack: the one place where a spec's words become arrays and objects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from trainer.data import Prepared, row_weights
from trainer.device import Device
from trainer.errors import DataError
from trainer.fitted import FittedModel
from trainer.model import MODELS
from trainer.model.penalties import elastic_net, from_inverse_c
from trainer.optim.schedules import Schedule
from trainer.spec import Spec
from trainer.spec.schema import Alpha, InverseC, NormalInit, Penalty
from trainer.train.chunks import RowSet
from trainer.train.outcomes import EarlyStopping
from trainer.train.stack import Settings, Stack
from trainer.train.state import State, normal_weights

Numbers = np.ndarray[Any, np.dtype[np.float64]]
_HYPER = ("momentum", "beta1", "beta2", "eps", "weight_decay")
MINIMIZED = ("loss", "rmse")  # every other metric is better when larger


@dataclass(frozen=True)
class Columns:
    """The K columns of a stack and what their specs said.

    Attributes:
        specs: one a column; they differ only in numbers.
        prepared: the rows.
        s: (N,) raw row weights of the objective (the `weight` column times class weights).
        l2, l1: (K,) penalties of the objective.
        stack: ready to train.
    """

    specs: Sequence[Spec]
    prepared: Prepared
    s: Numbers
    l2: Numbers
    l1: Numbers
    stack: Stack

    @property
    def spec(self) -> Spec:
        """The spec of the first column, for all that the columns share."""
        return self.specs[0]


def build(specs: Sequence[Spec], prepared: Prepared, device: Device) -> Columns:
    """Put one column a spec into a stack.

    Args:
        specs: K specs that differ only in numbers that a (K,) array can hold.
        prepared: their rows.
        device: where to train.

    Raises:
        DataError: class weights that do not fit the labels.
    """
    spec, train = specs[0], prepared.train
    s = row_weights(train.y, train.weight, spec.class_weight, prepared.encoder.classes)
    with np.errstate(over="ignore"):  # `_check_sizes` refuses what overflows
        penalties = [strengths(one.penalty, s.sum()) for one in specs]
    l2, l1 = np.array(penalties).T  # (K,) each
    _check_sizes(specs, s, train.weight, max(l2.max(), l1.max()))
    outputs = len(prepared.encoder.outputs)
    rows = RowSet(device, train.X, train.y, s / s.sum(), train.weight / train.weight.sum(), outputs)
    settings = _settings(specs, len(train), l2, l1)
    model = MODELS[spec.model, spec.loss]
    return Columns(specs, prepared, s, l2, l1, Stack(device, model, rows, outputs, settings))


def _check_sizes(specs: Sequence[Spec], s: Numbers, weight: Numbers, strongest: float) -> None:
    """Refuse numbers that would be infinite in the run's arithmetic."""
    with np.errstate(over="ignore"):
        totals = s.sum(), weight.sum()
    if not np.isfinite(totals).all():
        raise DataError(
            "the row weights add up past what float64 can hold; divide them by the largest"
        )
    largest = float(np.finfo(specs[0].precision).max)
    normal = [one.init.normal for one in specs if isinstance(one.init, NormalInit)]
    for key, value in (("penalty", strongest), ("init.normal", max(normal, default=0.0))):
        if value > largest:
            raise DataError(
                f"{key}: {value:.6g} is past {specs[0].precision}'s largest number {largest:.3g};"
                " a smaller one is right"
            )


def strengths(penalty: Penalty, weight_sum: float) -> tuple[float, float]:
    """(l2, l1) of one of the three penalty forms; `weight_sum` is S of the training rows."""
    if isinstance(penalty, InverseC):
        l2, l1 = from_inverse_c(penalty.C, penalty.l1_ratio, weight_sum)
        return float(l2), float(l1)
    if isinstance(penalty, Alpha):
        l2, l1 = elastic_net(penalty.alpha, penalty.l1_ratio)
        return float(l2), float(l1)
    return penalty.l2, penalty.l1


def _settings(specs: Sequence[Spec], rows: int, l2: Numbers, l1: Numbers) -> Settings:
    optimizers = [spec.optimizer for spec in specs]
    first = optimizers[0]
    unit = steps_per_unit(specs[0], rows)
    written = rows if first.batch_size == "full" else first.batch_size
    lr = [
        o.lr if o.base_batch_size == "none" else o.lr * written / o.base_batch_size
        for o in optimizers
    ]
    schedule = Schedule(
        name=first.schedule.name,
        lr=np.array(lr),
        steps=np.array([float((o.steps or o.epochs or 0) * unit) for o in optimizers]),
        warmup=np.array([o.schedule.warmup * unit for o in optimizers]),
        final=np.array([o.schedule.final for o in optimizers]),
        gamma=np.array([o.schedule.gamma for o in optimizers]),
        milestones=np.array(first.schedule.milestones) * unit,
    )
    hyper = {
        name: np.array([getattr(o, name) for o in optimizers], dtype=np.float64)
        for name in _HYPER
        if hasattr(first, name)
    }
    if "eps" in hyper:  # below the precision's least number it would be 0, and 0/0 a step
        hyper["eps"] = np.maximum(hyper["eps"], np.finfo(specs[0].precision).tiny)
    return Settings(
        optimizer="nesterov" if getattr(first, "nesterov", False) else first.name,
        schedule=schedule,
        hyper={"weight_decay": np.zeros(len(specs))} | hyper | {"l2": l2, "l1": l1},
        bias=specs[0].bias,
        batch_size=None if first.batch_size == "full" else first.batch_size,
        seed=specs[0].seed,
        log_every=log_every(specs[0]),
    )


def log_every(spec: Spec) -> int:
    """Steps between records of the step log; `auto` is every step."""
    return 1 if spec.log.every == "auto" else spec.log.every


def steps_per_unit(spec: Spec, rows: int) -> int:
    """How many steps what the spec counts in lasts: 1 with `steps:`, else an epoch."""
    size = spec.optimizer.batch_size
    return 1 if spec.optimizer.steps else -(-rows // (rows if size == "full" else size))


def initial_state(columns: Columns) -> State:
    """Weights (D, C, K) and bias (C, K) before the first step, by `init`.

    Raises:
        DataError: `init` names a run whose model has other features or outputs.
        RunFolderError: `init` names no run folder.
    """
    stack = columns.stack
    features, outputs, count = stack.shape
    weights, bias = np.zeros((features, outputs, count)), np.zeros((outputs, count))
    for k, spec in enumerate(columns.specs):
        if isinstance(spec.init, NormalInit):
            with np.errstate(over="ignore"):  # too large diverges at the first step, and says so
                weights[:, :, k] = spec.init.normal * normal_weights(spec.seed, features, outputs)
        elif spec.init != "zeros":
            weights[:, :, k], bias[:, k] = _saved_weights(spec.init, columns.prepared)
    return stack.start(weights, bias)


def _saved_weights(folder: str, prepared: Prepared) -> tuple[Numbers, Numbers]:
    """Weights (D, C) and bias (C,) of a saved model, in the coordinates of these rows' scaling."""
    saved, encoder = FittedModel.load(folder), prepared.encoder
    for what, theirs, ours in (
        ("model", saved.model, encoder.target.model),
        ("features", saved.encoder.features, encoder.features),
        ("outputs", saved.encoder.outputs, encoder.outputs),
        ("scale: unit", saved.encoder.unit, encoder.unit),
    ):
        if theirs != ours:
            raise DataError(
                f"init: {folder}: its {what} is not this run's: {_short(theirs)} against"
                f" {_short(ours)}; a run on the same features and outputs would be right"
            )
    ratio = (saved.encoder.target_scale / encoder.target_scale)[None, :]  # (1, C)
    shift = (saved.encoder.target_mean - encoder.target_mean) / encoder.target_scale  # (C,)
    per_raw = saved.weights / saved.encoder.scale[:, None] * ratio  # (D, C)
    moved = (encoder.mean - saved.encoder.mean) @ per_raw  # (C,)
    return per_raw * encoder.scale[:, None], saved.bias * ratio[0] + shift + moved


def _short(value: object) -> str:
    if isinstance(value, tuple):
        return f"{len(value)} ({', '.join(map(str, value[:3]))}{', …' if len(value) > 3 else ''})"
    return str(value)


def early_stopping(columns: Columns) -> EarlyStopping | None:
    """The early stopping of K columns, or None.

    Raises:
        DataError: its metric is one that these targets do not have, such as top5 of three classes.
    """
    rules = [spec.early_stopping for spec in columns.specs]
    given = [rule for rule in rules if rule is not None]
    if not given:
        return None
    first = given[0]
    names = ["loss", *columns.stack.model.metrics.names(columns.stack.shape[1])]
    known = ["train_loss", *(f"val_{name}" for name in names)]
    if first.metric not in known:
        raise DataError(
            f"early_stopping.metric: {first.metric} is not measured for this target with"
            f" {columns.stack.shape[1]} outputs; {', '.join(known)} are"
        )
    return EarlyStopping(
        metric=first.metric,
        sign=1.0 if minimized(first.metric) else -1.0,
        patience=np.array([rule.patience if rule else np.inf for rule in rules]),
        min_delta=np.array([rule.min_delta if rule else 0.0 for rule in rules]),
        restore_best=first.restore_best,
    )


def minimized(metric: str) -> bool:
    """Whether a metric such as `val_loss` is better when smaller."""
    return metric.rpartition("_")[2] in MINIMIZED
