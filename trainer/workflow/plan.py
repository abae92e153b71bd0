"""What a run would take, from its shapes and one timed step of each stack.

A solver's iteration is not carried out: its Hessians may take minutes. Its pass over the rows is
timed, its Hessians are estimated from their operations.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from trainer import device as devices
from trainer.config import Spec
from trainer.machine.memory import peak_memory
from trainer.machine.threads import one_thread_a_product
from trainer.model.arithmetic import default_errstate
from trainer.predict.init_weights import initial_weights
from trainer.solvers.hessian_sizes import certificate_bytes
from trainer.sweep.build import Columns, steps_per_unit
from trainer.sweep.fit_memory import graphs_needed
from trainer.sweep.jobs import Job
from trainer.sweep.permutation import side_by_side
from trainer.sweep.planned import Planned
from trainer.sweep.sweep import SweepRun, set_up
from trainer.text.numbers import counted
from trainer.train.evaluate import Evaluator
from trainer.train.protocol import AnyStack
from trainer.train.state import AnyState
from trainer.wording.opening import shared_text, solver_text
from trainer.workflow.compiling import compile_for, said_as_met
from trainer.workflow.end_room import predicted_rows
from trainer.workflow.facts import solver_facts

if TYPE_CHECKING:
    from trainer.device import Device

_RECORD = 44  # bytes of a row of the step log
_EVALUATION = 1000  # bytes of a row of history.csv, as text and as the report reads it
_ROW_GROUPS = 128 * 2**20  # what the step log's move to Parquet takes at most
_REPORT = 80 * 2**20  # what drawing the page takes: Plotly, its script twice over, the charts
# scores, probabilities, the table of them, the file, and the page's arrays of it, of which the
# libraries of tables keep what was freed
_PREDICTED = 6 * 8  # bytes of an output of a row
_PREDICTED_ROW = 400  # bytes of a row beside it: words of the split and of labels
_NARROWER = 0.75  # of a stack's bytes: what is made of the columns that stay, before it goes
_SLACK = 1.05  # times the host's: what lies waste between what is freed and taken
_WIDTH = 512  # of a product that is timed for a decomposition, which goes by blocks
_PRODUCT = 1 << 29  # operations of the product that is timed, at most: some tens of milliseconds


@default_errstate
def plan(spec: Spec, tell: Callable[[str], None] = lambda line: None) -> str:
    """Say how many stacks and steps, how much memory, log and time a run would take.

    Args:
        spec: of the run.
        tell: hears that kernels are compiled, where that takes time: the step is timed without it.
    """
    device = devices.choose(spec.device)
    compile_for(device, spec, tell)
    with said_as_met(device, tell), device.enough_memory(), one_thread_a_product():
        room = device.memory()
        sweep = set_up(spec, None, device)
        costs = [_cost(sweep, job) for job in sweep.jobs]
    stacks = sweep.arrangement.stacks
    columns = sum(len(one.columns) for one in stacks)
    most = "at most " if any(cost.iteration for cost in costs) else ""
    lines = {
        "trials": f"{len(sweep.trials):,} x {counted(sweep.repeats, 'repeat')}"
        + _targets(sweep)
        + _inner(sweep),
        "stacks": f"{len(stacks):,} of {_widths(stacks)}, {counted(columns, 'column')} in all"
        + shared_text(sweep.shared_row_sets),
        "steps": _steps(costs),
        **_memory(sweep, costs, room),
        "log": f"{most}{sum(cost.log for cost in costs):,} bytes" + _snapshots(sweep, costs),
        "time": f"{most}{_seconds_of(sweep, costs):,.1f} seconds" + _iterations(sweep, costs),
        **_permutations(sweep, costs),
    }
    solver = solver_facts(sweep)
    if solver and ("float64_cost" in solver or sweep.first.spec.precision == "tf32"):
        lines["solver"] = solver_text(solver)
    if sweep.first.single_bytes:
        lines["solver"] += f"; the rows in float32 for it take {_mib(sweep.first.single_bytes)}"
    return "\n".join(f"{name}: {value}" for name, value in lines.items())


def _inner(sweep: SweepRun) -> str:
    """How many columns are of inner folds, if any."""
    inner = sweep.inner_columns
    return f" and {counted(inner, 'column')} of inner folds" if inner else ""


def _permutations(sweep: SweepRun, costs: list[Cost]) -> dict[str, str]:
    """What the permutation test takes beside: each permutation trains all columns once more."""
    count = sweep.spec.permutation_test
    if count is None:
        return {}
    columns, width = sweep.columns, min(side_by_side(sweep), count)
    how = "one after another" if width == 1 else f"{width:,} side by side, which takes less"
    told = f"{count:,} x {counted(columns, 'column')} = {count * columns:,} more, {how}"
    return {"permutations": f"{told}; at most {count * _seconds_of(sweep, costs):,.1f} seconds"}


def _targets(sweep: SweepRun) -> str:
    """How many there are, where each is a problem of its own."""
    if sweep.targets is None:
        return ""
    return f" x {counted(len(sweep.targets.names), 'target')}"


@dataclass(frozen=True)
class Iteration:
    """One iteration of all columns of a solver's stack.

    Attributes:
        rows: seconds of its pass over the rows, timed.
        hessians: seconds of its Hessians, estimated; 0 without any.
        hessians_from: how many iterations go without.
        bytes: of the Hessians, or of what bounds of J − J* are made by, if that is more.
    """

    rows: float
    hessians: float = 0.0
    hessians_from: int = 0
    bytes: int = 0

    def seconds(self, count: int) -> float:
        """Seconds of so many."""
        return count * self.rows + max(count - self.hessians_from, 0) * self.hessians


@dataclass(frozen=True)
class Turning:
    """The decomposition that a solver's rows are turned by, where it is large: it is not made.

    Attributes:
        rows: which, and their weights; stacks on the same rows share it.
        seconds: estimated.
        bytes: held at once.
    """

    rows: Hashable
    seconds: float
    bytes: int


@dataclass(frozen=True)
class Cost:
    """Of one stack: its steps and epochs, seconds, bytes of its log, files, evaluations.

    A solver's are the most it may take; its `iteration` tells what one of them does, its `turning`
    what comes before the first.
    """

    steps: int
    epochs: int
    seconds: float
    log: int
    files: int
    file_bytes: int
    evaluations: int
    iteration: Iteration | None = None
    turning: Turning | None = None


def _cost(sweep: SweepRun, job: Job) -> Cost:
    """Build a stack and time one step, or a solver's pass over the rows, and one evaluation."""
    spec, columns = job.planned.spec, job.build()
    device_rows = columns.device_rows
    stack = columns.unturned() if columns.unturned else columns.stack()
    encoder = device_rows.prepared.encoder
    given = columns.specs, encoder, stack.shape
    state = stack.start(*initial_weights(*given, job.planned.places))
    evaluator = Evaluator(stack, device_rows.held) if device_rows.held else None
    budget = columns.budget
    steps = int(budget.max())
    for array in state.arrays.values():
        array += 0  # memory that nobody has written to is not there yet
    step = _step(stack, state)
    iteration = _iteration(stack, step) if columns.solver else None
    seconds = iteration.seconds(steps) if iteration else steps * step
    evaluation = _seconds(lambda: evaluator.metrics(state)) if evaluator else 0.0
    every = spec.log.eval_every * steps_per_unit(spec, len(stack.rows))
    if columns.solver:
        every = steps  # one evaluation, at the end
    gradients = spec.log.gradients
    files = 0 if gradients == "none" else steps // gradients
    D, C, K = stack.shape
    numbers = C * K * (2 * stack.batch_rows + 2 * D + 1)  # error, dz, dJ/dW, W, b
    return Cost(
        steps=steps,
        epochs=-(-steps // stack.steps_per_epoch),
        seconds=seconds + -(-steps // every) * evaluation,
        log=int((budget // sweep.log_every).sum()) * _RECORD,
        files=files,
        evaluations=int(np.ceil(budget / every).sum()),
        file_bytes=files * (numbers * stack.dtype.itemsize + 8 * stack.batch_rows),
        iteration=iteration,
        turning=_turning(columns, job),
    )


def _turning(columns: Columns, job: Job) -> Turning | None:
    work, rows = columns.basis_work, columns.device_rows.rows
    if work is None:
        return None
    width = min(int(rows.X.shape[1]), _WIDTH)
    each = _seconds_an_operation(columns.device_rows.device, max(len(rows), width), width)
    key = job.planned.rows.key, str(columns.spec.class_weight)
    return Turning(key, each * work.operations, work.bytes)


def _step(stack: AnyStack, state: AnyState) -> float:
    """Seconds of a step, or of a solver's pass over the rows."""
    stack.rehearse(state)  # warms up: first calls pay for caches and threads
    return _seconds(lambda: stack.rehearse(state))


def _iteration(stack: AnyStack, rows: float) -> Iteration:
    """What an iteration takes whose pass over the rows was timed; Hessians are not made."""
    work, (_, outputs, columns) = stack.hessian_work(), stack.shape
    certificates = certificate_bytes(outputs, columns, stack.model.coupled)
    if work is None:
        return Iteration(rows, bytes=certificates)
    each = _seconds_an_operation(stack.device, len(stack.rows), work.parameters)
    held = max(work.bytes, certificates)
    return Iteration(rows, work.operations * each, work.start, held)


def _seconds_an_operation(device: Device, rows: int, width: int) -> float:
    """From one product of some rows, as Hessians are made of them."""
    xp, n = device.xp, min(rows, max(_PRODUCT // (2 * width**2), 1))
    X, h = xp.ones((n, width)), xp.ones((n, 1))

    def multiply() -> None:
        device.to_host((X.T @ (X * h))[0])  # waits for the device

    return min(_seconds(multiply) for _ in range(3)) / (2 * n * width**2)  # the first warms up


def _seconds(action: Callable[[], object]) -> float:
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def _seconds_of(sweep: SweepRun, costs: list[Cost]) -> float:
    """Of all stacks, side by side; a refit is one column and little beside them."""
    turned = {cost.turning.rows: cost.turning.seconds for cost in costs if cost.turning}
    return sum(cost.seconds for cost in costs) / sweep.arrangement.threads + sum(turned.values())


def _steps(costs: list[Cost]) -> str:
    """Steps of all stacks; of solvers, which stop where they have converged, the most."""
    first_order = [cost for cost in costs if not cost.iteration]
    most = max((cost.steps for cost in costs if cost.iteration), default=0)
    told = []
    if first_order:
        epochs = max(cost.epochs for cost in first_order)
        told.append(f"{sum(cost.steps for cost in first_order):,} in {epochs:,} epochs")
    if most:
        told.append(f"at most {counted(most, 'iteration')} a column, usually fewer")
    return " and ".join(told)


def _iterations(sweep: SweepRun, costs: list[Cost]) -> str:
    """Of solvers: what one iteration of all their columns takes."""
    solvers = [cost.iteration for cost in costs if cost.iteration]
    if not solvers:
        return ""
    threads = sweep.arrangement.threads
    told = f"{_short(sum(one.rows for one in solvers) / threads)} an iteration (timed)"
    hessians = sum(one.hessians for one in solvers) / threads
    if hessians:
        start = min(one.hessians_from for one in solvers if one.hessians)
        told += f" and {_short(hessians)} for its Hessians (estimated from their operations)"
        told += f", after the first {start:,}" if start else ""
    turned = {cost.turning.rows: cost.turning.seconds for cost in costs if cost.turning}
    if turned:
        told += f"; {_short(sum(turned.values()))} before, to turn the rows (estimated)"
    return f", usually far less; {told}"


def _memory(sweep: SweepRun, costs: list[Cost], room: int) -> dict[str, str]:
    """Bytes at the run's peak, of the host and of a GPU that has `room` for it.

    They are those of now, with one stack built, and what comes to it.
    """
    host, arrays = peak_memory() + _beside_arrays(sweep, costs), _arrays(sweep, costs)
    device_rows, stacks = sweep.first.device_rows, sweep.arrangement.stacks
    if device_rows.device.taken is None:
        return {"peak memory": _mib(int(_SLACK * (host + arrays)))}
    now = device_rows.device.taken()
    if any(len(one.columns) > 1 for one in stacks):
        arrays += int(_NARROWER * (now - device_rows.bytes))
    return {
        "peak memory": _mib(int(_SLACK * host)),
        "GPU memory": f"{_mib(now + arrays)} of {_mib(room)}",
    }


def _mib(size: int) -> str:
    return f"{-(-size // 2**20)} MiB"


def _arrays(sweep: SweepRun, costs: list[Cost]) -> int:
    """Bytes on the device of what is not built yet: other stacks, their rows, graphs, Hessians."""
    arrangement, device_rows = sweep.arrangement, sweep.first.device_rows
    at_once = arrangement.at_once(sweep.in_step)
    others = (at_once - 1) * arrangement.bytes
    graphs = max(  # of the stack that is built, which has captured none
        graphs_needed(one.spec, len(one.columns), device_rows) for one in arrangement.stacks
    )
    held = len({one.rows.key for one in arrangement.stacks[:at_once]})
    rows = (held - 1) * min(device_rows.bytes, int(sweep.cache.room))
    hessians = max(cost.iteration.bytes if cost.iteration else 0 for cost in costs)
    turning = max(cost.turning.bytes if cost.turning else 0 for cost in costs)  # before the first
    return others + graphs + rows + max(hessians, turning)


def _beside_arrays(sweep: SweepRun, costs: list[Cost]) -> int:
    """Bytes of the host that results, tables and the page take."""
    arrangement, device_rows = sweep.arrangement, sweep.first.device_rows
    D, C = int(device_rows.rows.X.shape[1]), len(device_rows.prepared.encoder.outputs)
    columns = sum(len(one.columns) for one in arrangement.stacks)
    results = columns * (D + 1) * C * device_rows.rows.X.dtype.itemsize
    tables = sum(cost.evaluations for cost in costs) * _EVALUATION
    tables += min(2 * sum(cost.log for cost in costs), _ROW_GROUPS)
    return int(results + tables + _written_later(sweep) + _REPORT)


def _written_later(sweep: SweepRun) -> int:
    """Bytes of the predictions that the end of a run makes: scores, probabilities and the table."""
    outputs = len(sweep.first.prepared.encoder.outputs)
    return predicted_rows(sweep) * (outputs * _PREDICTED + _PREDICTED_ROW)


def _snapshots(sweep: SweepRun, costs: list[Cost]) -> str:
    """What log.gradients adds: a file a snapshot and stack."""
    count = sum(cost.files for cost in costs)
    total = sum(cost.file_bytes for cost in costs)
    return f", and {count:,} files of gradients, {total:,} bytes" if count else ""


def _widths(stacks: list[Planned]) -> str:
    widths = sorted({len(one.columns) for one in stacks})
    few, most = widths[0], widths[-1]
    return counted(few, "column") if few == most else f"{few:,} to {most:,} columns"


def _short(seconds: float) -> str:
    return f"{seconds:,.0f}" if seconds >= 10 else f"{seconds:.2g}"
