"""What a run would take, from its shapes and one timed step."""

from __future__ import annotations

import resource
import time
from collections.abc import Callable

from trainer import device as devices
from trainer.build import build, initial_state, log_every, steps_per_unit
from trainer.data import Prepared, prepare
from trainer.spec import Spec
from trainer.train.evaluate import Evaluator


def plan(spec: Spec) -> str:
    """Say how many stacks and steps, how much memory, log and time a run would take."""
    prepared = prepare(spec)
    columns = build([spec], prepared, devices.choose(spec.device))
    stack, state = columns.stack, initial_state(columns)
    val = prepared.val
    evaluator = Evaluator(stack, val, prepared.encoder.target_scale) if val is not None else None
    steps = int(stack.settings.schedule.steps.max())
    every = spec.log.eval_every * steps_per_unit(spec, len(stack.rows))
    stack.advance(state, 1)  # warms up: first calls pay for caches and threads
    step_seconds = _seconds(lambda: stack.advance(state, state.step + 1))
    evaluation = _seconds(lambda: evaluator.metrics(state)) if evaluator else 0.0
    seconds = steps * step_seconds + -(-steps // every) * evaluation
    records = steps // log_every(spec)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 + _written_later(prepared)
    lines = {
        "trials": "1 x 1 repeat",
        "stacks": f"1 of {stack.columns} column",
        "steps": f"{steps:,} in {-(-steps // stack.steps_per_epoch):,} epochs",
        "peak memory": f"{-(-peak // 2**20):.0f} MiB",
        "log": f"{records * 44:,} bytes",
        "time": f"{seconds:.1f} seconds",
    }
    return "\n".join(f"{name}: {value}" for name, value in lines.items())


def _seconds(action: Callable[[], object]) -> float:
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def _written_later(prepared: Prepared) -> int:
    """Bytes of the predictions that the end of a run makes: scores, probabilities and the table."""
    held = [rows for rows in (prepared.val, *prepared.tests) if rows is not None]
    return sum(len(rows) for rows in held) * (len(prepared.encoder.outputs) + 2) * 8 * 3
