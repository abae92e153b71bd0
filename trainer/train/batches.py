"""Where a step's rows come from: shuffled batches gathered into buffers, or all rows as slices.

Either way a step sees chunks of at most `chunk_rows` rows with arrays that are already there, so
that nothing is allocated and (N, C, K) never exists. A batch larger than a chunk is several chunks
of one step.
"""

from __future__ import annotations

from collections.abc import Iterator
from copy import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from trainer.streams import shuffle

if TYPE_CHECKING:
    from trainer.device import Device

Array = Any
# The order of fewer rows is made on the host, sooner than a GPU has launched the 26 kernels that
# make it, some 130 µs. Of a million rows the host's takes 20 ms, in which the GPU would wait.
_MANY_ROWS = 1 << 13


class Chunk(NamedTuple):
    """Some rows of a batch, on the device, with what a step needs of them (b rows)."""

    X: Array  # (b, D)
    y: Array  # (b, C, 1)
    q: Array  # (b, 1, 1): (N/b)·p, the row weights of the objective
    r: Array  # (1, b): the same for the logged loss, which knows no class weights
    rows: slice  # where the batch's order has them


class RowTargets(NamedTuple):
    """What the errors of some rows need beside their scores: as in `Chunk`."""

    y: Array
    q: Array
    r: Array


class RowSet:
    """The training rows of a stack, on the device.

    Attributes:
        X: (N, D).  codes: (N,) class numbers, or None.  y: (N, C, 1), or the (C, C, 1) one-hot rows
            that `codes` picks from: dense one-hot targets of a million rows would outgrow X.
        q: (N, 1, 1) row weights of the objective.  r: (1, N) of the logged loss.
    """

    def __init__(
        self, device: Device, X: Array, y: Array, q: Array, r: Array, outputs: int
    ) -> None:
        """Move rows to the device.

        Args:
            device: where to.
            X: (N, D) of the stack's dtype.
            y: (N, C) numbers, or (N,) class codes.
            q: (N,) row weights p of the objective: they sum to 1.
            r: (N,) row weights of the logged loss.
            outputs: C.
        """
        dtype = X.dtype
        self.X = device.to_device(X)
        self.codes = device.to_device(y) if y.ndim == 1 else None
        table = np.eye(outputs) if y.ndim == 1 else y
        self.y = device.to_device(table[:, :, None], dtype)
        self.q = device.to_device(q[:, None, None], dtype)
        self.r = device.to_device(r[None, :], dtype)
        self.wide: dict[int, Array] = {}  # shared by all that have this X

    def __len__(self) -> int:
        return int(self.X.shape[0])

    def rotated(
        self, device: Device, X: Array, q: Array, r: Array, y: Array | None = None
    ) -> RowSet:
        """The same rows in other coordinates X (N, r), all in X's precision.

        Args:
            device: where they are.
            X: (N, r), on the device.
            q: (N,) row weights of the objective, on the host.
            r: (N,) those of the logged loss.
            y: (N, C) targets on the host, if they have more digits than these rows'.
        """
        other = copy(self)
        other.wide = {}
        true = self.y if y is None else device.to_device(y[:, :, None], X.dtype)
        other.X, other.y = X, device.xp.asarray(true, dtype=X.dtype)
        other.q = device.to_device(q[:, None, None], X.dtype)
        other.r = device.to_device(r[None, :], X.dtype)
        return other

    def padded(self, xp: Any, width: int) -> Array:
        """X (N, width), each row followed by zeros: made once, and X itself where it is as wide."""
        if width == self.X.shape[1]:
            return self.X
        if width not in self.wide:
            self.wide[width] = xp.zeros((len(self), width), self.X.dtype)
            self.wide[width][:, : self.X.shape[1]] = self.X
        return self.wide[width]

    def part(self, rows: slice) -> RowSet:
        """Some of the rows, as views."""
        other = copy(self)
        other.wide = {}
        other.X, other.q, other.r = self.X[rows], self.q[rows], self.r[:, rows]
        if self.codes is None:
            other.y = self.y[rows]
        else:
            other.codes = self.codes[rows]
        return other

    def with_targets(self, device: Device, y: Array) -> RowSet:
        """The same rows with other targets (N, C); X is shared."""
        other = copy(self)
        other.y = device.to_device(y[:, :, None], self.X.dtype)
        return other

    def weighted(self, device: Device, q: Array) -> RowSet:
        """The same rows with other weights (N,) of the objective; all else is shared."""
        other = copy(self)
        other.q = device.to_device(q[:, None, None], self.X.dtype)
        return other


