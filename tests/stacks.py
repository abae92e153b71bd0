"""Small problems and stacks for the tests: settings by name, each a number or one a column."""

from __future__ import annotations

import itertools
import os
from dataclasses import dataclass
from typing import Any

import numpy as np

from trainer import device as devices
from trainer.device import Device
from trainer.model import MODELS
from trainer.optim.schedules import LrSchedule
from trainer.sweep.scheduler import Scheduler
from trainer.sweep.stopping import Rules, never_stopping
from trainer.sweep.threads import Threads
from trainer.train import stack as stack_module
from trainer.train.batches import RowSet
from trainer.train.evaluate import Evaluator, HeldOut
from trainer.train.stack import Settings, Stack
from trainer.train.state import State
from trainer.train.step_record import Records, Snapshot
from trainer.train.stretch import Evaluation, Stretch
from trainer.train.training import Training

WANTED = os.environ.get("STACKED_TRAINER_TEST_DEVICE", "cpu")  # or gpu, or double


@dataclass
class Member:
    """A stack as the scheduler sees it."""

    training: Training
    trial: np.ndarray
    repeat: np.ndarray
    undefined: frozenset = frozenset()

    def defines(self, name: str) -> np.ndarray:
        return np.full(len(self.trial), name not in self.undefined)

    @property
    def target(self) -> np.ndarray:
        return np.zeros_like(self.trial)


def _device() -> Device:
    assert WANTED in ("cpu", "gpu", "double"), f"STACKED_TRAINER_TEST_DEVICE={WANTED}"
    if WANTED == "double":  # what the tests do with arrays, tried where there is no GPU
        from double import Cupy
        from shim import TWIN

        return devices.from_cupy(Cupy(), "the double", twin=TWIN)
    return devices.choose(WANTED)


CPU = devices.cpu("the tests")
DEVICE = _device()  # of every stack here; of every run too whose spec says `device: {DEVICE.kind}`
LOSSES = [
    ("linear", "auto"),
    ("logistic", "auto"),
    ("softmax", "auto"),
    ("poisson", "auto"),
    ("logistic", "squared_error"),
]
SCHEDULE = {"lr": 0.1, "steps": 10, "warmup": 0, "final": 0, "gamma": 0.1}
HYPER = {
    "l2": 0,
    "l1": 0,
    "momentum": 0,
    "beta1": 0.9,
    "beta2": 0.999,
    "eps": 1e-8,
    "weight_decay": 0,
    "trust_coefficient": 0.5,
}


@dataclass(frozen=True)
class Problem:
    """Rows to train on: X (N, D), y (N, C) or codes (N,), raw weights s of J and w of the log."""

    model: str
    loss: str
    X: np.ndarray
    y: np.ndarray
    s: np.ndarray
    w: np.ndarray
    outputs: int

    @property
    def p(self) -> np.ndarray:
        return self.s / self.s.sum()

    @property
    def dense(self) -> np.ndarray:
        """Targets (N, C)."""
        return np.eye(self.outputs)[self.y] if self.y.ndim == 1 else self.y


def make_problem(
    model: str,
    loss: str = "auto",
    *,
    rows: int = 60,
    features: int = 4,
    outputs: int = 3,
    weights: str = "none",
    seed: int = 0,
) -> Problem:
    """Draw a problem; weights: none, rows (a weight column) or classes (a class weight too)."""
    draw = np.random.default_rng(seed)
    X = draw.standard_normal((rows, features))
    z = X @ draw.standard_normal((features, outputs)) + draw.standard_normal((rows, outputs))
    y = {
        "linear": z + 0.5,
        "logistic": (z > 0.3).astype(float),
        "softmax": z.argmax(axis=1),
        "poisson": np.floor(np.exp(z / 4)),
    }[model]
    X = 0.2 * X if model == "poisson" else X  # its curvature has no bound: rates above are its end
    w = draw.uniform(0.2, 3, rows) if weights != "none" else np.ones(rows)
    label = y if y.ndim == 1 else (y[:, 0] > 0)
    s = w * np.where(label == 0, 2.5, 0.75) if weights == "classes" else w
    return Problem(model, loss, X, y, s, w, outputs)


def make_stack(
    problem: Problem,
    optimizer: str = "sgd",
    *,
    precision: str = "float64",
    device: Device = DEVICE,
    batch_size: int | None = None,
    seed: int = 3,
    bias: bool = True,
    schedule: str = "constant",
    milestones: Any = (),
    rows: RowSet | None = None,
    held: int | None = None,
    **settings: Any,
) -> Stack:
    """Build a stack; each of `settings` (SCHEDULE and HYPER) is a number or K of them.

    `rows` are the problem's, where they are on the device already; `held`: as of `Stack`.
    """
    values = SCHEDULE | HYPER | settings
    assert values.keys() == (SCHEDULE | HYPER).keys(), f"unknown setting in {sorted(settings)}"
    columns = max(np.size(value) for value in values.values())
    each = {name: np.array(np.broadcast_to(v, columns), float) for name, v in values.items()}
    plan = LrSchedule(
        name=schedule,
        milestones=np.array(milestones, float),
        length=each["steps"],
        **{name: each[name] for name in SCHEDULE},
    )
    hyper = {name: each[name] for name in HYPER}
    if rows is None:
        X = problem.X.astype(precision)
        y = problem.y if problem.y.ndim == 1 else problem.y.astype(precision)
        rows = RowSet(device, X, y, problem.p, problem.w / problem.w.sum(), problem.outputs)
    model = MODELS[problem.model, problem.loss]
    chosen = Settings(optimizer, plan, hyper, bias, batch_size, seed)
    return Stack(device, model, rows, problem.outputs, chosen, held)


