"""What a run would take, from its shapes and one timed step."""

from __future__ import annotations

import resource
import time
from collections.abc import Callable

from trainer import device as devices
from trainer.build import Columns, build, initial_state, log_every, steps_per_unit
from trainer.data import Prepared, prepare
from trainer.spec import Spec
from trainer.train.evaluate import Evaluator
from trainer.train.stack import Stack
from trainer.train.state import State


def plan(spec: Spec) -> str:
    """Say how many stacks and steps, how much memory, log and time a run would take."""
    prepared = prepare(spec)
    device = devices.choose(spec.device)
    with device.enough_memory():
        columns = build([spec], prepared, device)
        stack, state = columns.stack, initial_state(columns)
        step_seconds, evaluation = _timed(stack, state, prepared)
    steps = int(stack.settings.schedule.steps.max())
    every = spec.log.eval_every * steps_per_unit(spec, len(stack.rows))
    seconds = steps * step_seconds + -(-steps // every) * evaluation
    records = steps // log_every(spec)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 + _written_later(prepared)
    lines = {
        "trials": "1 x 1 repeat",
        "stacks": f"1 of {stack.columns} column",
        "steps": f"{steps:,} in {-(-steps // stack.steps_per_epoch):,} epochs",
        "peak memory": f"{-(-peak // 2**20):.0f} MiB",
        "log": f"{records * 44:,} bytes" + _snapshots(columns, steps),
        "time": f"{seconds:.1f} seconds",
    }
    return "\n".join(f"{name}: {value}" for name, value in lines.items())


def _snapshots(columns: Columns, steps: int) -> str:
    """What log.gradients adds: a file a snapshot."""
    every, stack = columns.spec.log.gradients, columns.stack
    if every == "none":
        return ""
    D, C, K = stack.shape
    numbers = C * K * (2 * stack.batches.size + 2 * D + 1)  # error, dz, dJ/dW, W, b
    each = numbers * stack.dtype.itemsize + 8 * stack.batches.size
    count = steps // every
    return f", and {count:,} files of gradients, {count * each:,} bytes"


def _timed(stack: Stack, state: State, prepared: Prepared) -> tuple[float, float]:
    """Seconds of one step and of one evaluation."""
    val, scale = prepared.val, prepared.encoder.target_scale
    evaluator = Evaluator(stack, val, scale) if val is not None else None
    stack.advance(state, 1)  # warms up: first calls pay for caches and threads
    step = _seconds(lambda: stack.advance(state, state.step + 1))
    return step, _seconds(lambda: evaluator.metrics(state)) if evaluator else 0.0


def _seconds(action: Callable[[], object]) -> float:
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def _written_later(prepared: Prepared) -> int:
    """Bytes of the predictions that the end of a run makes: scores, probabilities and the table."""
    held = [rows for rows in (prepared.val, *prepared.tests) if rows is not None]
    return sum(len(rows) for rows in held) * (len(prepared.encoder.outputs) + 2) * 8 * 3
