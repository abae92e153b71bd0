"""Some columns of a stack that waits on the host, as a stack of their own."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import numpy as np

from trainer.train.outcomes import StackResult
from trainer.train.step_record import Records, Snapshot
from trainer.train.stretch import Stretch
from trainer.train.training import Flags, Indices, Training


def hand_over(whole: Training, part: Training, which: Flags) -> None:
    """Let `part`, which has not begun, go on with these columns where `whole` is parked.

    Args:
        whole: of K columns; it is not to be trained any more.
        part: of as many columns as `which` has.
        which: (K,) of the columns that `whole` began with.
    """
    known: dict[str, Any] = {
        "result": _result(whole.result, which),
        "unseen": whole.unseen[which],
        "_evaluated": whole._evaluated[which],
        "_latest": {name: value[which] for name, value in whole._latest.items()},
    }
    part.take_over(known | _of_stack(whole, which) if whole.begun else known)


def _of_stack(whole: Training, which: Flags) -> dict[str, Any]:
    """What a training that has begun knows of its stack, of some of the columns."""
    inside = np.flatnonzero(which[whole.columns])  # places in the stack
    number = np.cumsum(which) - 1  # of each column among the part's

    def pick(array: Any) -> Any:
        return np.take(array, inside, axis=-1)

    columns, unread = number[whole.columns[inside]], whole.unread
    return {
        "columns": columns,
        "state": whole.state.take(inside, pick),
        "unread": None if unread is None else _stretch(unread, inside, columns),
        "every": whole.every,
        "begun": True,
        "_best": {name: pick(array) for name, array in whole._best.items()},
        "_recent": [losses[:, inside] for losses in whole._recent],
        "_parts": [_records(one, inside) for one in whole._parts],
        "_steps_per_epoch": whole._steps_per_epoch,
    }


def _stretch(whole: Stretch, inside: Indices, columns: Indices) -> Stretch:
    """What a stack did, of some of the columns: their places in the stack, and their numbers."""
    snapshots = []
    for one in whole.snapshots:
        snapshots.append(Snapshot(one.step))
        of_columns = {n: a if n == "rows" else a[..., inside] for n, a in one.arrays.items()}
        snapshots[-1].add(**of_columns)
    records, counts = _records(whole.records, inside), whole.counts[:, inside]
    return Stretch(columns, records, counts, snapshots, None)


def _records(whole: Records, inside: Indices) -> Records:
    """What was logged of some of the columns, by their places in the stack."""
    values = {name: value[:, inside] for name, value in whole.values.items()}
    takes = None if whole.takes is None else whole.takes[:, inside]
    return whole._replace(values=values, takes=takes)


def _result(whole: StackResult, which: Flags) -> StackResult:
    """What came of some of the columns."""
    taken = {one.name: _taken(getattr(whole, one.name), which) for one in fields(whole)}
    return replace(whole, **taken)


def _taken(value: Any, which: Flags) -> Any:
    """Columns of what a result holds: arrays (…, K), lists (K,), by name or not; or None."""
    if isinstance(value, dict):
        return {name: one[..., which] for name, one in value.items()}
    if isinstance(value, list):
        return [one for one, wanted in zip(value, which, strict=True) if wanted]
    return None if value is None else value[..., which]
