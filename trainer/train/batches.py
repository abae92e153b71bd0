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
from trainer.train.own_scaling import OwnScaling, Statistics
from trainer.train.row_targets import Picked, RowTargets
from trainer.train.row_weights import Indices, Numbers, WeightTables

if TYPE_CHECKING:
    from trainer.device import Device

Array = Any
# The order of fewer rows is made on the host, sooner than a GPU has launched the 26 kernels that
# make it, some 130 µs. Of a million rows the host's takes 20 ms, in which the GPU would wait.
_MANY_ROWS = 1 << 13


class Chunk(NamedTuple):
    """Some rows of a batch, on the device, with what a step needs of them (b rows).

    Where all columns share a number its axis of columns is 1 long.
    """

    X: Array  # (b, D)
    y: Array  # (b, C, 1|K)
    q: Array  # (b, 1, 1|K): (N/b)·p, the row weights of the objective
    r: Array  # (1|K, b): the same for the logged loss, which knows no class weights
    unused: Array | None  # (b, 1|K): rows whose weights q and r are 0; None: no weight is
    idle: Array | None  # (b, 1, 1|K): rows whose weight q is 0; None: no weight is
    rows: slice  # where the batch's order has them


class RowSet:
    """The training rows of a stack, on the device, and which of their numbers each column takes.

    Targets and row weights are tables that columns pick from, a chunk of rows at a time: (N, K)
    never exists.

    Attributes:
        X: (N, D).  codes: (N,) class numbers, or None.  y: (N, C, T), or the (C, C, 1) one-hot rows
            that `codes` picks from: dense one-hot targets of a million rows would outgrow X.
        q: (N, 1, V) row weights of the objective.  r: (N, V) of the logged loss.
        target: (K,) which of T targets a column has; None: all have the one there is.
        share: (K,) which of V weights a column has; None: all have the ones there are.
        selects: whether a row has weight 0 somewhere.
        scaling: the standardisation of each column by its own rows; None: X is as columns have it.
    """

    scaling: OwnScaling | None = None

    def __init__(
        self,
        device: Device,
        X: Array,
        y: Array,
        q: Array,
        r: Array,
        outputs: int,
        target: Indices | None = None,
        row_set: Indices | None = None,
        whole: bool = True,
        there: RowSet | None = None,
    ) -> None:
        """Move rows to the device.

        A label that is NaN is missing: its row has weight 0 for the columns of its target.

        Args:
            device: where to.
            X: (N, D) of the stack's dtype.
            y: (N, C) numbers, (N, C, T) of several targets, or (N,) class codes.
            q: (N,) row weights p of the objective, which sum to 1; or (R, N) of row sets.
            r: (N,) or (R, N) row weights of the logged loss.
            outputs: C.
            target: (K,) which of the T targets each column has.
            row_set: (K,) which of the R row sets each column has.
            whole: whether weights of rows whose labels are known are to sum to 1 as well.
            there: the same rows with other targets or weights, whose X is on the device.
        """
        dtype = X.dtype
        self.weight_tables = tables = WeightTables(q, r, y, whole)
        X = tables.without_unused(X)
        self._device = device
        self.X: Array = device.to_device(X) if there is None else there.X
        self.codes = device.to_device(y) if y.ndim == 1 else None
        table = np.eye(outputs) if y.ndim == 1 else np.where(np.isnan(y), 0.0, y)
        self.y = device.to_device(table.reshape(len(table), outputs, -1), dtype)
        # shared by all that have this X
        self.wide: dict[int, Array] = {} if there is None else there.wide
        self._weigh(dtype, target, row_set)

    def _weigh(self, dtype: Any, target: Indices | None, row_set: Indices | None) -> None:
        """Have the tables of weights of these columns on the device."""
        to_device = self._device.to_device
        self.target_of, self.row_set_of = target, row_set
        q, r, share = self.weight_tables.of(target, row_set)  # (V, N) twice, (K,)
        self.selects = not (q.all() and r.all())
        self.q = to_device(q.T[:, None], dtype)
        self.r = self.q[:, 0] if r is q else to_device(r.T, dtype)
        self.used = np.count_nonzero((q != 0) | (r != 0), axis=1)  # (V,)
        self._columns(target, share)

    def _columns(self, target: Indices | None, share: Indices | None) -> None:
        to_device = self._device.to_device
        self.target = None if target is None else to_device(target, np.int64)
        self.share = None if share is None else to_device(share, np.int64)
        self.share_of = share

    def __len__(self) -> int:
        return int(self.X.shape[0])

    @property
    def counts(self) -> Numbers:
        """(1|K,) rows of each column: those whose weight is not 0."""
        return np.asarray(self.used if self.share_of is None else self.used[self.share_of], float)

    @property
    def is_own(self) -> bool:
        """Whether columns have row weights or statistics of their own."""
        return self.row_set_of is not None or self.share is not None or self.scaling is not None

    @property
    def several(self) -> bool:
        """Whether columns have targets or weights of their own."""
        return self.target is not None or self.share is not None

    @property
    def bytes(self) -> int:
        """On the device, of X and of row weights."""
        tables = self.weight_tables
        own = 0 if tables.r is tables.q else self.r.nbytes  # else r is a view of q
        return int(self.X.nbytes + self.q.nbytes + own)

    def totals(self) -> Array:
        """(1|K,) the sums of the objective's row weights, on the device."""
        sums = self.q.sum(axis=(0, 1)) if self.q.shape[2] > 1 else self.q.sum().reshape(1)
        return sums if self.share is None else self._device.xp.take(sums, self.share)

    def weights_on_host(self) -> Numbers:
        """(V, N) row weights of the logged loss, in float64."""
        return self.weight_tables.of(self.target_of, self.row_set_of)[1]

    def of_columns(self, target: Indices | None, row_set: Indices | None) -> RowSet:
        """The same rows for other columns, of which (K,) say which target and row set they take."""
        other = copy(self)
        other._weigh(self.X.dtype, target, row_set)
        return other

    def take(self, columns: Any) -> RowSet:
        """The same rows for some of the columns; all tables are shared."""
        if self.target_of is None and self.row_set_of is None and self.scaling is None:
            return self
        some = [
            None if one is None else one[columns]
            for one in (self.target_of, self.row_set_of, self.share_of)
        ]
        other = copy(self)
        other.target_of, other.row_set_of = some[:2]
        other._columns(some[0], some[2])
        if self.scaling is not None:
            other.scaling = self.scaling.take(columns, self._device)
        return other

    def scaled(self, own: Statistics, which: Indices) -> RowSet:
        """The same rows, standardised for each column by statistics `own` of numbers `which` (K,).

        X is of `share_features`, and `own` in its units.
        """
        other = copy(self)
        other.scaling = OwnScaling.of(self._device, own, which, self.X.dtype)
        return other

    def like(self, other: RowSet) -> RowSet:
        """These rows for the columns of the same rows elsewhere, which have the same tables."""
        if not other.several:
            return self
        found = copy(self)
        found.target_of, found.row_set_of = other.target_of, other.row_set_of
        found._columns(other.target_of, other.share_of)
        return found

    def of_column(self, column: int) -> RowSet:
        """The same rows with the weights of one column, as views; targets are the tables."""
        other = self.bare
        v = 0 if self.share_of is None else int(self.share_of[column])
        other.q, other.r = self.q[:, :, v : v + 1], self.r[:, v : v + 1]
        return other

    @property
    def bare(self) -> RowSet:
        """The same rows and tables, for no columns: q is (n, 1, V), y (n, C, T)."""
        other = copy(self)
        other._columns(None, None)
        return other

    def rotated(
        self,
        device: Device,
        X: Array,
        q: Array | None,
        r: Array | None,
        y: Array | None = None,
    ) -> RowSet:
        """The same rows in other coordinates X (N, r), all in X's precision.

        Args:
            device: where they are.
            X: (N, r), on the device.
            q: (N,) row weights of the objective, or (R, N), on the host; None: as they are.
            r: those of the logged loss, or None.
            y: (N, C) or (N, C, T) targets on the host, if they have more digits than these rows'.
        """
        other = copy(self)
        other.wide, other.X = {}, X
        if y is None:
            other.y = device.xp.asarray(self.y, dtype=X.dtype)
        else:
            known = np.where(np.isnan(y), 0.0, y)
            other.y = device.to_device(known.reshape(self.y.shape), X.dtype)
        other.weight_tables = self.weight_tables.weighted(q, r)
        other._weigh(X.dtype, self.target_of, self.row_set_of)
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
        other.X, other.q, other.r = self.X[rows], self.q[rows], self.r[rows]
        if self.codes is None:
            other.y = self.y[rows]
        else:
            other.codes = self.codes[rows]
        return other

    def with_targets(self, y: Array, q: Array) -> RowSet:
        """The same rows with other targets, all of them known, and weights; X is shared."""
        other = self.weighted(self._device, q).of_columns(None, None)
        other.y = self._device.to_device(y.reshape(*y.shape[:2], -1), self.X.dtype)
        return other

    def weighted(self, device: Device, q: Array) -> RowSet:
        """The same rows with other weights (N,) or (R, N) of the objective; all else is shared."""
        other = copy(self)
        other.weight_tables = self.weight_tables.weighted(q, None)
        other._weigh(self.X.dtype, self.target_of, self.row_set_of)
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
        self._picked = Picked(self.device, rows, b)
        # weights are put in order once an epoch, X and y a batch at a time
        self._q, self._r = xp.empty(rows.q.shape, dtype), xp.empty(rows.r.shape, dtype)
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
        take(rows.r, self._order, self._r)
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

    def counts(self, steps: Any) -> Array:
        """(S, 1) rows of the batches of steps (S,)."""
        place = (steps - 1) % self.steps_per_epoch * self.size
        return np.minimum(len(self.rows) - place, self.size)[:, None]

    def rows_of(self, part: slice) -> np.ndarray[Any, Any]:
        """(b,) which rows a part of the order are, on the host."""
        return self.device.to_host(self._order[part])

    def placed(self) -> dict[str, Array | None]:
        """What a compiled step reads by place in the epoch's order, in that order or in its own."""
        codes = None if self.rows.codes is None else self._codes
        picks = {"targets": self.rows.target, "shares": self.rows.share}
        return {"order": self._order, "codes": codes, "q": self._q, "r": self._r} | picks

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
        return self._picked.of(y, self._q[part], self._r[part])


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
        self._picked = Picked(self.device, rows, self.chunk_rows)

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

    def counts(self, steps: Any) -> Array:
        """(1, 1|K) rows of each column at every step."""
        return self.rows.counts[None]

    def rows_of(self, part: slice) -> np.ndarray[Any, Any]:
        """(b,) which rows a part of them are."""
        return np.arange(part.start, part.stop)

    def placed(self) -> dict[str, Array | None]:
        """What a compiled step reads of the rows, which are where they are."""
        rows = self.rows
        picks = {"targets": rows.target, "shares": rows.share}
        return {"order": None, "codes": self._codes, "q": rows.q, "r": rows.r} | picks

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
        return self._picked.of(y, rows.q[part], rows.r[part])


def _parts(batch: slice, chunk_rows: int) -> list[slice]:
    return [
        slice(start, min(start + chunk_rows, batch.stop))
        for start in range(batch.start, batch.stop, chunk_rows)
    ]


Batches = MiniBatches | FullBatch
