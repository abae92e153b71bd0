"""Targets and weights of a chunk's rows, picked for each column from tables of few.

Letters: b rows, C outputs, T targets, V row weights that differ, K columns.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from trainer.device import Device

Array = Any


class RowTargets(NamedTuple):
    """What the errors of some rows need beside their scores: see `trainer.train.batches.Chunk`."""

    y: Array
    q: Array
    r: Array
    unused: Array | None
    idle: Array | None


class Picked:
    """Targets and weights of a chunk's rows, for each column where columns differ: in buffers."""

    def __init__(self, device: Device, rows: Any, chunk_rows: int) -> None:
        self._rows, self._xp, self._size = rows, device.xp, chunk_rows

    @cached_property
    def _buffers(self) -> tuple[Array | None, Array | None, Array | None, Array | None]:
        """Room for y (b, C, K), q (b, 1, K), r (b, K), and twice (b, 1|K) for what is not used."""
        rows, xp, b, dtype = self._rows, self._xp, self._size, self._rows.X.dtype
        y = q = r = unused = None
        if rows.target is not None:
            y = xp.empty((b, rows.y.shape[1], len(rows.target)), dtype)
        if rows.share is not None:
            columns = len(rows.share)
            q, r = xp.empty((b, rows.q.shape[1], columns), dtype), xp.empty((b, columns), dtype)
        if rows.selects:
            unused = xp.empty((2, b, 1 if rows.share is None else len(rows.share)), bool)
        return y, q, r, unused

    def of(self, y: Array, q: Array, r: Array) -> RowTargets:
        """Pick from y (b, C, T), q (b, 1, V) and r (b, V)."""
        rows, xp, b = self._rows, self._xp, len(r)
        to_y, to_q, to_r, to_unused = self._buffers
        if to_y is not None:
            y = xp.take(y, rows.target, axis=2, out=to_y[:b])
        if to_q is not None and to_r is not None:
            q = xp.take(q, rows.share, axis=2, out=to_q[:b])
            r = xp.take(r, rows.share, axis=1, out=to_r[:b])
        unused = idle = None
        if to_unused is not None:
            unused, idle = to_unused[0, :b], to_unused[1, :b]
            xp.equal(r, 0, out=unused)
            xp.equal(q[:, 0], 0, out=idle)
            xp.logical_and(unused, idle, out=unused)
            idle = idle[:, None]
        return RowTargets(y, q, r.reshape(1, b) if r.shape[1] == 1 else r.T, unused, idle)