def initial(problem: Problem, columns: int, seed: int = 5) -> tuple[np.ndarray, np.ndarray]:
    """Draw weights (D, C, K) and bias (C, K), other ones for each column."""
    draw = np.random.default_rng(seed)
    features = problem.X.shape[1]
    weights = draw.standard_normal((features, problem.outputs, columns))
    return weights, draw.standard_normal((problem.outputs, columns))


def start(stack: Stack, weights: Any = 0.0, bias: Any = 0.0) -> State:
    """Start a stack at arrays that broadcast to (D, C, K) and (C, K)."""
    shape = stack.shape
    return stack.start(np.broadcast_to(weights, shape), np.broadcast_to(bias, shape[1:]))


def train(stack: Stack, state: State, steps: int | None = None) -> list[Records]:
    """Advance to `steps` (the longest budget by default), stretch by stretch."""
    until = int(stack.settings.schedule.steps.max()) if steps is None else steps
    records = []
    while state.step < until:
        records.append(stack.advance(state, until))
    return records


def small_chunks(monkeypatch: Any, size: int) -> None:
    """Let an array (b, C, K) of a chunk have so many bytes at most, on any device."""
    monkeypatch.setattr(stack_module, "_fits", lambda device, row: max(1, size // row))


def short_stretches(monkeypatch: Any, most: int) -> None:
    """Have the log fetched after so many steps, on any device."""
    monkeypatch.setattr(stack_module, "_stretch", lambda *_: most)


def signal_after(count: int) -> Any:
    """A `should_stop` that gives a signal once it has been asked so many times."""
    asked = itertools.count()
    return lambda: 2 if next(asked) >= count else None


def host(array: Any) -> np.ndarray:
    """A state's array where NumPy and the oracles can read it; on the CPU the array itself."""
    return DEVICE.to_host(array)


def joined(records: list[Records], name: str) -> np.ndarray:
    """One value of the log (S, K) over all stretches."""
    return np.concatenate([one.values[name] for one in records])


def fit(stack, state, evaluate, every, stopping, heard, gradients_every=0) -> Any:
    """Train one stack by the clock, each column a trial of its own; `heard` is a Recorder.

    `evaluate` is the `HeldOut` rows of val, or a function of the state that gives all K columns'.
    """
    K = stack.shape[2]
    rule = stopping or never_stopping(K)

    def evaluator(current: Stack) -> Any:
        if isinstance(evaluate, HeldOut):
            read = Evaluator(current, evaluate)
            return lambda at, _: {f"val_{n}": v for n, v in read.metrics(at).items()}
        columns = training.columns  # after a compaction fewer than K
        return lambda at, _: {name: value[columns] for name, value in evaluate(at).items()}

    training = Training(
        K,
        lambda columns: stack if len(columns) == K else stack.take(columns),
        lambda _: state,
        evaluator,
        lambda _: every,
        rule.restore_best,
        gradients_every,
    )
    member = Member(training, np.arange(K), np.zeros(K, int))
    with Threads(1) as workers:
        Scheduler([member], Rules("train_loss", 1.0, rule), heard, workers).run()
    return training.result


@dataclass
class Recorder:
    """An observer that keeps what it hears, and interrupts `state` after the step `stop_at`."""

    state: State | None = None
    stop_at: int = 0

    def __post_init__(self) -> None:
        self.stretches: list[Stretch] = []
        self.evaluations: list[tuple[int, dict[str, np.ndarray], np.ndarray]] = []
        self._columns: list[np.ndarray] = []  # of each evaluation: a compacted stack has fewer

    def on_stretch(self, stack: int, stretch: Stretch) -> None:
        self.stretches.append(stretch)
        for snapshot in stretch.snapshots:
            self.on_snapshot(snapshot)

    def on_snapshot(self, snapshot: Snapshot) -> None:
        pass

    def on_evaluation(self, stack: int, columns: np.ndarray, reading: Evaluation) -> None:
        (step,) = set(reading.step.tolist())  # of first-order columns the same for all
        self.evaluations.append((step, reading.metrics, reading.due))
        self._columns.append(columns)

    def on_round(self, clock: Scheduler) -> None:
        pass

    def should_stop(self) -> bool:
        return self.state is not None and self.state.step >= self.stop_at

    @property
    def records(self) -> list[Records]:
        return [stretch.records for stretch in self.stretches]

    @property
    def snapshots(self) -> list[Snapshot]:
        return [snapshot for stretch in self.stretches for snapshot in stretch.snapshots]

    def history(self, k: int) -> list[tuple[int, dict[str, float]]]:
        """The evaluations of one column."""
        return [
            (step, {name: float(value[list(columns).index(k)]) for name, value in metrics.items()})
            for (step, metrics, due), columns in zip(self.evaluations, self._columns, strict=True)
            if k in columns[due]
        ]

    def log(self, k: int) -> dict[str, np.ndarray]:
        """The rows of one column in the log of steps."""
        parts: dict[str, list[np.ndarray]] = {}
        for stretch in self.stretches:
            if k in stretch.columns:
                at = list(stretch.columns).index(k)
                rows = stretch.counts[:, at]
                parts.setdefault("step", []).append(stretch.records.step[rows])
                for name, value in stretch.records.values.items():
                    parts.setdefault(name, []).append(value[rows, at])
        return {name: np.concatenate(found) for name, found in parts.items()}
