"""How many columns a stack may have, and how many stacks may be on the device at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from trainer.config.checks.rules import has_l1
from trainer.config.schema.optimizer import Solver
from trainer.config.schema.spec import Spec
from trainer.machine.threads import cores
from trainer.model import MODELS
from trainer.optim.first_order import OPTIMIZERS
from trainer.solvers.choose import Size, choose_method
from trainer.sweep.model_of import model_of
from trainer.sweep.planned import Planned, cut, rebuilt
from trainer.text.saved import Saved
from trainer.train.device_rows import DeviceRows
from trainer.train.fused import graph_bytes
from trainer.train.stack import batch_parts, stack_bytes

if TYPE_CHECKING:
    from trainer.device import Device

_SHARE = 0.5  # of the memory there is; the rest is for rows, tables and others
# A stack on a thread of its own has one core. With fewer scores in a batch cores wait for Python.
_SCORES = 1 << 15
# A solver's columns leave as they settle, and narrow products are slow on any number of threads;
# of fewer products of two numbers, unless they are so flat, its passes are too short to share.
_WIDE = 128  # scores of a row
_PRODUCTS = 1 << 26
_FLAT = 64  # features
# Passes over a batch's scores are twice as fast where they stay in the cache. Weights, gradient and
# what the optimizer keeps take a sixth of a step's time where they do not stay in the last one.
_CACHED = 3 << 19  # bytes of one (B, C, K) array
_WEIGHTS = 4 << 20  # bytes of one (D, C, K) array


class Arrangement(NamedTuple):
    """Stacks that fit.

    Attributes:
        stacks: cut so that each has room.
        threads: how many train side by side.
        room: how many may be on the device at once.
        bytes: of the largest of them.
    """

    stacks: list[Planned]
    threads: int
    room: int
    bytes: int

    def saved(self) -> Saved:
        """A record of which columns go where, for `arrange`."""
        stacks = [[list(column.name) for column in one.columns] for one in self.stacks]
        return {"stacks": stacks, "threads": self.threads}

    def facts(self) -> dict[str, Any]:
        """Say how wide the stacks are, and how many train side by side: see `StacksRecord`."""
        widths = Counter(len(one.columns) for one in self.stacks)
        found = [[columns, count] for columns, count in sorted(widths.items(), reverse=True)]
        return {"widths": found, "threads": self.threads}

    def at_once(self, in_step: bool) -> int:
        """How many stacks are on the device together: all that fit where they keep in step."""
        return min(self.room, len(self.stacks) if in_step else self.threads, len(self.stacks))


def arrange(
    planned: Sequence[Planned],
    device_rows: DeviceRows,
    restores: bool,
    arranged: Saved | None = None,
) -> Arrangement:
    """Cut stacks by memory, and on a CPU so that every core has one.

    Args:
        planned: the stacks.
        device_rows: the rows of one of them; the others' are taken to be as large.
        restores: whether best weights are kept.
        arranged: the record of an arrangement, to have its stacks and threads again: the last bits
            of a product depend on both.

    Raises:
        ValueError: `arranged` is of other columns.
    """
    budget = _SHARE * device_rows.device.memory()
    if arranged is None:
        stacks, threads = _cut_to_fit(planned, device_rows, restores, budget)
    else:
        budget /= _SHARE  # as many stacks at once as before, if at all possible: see `restore`
        stacks, threads = rebuilt(planned, arranged["stacks"]), int(arranged["threads"])
    largest = max(needed(one.spec, len(one.columns), device_rows, restores) for one in stacks)
    room = max(threads, min(int(budget // largest), len(stacks)))  # free memory comes and goes
    return Arrangement(stacks, threads, room, largest)


def _cut_to_fit(
    planned: Sequence[Planned], device_rows: DeviceRows, restores: bool, budget: float
) -> tuple[list[Planned], int]:
    """Stacks that fit into so many bytes, and how many train side by side."""
    device = device_rows.device
    count = cores() if device.kind == "cpu" else 1
    most = budget / count
    stacks = [piece for one in planned for piece in _fitting(one, device_rows, restores, most)]
    if device.kind == "cpu":
        stacks = [piece for one in stacks for piece in _cached(one, device_rows)]
    pieces = _pieces(stacks, device_rows, count)
    stacks = [piece for one in stacks for piece in cut(one, max(pieces, 1))]
    return stacks, min(count if pieces else 1, len(stacks))


def _pieces(stacks: Sequence[Planned], device_rows: DeviceRows, count: int) -> int:
    """In how many pieces each stack is best cut for `count` threads; 0 where one is better."""
    if count == 1:
        return 0
    wanted = range(-(-count // len(stacks)), 0, -1)
    return next((n for n in wanted if all(_gains(one, device_rows, n) for one in stacks)), 0)


def _cached(one: Planned, device_rows: DeviceRows) -> list[Planned]:
    """A stack in pieces whose scores of a batch, and whose weights, stay in the cache.

    A full batch goes by chunks, and takes much longer than any pass over weights.
    """
    if one.spec.optimizer.batch_size == "full":
        return [one]
    X = device_rows.rows.X
    shape = int(X.shape[1]), device_rows.outputs, len(one.columns)
    return cut(one, pieces_in_cache(shape, _batch(one, device_rows), X.dtype.itemsize))


def pieces_in_cache(shape: tuple[int, int, int], batch: int, size: int) -> int:
    """In how many stacks so many columns keep in the cache.

    Args:
        shape: (D, C, K) of all columns.
        batch: rows of one.
        size: bytes of a number.
    """
    D, C, K = shape
    scores, weights = batch * C * K * size, D * C * K * size
    return max(-(-scores // _CACHED), -(-weights // _WEIGHTS))


def _batch(one: Planned, device_rows: DeviceRows) -> int:
    return _batch_rows(one.spec, device_rows)


def _batch_rows(spec: Spec, device_rows: DeviceRows) -> int:
    size, rows = spec.optimizer.batch_size, len(device_rows.rows)
    return rows if size == "full" else min(size, rows)


def _gains(one: Planned, device_rows: DeviceRows, pieces: int) -> bool:
    """Whether a piece of a stack is better off on a thread of its own."""
    width = device_rows.outputs * (len(one.columns) // pieces)
    scores = _batch(one, device_rows) * width
    if not isinstance(one.spec.optimizer, Solver):
        return scores >= _SCORES
    if pieces > 1 and width < _WIDE:
        return False
    features = int(device_rows.rows.X.shape[1])
    return scores >= _SCORES and (features <= _FLAT or scores * features >= _PRODUCTS)


def needed(spec: Spec, columns: int, device_rows: DeviceRows, restores: bool) -> int:
    """Bytes of a stack of so many columns like this one."""
    o = spec.optimizer
    X = device_rows.rows.X
    own = _own_weights(spec, columns, device_rows)
    if isinstance(o, Solver):
        return own + _solver_needs(spec, columns, device_rows)
    shape = (int(X.shape[1]), device_rows.outputs, columns)
    name = "nesterov" if getattr(o, "nesterov", False) else o.name
    batch = None if o.batch_size == "full" else o.batch_size
    slots = len(OPTIMIZERS[name].slots)
    held = len(device_rows.held.rows) if device_rows.held else 0
    size = X.dtype.itemsize
    metrics = model_of(spec).metrics
    # areas under curves want all scores at once, in chunks and then in one
    scores = 2 * size * held * shape[1] * columns if metrics.ranked else 0
    scores = max(scores, _named_scores(spec, size, columns, device_rows))
    device, rows, wide = device_rows.device, len(device_rows.rows), metrics.of_predictions
    tf32 = spec.precision == "tf32"
    arrays = stack_bytes(device, shape, rows, batch, size, slots, restores, held, wide, tf32)
    return own + scores + arrays + graphs_needed(spec, columns, device_rows)


def _own_weights(spec: Spec, columns: int, device_rows: DeviceRows) -> int:
    """Bytes of the row weights of columns that have their own, in training and in evaluations."""
    if device_rows.s.ndim == 1:
        return 0
    size = 8 if isinstance(spec.optimizer, Solver) else device_rows.rows.X.dtype.itemsize
    held = len(device_rows.held.rows) if device_rows.held else 0
    return 2 * size * min(columns, len(device_rows.s)) * (len(device_rows.rows) + held)


def _named_scores(spec: Spec, size: int, columns: int, device_rows: DeviceRows) -> int:
    """Bytes of the scores that an evaluation keeps for metrics that are named, as for areas.

    Args:
        spec: of one of the columns.
        size: bytes of a score.
        columns: K.
        device_rows: their rows.
    """
    if device_rows.held is None or not model_of(spec).metrics.whole:
        return 0
    return 2 * size * len(device_rows.held.rows) * device_rows.outputs * columns


def graphs_needed(spec: Spec, columns: int, device_rows: DeviceRows) -> int:
    """Bytes of a GPU that the CUDA graphs of a stack's steps take, beside CuPy's pool."""
    if isinstance(spec.optimizer, Solver):
        return 0
    X, size = device_rows.rows.X, _batch_rows(spec, device_rows)
    shape = int(X.shape[1]), device_rows.outputs, columns
    parts = batch_parts(device_rows.device, shape, size, X.dtype.itemsize)
    return graph_bytes(device_rows.device, parts)


def _solver_needs(spec: Spec, columns: int, device_rows: DeviceRows) -> int:
    """Bytes of a stack of so many columns that go to their optimum."""
    from trainer.solvers.costs import solver_bytes  # with all of the solvers

    model, sparse = MODELS[spec.model, spec.loss_name], has_l1(spec.penalty)
    rows, features = map(int, device_rows.rows.X.shape)
    size = Size(rows, features, device_rows.outputs)
    method = choose_method(spec.optimizer.name, model, size, sparse)
    tf32 = spec.precision == "tf32"
    kept = _named_scores(spec, 8, columns, device_rows)
    return kept + solver_bytes(size, columns, model, method, sparse, device_rows.device, tf32)


def _fitting(one: Planned, device_rows: DeviceRows, restores: bool, most: float) -> list[Planned]:
    """A stack in as many pieces as it takes for each to need at most `most` bytes."""
    pieces, columns = 1, len(one.columns)
    while pieces < columns:
        widest = int(np.ceil(columns / pieces))
        if needed(one.spec, widest, device_rows, restores) <= most:
            break
        pieces *= 2
    return cut(one, min(pieces, columns))


def rows_share(device: Device) -> float:
    """Bytes that rows kept for later may take."""
    return _SHARE / 2 * device.memory()
