"""Our own contenders: one stack, two on two threads, and single fits in a loop."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.shared.problems import MOMENTUM, Array, Problem, settings
from trainer.device import Device, choose
from trainer.machine.threads import one_thread_a_product
from trainer.model import MODELS
from trainer.optim.schedules import LrSchedule
from trainer.runs.step_log import StepLog
from trainer.sweep.fit_memory import pieces_in_cache
from trainer.train.batches import RowSet
from trainer.train.stack import Settings, Stack
from trainer.train.step_record import Records


class Stacked:
    """K columns in one stack.

    Args:
        problem: the rows.
        K: columns.
        columns: those of the K that are trained; None for all.
        log: what becomes of every step's numbers: "returned", "written" to a step log, or "none".
        device: "cpu" or "gpu".
        pair: learning rate and penalty of all columns; None for the K of `settings`.
    """

    def __init__(
        self,
        problem: Problem,
        K: int,
        columns: Array | None = None,
        log: str = "returned",
        device: str = "cpu",
        pair: tuple[float, float] | None = None,
    ) -> None:
        self.problem, self.log = problem, log
        self.device = choose(device)
        self.columns = np.arange(K) if columns is None else columns
        lr, l2 = (values[self.columns] for values in settings(K))
        if pair:
            lr, l2 = (np.full(len(self.columns), value) for value in pair)
        self.stack = _stack(problem, lr, l2, log != "none", self.device)
        D, C, held = self.stack.shape
        self.zeros = np.zeros((D, C, held)), np.zeros((C, held))

    @one_thread_a_product()
    def run(self) -> Array:
        """Train from zero; return the weights (D, C, K)."""
        state, held = self.stack.start(*self.zeros), []
        while state.step < self.problem.steps:
            held.append(self.stack.advance(state, self.problem.steps))
        if self.log == "written":
            self._write(held)
        return self.device.to_host(state.weights)

    def _write(self, held: Sequence[Records]) -> None:
        with tempfile.TemporaryDirectory() as folder:
            log = StepLog(Path(folder) / "steps.arrows")
            ids = self.columns, np.zeros_like(self.columns)
            for records in held:
                values: dict[str, Any] = dict(records.values)
                log.append(records.step, records.epoch, values, *ids)
            log.close()


class Arranged:
    """K columns as a sweep on one core arranges them: in stacks that keep in the cache, in turn."""

    def __init__(
        self, problem: Problem, K: int, log: str = "returned", device: str = "cpu"
    ) -> None:
        shape, size = (int(problem.X.shape[1]), problem.outputs, K), problem.X.dtype.itemsize
        pieces = pieces_in_cache(shape, problem.batch, size) if device == "cpu" else 1
        parts = np.array_split(np.arange(K), pieces)
        self.stacks = [Stacked(problem, K, part, log, device) for part in parts]

    def run(self) -> Array:
        """Train all from zero; return the weights (D, C, K)."""
        return np.concatenate([stack.run() for stack in self.stacks], axis=2)


class Halves:
    """The K columns in two stacks, each on a thread of its own."""

    def __init__(self, problem: Problem, K: int) -> None:
        halves = np.array_split(np.arange(K), 2)
        self.stacks = [Stacked(problem, K, half) for half in halves]

    def run(self) -> Array:
        """Train from zero; return the weights (D, C, K)."""
        with one_thread_a_product(), ThreadPoolExecutor(2) as pool:
            return np.concatenate(list(pool.map(Stacked.run, self.stacks)), axis=2)


class Loop:
    """Some of the K fits one after another, each a stack of one column."""

    def __init__(self, problem: Problem, K: int, columns: Array) -> None:
        self.fits = [Stacked(problem, K, columns[k : k + 1]) for k in range(len(columns))]

    def run(self) -> Array:
        """Train all from zero; return the weights (D, C, k)."""
        return np.concatenate([fit.run() for fit in self.fits], axis=2)


def _stack(problem: Problem, lr: Array, l2: Array, log: bool, device: Device) -> Stack:
    K, n = len(lr), len(problem.X)
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
    every = 1 if log else problem.steps + 1
    shared = Settings("sgd", schedule, hyper, True, problem.batch, 0, every)
    return Stack(device, MODELS[problem.model, "auto"], rows, problem.outputs, shared)
