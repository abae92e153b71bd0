"""From specs and rows to a stack: the one place where a spec's words become arrays and objects."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

import numpy as np

from trainer.catalog import OPTIMIZERS, metrics_of
from trainer.config import Spec
from trainer.config.checks.rules import has_l1
from trainer.config.schema.optimizer import FirstOrder, Solver
from trainer.config.schema.penalty import Alpha, InverseC, Penalty
from trainer.config.schema.spec import NormalInit
from trainer.data import Prepared, row_weights
from trainer.device import Device
from trainer.errors import DataError
from trainer.model import MODELS, Model, Scratch
from trainer.model.penalties import elastic_net, from_inverse_c
from trainer.optim.schedules import LrSchedule
from trainer.predict.fitted_model import FittedModel
from trainer.solvers.basis import identity as features_as_they_are
from trainer.solvers.basis import uncorrelated
from trainer.solvers.choose import Size, choose_method, hessian_order
from trainer.solvers.objective import RotatedRows
from trainer.solvers.solver import SolverSettings, SolverStack
from trainer.train.batches import RowSet
from trainer.train.evaluate import HeldOut
from trainer.train.stack import Settings, Stack
from trainer.train.state import State, normal_weights

Numbers = np.ndarray[Any, np.dtype[np.float64]]
AnyStack = Stack | SolverStack
_HESSIAN_SHARE = 0.2  # of the memory there is
_ROWS = 65_536  # of a chunk
_ROUNDING = 64 * float(np.finfo(np.float64).eps)


@dataclass(frozen=True)
class DeviceRows:
    """The rows of one part on a device, for any number of stacks to be trained and scored on.

    Attributes:
        device: where they are.
        prepared: the same on the host.
        s: (N,) raw row weights of the objective (the `weight` column times class weights).
        rows: the training rows.
        held: val, or None.
    """

    device: Device
    prepared: Prepared
    s: Numbers
    rows: RowSet
    held: HeldOut | None
    _rotated: dict[Hashable, RotatedRows] = field(default_factory=dict, compare=False, repr=False)

    def rotated(self, bias: bool, identity: bool, exact: bool, least: float) -> RotatedRows:
        """The training rows and a solver's coordinates, made once.

        Args:
            bias: whether there is one.
            identity: whether features stay as they are, as a penalty with l1 needs them.
            exact: whether λ must be exact, for a closed form.
            least: the smallest l2 there is.
        """
        key = bias, identity, exact, least
        if key not in self._rotated:
            train, p = self.prepared.train, _shares(self.s)
            X = self.device.xp.array(self.rows.X, dtype=np.float64)
            weights = self.device.to_device(p)
            if identity:
                basis, X = features_as_they_are(self.device.xp, X, weights, bias)
            else:
                basis, X = uncorrelated(self.device.xp, X, weights, bias, exact, least)
            rows = self.rows.rotated(self.device, X, p, _shares(train.weight))
            self._rotated[key] = RotatedRows(rows, basis)
        return self._rotated[key]

    def weighted(self, class_weight: Any) -> DeviceRows:
        """The same rows with other class weights; X is shared.

        Raises:
            DataError: class weights that do not fit the labels.
        """
        s = _raw_weights(self.prepared, class_weight)
        rows = self.rows.weighted(self.device, _shares(s))
        return replace(self, s=s, rows=rows, _rotated={})

    @property
    def bytes(self) -> int:
        """Of X, by far the most of it."""
        parts = (self.rows, self.held.rows if self.held else None)
        return sum(part.X.nbytes for part in parts if part is not None)


def put_on_device(prepared: Prepared, class_weight: Any, device: Device) -> DeviceRows:
    """Put the rows of one part on a device.

    Raises:
        DataError: class weights that do not fit the labels.
    """
    train, encoder = prepared.train, prepared.encoder
    s = _raw_weights(prepared, class_weight)
    outputs = len(encoder.outputs)
    rows = RowSet(device, train.X, train.y, _shares(s), _shares(train.weight), outputs)
    held = HeldOut(device, prepared.val, encoder.target_scale) if prepared.val is not None else None
    return DeviceRows(device, prepared, s, rows, held)


def _raw_weights(prepared: Prepared, class_weight: Any) -> Numbers:
    train = prepared.train
    return row_weights(train.y, train.weight, class_weight, prepared.encoder.classes)


def _shares(weights: Numbers) -> Numbers:
    with np.errstate(over="ignore", invalid="ignore"):  # `_check_sizes` refuses what overflows
        shares: Numbers = weights / weights.sum()
    return shares


@dataclass(frozen=True)
class Columns:
    """The K columns of a stack and what their specs said.

    Attributes:
        specs: one a column; they differ only in numbers.
        device_rows: their rows.
        l2, l1: (K,) penalties of the objective.
        settings: theirs.
    """

    specs: Sequence[Spec]
    device_rows: DeviceRows
    l2: Numbers
    l1: Numbers
    settings: Settings | SolverSettings

    @property
    def spec(self) -> Spec:
        """The spec of the first column, for all that the columns share."""
        return self.specs[0]

    @property
    def prepared(self) -> Prepared:
        """Their rows on the host."""
        return self.device_rows.prepared

    @property
    def s(self) -> Numbers:
        """(N,) raw row weights of the objective."""
        return self.device_rows.s

    @property
    def model(self) -> Model:
        """The row of the model table."""
        return MODELS[self.spec.model, self.spec.loss_name]

    @property
    def outputs(self) -> int:
        """C."""
        return len(self.prepared.encoder.outputs)

    @property
    def steps_per_epoch(self) -> int:
        """Steps in an epoch."""
        size = self.spec.optimizer.batch_size
        return 1 if size == "full" else -(-len(self.device_rows.rows) // size)

    @property
    def solver(self) -> tuple[str, str] | None:
        """Which solver goes to the optimum and why; None for a first-order optimizer."""
        if not isinstance(self.settings, SolverSettings):
            return None
        return self.settings.method.name, self.settings.method.reason

    @property
    def budget(self) -> Numbers:
        """(K,) most steps."""
        if isinstance(self.settings, SolverSettings):
            return self.settings.max_iter
        return self.settings.schedule.steps

    def stack(self, columns: Any = slice(None)) -> AnyStack:
        """A stack of some of the columns, ready to train."""
        settings, device_rows = self.settings.take(columns), self.device_rows
        device, rows = device_rows.device, device_rows.rows
        if isinstance(settings, Settings):
            return Stack(device, self.model, rows, self.outputs, settings)
        sparse, exact = bool(np.any(self.l1 > 0)), settings.method.closed_form
        least = 0.0 if sparse else _decade(float(self.l2.min()))
        rotated = device_rows.rotated(settings.bias, identity=sparse, exact=exact, least=least)
        return SolverStack(device, self.model, rows, rotated, self.outputs, settings)


def _decade(value: float) -> float:
    """The power of ten at or below a number from 0: near ones have the same."""
    return float(10.0 ** np.floor(np.log10(value))) if value > 0 else 0.0


def build(specs: Sequence[Spec], device_rows: DeviceRows, log_every: int) -> Columns:
    """Put one column a spec onto the same rows.

    Args:
        specs: K specs that differ only in numbers that a (K,) array can hold.
        device_rows: their rows.
        log_every: steps between full records of the step log.

    Raises:
        DataError: numbers that the run's precision cannot hold.
    """
    s, train = device_rows.s, device_rows.prepared.train
    with np.errstate(over="ignore"):  # `_check_sizes` refuses what overflows
        penalties = [strengths(one.penalty, s.sum()) for one in specs]
    l2, l1 = np.array(penalties).T  # (K,) each
    _check_sizes(specs, s, train.weight, max(l2.max(), l1.max()))
    if isinstance(specs[0].optimizer, Solver):
        solver = _solver_settings(specs, device_rows, l2, l1, log_every)
        return Columns(specs, device_rows, l2, l1, solver)
    return Columns(specs, device_rows, l2, l1, _settings(specs, len(train), l2, l1, log_every))


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


def _settings(
    specs: Sequence[Spec], rows: int, l2: Numbers, l1: Numbers, log_every: int
) -> Settings:
    optimizers = [spec.optimizer for spec in specs if isinstance(spec.optimizer, FirstOrder)]
    first = optimizers[0]
    unit = np.array([steps_per_unit(spec, rows) for spec in specs])  # (K,)
    budget = np.array([float(o.steps or o.epochs or 0) for o in optimizers])
    length = np.array([float(o.schedule.length or 0) for o in optimizers])
    written = rows if first.batch_size == "full" else first.batch_size
    lr = [
        o.lr if o.base_batch_size == "none" else o.lr * written / o.base_batch_size
        for o in optimizers
    ]
    schedule = LrSchedule(
        name=first.schedule.name,
        lr=np.array(lr),
        steps=budget * unit,
        warmup=np.array([o.schedule.warmup for o in optimizers]) * unit,
        final=np.array([o.schedule.final for o in optimizers]),
        gamma=np.array([o.schedule.gamma for o in optimizers]),
        milestones=np.array(first.schedule.milestones) * unit[0],
        length=np.where(length > 0, length, budget) * unit,
    )
    hyper = {
        name: np.array([getattr(o, name) for o in optimizers], dtype=np.float64)
        for name in OPTIMIZERS[first.name].settings
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
        log_every=log_every,
        loss=_loss_parameters(specs),
    )


def _loss_parameters(specs: Sequence[Spec]) -> dict[str, Numbers]:
    """The loss's own parameters, each (K,)."""
    names = specs[0].loss_parameters
    return {name: np.array([spec.loss_parameters[name] for spec in specs]) for name in names}


