"""The rows of several repeats on a device, where each repeat is a row of weights: X is there once.

R row sets, N rows, D features.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from trainer.data.class_weights import row_weights
from trainer.data.prepared import Prepared
from trainer.train.batches import RowSet
from trainer.train.device_rows import DeviceRows, target_scale, targets_of
from trainer.train.evaluate import HeldOut
from trainer.train.own_scaling import Statistics, scaled_alike, share_features

if TYPE_CHECKING:
    from trainer.data.united import United
    from trainer.device import Device

Numbers = np.ndarray[Any, np.dtype[np.float64]]


class SharedRows(NamedTuple):
    """United rows in the run's precision, and the statistics that each row set has of them.

    Attributes:
        united: the rows; standardised by all of them where each column is to be by its own.
        own: of the R row sets, in these units; None where nothing is standardised.
        first: the first row set's encoder and tests, as it has them alone.
    """

    united: United
    own: Statistics | None
    first: Prepared


def share(united: United, first: Prepared, standard: bool, dtype: Any) -> SharedRows:
    """Have united rows in a precision, standardised if asked for.

    Args:
        united: R row sets.
        first: the first of them, encoded as it is alone.
        standard: whether columns are standardised by their own rows.
        dtype: of the run.
    """
    train, val = united.train, united.val
    if not standard:
        return SharedRows(united, None, replace(first, train=train, val=val))
    X, mean, scale, own = share_features(train.X, united.weights, dtype)
    if val is not None:
        same = val.X is train.X
        val = replace(val, X=X if same else scaled_alike(val.X, mean, scale, dtype))
    train = replace(train, X=X)
    return SharedRows(
        united._replace(train=train, val=val), own, replace(first, train=train, val=val)
    )


def put_shared(
    shared: SharedRows,
    class_weight: Any,
    device: Device,
    target: int | None = None,
    there: DeviceRows | None = None,
) -> DeviceRows:
    """Put rows that row sets share on a device.

    Args:
        shared: the rows, perhaps for several targets that are problems of their own.
        class_weight: of the spec.
        device: where to.
        target: which of these targets; None: all.
        there: the same rows with other weights or another target, whose X they share.

    Raises:
        DataError: class weights that do not fit the labels.
    """
    united, first = shared.united, shared.first
    prepared = first if target is None else first.of_target(target)
    if target is not None and prepared is not first:  # one of several
        united = united.of_target(target)
    scale = target_scale(prepared)
    s = _raw_weights(united, class_weight, prepared)
    q = _shares(s)
    r = q if s is united.weights else _shares(united.weights)
    trained, scored = (None, None) if there is None else (there.rows, there.held)
    y = targets_of(prepared, united.train)
    rows = RowSet(device, united.train.X, y, q, r, len(scale), there=trained)
    held = None
    if united.val is not None:
        val = replace(united.val, y=targets_of(prepared, united.val))
        labels = first.encoder.target.numbers
        held = HeldOut(device, val, scale, united.held, labels, scored)

    def again(class_weight: Any, target: int | None) -> DeviceRows:
        return put_shared(shared, class_weight, device, target, found)

    of_all = device, prepared, s, rows, held, shared.first
    found = DeviceRows(*of_all, own=shared.own, again=again)
    return found


def _shares(weights: Numbers) -> Numbers:
    """Weights (R, N) of which each row set's sum to 1."""
    found: Numbers = weights / weights.sum(axis=1, keepdims=True)
    return found


def _raw_weights(united: United, class_weight: Any, prepared: Prepared) -> Numbers:
    """(R, N) raw weights of the row sets in the objective."""
    if class_weight == "none":
        return united.weights
    y, classes, found = united.train.y, prepared.encoder.classes, np.zeros(united.weights.shape)
    for s, weight in zip(found, united.weights, strict=True):
        used = weight > 0
        s[used] = row_weights(y[used], weight[used], class_weight, classes)
    return found
