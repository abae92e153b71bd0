"""Rows on the device: those of one row set, or of several that share a stack."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from trainer.config.schema.spec import Spec
from trainer.data import Prepared
from trainer.sweep.planned import Planned, RowsOf
from trainer.train.device_rows import DeviceRows, put_on_device
from trainer.train.shared_rows import put_shared, share

if TYPE_CHECKING:
    from trainer.device import Device


@dataclass
class DeviceCache:
    """Rows on the device, those used last; what does not fit is prepared anew when it is needed.

    Attributes:
        device: where to.
        room: bytes that may be held beside what is in use.
    """

    device: Device
    room: float = np.inf
    _held: dict[tuple[Hashable, str, int | None], DeviceRows] = field(default_factory=dict)

    def of(self, rows: RowsOf, spec: Spec, target: int | None = None) -> DeviceRows:
        """The rows of one part with the weights that a spec gives them, for a target or for all."""
        key = rows.key, str(spec.class_weight), target
        device_rows = self._held.pop(key, None)
        if device_rows is None:
            device_rows = self._lay(rows, spec, target)
        self._held[key] = device_rows  # the last used is the last to go
        while len(self._held) > 1 and self._bytes > self.room:
            del self._held[next(iter(self._held))]
        return device_rows

    @property
    def _bytes(self) -> int:
        """Of all that is held; rows for several targets or class weights are there once."""
        return sum({key: rows.bytes for (key, *_), rows in self._held.items()}.values())

    def prepared(self, rows: RowsOf) -> Prepared:
        """The rows of one part on the host; those that have left are prepared anew, not kept."""
        there = (held.prepared for (key, *_), held in self._held.items() if key == rows.key)
        found = next(there, None)
        return rows.prepare() if found is None else found

    def _lay(self, rows: RowsOf, spec: Spec, target: int | None) -> DeviceRows:
        place = None if target is None else list(rows.targets).index(target)
        for (key, *_), other in self._held.items():
            if key == rows.key:  # one copy of X for all targets and class weights
                return other.weighted(spec.class_weight, place)
        if rows.sets:
            standard = spec.data.scale == "standard"
            shared = share(rows.unite(), rows.prepare(), standard, spec.dtype)
            return put_shared(shared, spec.class_weight, self.device, place)
        return put_on_device(rows.prepare(), spec.class_weight, self.device, place)

    def laid(self, planned: Planned) -> DeviceRows:
        """The rows of a stack for its columns, each with its own target and row set."""
        found = self.of(planned.rows, planned.spec, planned.target)
        return found.of_columns(planned.places, planned.row_set)

    def prepared_of(self, planned: Planned, k: int) -> Prepared:
        """The rows of one column on the host, of the targets that its stack has."""
        if not planned.rows.sets:
            return self.of(planned.rows, planned.spec, planned.target).prepared
        rows, target = planned.rows_of(k), planned.target
        whole = self.whole_of(planned, k)
        return whole if target is None else whole.of_target(list(rows.targets).index(target))

    def whole_of(self, planned: Planned, k: int) -> Prepared:
        """The same with all targets that have these rows."""
        if not planned.rows.sets:
            return self.of(planned.rows, planned.spec, planned.target).shared
        return planned.rows_of(k).prepare()