@dataclass
class MiniBatches:
    """Batches of `size` rows in an order of (seed, epoch) alone; the last one is shorter."""

    device: Device
    rows: RowSet
    size: int
    chunk_rows: int
    seed: int

    def __post_init__(self) -> None:
        xp, rows = self.device.xp, self.rows
        b, n, dtype = self.chunk_rows, len(rows), rows.X.dtype
        self.gathered = xp.empty((b, rows.X.shape[1]), dtype)
        self._y = xp.empty((b, *rows.y.shape[1:]), dtype)
        # what is one number a row is put in order once an epoch, X and y a batch at a time
        self._q = xp.empty(rows.q.shape, dtype)
        self._r = xp.empty(n, dtype)
        self._codes = xp.empty(n if rows.codes is not None else 0, np.int64)
        self._epoch = -1
        self._order = xp.empty(n, np.int64)

    @property
    def steps_per_epoch(self) -> int:
        """Batches in an epoch."""
        return -(-len(self.rows) // self.size)

    def prepare(self, step: int) -> int:
        """Have the order of this step's epoch on the device; return the last step it serves."""
        epoch = (step - 1) // self.steps_per_epoch
        if epoch != self._epoch:
            # in place: who has its address reads on there
            self.device.xp.copyto(self._order, self._shuffled(epoch))
            self._put_in_order()
            self._epoch = epoch
        return (epoch + 1) * self.steps_per_epoch

    def _shuffled(self, epoch: int) -> Array:
        """(N,) the order of an epoch, the same integers wherever they are made."""
        device, rows = self.device, len(self.rows)
        if rows < _MANY_ROWS:
            return device.to_device(shuffle(self.seed, epoch, rows))
        return shuffle(self.seed, epoch, rows, device.xp)

    def _put_in_order(self) -> None:
        take, rows, n = self.device.take_rows, self.rows, len(self.rows)
        take(rows.q, self._order, self._q)
        take(rows.r.reshape(-1), self._order, self._r)
        if rows.codes is not None:
            take(rows.codes, self._order, self._codes)
        whole = n // self.size * self.size
        for weights in (self._q, self._r):
            weights[:whole] *= n / self.size  # N/b: unbiased, also for the shorter last batch
            if whole < n:
                weights[whole:] *= n / (n - whole)

    def ends_epoch(self, step: Any) -> Any:
        """Whether steps are the last of their epochs."""
        return step % self.steps_per_epoch == 0

    def batch(self, step: int) -> slice:
        """Return the part of the epoch's order that this step (from 1) trains on."""
        first = (step - 1) % self.steps_per_epoch * self.size
        return slice(first, min(first + self.size, len(self.rows)))

    def rows_of(self, part: slice) -> np.ndarray[Any, Any]:
        """(b,) which rows a part of the order are, on the host."""
        return self.device.to_host(self._order[part])

    def placed(self) -> dict[str, Array | None]:
        """What a compiled step reads by place in the epoch's order, in that order or in its own."""
        codes = None if self.rows.codes is None else self._codes
        return {"order": self._order, "codes": codes, "q": self._q, "r": self._r}

    def parts(self, step: int) -> list[slice]:
        """The chunks of this step's batch, as parts of the epoch's order."""
        return _parts(self.batch(step), self.chunk_rows)

    def chunks(self, step: int) -> Iterator[Chunk]:
        """Yield the chunks of this step's batch, gathered into buffers that the next one reuses."""
        for part in self.parts(step):
            yield Chunk(self.gather(part), *self.targets(part), part)

    def gather(self, part: slice) -> Array:
        """X (b, D) of a part of the order, in a buffer."""
        X = self.gathered[: part.stop - part.start]
        self.device.take_rows(self.rows.X, self._order[part], X)
        return X

    def targets(self, part: slice) -> RowTargets:
        """Targets and weights of a part of the order, the targets in a buffer."""
        rows, y = self.rows, self._y[: part.stop - part.start]
        places = self._order if rows.codes is None else self._codes
        self.device.take_rows(rows.y, places[part], y)
        return RowTargets(y, self._q[part], self._r[None, part])


@dataclass
class FullBatch:
    """Every row at every step, as slices in the order of the source: nothing is copied."""

    device: Device
    rows: RowSet
    chunk_rows: int

    def __post_init__(self) -> None:
        rows = self.rows
        self.size = len(rows)
        xp = self.device.xp
        self._y = xp.empty((self.chunk_rows, *rows.y.shape[1:]), rows.X.dtype)
        self._codes = None if rows.codes is None else xp.asarray(rows.codes, dtype=np.int64)

    steps_per_epoch = 1
    gathered: Array | None = None

    def prepare(self, step: int) -> int:
        """Nothing to prepare: the order serves every step."""
        return step + 2**31

    def ends_epoch(self, step: Any) -> Any:
        """Whether steps are the last of an order: none is."""
        return step < 0

    def batch(self, step: int) -> slice:
        """All rows."""
        return slice(0, self.size)

    def rows_of(self, part: slice) -> np.ndarray[Any, Any]:
        """(b,) which rows a part of them are."""
        return np.arange(part.start, part.stop)

    def placed(self) -> dict[str, Array | None]:
        """What a compiled step reads of the rows, which are where they are."""
        return {"order": None, "codes": self._codes, "q": self.rows.q, "r": self.rows.r}

    def parts(self, step: int) -> list[slice]:
        """All rows, `chunk_rows` at a time."""
        return _parts(self.batch(step), self.chunk_rows)

    def chunks(self, step: int) -> Iterator[Chunk]:
        """Yield all rows, `chunk_rows` at a time."""
        for part in self.parts(step):
            yield Chunk(self.gather(part), *self.targets(part), part)

    def gather(self, part: slice) -> Array:
        """X (b, D) of a part of the rows."""
        return self.rows.X[part]

    def targets(self, part: slice) -> RowTargets:
        """Targets and weights of a part of the rows."""
        rows, y = self.rows, self.rows.y[part]
        if self._codes is not None:
            y = self._y[: part.stop - part.start]
            self.device.take_rows(rows.y, self._codes[part], y)
        return RowTargets(y, rows.q[part], rows.r[:, part])


def _parts(batch: slice, chunk_rows: int) -> list[slice]:
    return [
        slice(start, min(start + chunk_rows, batch.stop))
        for start in range(batch.start, batch.stop, chunk_rows)
    ]


Batches = MiniBatches | FullBatch
