"""One reading of a split's metrics for all K columns."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from copy import copy
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from trainer.data.rows import Rows
from trainer.machine.interrupted import ShouldStop, ask, never
from trainer.model.compiled_errors import errors_of, squares_of
from trainer.model.metrics import Targets
from trainer.model.ranking import ranking
from trainer.model.step import error, flat, scores
from trainer.train.batches import Chunk, FullBatch, RowSet
from trainer.train.buffers import Buffers
from trainer.train.protocol import AnyStack
from trainer.train.state import AnyState

if TYPE_CHECKING:
    from trainer.device import Device

T = TypeVar("T")
Array = Any
Numbers = np.ndarray[Any, np.dtype[np.float64]]
# numbers of an array in float64: so many stay in the cache; so many more for as few rows as a
# product needs, where it is large
_WIDE, _MOST = 1 << 15, 1 << 20
_FEWEST_ROWS = 256


def _asked(parts: Iterable[T], should_stop: ShouldStop) -> Iterator[T]:
    """The parts; between each and the next `should_stop()` is asked.

    Raises:
        Interrupted: it said so.
    """
    for number, part in enumerate(parts):
        if number:
            ask(should_stop)
        yield part


class HeldOut:
    """The rows of one split on a device, for any number of stacks to be scored on."""

    def __init__(self, device: Device, rows: Rows, target_scale: Numbers) -> None:
        """Copy a split to the device.

        Args:
            device: where to.
            rows: the split.
            target_scale: (C,) σ of the targets in the user's units, for rmse.
        """
        outputs = len(target_scale)
        w = rows.weight  # raw: sums of ones are exact in float32, so an accuracy of 1 is 1
        self.rows = RowSet(device, rows.X, rows.y, w, w, outputs)
        self.targets = Targets(rows.y, w, target_scale, outputs)
        self._device = device

    def with_targets(self, rows: Rows, target_scale: Numbers) -> HeldOut:
        """The same rows with other targets; X is shared."""
        other = copy(self)
        other.__dict__.pop("wide", None)
        other.rows = self.rows.with_targets(self._device, rows.y)
        other.targets = Targets(rows.y, self.targets.w, target_scale, len(target_scale))
        return other

    @cached_property
    def wide(self) -> tuple[Array, Array]:
        """Targets (N, C, 1) and weights (N,) on the device in float64; of targets (N, C)."""
        to_device = self._device.to_device
        y, w = self.targets.y[:, :, None], self.targets.w
        return to_device(y, np.float64), to_device(w, np.float64)


class Evaluator:
    """Scores one stack on held rows."""

    def __init__(self, stack: AnyStack, held: HeldOut) -> None:
        self.stack, self.held = stack, held
        chunk_rows = min(len(held.rows), stack.chunk_rows)
        self.batches = FullBatch(stack.device, held.rows, chunk_rows)
        _, outputs, columns = stack.shape
        xp, rows = stack.device.xp, held.rows
        self._errors = errors_of(xp, stack.model, rows.y, self.batches.placed(), columns)
        self._none = xp.zeros((outputs, columns), rows.X.dtype)
        self._slopes = xp.empty((outputs, columns), rows.X.dtype)

    def metrics(self, state: AnyState, should_stop: ShouldStop = never) -> dict[str, Numbers]:
        """Read `loss` (the data term alone) and the model's metrics, each (K,).

        Raises:
            Interrupted: `should_stop()`, which is asked between chunks of the rows.
        """
        metrics = self.stack.model.metrics
        totals: dict[str, Array] = {}  # on the device, in float64
        all_scores: list[Array] = []
        parts: Iterator[tuple[dict[str, Array], Numbers | None]] = (
            self._of_predictions if metrics.of_predictions else self._of_scores
        )(state, should_stop)
        with np.errstate(all="ignore"):
            for part, z in parts:
                if z is not None:
                    all_scores.append(z)
                for name, value in part.items():
                    wide = value.astype(np.float64)
                    totals[name] = totals[name] + wide if name in totals else wide
            sums = self.stack.device.fetch(totals)  # device -> host, once
            targets = self.held.targets
            loss = sums["loss"] / targets.w.sum()
            ranked = metrics.ranked
            areas = ranking(np.concatenate(all_scores), targets.y, targets.w) if ranked else None
            return {"loss": loss} | metrics.finish(sums, targets, areas)

    def _of_scores(
        self, state: AnyState, should_stop: ShouldStop
    ) -> Iterator[tuple[dict[str, Array], Numbers | None]]:
        """Sums over the rows of each chunk, in the stack's own buffers, and scores if wanted."""
        stack, wanted = self.stack, self.stack.model.metrics.ranked
        xp = stack.device.xp
        weights, bias = (xp.asarray(one, stack.dtype) for one in (state.weights, state.bias))
        for chunk in _asked(self.batches.chunks(1), should_stop):
            b = stack.buffers(chunk.rows.stop - chunk.rows.start)
            scores(stack.device, chunk.X, weights, bias, b.z)
            part = stack.model.metrics.sums(xp, b.z, chunk.y[:, :, 0], chunk.r[0])
            all_scores = np.array(stack.device.to_host(b.z)) if wanted else None
            part["loss"] = self._losses(chunk, b)
            yield part, all_scores

    def _losses(self, chunk: Chunk, b: Buffers) -> Array:
        """Weighted sums (K,) of the losses of scores in z, which are overwritten."""
        if self._errors is None:
            error(self.stack.model, self.stack.device.xp, b.z, chunk.y, b.error, b.loss, b.scratch)
            return (chunk.r @ b.loss)[0]
        found = np.zeros((6, b.z.shape[2]), b.z.dtype)
        self._errors.begin(self._none, found)
        self._errors.run(chunk.rows, b.z, self._slopes)
        return found[1]

    def _of_predictions(
        self, state: AnyState, should_stop: ShouldStop
    ) -> Iterator[tuple[dict[str, Array], None]]:
        """The same from ŷ beside the targets, in float64: their difference may be small.

        Scores are in the precision of the weights. A few rows at a time stay in the cache. What is
        all of squares is compiled.
        """
        stack, (true, w) = self.stack, self.held.wide
        xp, buffers, N = stack.device.xp, self._wide_buffers, len(self.held.rows)
        weights, bias, size = state.weights, state.bias, len(buffers.z)
        narrow = buffers.z if weights.dtype == buffers.z.dtype else self._narrow
        squares, offset = squares_of(xp, stack.model, weights), xp.ascontiguousarray(bias)
        for start in _asked(range(0, N, size), should_stop):
            part = slice(start, min(start + size, N))
            y, b, z = true[part], buffers.first(part.stop - start), narrow[: part.stop - start]
            X = xp.asarray(self.held.rows.X[part], dtype=weights.dtype)
            if squares is not None:
                stack.device.matmul(X, flat(weights), out=flat(z))
                total = squares(z, offset, y, w[part])
                yield {"squares": total, "loss": 0.5 * total.sum(axis=0)}, None
                continue
            scores(stack.device, X, weights, bias, z)
            if narrow is not buffers.z:
                xp.copyto(b.z, z)
            stack.model.activation(xp, b.z, b.error, b.scratch)
            found = stack.model.metrics.sums(xp, b.error, y[:, :, 0], w[part])
            b.error -= y
            stack.model.loss(xp, b.z, y, b.error, b.loss, b.scratch)
            found["loss"] = w[part] @ b.loss
            yield found, None

    @cached_property
    def _wide_buffers(self) -> Buffers:
        """For as many rows as stay in the cache, of which features and scores are arrays."""
        features, outputs, columns = self.stack.shape
        scores_a_row = outputs * columns
        wide, most = (self.stack.device.at_once(8 * n) // 8 for n in (_WIDE, _MOST))
        rows = max(_FEWEST_ROWS, wide // max(features, scores_a_row))
        rows = max(1, min(rows, most // scores_a_row, len(self.held.rows)))
        return Buffers(self.stack.device.xp, rows, outputs, columns, np.float64)

    @cached_property
    def _narrow(self) -> Array:
        """Room for the same scores in the stack's precision."""
        return self.stack.device.xp.empty(self._wide_buffers.z.shape, self.stack.dtype)
