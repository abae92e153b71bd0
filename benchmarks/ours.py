"""Our own contenders: the stack with and without a step log, and single fits in a loop."""

from __future__ import annotations

import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from benchmarks.problems import MOMENTUM, Array, Problem
from trainer.device import Device, choose
from trainer.machine.threads import one_thread_a_product
from trainer.model import MODELS
from trainer.optim.schedules import LrSchedule
from trainer.runs.step_log import StepLog
from trainer.train.batches import RowSet
from trainer.train.stack import Settings, Stack


class Stacked:
    """K columns in one stack.

    Args:
        problem: the rows.
        lr: (K,) learning rates.
        l2: (K,) penalties.
        log_every: steps between records of the step log; 0 for no log at all.
        device: "cpu" or "gpu".
    """

    def __init__(
        self, problem: Problem, lr: Array, l2: Array, log_every: int = 1, device: str = "cpu"
    ) -> None:
        self.problem, self.log_every = problem, log_every
        self.device = choose(device)
        self.stack = _stack(problem, lr, l2, log_every, self.device)
        D, C, K = self.stack.shape
        self.zeros = np.zeros((D, C, K)), np.zeros((C, K))
        self.columns = np.arange(K)

    @one_thread_a_product()
    def run(self) -> Array:
        """Train from zero; return the weights (D, C, K)."""
        state = self.stack.start(*self.zeros)
        with tempfile.TemporaryDirectory() as folder:
            log = StepLog(Path(folder) / "steps.arrows")
            while state.step < self.problem.steps:
                records = self.stack.advance(state, self.problem.steps)
                if self.log_every:
                    due = records.step % self.log_every == 0
                    values = {name: value[due] for name, value in records.values.items()}
                    log.append(records.step[due], records.epoch[due], values, *_ids(self.columns))
            log.close()
        return self.device.to_host(state.weights)


class Halves:
    """The K columns in two stacks, each on a thread of its own with one BLAS thread."""

    def __init__(self, problem: Problem, lr: Array, l2: Array) -> None:
        halves = np.array_split(np.arange(len(lr)), 2)
        self.stacks = [Stacked(problem, lr[half], l2[half]) for half in halves]

    def run(self) -> Array:
        """Train from zero; return the weights (D, C, K)."""
        with one_thread_a_product(), ThreadPoolExecutor(2) as pool:
            return np.concatenate(list(pool.map(Stacked.run, self.stacks)), axis=2)


class Loop:
    """The same K fits one after another, each a stack of one column."""

    def __init__(self, problem: Problem, lr: Array, l2: Array) -> None:
        self.fits = [Stacked(problem, lr[k : k + 1], l2[k : k + 1]) for k in range(len(lr))]

    def run(self) -> Array:
        """Train all from zero; return the weights (D, C, K)."""
        return np.concatenate([fit.run() for fit in self.fits], axis=2)


def _ids(columns: Array) -> tuple[Array, Array]:
    return columns, np.zeros_like(columns)


def _stack(problem: Problem, lr: Array, l2: Array, log_every: int, device: Device) -> Stack:
    K, n = len(lr), len(problem.X)
    whole = n // problem.batch * problem.batch
    y = problem.y if problem.model == "softmax" else problem.y[:, None].astype(np.float32)
    even = np.full(n, 1.0 / n)
    rows = RowSet(device, problem.X, y, even, even, problem.outputs)
    schedule = LrSchedule(
        name="constant",
        lr=lr.astype(float),
        steps=np.full(K, float(problem.steps)),
        warmup=np.zeros(K),
        final=np.zeros(K),
        gamma=np.ones(K),
        milestones=np.zeros(0),
        length=np.full(K, float(problem.steps)),
    )
    hyper = {"l2": l2.astype(float), "l1": np.zeros(K), "momentum": np.full(K, MOMENTUM)}
    every = log_every or problem.steps + 1
    settings = Settings("sgd", schedule, hyper, True, problem.batch, 0, every)
    assert whole
    return Stack(device, MODELS[problem.model, "auto"], rows, problem.outputs, settings)
