"""A config becomes objects: the one place where a spec's words become arrays and a stack."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from trainer.catalog import OPTIMIZERS, metrics_of
from trainer.config.schema.optimizer import FirstOrder, Solver
from trainer.config.schema.spec import Spec
from trainer.data.prepared import Prepared
from trainer.errors import DataError
from trainer.machine.interrupted import ShouldStop, never
from trainer.model import MODELS, Model
from trainer.optim.schedules import LrSchedule
from trainer.solvers.choose import Method, Size, choose_method, hessian_order
from trainer.sweep.model_of import model_of
from trainer.sweep.strengths import check_sizes, strengths
from trainer.text.numbers import shown_size
from trainer.train.batches import RowSet
from trainer.train.device_rows import DeviceRows, shares, targets_of
from trainer.train.protocol import AnyStack
from trainer.train.stack import Settings, Stack

if TYPE_CHECKING:
    from trainer.device import Device
    from trainer.solvers.costs import BasisWork
    from trainer.solvers.leave_one_out import LeaveOneOut
    from trainer.solvers.problem import Problem
    from trainer.solvers.rotated_rows import RotatedRows
    from trainer.solvers.solver import SolverStack

Numbers = np.ndarray[Any, np.dtype[np.float64]]
_ALWAYS = 1 << 26  # bytes that are there: to ask takes longer than a small fit
_HESSIAN_SHARE = 0.2  # of the memory there is
_QUICK = 1 << 20, 256  # numbers of X, directions: up to both rows are turned in a tenth of a second
_IN_TF32 = "rounds are in TF32 until its roundings show, the rest is in float64"
_NOT_IN_TF32 = "all of it in float64, none in TF32"


@dataclass(frozen=True)
class Columns:
    """The K columns of a stack and what their specs said.

    Attributes:
        specs: one a column; they differ only in numbers.
        device_rows: their rows.
        l2, l1: (K,) penalties of the objective.
        budget: (K,) most steps.
        make: makes a stack of some of the columns.
        solver: which solver goes to the optimum and why; None for a first-order optimizer.
        lr: (K,) learning rates, as the schedules begin from; None for a solver.
        single_bytes: of the rows that a solver has in float32 for rounds in TF32; 0 without any.
        unturned: makes a stack of all whose rows are not turned, where that takes long; else None.
        basis_work: what it takes to turn them.
        left_out: makes what scores a stack by each row left out; None: rows are held out.
    """

    specs: Sequence[Spec]
    device_rows: DeviceRows
    l2: Numbers
    l1: Numbers
    budget: Numbers
    make: Callable[[Any, ShouldStop], AnyStack]
    solver: tuple[str, str] | None = None
    lr: Numbers | None = None
    single_bytes: int = 0
    unturned: Callable[[], AnyStack] | None = None
    basis_work: BasisWork | None = None
    left_out: type[LeaveOneOut] | None = None

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
        """(N,) raw row weights of the first column's objective."""
        return self.device_rows.first_s

    @property
    def weight_sum(self) -> Numbers:
        """(K,) S of each column's rows."""
        return self.device_rows.weight_sum * np.ones(len(self.specs))

    @property
    def model(self) -> Model:
        """The row of the model table."""
        return model_of(self.spec)

    @property
    def outputs(self) -> int:
        """C."""
        return self.device_rows.outputs

    @property
    def steps_per_epoch(self) -> int:
        """Steps in an epoch."""
        size = self.spec.optimizer.batch_size
        return 1 if size == "full" else -(-len(self.device_rows.rows) // size)

    def stack(self, columns: Any = slice(None), should_stop: ShouldStop = never) -> AnyStack:
        """A stack of some of the columns, ready to train.

        Raises:
            Interrupted: `should_stop()`, where rows are turned for a solver.
        """
        return self.make(columns, should_stop)


def build(
    specs: Sequence[Spec],
    device_rows: DeviceRows,
    log_every: int,
    every: Sequence[Spec] | None = None,
) -> Columns:
    """Put one column a spec onto the same rows.

    Args:
        specs: K specs that differ only in numbers that a (K,) array can hold.
        device_rows: their rows.
        log_every: steps between full records of the step log.
        every: specs of all columns that go together, those of other stacks, too; None: `specs`.

    Raises:
        DataError: numbers that the run's precision cannot hold.
    """
    s, train = device_rows.s, device_rows.prepared.train
    with np.errstate(over="ignore"):  # `check_sizes` refuses what overflows
        weight_sum = device_rows.weight_sum
        S = np.broadcast_to(weight_sum, len(specs)).tolist()
        penalties = [strengths(one.penalty, own) for one, own in zip(specs, S, strict=True)]
    l2, l1 = np.array(penalties).T  # (K,) each
    check_sizes(specs, s, train.weight, max(l2.max(), l1.max()))
    if not isinstance(specs[0].optimizer, Solver):
        return _by_steps(specs, device_rows, l2, l1, log_every)
    # a stack's halves, and those of other processes, have its coordinates
    with np.errstate(over="ignore"):
        least = min(strengths(one.penalty, weight_sum.min())[0] for one in every or specs)
    return _to_the_optimum(specs, device_rows, l2, l1, log_every, least)


def _by_steps(
    specs: Sequence[Spec], device_rows: DeviceRows, l2: Numbers, l1: Numbers, log_every: int
) -> Columns:
    """Columns of a first-order optimizer."""
    settings = _settings(specs, len(device_rows.rows), l2, l1, log_every)
    model, outputs = model_of(specs[0]), device_rows.outputs

    def make(columns: Any, should_stop: ShouldStop) -> Stack:
        device, rows = device_rows.device, device_rows.rows.take(columns)
        held = len(device_rows.held.rows) if device_rows.held else 0
        return Stack(device, model, rows, outputs, settings.take(columns), held)

    plan = settings.schedule
    return Columns(specs, device_rows, l2, l1, plan.steps, make, lr=plan.lr)


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
        hyper["eps"] = np.maximum(hyper["eps"], np.finfo(specs[0].dtype).tiny)
    return Settings(
        optimizer="nesterov" if getattr(first, "nesterov", False) else first.name,
        schedule=schedule,
        hyper={"weight_decay": np.zeros(len(specs))} | hyper | {"l2": l2, "l1": l1},
        bias=specs[0].bias,
        tf32=specs[0].precision == "tf32",
        batch_size=None if first.batch_size == "full" else first.batch_size,
        seed=specs[0].seed,
        log_every=log_every,
        loss=_loss_parameters(specs),
    )


def _loss_parameters(specs: Sequence[Spec]) -> dict[str, Numbers]:
    """The loss's own parameters, each (K,)."""
    names = specs[0].loss_parameters
    return {name: np.array([spec.loss_parameters[name] for spec in specs]) for name in names}


def _to_the_optimum(
    specs: Sequence[Spec],
    device_rows: DeviceRows,
    l2: Numbers,
    l1: Numbers,
    log_every: int,
    least_l2: float,
) -> Columns:
    """Columns of a solver."""
    # runs that take steps do without, which is a fiftieth of a short one's time
    from trainer.solvers import (
        costs,
        leave_one_out,
        own_basis,
        problem,
        rotated_rows,
        solver,
        solver_settings,
        tf32_passes,
        tf32_sizes,
    )  # fmt: skip

    sparse, spec = bool(np.any(l1 > 0)), specs[0]
    limits = *_solver_settings(specs, device_rows, sparse), log_every
    settings = solver_settings.SolverSettings(*limits)
    exact = settings.method.closed_form
    least = 0.0 if sparse else _decade(least_l2)
    parameters = _loss_parameters(specs)
    model, outputs = model_of(spec), device_rows.outputs
    guess, turn = not model.quadratic, settings.method.pairs > 0
    rounds = turn and tf32_sizes.multiplies(device_rows.device) and spec.precision == "tf32"

    if device_rows.rows.is_own:
        makers = own_basis.own_basis, problem.Problem, solver.SolverStack
        own = _own_columns(makers, specs, device_rows, l2, l1, settings, turn and not sparse)
        return _left_out(leave_one_out, own)

    def make(columns: Any, should_stop: ShouldStop, turned: bool = True) -> SolverStack:
        as_it_is = True, False, 0.0, False, False
        key = spec.bias, *((sparse, exact, least, guess, turn) if turned else as_it_is)
        rotated = _rotated(rotated_rows.rotate, should_stop, device_rows, *key)
        single = _single(tf32_passes.single_rows, device_rows, rotated, key) if rounds else None
        loss = {name: value[columns] for name, value in parameters.items()}
        shared = device_rows.device, model, rotated.basis, outputs, spec.bias
        own = problem.Problem(*shared, l2[columns], l1[columns], loss)
        own_settings, rows = settings.take(columns), device_rows.rows.take(columns)
        inner, single = rotated.rows.like(rows), single and single.like(rows)
        return solver.SolverStack(own, rows, inner, own_settings, single=single)

    reason, single = settings.method.reason, 0
    if spec.precision == "tf32":
        reason += f"; {_IN_TF32 if rounds else _NOT_IN_TF32}"
    rows, features = map(int, device_rows.rows.X.shape)
    size = Size(rows, features, outputs)
    if rounds:
        single = tf32_sizes.row_bytes(rows, features)
    work = costs.basis_work(size, sparse, exact)
    unturned = partial(make, slice(None), never, turned=False) if work else None
    told = (settings.method.name, reason), None, single, unturned, work
    columns = Columns(specs, device_rows, l2, l1, settings.max_iter, make, *told)
    return _left_out(leave_one_out, columns)


def _left_out(module: Any, columns: Columns) -> Columns:
    """The columns, which each row left out scores where the config says so."""
    repeat = columns.spec.repeat
    return (
        replace(columns, left_out=module.LeaveOneOut)
        if repeat and repeat.leave_one_out
        else columns
    )


def _own_columns(
    makers: tuple[Callable[..., Any], type[Problem], type[SolverStack]],
    specs: Sequence[Spec],
    device_rows: DeviceRows,
    l2: Numbers,
    l1: Numbers,
    settings: Any,
    turn: bool,
) -> Columns:
    """Columns of a solver that have rows or statistics of their own; see `_own_stack`."""
    model = model_of(specs[0])
    loss = _loss_parameters(specs)
    given = device_rows, model, specs[0].bias, turn, l2, l1, loss, settings
    shared = specs, device_rows, l2, l1, settings.max_iter, partial(_own_stack, makers, given)
    return Columns(*shared, (settings.method.name, settings.method.reason))


def _own_stack(
    makers: tuple[Callable[..., Any], type[Problem], type[SolverStack]],
    given: tuple[Any, ...],
    columns: Any,
    should_stop: ShouldStop,
) -> SolverStack:
    """A stack of some of the columns, which have rows or statistics of their own.

    Args:
        makers: of a basis, a problem and a stack.
        given: rows, model, whether there is a bias and a turned guess, and all columns' penalties,
            loss parameters and settings.
        columns: which.
        should_stop: not asked.
    """
    device_rows, model, bias, turn, l2, l1, loss, settings = given
    find_basis, make_problem, make_stack = makers
    device, rows = device_rows.device, device_rows.rows
    _check_room(device, rows.X)
    basis, inner = device_rows.once(
        ("own", bias, turn), lambda: find_basis(device, rows, bias, turn, len(l2))
    )
    own = make_problem(
        device, model, basis.take(columns, device), device_rows.outputs, bias,
        l2[columns], l1[columns], {name: value[columns] for name, value in loss.items()},
    )  # fmt: skip
    inner, settings = inner.take(columns), settings.take(columns)
    return make_stack(own, rows.take(columns), inner, settings)


def _single(
    make: Callable[..., RowSet], device_rows: DeviceRows, rotated: RotatedRows, key: Hashable
) -> RowSet:
    """The training rows for rounds in TF32, made once for all stacks."""
    p, r = shares(device_rows.s), shares(device_rows.prepared.train.weight)
    given = device_rows.device, device_rows.rows, rotated, p, r
    return device_rows.once(("single", key), lambda: make(*given))


def _rotated(
    rotate: Callable[..., RotatedRows],
    should_stop: ShouldStop,
    device_rows: DeviceRows,
    bias: bool,
    sparse: bool,
    exact: bool,
    least: float,
    guess: bool,
    turn: bool,
) -> RotatedRows:
    """The training rows in a solver's coordinates, made once for all stacks; args as `rotate`'s.

    Raises:
        Interrupted: `should_stop()`, asked beside factorisations, which may take minutes.
    """

    def make() -> RotatedRows:
        prepared = device_rows.prepared
        p, r = shares(device_rows.s), shares(prepared.train.weight)
        device, rows, y = device_rows.device, device_rows.rows, targets_of(prepared, prepared.train)
        _check_room(device, rows.X)
        true = None if y.ndim == 1 else y
        given = device, rows, p, r, bias, sparse, exact, least, true, guess, turn
        if rows.X.size <= _QUICK[0] and min(rows.X.shape) <= _QUICK[1]:
            return rotate(*given)  # a thread takes as long as a small fit's rows
        return device.abandonable(partial(rotate, *given), should_stop)

    return device_rows.once(("rotated", bias, sparse, exact, least, guess, turn), make)


def _check_room(device: Device, X: Any) -> None:
    """Refuse to copy rows to float64 where there is no room for them: Linux would end the process.

    Raises:
        MemoryError: there is none.
    """
    size = 8 * X.size
    if size > _ALWAYS and size > (room := device.memory()):
        raise MemoryError(
            f"the rows in float64 take {shown_size(size)}, {shown_size(room)} are free"
        )


def _decade(value: float) -> float:
    """The power of ten at or below a number from 0: near ones have the same."""
    return float(10.0 ** np.floor(np.log10(value))) if value > 0 else 0.0


def _solver_settings(
    specs: Sequence[Spec], device_rows: DeviceRows, sparse: bool
) -> tuple[Method, Numbers, Numbers]:
    """How the optimum is reached, and of each column the most iterations and tol, (K,)."""
    optimizers = [spec.optimizer for spec in specs if isinstance(spec.optimizer, Solver)]
    rows, features = map(int, device_rows.rows.X.shape)
    size = Size(rows, features, device_rows.outputs)
    model = MODELS[specs[0].model, specs[0].loss_name]
    method = choose_method(optimizers[0].name, model, size, sparse, device_rows.rows.is_own)
    order = hessian_order(model, size, sparse)
    asked_for = OPTIMIZERS[optimizers[0].name].second_derivatives
    if asked_for and 8.0 * order**2 > _HESSIAN_SHARE * (memory := device_rows.device.memory()):
        raise DataError(
            f"optimizer.name: newton would hold Hessians of {order:,} x {order:,}, which is"
            f" {shown_size(8 * order**2)} each, where {shown_size(memory)} in all are there;"
            " lbfgs or auto is right"
        )
    max_iter = np.array([float(o.max_iter) for o in optimizers])
    return method, max_iter, np.array([o.tol for o in optimizers])


def steps_per_unit(spec: Spec, rows: int) -> int:
    """How many steps what the spec counts in lasts: 1 with `steps:`, else an epoch."""
    size = spec.optimizer.batch_size
    return 1 if spec.optimizer.steps else -(-rows // (rows if size == "full" else size))


def metric_names(spec: Spec, outputs: int, held: bool) -> list[str]:
    """The names of an evaluation's metrics, as history.csv and trials.csv have them."""
    names = metrics_of(spec.model, outputs, spec.named_metrics) if held else ()
    return ["train_loss", *(f"val_{name}" for name in names)]