def _solver_settings(
    specs: Sequence[Spec], device_rows: DeviceRows, l2: Numbers, l1: Numbers, log_every: int
) -> SolverSettings:
    optimizers = [spec.optimizer for spec in specs if isinstance(spec.optimizer, Solver)]
    first = specs[0]
    rows, features = map(int, device_rows.rows.X.shape)
    size = Size(rows, features, len(device_rows.prepared.encoder.outputs))
    model = MODELS[first.model, first.loss_name]
    sparse = bool(np.any(l1 > 0))
    method = choose_method(optimizers[0].name, model, size, sparse)
    order = hessian_order(model, size, sparse)
    if (
        OPTIMIZERS[optimizers[0].name].second_derivatives
        and 8.0 * order**2 > _HESSIAN_SHARE * device_rows.device.memory()
    ):
        raise DataError(
            f"optimizer.name: newton would hold Hessians of {order:,} x {order:,}, which is"
            f" {8e-9 * order**2:.1f} GB each; lbfgs or auto is right"
        )
    return SolverSettings(
        method=method,
        max_iter=np.array([float(o.max_iter) for o in optimizers]),
        tol=np.array([o.tol for o in optimizers]),
        l2=l2,
        l1=l1,
        bias=first.bias,
        log_every=log_every,
        loss=_loss_parameters(specs),
    )


