"""One reading of a split's metrics for all K columns."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from trainer.data.rows import Rows
from trainer.model import Scratch
from trainer.model.metrics import Targets
from trainer.model.step import error, scores
from trainer.train.batches import FullBatch, RowSet
from trainer.train.protocol import AnyStack
from trainer.train.state import AnyState

if TYPE_CHECKING:
    from trainer.device import Device

Array = Any
Numbers = np.ndarray[Any, np.dtype[np.float64]]
_WIDE = 1 << 17  # numbers of an array: 1 MB of float64


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

    def metrics(self, state: AnyState) -> dict[str, Numbers]:
        """Read `loss` (the data term alone) and the model's metrics, each (K,)."""
        metrics, to_host = self.stack.model.metrics, self.stack.device.to_host
        sums: dict[str, Numbers] = {}
        all_scores: list[Array] = []
        parts: Iterator[tuple[dict[str, Array], Numbers | None]] = (
            self._of_predictions if metrics.of_predictions else self._of_scores
        )(state)
        with np.errstate(all="ignore"):
            for part, z in parts:
                if z is not None:
                    all_scores.append(z)
                for name, value in part.items():  # device -> host, at evaluations only
                    host = to_host(value).astype(np.float64)
                    sums[name] = sums[name] + host if name in sums else host
            gathered = np.concatenate(all_scores) if all_scores else None
            targets = self.held.targets
            loss = sums["loss"] / targets.w.sum()
            return {"loss": loss} | metrics.finish(sums, targets, gathered)

    def _of_scores(self, state: AnyState) -> Iterator[tuple[dict[str, Array], Numbers | None]]:
        """Sums over the rows of each chunk, in the stack's own buffers, and scores if wanted."""
        stack, wanted = self.stack, self.stack.model.metrics.needs_scores
        xp = stack.device.xp
        weights, bias = (xp.asarray(one, stack.dtype) for one in (state.weights, state.bias))
        for chunk in self.batches.chunks(1):
            b = stack.buffers(chunk.rows.stop - chunk.rows.start)
            scores(stack.device, chunk.X, weights, bias, b.z)
            part = stack.model.metrics.sums(xp, b.z, chunk.y[:, :, 0], chunk.r[0])
            all_scores = np.array(stack.device.to_host(b.z)) if wanted else None
            error(stack.model, xp, b.z, chunk.y, b.error, b.loss, b.scratch)
            part["loss"] = (chunk.r @ b.loss)[0]
            yield part, all_scores

    def _of_predictions(self, state: AnyState) -> Iterator[tuple[dict[str, Array], None]]:
        """The same from ŷ beside the targets, in float64: their difference may be small.

        Scores are in the precision of the weights. A few rows at a time stay in the cache.
        """
        stack, (true, w) = self.stack, self.held.wide
        xp, (features, outputs, columns) = stack.device.xp, stack.shape
        weights, bias, N = state.weights, state.bias, len(self.held.rows)
        size = max(1, _WIDE // max(features, outputs * columns))
        for start in range(0, N, size):
            part = slice(start, min(start + size, N))
            n, y = part.stop - start, true[part]
            X = xp.asarray(self.held.rows.X[part], dtype=weights.dtype)
            z = xp.empty((n, outputs, columns), weights.dtype)
            scores(stack.device, X, weights, bias, z)
            z = z.astype(np.float64)
            off, loss = xp.empty_like(z), xp.empty((n, columns))
            scratch = Scratch.of(xp, n, outputs, columns)
            stack.model.activation(xp, z, off, scratch)
            found = stack.model.metrics.sums(xp, off, y[:, :, 0], w[part])
            error(stack.model, xp, z, y, off, loss, scratch)
            found["loss"] = w[part] @ loss
            yield found, None
