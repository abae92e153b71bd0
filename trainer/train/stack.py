"""One stack: K columns trained together, one shared step at a time.

`Stack` holds what does not change (rows, hyper-parameters, buffers); `State` what does. `advance`
runs a stretch of steps and returns their records. Inside a step nothing is allocated and nothing
crosses between device and host: the values to log go into a ring on the device, which is fetched
once a stretch. Where a stretch ends depends on the step and the shapes only, never on time.

Shapes: N rows, B of a batch, D features, C outputs, K columns.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

import numpy as np

from trainer.machine.interrupted import ShouldStop, never
from trainer.model import Model
from trainer.model.penalties import soft_threshold
from trainer.model.step import flat
from trainer.optim.first_order import OPTIMIZERS
from trainer.optim.schedules import LrSchedule
from trainer.train.batches import Batches, FullBatch, MiniBatches, RowSet
from trainer.train.buffers import Buffers
from trainer.train.outcomes import Outcome
from trainer.train.state import NoProgress, State
from trainer.train.step_record import Records, Snapshot, StepRecorder
from trainer.train.twins import halves_of, padded_numbers, twin_numbers

if TYPE_CHECKING:
    from trainer.device import Device

Array = Any
Numbers = np.ndarray[Any, np.dtype[np.float64]]
FirstOrderState = State[NoProgress]
_CHUNK_BYTES = 16 * 2**20  # of one (b, C, K) buffer, which a CPU's caches share
_EVALUATION_ROWS = 1024, 4096  # of a chunk at evaluations, least and most
_FEW_STEPS = 256  # of a stretch that no number of columns makes shorter
_LOGGED = 2**18  # steps times columns of a longer stretch, whose log takes 40 MB of the host's


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
        tf32: whether a GPU multiplies in TF32 in a step.
    """

    optimizer: str
    schedule: LrSchedule
    hyper: Mapping[str, Numbers]
    bias: bool
    batch_size: int | None
    seed: int
    log_every: int = 1
    loss: Mapping[str, Numbers] = field(default_factory=dict)
    tf32: bool = False

    def take(self, columns: Any) -> Settings:
        """The settings of some of the columns."""
        hyper = {name: value[columns] for name, value in self.hyper.items()}
        loss = {name: value[columns] for name, value in self.loss.items()}
        return replace(self, schedule=self.schedule.take(columns), hyper=hyper, loss=loss)


