"""One reading of a split's metrics for all K columns."""

from __future__ import annotations

from typing import Any

import numpy as np

from trainer.data.rows import Rows
from trainer.device import Device
from trainer.model.metrics import Targets
from trainer.model.step import error, scores
from trainer.train.batches import FullBatch, RowSet
from trainer.train.protocol import AnyStack
from trainer.train.state import AnyState

Array = Any
Numbers = np.ndarray[Any, np.dtype[np.float64]]


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


class Evaluator:
    """Scores one stack on held rows, in the stack's own buffers."""

    def __init__(self, stack: AnyStack, held: HeldOut) -> None:
        self.stack, self.targets = stack, held.targets
        chunk_rows = min(len(held.rows), stack.chunk_rows)
        self.batches = FullBatch(stack.device, held.rows, chunk_rows)

    def metrics(self, state: AnyState) -> dict[str, Numbers]:
        """Read `loss` (the data term alone) and the model's metrics, each (K,)."""
        stack, metrics = self.stack, self.stack.model.metrics
        xp, to_host = stack.device.xp, stack.device.to_host
        weights, bias = (xp.asarray(one, stack.dtype) for one in (state.weights, state.bias))
        sums: dict[str, Numbers] = {}
        all_scores: list[Array] = []
        with np.errstate(all="ignore"):
            for chunk in self.batches.chunks(1):
                b = stack.buffers(chunk.rows.stop - chunk.rows.start)
                scores(stack.device, chunk.X, weights, bias, b.z)
                read = b.z
                if metrics.of_predictions:
                    stack.model.activation(xp, b.z, b.error, b.scratch)
                    read = b.error
                part = metrics.sums(xp, read, chunk.y[:, :, 0], chunk.r[0])
                if metrics.needs_scores:
                    all_scores.append(np.array(to_host(b.z)))
                error(stack.model, xp, b.z, chunk.y, b.error, b.loss, b.scratch)
                part["loss"] = (chunk.r @ b.loss)[0]
                for name, value in part.items():  # device -> host, at evaluations only
                    host = to_host(value).astype(np.float64)
                    sums[name] = sums[name] + host if name in sums else host
            gathered = np.concatenate(all_scores) if all_scores else None
            loss = sums["loss"] / self.targets.w.sum()
            return {"loss": loss} | metrics.finish(sums, self.targets, gathered)
