"""What a run would take, from its shapes and one timed step of each kind of stack."""

from __future__ import annotations

import resource
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from trainer import device as devices
from trainer.build import build, initial_state, steps_per_unit
from trainer.spec import Spec
from trainer.spec.schema import Solver
from trainer.sweep.layout import Planned
from trainer.sweep.sweep import Sweep, set_up
from trainer.train.evaluate import Evaluator

_RECORD = 44  # bytes of a row of the step log
_EVALUATION = 1000  # bytes of a row of history.csv, as text and as the report reads it
_ROW_GROUPS = 128 * 2**20  # what the step log's move to Parquet takes at most
_REPORT = 80 * 2**20  # what drawing the page takes: Plotly, its script twice over, the charts


def plan(spec: Spec) -> str:
    """Say how many stacks and steps, how much memory, log and time a run would take."""
    device = devices.choose(spec.device)
    with device.enough_memory():
        sweep = set_up(spec, None, device)
        costs = [_cost(sweep, one) for one in sweep.arrangement.stacks]
    stacks = sweep.arrangement.stacks
    columns = sum(len(one.columns) for one in stacks)
    steps = sum(cost.steps for cost in costs)
    # a solver stops where it has converged, most often long before
    most = "at most " if any(isinstance(one.spec.optimizer, Solver) for one in stacks) else ""
    lines = {
        "trials": f"{len(sweep.trials):,} x {_counted(sweep.repeats, 'repeat')}",
        "stacks": f"{len(stacks):,} of {_widths(stacks)}, {_counted(columns, 'column')} in all",
        "steps": f"{most}{steps:,} in {max(cost.epochs for cost in costs):,} epochs",
        "peak memory": f"{-(-_peak(sweep, costs) // 2**20):.0f} MiB",
        "log": f"{sum(cost.log for cost in costs):,} bytes" + _snapshots(sweep, costs),
        "time": f"{most}{_seconds_of(sweep, costs):.1f} seconds",
    }
    return "\n".join(f"{name}: {value}" for name, value in lines.items())


@dataclass(frozen=True)
class Cost:
    """Of one stack: its steps and epochs, seconds, bytes of its log, files, evaluations."""

    steps: int
    epochs: int
    seconds: float
    log: int
    files: int
    file_bytes: int
    evaluations: int


def _cost(sweep: Sweep, planned: Planned) -> Cost:
    """Build a stack and time one step and one evaluation of it."""
    spec = planned.spec
    ground = sweep.grounds.of(planned.rows, spec)
    columns = build([column.spec for column in planned.columns], ground, sweep.log_every)
    stack = columns.stack()
    state = initial_state(columns, stack)
    evaluator = Evaluator(stack, ground.held) if ground.held else None
    stack.advance(state, 1)  # warms up: first calls pay for caches and threads
    step = _seconds(lambda: stack.advance(state, state.step + 1))
    evaluation = _seconds(lambda: evaluator.metrics(state)) if evaluator else 0.0
    budget = columns.budget
    steps = int(budget.max())
    every = spec.log.eval_every * steps_per_unit(spec, len(stack.rows))
    if isinstance(spec.optimizer, Solver):
        every = steps  # one evaluation, at the end
    gradients = spec.log.gradients
    files = 0 if gradients == "none" else steps // gradients
    D, C, K = stack.shape
    numbers = C * K * (2 * stack.batches.size + 2 * D + 1)  # error, dz, dJ/dW, W, b
    return Cost(
        steps=steps,
        epochs=-(-steps // stack.steps_per_epoch),
        seconds=steps * step + -(-steps // every) * evaluation,
        log=int((budget // sweep.log_every).sum()) * _RECORD,
        files=files,
        evaluations=int(np.ceil(budget / every).sum()),
        file_bytes=files * (numbers * stack.dtype.itemsize + 8 * stack.batches.size),
    )


def _seconds(action: Callable[[], object]) -> float:
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def _seconds_of(sweep: Sweep, costs: list[Cost]) -> float:
    """Of all stacks, side by side; a refit is one column and little beside them."""
    return sum(cost.seconds for cost in costs) / sweep.arrangement.workers


def _peak(sweep: Sweep, costs: list[Cost]) -> int:
    """Bytes at the run's peak: those of now, with one stack built, and what comes to it."""
    now = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    arrangement, ground = sweep.arrangement, sweep.first.ground
    at_once = arrangement.at_once(sweep.in_step)
    others = (at_once - 1) * arrangement.bytes
    held = len({one.rows.key for one in arrangement.stacks[:at_once]})
    rows = (held - 1) * min(ground.bytes, int(sweep.grounds.room))
    D, C = int(ground.rows.X.shape[1]), len(ground.prepared.encoder.outputs)
    columns = sum(len(one.columns) for one in arrangement.stacks)
    results = columns * (D + 1) * C * ground.rows.X.dtype.itemsize
    tables = sum(cost.evaluations for cost in costs) * _EVALUATION
    tables += min(2 * sum(cost.log for cost in costs), _ROW_GROUPS)
    return int(now + others + rows + results + tables + _written_later(sweep) + _REPORT)


def _written_later(sweep: Sweep) -> int:
    """Bytes of the predictions that the end of a run makes: scores, probabilities and the table."""
    prepared = sweep.first.prepared
    held = [rows for rows in (prepared.val, *prepared.tests) if rows is not None]
    return sum(len(rows) for rows in held) * (len(prepared.encoder.outputs) + 2) * 8 * 3


def _snapshots(sweep: Sweep, costs: list[Cost]) -> str:
    """What log.gradients adds: a file a snapshot and stack."""
    count = sum(cost.files for cost in costs)
    total = sum(cost.file_bytes for cost in costs)
    return f", and {count:,} files of gradients, {total:,} bytes" if count else ""


def _widths(stacks: list[Planned]) -> str:
    widths = sorted({len(one.columns) for one in stacks})
    few, most = widths[0], widths[-1]
    return _counted(few, "column") if few == most else f"{few:,} to {most:,} columns"


def _counted(number: int, of: str) -> str:
    return f"{number:,} {of}{'' if number == 1 else 's'}"
