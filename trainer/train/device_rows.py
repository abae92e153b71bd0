"""The rows of one part of the data on a device, for any number of stacks."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeVar, cast

import numpy as np

from trainer.data.class_weights import row_weights
from trainer.data.prepared import Prepared
from trainer.data.rows import Rows
from trainer.train.batches import RowSet
from trainer.train.evaluate import HeldOut
from trainer.train.own_scaling import Statistics

if TYPE_CHECKING:
    from trainer.device import Device

Numbers = np.ndarray[Any, np.dtype[np.float64]]
Indices = np.ndarray[Any, np.dtype[np.int64]]
Made = TypeVar("Made")


@dataclass(frozen=True)
class DeviceRows:
    """The rows of one part on a device, for any number of stacks to be trained and scored on.

    Attributes:
        device: where they are.
        prepared: the same on the host; of targets that are problems of their own all that have
            them, of which columns pick one each, or one of these.
        shared: the same with all targets.
        s: (N,) raw row weights of the objective (the `weight` column times class weights); (R, N)
            of row sets.
        rows: the training rows.
        held: val, or None.
        own: the statistics of several row sets, if X is of all of them and standardised.
        again: puts rows of several row sets here with other class weights, for a target or all.
        row_set: (K,) which of several row sets each column has; None: all have the one there is.
    """

    device: Device
    prepared: Prepared
    s: Numbers
    rows: RowSet
    held: HeldOut | None
    shared: Prepared
    own: Statistics | None = None
    again: Callable[[Any, int | None], DeviceRows] | None = None
    row_set: Indices | None = None
    _made: dict[Hashable, object] = field(default_factory=dict, compare=False, repr=False)

    def once(self, key: Hashable, make: Callable[[], Made]) -> Made:
        """What `make` makes of these rows, made at the first call with this key, kept with them."""
        if key not in self._made:
            self._made[key] = make()
        return cast(Made, self._made[key])

    def of_columns(self, places: Sequence[int], row_set: Indices | None = None) -> DeviceRows:
        """The same rows for columns that pick the targets of these places, (K,).

        Args:
            places: of the targets.
            row_set: (K,) which of several row sets each column has.
        """
        separate = self.prepared.encoder.target.separate
        if not separate and row_set is None:
            return self
        rows = self.rows.of_columns(np.array(places, np.int64) if separate else None, row_set)
        if row_set is None:
            return replace(self, rows=rows)
        if self.own is not None:
            rows = rows.scaled(self.own, row_set)
        return replace(self, rows=rows, row_set=row_set, _made={})  # which is of these columns

    @property
    def weight_sum(self) -> Numbers:
        """(K,) S of each column's rows, or () of all columns'."""
        sums: Numbers = self.s.sum(axis=-1)
        return sums if self.row_set is None else sums[self.row_set]

    @property
    def first_s(self) -> Numbers:
        """(N,) raw row weights of the first column, 0 where a row is not its own."""
        return self.s if self.row_set is None else self.s[self.row_set[0]]

    def weighted(self, class_weight: Any, target: int | None = None) -> DeviceRows:
        """The same rows with other class weights, or for another of the targets; X is shared.

        Args:
            class_weight: of the spec.
            target: the place of the target among those that have these rows; None: all.

        Raises:
            DataError: class weights that do not fit the labels.
        """
        if self.again is not None:
            return self.again(class_weight, target)
        prepared, device = _prepared(self.shared, target), self.device
        s = raw_weights(prepared, class_weight)
        rows, held = self.rows, self.held
        if prepared is not self.prepared:
            rows = rows.with_targets(targets_of(prepared, prepared.train), shares(s))
            if held is not None and prepared.val is not None:
                y, scale = targets_of(prepared, prepared.val), target_scale(prepared)
                held = held.with_targets(y, scale)
        else:
            rows = rows.weighted(device, shares(s))
        return replace(self, prepared=prepared, s=s, rows=rows, held=held, _made={})

    def held_train(self) -> HeldOut:
        """The training rows as rows to score on, with raw weights."""
        prepared, train = self.prepared, self.prepared.train
        rows = replace(train, y=targets_of(prepared, train))
        labels = prepared.encoder.target.numbers
        return HeldOut(self.device, rows, target_scale(prepared), labels=labels)

    @property
    def outputs(self) -> int:
        """C; 1 of targets that are problems of their own."""
        target = self.prepared.encoder.target
        return 1 if target.separate else len(target.outputs)

    @property
    def bytes(self) -> int:
        """On the device, of X and of row weights, which of many row sets are more."""
        parts = (self.rows, self.held.rows if self.held else None)
        return sum(part.bytes for part in parts if part is not None)


def put_on_device(
    shared: Prepared, class_weight: Any, device: Device, target: int | None = None
) -> DeviceRows:
    """Put the rows of one part on a device.

    Args:
        shared: the rows, perhaps for several targets that are problems of their own.
        class_weight: of the spec.
        device: where to.
        target: which of these targets; None: all.

    Raises:
        DataError: class weights that do not fit the labels.
    """
    prepared = _prepared(shared, target)
    train, scale = prepared.train, target_scale(prepared)
    s = raw_weights(prepared, class_weight)
    y = targets_of(prepared, train)
    rows = RowSet(device, train.X, y, shares(s), shares(train.weight), len(scale))
    held = None
    if prepared.val is not None:
        val = replace(prepared.val, y=targets_of(prepared, prepared.val))
        labels = prepared.encoder.target.numbers
        held = HeldOut(device, val, scale, labels=labels)
    return DeviceRows(device, prepared, s, rows, held, shared)


def _prepared(shared: Prepared, target: int | None) -> Prepared:
    return shared if target is None else shared.of_target(target)


def targets_of(prepared: Prepared, rows: Rows) -> Any:
    """Targets (N, C) or codes (N,); (N, 1, T) of targets that are problems of their own."""
    return rows.y[:, None, :] if prepared.encoder.target.separate else rows.y


def target_scale(prepared: Prepared) -> Numbers:
    """(C,) σ of the targets; (1, T) of those that are problems of their own."""
    scale = prepared.encoder.target_scale
    return scale[None, :] if prepared.encoder.target.separate else scale


def raw_weights(prepared: Prepared, class_weight: Any) -> Numbers:
    """(N,) raw weights of the training rows in the objective.

    Raises:
        DataError: class weights that do not fit the labels.
    """
    train = prepared.train
    return row_weights(train.y, train.weight, class_weight, prepared.encoder.classes)


def shares(weights: Numbers) -> Numbers:
    """(N,) weights that sum to 1; of a sum past float64, which `build` refuses, zeros or NaN."""
    with np.errstate(over="ignore", invalid="ignore"):
        found: Numbers = weights / weights.sum()
    return found