def _fits(device: Device, row: int) -> int:
    """Most rows of a chunk, where a row of an array (b, C, K) has so many bytes."""
    return max(1, device.at_once(_CHUNK_BYTES) // row)


def _evaluation_rows(device: Device, row: int, rows: int, held: int | None) -> int:
    """Rows of a chunk at evaluations: about as many as there are to train on, or as fill it.

    No more than the rows `held` that it is evaluated on, where those are known.
    """
    least, most = _EVALUATION_ROWS
    filled = device.at_once(max(least, min(most, rows)) * row) // row
    return min(_fits(device, row), filled, filled if held is None else held)


def _stretch(device: Device, size: int, shape: tuple[int, int, int]) -> int:
    """Most steps, of batches of `size` rows, between two fetches of the log ring."""
    sizes, flop = device.sizes, 4.0 * size * np.prod([float(n) for n in shape])
    most = max(_FEW_STEPS, min(sizes.stretch_steps, _LOGGED // shape[2]))
    return int(np.clip(sizes.stretch_flop / flop, 1, most))


def stack_bytes(
    device: Device,
    shape: tuple[int, int, int],
    rows: int,
    batch: int | None,
    itemsize: int,
    slots: int,
    restores: bool = False,
    held: int = 0,
    wide: bool = False,
    tf32: bool = False,
) -> int:
    """Bytes that a stack takes beside its rows, from what `Stack` and its evaluations allocate.

    Args:
        device: where it is.
        shape: (D, C, K).
        rows: N.
        batch: rows of a batch; None for all.
        itemsize: bytes of a number.
        slots: arrays the optimizer keeps beside each parameter.
        restores: whether the best weights are kept beside the last ones.
        held: rows that it is evaluated on.
        wide: whether evaluations are in float64, whose chunks on a CPU are too small to count.
        tf32: see `Settings`.
    """
    D, C, K = shape
    row = itemsize * C * K
    fits, size = _fits(device, row), min(batch or rows, rows)
    chunk = max(min(size, fits), _evaluation_rows(device, row, rows, held))
    weights = (D + 1) * C * K
    stretch = _stretch(device, size, shape)
    numbers = (
        weights * (1 + slots + 2 + restores)  # parameters and their slots, two gradients, the best
        + chunk * C * K * (3 + 3)  # z, ŷ − y, scratch; as much again comes and goes at evaluations
        + chunk * (4 * K + 2 * C)
        + stretch * K * (5 + 10)
        + 12 * C * K  # the ring, the table of coefficients, a row of it
    )
    if batch is not None:
        numbers += min(size, fits) * (D + C) + 2 * rows
    whole = batch is not None and size <= fits
    numbers += twin_numbers(device, shape, min(size, fits), whole, stretch)
    if tf32:  # rows that are padded: all of them, or those of a batch
        numbers += padded_numbers(device, D, rows if batch is None else min(size, fits))
    logged = stretch * K * (5 + 7 + 6) * 8  # in float64 on the host
    order = 0 if batch is None else 4 * 8 * rows
    metrics = 6 * min(device.sizes.chunk_bytes, held * 8 * C * K) if wide else 0
    return int(numbers * itemsize + logged + order + metrics)


def batch_parts(device: Device, shape: tuple[int, int, int], size: int, itemsize: int) -> int:
    """In how many parts a batch of `size` rows goes by, of a stack of this shape (D, C, K)."""
    _, C, K = shape
    return -(-size // _fits(device, itemsize * C * K))


class Stack:
    """K columns over one set of training rows."""

    def __init__(
        self,
        device: Device,
        model: Model,
        rows: RowSet,
        outputs: int,
        settings: Settings,
        held: int | None = None,
    ) -> None:
        """Have room for steps and evaluations.

        Args:
            device: where the rows are.
            model: a row of the model table.
            rows: to train on.
            outputs: C.
            settings: of the K columns.
            held: rows that it is evaluated on; None: not known.
        """
        self.device, self.rows, self.settings, self._held = device, rows, settings, held
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
        size, fits = self.settings.batch_size, _fits(self.device, self._row)
        if size is None:
            return FullBatch(self.device, self.rows, min(len(self.rows), fits))
        size = min(size, len(self.rows))
        return MiniBatches(self.device, self.rows, size, min(size, fits), self.settings.seed)

    @property
    def _row(self) -> int:
        """Bytes of a row of an array (b, C, K)."""
        _, outputs, columns = self.shape
        return int(self.dtype.itemsize) * outputs * columns

    @property
    def chunk_rows(self) -> int:
        """Rows that the buffers have room for."""
        return int(self._buffers.z.shape[0])

    def _allocate(self) -> None:
        xp, dtype = self.device.xp, self.dtype
        features, outputs, columns = self.shape
        evaluated = _evaluation_rows(self.device, self._row, len(self.rows), self._held)
        rows = max(self.batches.chunk_rows, evaluated)
        self._buffers = Buffers(xp, rows, outputs, columns, dtype)
        whole = (features + 1, outputs, columns)  # the weights, and below them the bias
        self._grad, self._free = xp.empty(whole, dtype), xp.empty(whole, dtype)
        self._ring = xp.empty((self.stretch, len(StepRecorder.names), columns), dtype)
        scaling = self.rows.scaling
        self._shared = None if scaling is None else xp.empty(whole, dtype)
        settings, hyper = self.settings, self.settings.hyper
        self._halves = halves_of(
            self.device,
            self.model,
            self.optimizer,
            soft_threshold if np.any(hyper["l1"] > 0) else None,
            self.batches,
            hyper,
            self._buffers.first,  # not the stack's own method: halves that hold it would keep it
            (self._grad, self._free),
            self._ring,
            settings.bias,
            settings.tf32,
            self._shared,
        )

    def take(self, columns: Any) -> Stack:
        """A stack of some of the columns, on the same rows."""
        settings, rows = self.settings.take(columns), self.rows.take(columns)
        return Stack(self.device, self._model, rows, self.shape[1], settings, self._held)

    @cached_property
    def stretch(self) -> int:
        """Most steps between two fetches of the log ring."""
        return _stretch(self.device, self.batches.size, self.shape)

    def held_sums(self, X: Array, y: Array, w: Array) -> None:
        """None: held rows are passed over."""

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

    def due(self, state: FirstOrderState) -> np.ndarray[Any, np.dtype[np.bool_]]:
        """(K,) settled columns whose evaluation is due: all."""
        return self.settled(state)

    def done(self, state: FirstOrderState) -> Numbers:
        """(K,) how far each column is on its way, from 0 to 1: of its budget."""
        return np.minimum(state.step / self.budget, 1)

    def taken(self, state: FirstOrderState) -> Numbers:
        """(K,) steps of each column."""
        return np.full(self.columns, float(state.step))

    def ending(self, state: FirstOrderState, at: int) -> Outcome:
        """How column `at`, which has settled, has ended."""
        return Outcome("finished", f"trained for its {state.step} steps", state.step)

    def facts(
        self,
        state: FirstOrderState,
        due: np.ndarray[Any, np.dtype[np.bool_]],
        should_stop: ShouldStop = never,
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
        return self._buffers.first(rows)

    def start(self, weights: Array, bias: Array) -> FirstOrderState:
        """State before the first step.

        Args:
            weights: (D, C, K) on the host.
            bias: (C, K) on the host.
        """
        whole = np.concatenate([weights, bias[None]], dtype=self.dtype, casting="same_kind")
        arrays = {"parameters": self.device.to_device(whole)}
        for slot in self.optimizer.slots:
            arrays[slot] = self.device.xp.zeros(whole.shape, self.dtype)
        return FirstOrderState(0, NoProgress(), arrays, np.ones(self.columns, bool))

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
        last = min(until, self._stretch_end(first))
        rates = self.settings.schedule.table(first - 1, last)  # one step earlier, for its ratio
        lr = np.where(state.live, rates, 0.0)  # (S + 1, K); a stopped column keeps still
        self._ring[: last - first + 1].fill(0)
        with np.errstate(all="ignore"):  # a column that overflows is an outcome, not a warning
            self._halves.begin(state.arrays, self._table(lr, first), first)
            for piece, snapshot in self._pieces(first, last, snapshots):
                if len(piece) > 1:
                    state.step = piece[-1]  # before: what raises in between has moved weights
                    self._halves.steps(piece[0] - first, piece[0], piece[-1])
                else:
                    step = piece[0]
                    self._step(state, step, step - first, self._is_full(step, last), snapshot)
                if should_stop():
                    break
        count = state.step - first + 1
        logged = self.device.to_host(self._halves.logged(count))  # device -> host: once a stretch
        found = self._records(first, last, logged.astype(np.float64), lr[1 : count + 1])
        return found._replace(whole=state.step == last)

    def _is_full(self, step: Any, last: int) -> Any:
        every = step % self.settings.log_every == 0
        return every | (step == last) | self.batches.ends_epoch(step)

    def _records(self, first: int, last: int, logged: Numbers, lr: Numbers) -> Records:
        step = np.arange(first, first + len(lr), dtype=np.int64)
        if self.settings.log_every > 1:
            logged[~self._is_full(step, last), 1:] = np.nan
        rows = self.batches.counts(step)  # of each step's batch
        with np.errstate(all="ignore"):
            values = StepRecorder.values(logged, rows * self.shape[1]) | {"lr": lr}
        epoch = ((step - 1) // self.steps_per_epoch + 1).astype(np.int32)
        return Records(step, epoch, values)

    def _stretch_end(self, first: int) -> int:
        """The end of an epoch, where a stretch has room for one: columns may leave there."""
        epoch = self.steps_per_epoch
        steps = self.stretch // epoch * epoch or self.stretch
        end = (first - 1) // steps * steps + steps
        return min(end, (first - 1) // epoch * epoch + epoch) if steps < epoch else end

    def _table(self, lr: Numbers, first: int) -> Numbers:
        """Coefficients of the steps (S, J, K)."""
        tables = self.optimizer.tables(lr, self.settings.hyper, first)
        return np.stack(list(tables.values()), axis=1)

    def _pieces(
        self, first: int, last: int, snapshots: Callable[[int], Snapshot | None]
    ) -> Iterator[tuple[range, Snapshot | None]]:
        """Steps of one epoch that are taken at once; with a snapshot, or without twins, each alone.

        The order of an epoch is made when its first piece is taken.
        """
        step, at_once = first, self._halves.at_once
        ahead: Snapshot | None = None  # of this step, if it has been asked about already
        while step <= last:
            most = min(last, self.batches.prepare(step), step + at_once - 1)
            snapshot, ahead, end = ahead or snapshots(step), None, step
            while snapshot is None and ahead is None and end < most:
                ahead = snapshots(end + 1)
                end += ahead is None
            yield range(step, end + 1), snapshot
            step = end + 1

    def _step(
        self, state: FirstOrderState, step: int, slot: int, full: bool, snapshot: Snapshot | None
    ) -> None:
        into, scaling, xp = self._grad, self.rows.scaling, self.device.xp
        if scaling is not None:
            scaling.write_shared(xp, state.arrays["parameters"], self._shared, self._free)
        for part in self.batches.parts(step):
            self._part(state, part, into, slot, full, snapshot)
            if into is self._free:
                self._grad += self._free
            into = self._grad if self._halves.adds else self._free
        if scaling is not None:
            scaling.turn_gradient(xp, self._grad, self._free)

        look = None if snapshot is None else partial(self._show_gradient, snapshot, state)
        state.step = step  # before: what raises in between has moved weights
        self._halves.move(slot, full, look)

    def _show_errors(self, snapshot: Snapshot, part: slice, error: Array, dz: Array) -> None:
        host = {"error": self.device.to_host(error), "dz": self.device.to_host(dz)}
        snapshot.add(**host, rows=self.batches.rows_of(part))

    def _show_gradient(self, snapshot: Snapshot, state: FirstOrderState) -> None:
        """dJ/dW, and the parameters before the update."""
        shown = {"grad_weights": self._grad[:-1], "weights": state.weights, "bias": state.bias}
        snapshot.add(**{name: self.device.to_host(one) for name, one in shown.items()})

    def _part(
        self,
        state: FirstOrderState,
        part: slice,
        into: Array,
        slot: int,
        full: bool,
        snapshot: Snapshot | None,
    ) -> None:
        """Scores, errors and gradients of some rows; the gradients overwrite `into`."""
        device, halves = self.device, self._halves
        X = halves.rows(part)
        if not halves.narrow:
            z = self.buffers(len(X)).flat_z
            weights = state.weights if self._shared is None else self._shared[:-1]
            device.matmul(X, flat(weights), out=z)  # (b, D) · (D, C·K)
        look = None if snapshot is None else partial(self._show_errors, snapshot, part)
        dz = halves.errors(part, slot, full, into, look)
        if not halves.narrow:
            device.matmul(X.T, flat(dz), out=flat(into[:-1]))  # (D, b) · (b, C·K)
