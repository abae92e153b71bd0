"""One stack: K columns trained together, one shared step at a time.

`Stack` holds what does not change (rows, hyper-parameters, buffers); `State` what does. `advance`
runs a stretch of steps and returns their records. Inside a step nothing is allocated and nothing
crosses between device and host: the values to log go into a ring on the device, which is fetched
once a stretch. Where a stretch ends depends on the step and the shapes only, never on time.

Shapes: N rows, B of a batch, D features, C outputs, K columns.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from trainer.model import Model
from trainer.model.penalties import add_l2_gradient, soft_threshold
from trainer.model.step import error, flat, gradient, scores
from trainer.optim.first_order import OPTIMIZERS, Room
from trainer.optim.schedules import LrSchedule
from trainer.train.batches import Batches, Chunk, FullBatch, MiniBatches, RowSet
from trainer.train.buffers import Buffers
from trainer.train.outcomes import Outcome
from trainer.train.state import PARAMETERS, NoProgress, State
from trainer.train.step_record import Records, Snapshot, StepRecorder

if TYPE_CHECKING:
    from trainer.device import Device

Array = Any
Numbers = np.ndarray[Any, np.dtype[np.float64]]
FirstOrderState = State[NoProgress]
_PENALTIES = ("l2", "l1", "weight_decay")
_CHUNK_BYTES = 16 * 2**20  # of one (b, C, K) buffer
_EVALUATION_ROWS = 1024, 4096  # of a chunk at evaluations, least and most
_STRETCH_FLOP = 2e10  # about a second of a slow machine: what a crash may lose of the step log
_MAX_STRETCH = 256


@dataclass(frozen=True)
class Settings:
    """What K columns share, and (K,) arrays of what they do not.

    Attributes:
        optimizer: a row of `OPTIMIZERS`.
        schedule: learning rates, each (K,).
        hyper: by name, each (K,): "l2", "l1" and what the optimizer reads (momentum, beta1, …).
        bias: whether the bias is trained; else it stays 0.
        batch_size: rows of a batch; None for all rows at every step.
        seed: of the batch order.
        log_every: steps between full records; the steps between them record their loss alone.
        loss: by name, each (K,): the loss's own parameters.
    """

    optimizer: str
    schedule: LrSchedule
    hyper: Mapping[str, Numbers]
    bias: bool
    batch_size: int | None
    seed: int
    log_every: int = 1
    loss: Mapping[str, Numbers] = field(default_factory=dict)

    def take(self, columns: Any) -> Settings:
        """The settings of some of the columns."""
        hyper = {name: value[columns] for name, value in self.hyper.items()}
        loss = {name: value[columns] for name, value in self.loss.items()}
        return replace(self, schedule=self.schedule.take(columns), hyper=hyper, loss=loss)


def _evaluation_rows(rows: int) -> int:
    """Rows of a chunk at evaluations: about as many as there are to train on."""
    least, most = _EVALUATION_ROWS
    return max(least, min(most, rows))


def stack_bytes(
    shape: tuple[int, int, int],
    rows: int,
    batch: int | None,
    itemsize: int,
    slots: int,
    restores: bool = False,
    held: int = 0,
) -> int:
    """Bytes that a stack takes beside its rows, from what `Stack` and its evaluations allocate.

    Args:
        shape: (D, C, K).
        rows: N.
        batch: rows of a batch; None for all.
        itemsize: bytes of a number.
        slots: arrays the optimizer keeps beside each parameter.
        restores: whether the best weights are kept beside the last ones.
        held: rows that it is evaluated on.
    """
    D, C, K = shape
    fits = max(1, _CHUNK_BYTES // (itemsize * C * K))
    size = min(batch or rows, rows)
    chunk = max(min(size, fits), min(fits, _evaluation_rows(rows), held))
    weights = (D + 1) * C * K
    stretch = int(np.clip(_STRETCH_FLOP / (4.0 * size * D * C * K), 1, _MAX_STRETCH))
    numbers = (
        weights * (1 + slots + 2 + restores)  # parameters and their slots, two gradients, the best
        + chunk * C * K * (3 + 3)  # z, ŷ − y, scratch; as much again comes and goes at evaluations
        + chunk * (4 * K + 2 * C + (D if D < C * K else 0))
        + stretch * K * (5 + 8 * C)  # the ring and the tables of coefficients
    )
    if batch is not None:
        numbers += min(size, fits) * (D + C) + 2 * rows
    logged = stretch * K * (5 + 7 + 6) * 8  # in float64 on the host
    order = 0 if batch is None else 4 * 8 * rows
    return int(numbers * itemsize + logged + order)


class Stack:
    """K columns over one set of training rows."""

    def __init__(
        self, device: Device, model: Model, rows: RowSet, outputs: int, settings: Settings
    ) -> None:
        self.device, self.rows, self.settings = device, rows, settings
        self.columns = len(settings.schedule.lr)
        self.shape = (int(rows.X.shape[1]), outputs, self.columns)  # D, C, K
        self.dtype = rows.X.dtype
        self._model = model  # of any columns; with the parameters of these:
        self.model = model.with_parameters(
            {name: device.to_device(value, self.dtype) for name, value in settings.loss.items()}
        )
        self.optimizer = OPTIMIZERS[settings.optimizer]
        self.batches = self._batches()
        self._allocate()

    def _batches(self) -> Batches:
        size = self.settings.batch_size
        if size is None:
            return FullBatch(self.device, self.rows, min(len(self.rows), self._fits))
        size = min(size, len(self.rows))
        return MiniBatches(self.device, self.rows, size, min(size, self._fits), self.settings.seed)

    @property
    def _fits(self) -> int:
        """Most rows of a chunk."""
        _, outputs, columns = self.shape
        return max(1, _CHUNK_BYTES // int(self.dtype.itemsize * outputs * columns))

    @property
    def chunk_rows(self) -> int:
        """Rows that the buffers have room for."""
        return int(self._buffers.z.shape[0])

    def _allocate(self) -> None:
        xp, dtype = self.device.xp, self.dtype
        features, outputs, columns = self.shape
        rows = max(self.batches.chunk_rows, min(self._fits, _evaluation_rows(len(self.rows))))
        self._buffers = Buffers(xp, rows, outputs, columns, dtype, features)
        self._views: dict[int, Buffers] = {}
        shapes = {"weights": self.shape, "bias": self.shape[1:]}
        self._grad = {name: xp.empty(shape, dtype) for name, shape in shapes.items()}
        self._free = {name: xp.empty(shape, dtype) for name, shape in shapes.items()}
        self._total = xp.empty((1, columns), dtype)
        self._ring = xp.empty((self.stretch, len(StepRecorder.names), columns), dtype)
        hyper = self.settings.hyper
        self._l2 = self.device.to_device(np.tile(hyper["l2"], outputs), dtype)  # (C·K,)
        self._ones = xp.ones((1, features * outputs), dtype)
        beside = {"weights": self._free["weights"], "bias": self._free["bias"][None]}
        self._rooms = {name: Room.of(xp, beside[name], columns, self._ones) for name in PARAMETERS}
        self._prox = soft_threshold if np.any(hyper["l1"] > 0) else None
        free = {name: np.zeros(columns) for name in _PENALTIES}
        self._hyper = {"weights": hyper, "bias": {**hyper, **free}}  # the bias is never penalised

    def take(self, columns: Any) -> Stack:
        """A stack of some of the columns, on the same rows."""
        settings = self.settings.take(columns)
        return Stack(self.device, self._model, self.rows, self.shape[1], settings)

    @cached_property
    def stretch(self) -> int:
        """Most steps between two fetches of the log ring."""
        flop = 4.0 * self.batches.size * np.prod([float(n) for n in self.shape])
        return int(np.clip(_STRETCH_FLOP / flop, 1, _MAX_STRETCH))

    @property
    def batch_rows(self) -> int:
        """Rows of a batch."""
        return self.batches.size

    @property
    def steps_per_epoch(self) -> int:
        """Steps in an epoch."""
        return self.batches.steps_per_epoch

    @property
    def budget(self) -> Numbers:
        """(K,) most steps."""
        return self.settings.schedule.steps

    def settled(self, state: FirstOrderState) -> np.ndarray[Any, np.dtype[np.bool_]]:
        """(K,) columns at the end of their budgets."""
        return np.asarray(state.step >= self.budget)

    def taken(self, state: FirstOrderState) -> Numbers:
        """(K,) steps of each column."""
        return np.full(self.columns, float(state.step))

    def ending(self, state: FirstOrderState, at: int) -> Outcome:
        """How column `at`, which has settled, has ended."""
        return Outcome("finished", f"trained for its {state.step} steps", state.step)

    def facts(
        self, state: FirstOrderState, due: np.ndarray[Any, np.dtype[np.bool_]]
    ) -> dict[str, Numbers]:
        """What is known of the columns that are due at an evaluation, each (K,): nothing more."""
        return {}

    def rehearse(self, state: FirstOrderState) -> None:
        """Take a step."""
        self.advance(state, state.step + 1)

    def hessian_work(self) -> None:
        """No second derivatives are made."""

    def buffers(self, rows: int) -> Buffers:
        """Return the stack's buffers for a chunk of `rows` rows."""
        if rows not in self._views:
            self._views[rows] = self._buffers.first(rows)
        return self._views[rows]

    def start(self, weights: Array, bias: Array) -> FirstOrderState:
        """State before the first step.

        Args:
            weights: (D, C, K) on the host.
            bias: (C, K) on the host.
        """
        given = {"weights": weights, "bias": bias}
        state = FirstOrderState(0, NoProgress(), live=np.ones(self.columns, bool))
        for name, array in given.items():
            copy = np.array(array, dtype=self.dtype, order="C")
            state.arrays[name] = self.device.to_device(copy)
            for slot in self.optimizer.slots:
                state.arrays[f"{name}.{slot}"] = self.device.xp.zeros(copy.shape, self.dtype)
        return state

    def advance(
        self,
        state: FirstOrderState,
        until: int,
        snapshots: Callable[[int], Snapshot | None] = lambda step: None,
        should_stop: Callable[[], object] = lambda: False,
    ) -> Records:
        """Run steps to the end of a stretch, step `until` or `should_stop()`: whichever is first.

        Always runs at least one step. `snapshots(step)` returns a snapshot to fill, or None.
        """
        first = state.step + 1
        last = min(until, self._stretch_end(first), self.batches.prepare(first))
        rates = self.settings.schedule.table(first - 1, last)  # one step earlier, for its ratio
        lr = np.where(state.live, rates, 0.0)  # (S + 1, K); a stopped column keeps still
        self._ring.fill(0)
        with np.errstate(all="ignore"):  # a column that overflows is an outcome, not a warning
            tables = self._tables(lr, first)
            for slot, step in enumerate(range(first, last + 1)):
                rows = {name: {key: t[slot] for key, t in tables[name].items()} for name in tables}
                log = StepRecorder(self._ring[slot], self._is_full(step, last))
                self._step(state, step, rows, log, snapshots(step))
                if should_stop():
                    break
        count = state.step - first + 1
        logged = self.device.to_host(self._ring[:count])  # device -> host: once a stretch
        return self._records(first, last, logged.astype(np.float64), lr[1 : count + 1])

    def _is_full(self, step: Any, last: int) -> Any:
        return (step % self.settings.log_every == 0) | (step == last)

    def _records(self, first: int, last: int, logged: Numbers, lr: Numbers) -> Records:
        step = np.arange(first, first + len(lr), dtype=np.int64)
        logged[~self._is_full(step, last), 1:] = np.nan
        sizes = [self.batches.batch(int(t)) for t in step]
        elements = np.array([part.stop - part.start for part in sizes])[:, None] * self.shape[1]
        with np.errstate(all="ignore"):
            values = StepRecorder.values(logged, elements) | {"lr": lr}
        epoch = ((step - 1) // self.steps_per_epoch + 1).astype(np.int32)
        return Records(step, epoch, values)

    def _stretch_end(self, first: int) -> int:
        return (first - 1) // self.stretch * self.stretch + self.stretch

    def _tables(self, lr: Numbers, first: int) -> dict[str, dict[str, Array]]:
        """Coefficients of the steps, on the device: by parameter and name, each (S, C·K).

        Repeated for each output, so that a parameter's rows of C·K numbers meet them one to one.
        """
        outputs = self.shape[1]
        return {
            name: {
                key: self.device.to_device(np.tile(table, outputs), self.dtype)
                for key, table in self.optimizer.tables(lr, hyper, first).items()
            }
            for name, hyper in self._hyper.items()
        }

    def _step(
        self,
        state: FirstOrderState,
        step: int,
        rows: Mapping[str, Mapping[str, Array]],
        log: StepRecorder,
        snapshot: Snapshot | None,
    ) -> None:
        xp, grad, free = self.device.xp, self._grad, self._free
        into = grad
        for chunk in self.batches.chunks(step):
            self._chunk(state, chunk, into, log, snapshot)
            if into is free:
                for name in PARAMETERS:
                    grad[name] += free[name]
            into = free
        g, f = flat(grad["weights"]), flat(free["weights"])
        add_l2_gradient(xp, g, flat(state.weights), self._l2, f)
        log.add_gradient(self.device, grad["weights"], free["weights"], self._ones, self._total)
        if snapshot is not None:
            host = self.device.to_host
            snapshot.add(
                grad_weights=host(grad["weights"]),
                weights=host(state.weights),
                bias=host(state.bias),
            )
        for name in PARAMETERS if self.settings.bias else PARAMETERS[:1]:
            slots = [self._wide(state.arrays[f"{name}.{slot}"]) for slot in self.optimizer.slots]
            prox = self._prox if name == "weights" else None
            p, g = self._wide(state.arrays[name]), self._wide(grad[name])
            self.optimizer.update(xp, p, g, slots, rows[name], self._rooms[name], prox)
        state.step = step

    def _wide(self, array: Array) -> Array:
        """View (D, C, K) as (D, C·K), and (C, K) as (1, C·K)."""
        return array.reshape(-1, self.shape[1] * self.shape[2])

    def _chunk(
        self,
        state: FirstOrderState,
        chunk: Chunk,
        into: Mapping[str, Array],
        log: StepRecorder,
        snapshot: Snapshot | None,
    ) -> None:
        """Scores, error and gradients of some rows; the gradients overwrite `into`."""
        xp, device = self.device.xp, self.device
        b = self.buffers(chunk.rows.stop - chunk.rows.start)
        scores(device, chunk.X, state.weights, state.bias, b.z)
        dz = error(self.model, xp, b.z, chunk.y, b.error, b.loss, b.scratch)
        if snapshot is not None:
            order = self.batches.host_order[chunk.rows]
            snapshot.add(error=device.to_host(b.error), dz=device.to_host(dz), rows=order)
        log.add_loss(device, chunk.r, b.loss, self._total)
        wide = self._free["bias"]
        log.add_error(device, b.error, dz, b.z, wide, b.ones, self._total)
        gradient(device, chunk.X, dz, chunk.q, b.room, into["weights"], into["bias"])