def stack_key(spec: Spec) -> Hashable:
    """What columns of one stack have in common; all else of a spec is a number a column.

    Rows are not in it: a stack has one row set.
    """
    o = spec.optimizer
    shuffled = o.batch_size != "full"
    return (
        spec.loss_name,
        str(spec.class_weight),
        spec.bias,
        o.name,
        getattr(o, "nesterov", False),
        o.batch_size,
        spec.seed if shuffled else None,
        (o.schedule.name, o.schedule.milestones)
        if isinstance(o, FirstOrder)
        else has_l1(spec.penalty),
        o.steps is None,
    )


def steps_per_unit(spec: Spec, rows: int) -> int:
    """How many steps what the spec counts in lasts: 1 with `steps:`, else an epoch."""
    size = spec.optimizer.batch_size
    return 1 if spec.optimizer.steps else -(-rows // (rows if size == "full" else size))


def initial_state(columns: Columns, stack: AnyStack) -> State:
    """Weights (D, C, K) and bias (C, K) before the first step, by `init`.

    Raises:
        DataError: `init` names a run whose model has other features or outputs.
        RunFolderError: `init` names no run folder.
    """
    features, outputs, count = stack.shape
    weights, bias = np.zeros((features, outputs, count)), np.zeros((outputs, count))
    normal = cache(normal_weights)
    for k, spec in enumerate(columns.specs):
        if isinstance(spec.init, NormalInit):
            with np.errstate(over="ignore"):  # too large diverges at the first step, and says so
                weights[:, :, k] = spec.init.normal * normal(spec.seed, features, outputs)
        elif spec.init != "zeros":
            weights[:, :, k], bias[:, k] = _saved_weights(spec.init, columns.prepared)
    return stack.start(weights, bias)


def check_init(spec: Spec, prepared: Prepared) -> None:
    """Refuse a saved model that does not fit, before anything is built.

    Raises:
        DataError: it has other features or outputs.
        RunFolderError: `init` names no run folder.
    """
    if isinstance(spec.init, str) and spec.init != "zeros":
        _saved_weights(spec.init, prepared)


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


def metric_names(model: str, outputs: int, held: bool) -> list[str]:
    """The names of an evaluation's metrics, as history.csv and trials.csv have them."""
    return ["train_loss", *(f"val_{name}" for name in metrics_of(model, outputs) if held)]


def largest_l1(device_rows: DeviceRows, spec: Spec) -> float:
    """The least l1 at which all weights are 0: the largest |∂J/∂w| there, the bias at its best.

    Friedman, Hastie & Tibshirani 2010, §2.5, for any of the models.

    Raises:
        DataError: it is 0, but for rounding.
    """
    train, s = device_rows.prepared.train, device_rows.s
    model = MODELS[spec.model, spec.loss_name].with_parameters(
        {name: np.array([value]) for name, value in spec.loss_parameters.items()}
    )
    outputs = len(device_rows.prepared.encoder.outputs)
    y = np.eye(outputs)[train.y] if train.y.ndim == 1 else train.y.astype(np.float64)  # (N, C)
    p = s / s.sum()
    start = p @ y  # (C,): with the bias at its best ŷ is the mean of y, whatever the model
    if not spec.bias:
        z, scratch = np.zeros((1, outputs, 1)), Scratch.of(np, 1, outputs)
        start = np.empty((1, outputs, 1))
        model.activation(np, z, start, scratch)
        start = start[0, :, 0]
    slope, rounding = np.zeros((train.X.shape[1], outputs)), np.zeros(train.X.shape[1])
    encoder, eps = device_rows.prepared.encoder, np.finfo(train.X.dtype).eps
    far = np.abs(encoder.mean) / encoder.scale  # (D,): digits that are lost in x − mean
    for first in range(0, len(y), _ROWS):
        part = slice(first, first + _ROWS)
        target = y[part, :, None]
        off = start[None, :, None] - target  # (n, C, 1)
        dz = model.dz(np, off, target, np.empty_like(off), Scratch.of(np, len(off), outputs))
        X = train.X[part].astype(np.float64)
        slope += X.T @ (dz[:, :, 0] * p[part, None])  # (D, C)
        size = p[part] * np.abs(dz[:, :, 0]).max(axis=1)  # (n,)
        rounding += eps * (size @ np.abs(X))  # of X itself
        rounding += _ROUNDING * (np.abs(y).max() * (p[part] @ np.abs(X)) + far * size.sum())
    largest = np.abs(slope).max(axis=1)
    if (largest <= rounding).all():
        raise DataError(
            "no feature says anything of the target, so that a path of penalties has no beginning;"
            " a list of penalties is right"
        )
    return float(largest.max())
